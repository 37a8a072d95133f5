"""Everybody who is measured, behind one door."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.clients import Load
from bench.marks import frame
from bench.peers.every import PEERS
from bench.product import Product
from bench.results import OURS


class Contest:
    """One server with its clients."""

    def __init__(self, who: str, server: Any, load: Load) -> None:
        self.who, self.server, self.load = who, server, load

    def connect(self, count: int, *, patient: bool = False) -> Any:
        """So many clients, as pages that come from their inbox where there is one. Returns what the load says.

        ``patient``: whoever is refused tries again; at the tutorial some are answered 500, even of 200 at a time.
        """
        requests = self.server.handshakes(count, comeback=True) if self.who == OURS else self.server.handshakes(count)
        return self.load.open(requests, self.server.first_frames, seconds=180, retry=patient)

    def broadcast(self, count: int, seconds: float = 120) -> Any:
        """So many notices at once to everybody. Returns what the load says when the last client has the last one."""
        self.load.want(count)
        if self.who != OURS:
            self.server.publish([frame() for _ in range(count)])
        elif count == 1:
            self.server.publish_one()
        else:
            self.server.publish_burst(count)
        return self.load.wait(seconds)


@contextmanager
def contest(who: str, **settings: Any) -> Iterator[Contest]:
    """Start one of them, and clients for it."""
    with tempfile.TemporaryDirectory(prefix="notices-bench-") as folder:
        server = Product(**settings) if who == OURS else PEERS[who](Path(folder))
        with server, Load(Path(folder), server.port) as load:
            yield Contest(who, server, load)
