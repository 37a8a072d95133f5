"""What all peers have in common: a pinned process, handshakes, and a way to tell it what to broadcast."""

from __future__ import annotations

import base64
import json
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import Any, Self

from tests.servers import Server, free_port

PUBLISH_SECONDS = 600.0  # the slowest peer needs minutes for a burst to 10,000 clients


class Peer(Server):
    """A server whose clients are handed whatever it is told to `publish`."""

    name: str
    server_core = 0
    beside_core = 1  # for what it needs beside itself: Redis, a publisher
    path = "/ws/"
    echo_path: str | None = None
    first_frames = 0  # how many frames a client gets right after the handshake

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    @property
    def title(self) -> str:
        """One line in words, with versions."""
        raise NotImplementedError

    def server(self) -> list[Any]:
        """The command that serves, before it is pinned."""
        raise NotImplementedError

    def command(self) -> list[Any]:
        return pinned(self.server_core, self.server())

    def answers(self) -> bool:
        return listens(self.port)

    def pids(self) -> list[int]:
        """The server's own processes, whose CPU time and memory are measured."""
        return [self.process.pid] if self.process and self.running else []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def handshakes(self, count: int) -> list[bytes]:
        """The whole upgrade request of each of `count` clients."""
        return [upgrade_request(self.port, self.path) for _ in range(count)]

    def echo_handshakes(self, count: int) -> list[bytes] | None:
        """The same for clients that get back what they send; None when the peer has no such endpoint."""
        return [upgrade_request(self.port, self.echo_path) for _ in range(count)] if self.echo_path else None

    def publish(self, texts: list[str]) -> None:
        """Broadcast each text as one frame to every client. Returns when the peer has taken them all."""
        raise NotImplementedError


class Told:
    """The connection over which a process is told what to broadcast, see `servers/control.py`."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PUBLISH_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def publish(self, texts: list[str]) -> None:
        self.socket.sendall(json.dumps(texts).encode() + b"\n")
        answer = self.answers.readline()
        assert answer == b"ok\n", f"the peer answered {answer!r}"

    def close(self) -> None:
        self.answers.close()
        self.socket.close()


def pinned(core: int, command: list[Any]) -> list[Any]:
    """`command` on one core, allowed as many open files as this machine lets it have: one for each client."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = "unlimited" if most == resource.RLIM_INFINITY else most
    return ["taskset", "-c", str(core), "prlimit", f"--nofile={allowed}", *map(str, command)]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def upgrade_request(port: int, path: str, **headers: str) -> bytes:
    """A WebSocket handshake as a browser would send it from a page of the same server."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Origin: http://127.0.0.1:{port}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def find_program(name: str) -> str | None:
    """Where a program is; Debian keeps servers out of an ordinary user's PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
