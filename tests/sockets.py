"""Sockets without a network: what connections and hubs are tested with."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from notifications.doorbell import LogGrew
from notifications.entries import Entry
from notifications.live.access import Reader
from notifications.live.connection import Connection
from notifications.live.hub import Hub


async def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until ``condition`` holds; returns what it gave. Fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        await asyncio.sleep(0.005)
    return found


class Wire:
    """A server's end of a socket: notes what it is sent, and blocks while the page reads nothing."""

    is_direct = True  # False: a server of another kind, that has an ASGI `send` and nothing else

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.aborted = False
        self._takes = asyncio.Event()
        self._takes.set()

    async def send(self, event: dict[str, Any]) -> None:
        await self._takes.wait()
        self.events.append(event)

    def write(self, frames: bytes) -> bool:
        """What our own server has beside `send`."""
        if not self._takes.is_set():
            return False
        self.events += [{"type": "websocket.send", "text": text} for text in texts_in(frames)]
        return True

    def block(self) -> None:
        self._takes.clear()

    def unblock(self) -> None:
        self._takes.set()

    def abort(self) -> None:
        self.aborted = True

    @property
    def direct(self) -> Any:
        return self if self.is_direct else None

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(event["text"]) for event in self.events if event["type"] == "websocket.send"]

    @property
    def positions(self) -> list[int]:
        """The places of the notices that were written, in the order in which they were."""
        return [frame["position"] for frame in self.frames if frame["type"] == "notice"]

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    @property
    def closed_with(self) -> int | None:
        return next((event["code"] for event in self.events if event["type"] == "websocket.close"), None)


def texts_in(frames: bytes) -> list[str]:
    """The texts of whole, unmasked frames."""
    texts = []
    while frames:
        size, head = frames[1], 2
        if size > 125:
            head = 4 if size == 126 else 10
            size = int.from_bytes(frames[2:head], "big")
        texts.append(frames[head : head + size].decode())
        frames = frames[head + size :]
    return texts


def reader(
    user_id: int = 1,
    audiences: Iterable[str] = ("everyone",),
    session_ends: float | None = None,
    joined: int = 0,
) -> Reader:
    return Reader(
        user_id=user_id,
        audiences=frozenset(audiences),
        joined=joined,
        session_key=f"session of {user_id}",
        session_hash="",
        session_ends=time.time() + 3600 if session_ends is None else session_ends,
    )


def entry(position: int, *audiences: str, published: int | None = None, size: int = 0) -> Entry:
    """An entry for everyone, or for these audiences; a change, if it was `published` at an earlier position."""
    published = position if published is None else published
    frame = {"type": "notice", "position": position, "recalled": published != position, "x": "x" * size}
    return Entry(
        position=position,
        published=published,
        published_at=1_767_225_600.0,
        notice_id=published,
        audiences=audiences or ("everyone",),
        text=json.dumps(frame),
    )


def bell(*entries: Entry | int, epoch: str = "") -> LogGrew:
    """A bell with these entries, or with plain ones for everyone at these positions."""
    given = [entry(each) if isinstance(each, int) else each for each in entries]
    return LogGrew(epoch=epoch, first=given[0].position, head=given[-1].position, entries=given)


async def connect(hub: Hub, wire: Wire | None = None, after: int | None = None, **who: Any) -> tuple[Connection, Wire]:
    """Join ``hub`` as a page that holds everything up to ``after`` (the hub's own place by default)."""
    wire = wire or Wire()
    connection = Connection(reader(**who), hub, wire.send, wire.direct)
    await connection.begin('{"type":"welcome"}', hub.position if after is None else after, complete=True)
    return connection, wire
