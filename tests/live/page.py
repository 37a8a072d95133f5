"""A socket that behaves like the page in a browser: it keeps its cursor, answers heartbeats and collects notices."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.servers import NoticeServer

NOTICES = "/ws/notices/"
ECHO = "/ws/echo/"
SMALL_BUFFER = 32_768  # bytes that the kernel keeps for a page that does not read


def dial(server: NoticeServer, path: str, session: str | None = None, **options: Any) -> connect:
    """Begin a handshake as a browser does, or otherwise where ``options`` say so."""
    headers = {"Cookie": f"sessionid={session}"} if session else {}
    return connect(
        server.ws_url + path,
        **{
            "origin": server.url,
            "additional_headers": headers,
            "compression": None,
            "proxy": None,
            "ping_interval": None,
            "max_size": None,
            "close_timeout": 1,
            **options,
        },
    )


class Page:
    """One open page of one person, or of nobody."""

    def __init__(
        self, server: NoticeServer, session: str | None, *, cursor: str = "", answers: bool = True, reads: bool = True
    ) -> None:
        self.server = server
        self.session = session
        self.cursor = cursor
        self.stamp = ""
        self.frames: list[dict[str, Any]] = []
        self.titles: list[str] = []  # of the notices, in the order they came
        self.doubled: list[str] = []  # of notices that it held already
        self.arrived: dict[str, float] = {}  # title → when, on the monotonic clock
        self.closed: tuple[int | None, str | None] | None = None  # code, words
        self._answers = answers
        self._reads = reads
        self._asked: dict[str, int] = {}
        self._news = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    # As a browser does ------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect, after the place that this page has reached, and wait for the server's first word."""
        heard = len(self.frames)
        path = NOTICES + (f"?cursor={self.cursor}" if self.cursor else "")
        path += f"&stamp={self.stamp}" if self.stamp else ""
        options = {} if self._reads else {"sock": _slow_line(self.server.port)}
        self._socket = await dial(self.server, path, self.session, **options)
        self.closed = None
        if self._reads:
            self.read_on()
            await self.until(lambda: len(self.frames) > heard or self.closed is not None)
        return self

    async def come_back(self, seconds: float = 10) -> Self:
        """Connect again, as soon as the server lets us."""
        await self.leave()
        async with asyncio.timeout(seconds):
            while True:
                with suppress(OSError, InvalidMessage, TimeoutError):
                    return await self.open()
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        if self._socket:
            await self._socket.close()
        if self._reading:
            await asyncio.wait([self._reading])

    def read_on(self) -> None:
        """Read what comes from now on. A page made with `reads=False` has read nothing before."""
        assert self._socket
        self._reading = asyncio.create_task(self._read(self._socket))

    async def say(self, frame: dict[str, Any] | str | bytes) -> None:
        assert self._socket
        await self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def _read(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                self._take(json.loads(await socket.recv()))
                self._news.set()
                if self._answers and self.frames[-1]["type"] == "heartbeat":
                    await self.say({"type": "alive", "position": self.position})
        self.closed = socket.close_code, socket.close_reason
        self._news.set()

    def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        match frame["type"]:
            case "welcome":
                self.cursor, self.stamp = frame["cursor"], frame["stamp"]
            case "inbox":
                self.stamp = f"{frame['changes']}-{self.stamp.partition('-')[2]}"
            case "notice":
                title = frame["notice"]["title"]
                (self.titles if frame["position"] > self.position else self.doubled).append(title)
                self.arrived[title] = time.monotonic()
                self._moves_to(frame["position"])
            case "heartbeat":
                self._moves_to(frame["position"])

    def _moves_to(self, position: int) -> None:
        self.cursor = f"{self.cursor.rpartition(':')[0]}:{max(position, self.position)}"

    @property
    def position(self) -> int:
        return int(self.cursor.rpartition(":")[2])

    @property
    def is_open(self) -> bool:
        return self._socket is not None and self.closed is None

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    # Waiting ----------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something is true of this page; fail with what it shows instead."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"not within {seconds} s; closed: {self.closed}; {len(self.titles)} notices; "
                f"the last frames: {self.frames[-5:]}"
            ) from None

    async def receives(self, title: str, seconds: float = 10) -> dict[str, Any]:
        """The frame of the newest notice with this title."""
        await self.until(lambda: title in self.arrived, seconds)
        return next(f for f in reversed(self.all("notice")) if f["notice"]["title"] == title)

    async def frame(self, kind: str, seconds: float = 10) -> dict[str, Any]:
        """The next frame of this type, each once."""
        number = self._asked.get(kind, 0)
        self._asked[kind] = number + 1
        await self.until(lambda: len(self.all(kind)) > number, seconds)
        return self.all(kind)[number]

    async def closes(self, seconds: float = 10) -> int | None:
        """Wait until the server has closed this page; the code."""
        await self.until(lambda: self.closed is not None, seconds)
        assert self.closed
        return self.closed[0]


def _slow_line(port: int) -> socket.socket:
    """A connection that holds little, so that who does not read is soon noticed."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    line.connect(("127.0.0.1", port))
    line.setblocking(False)
    return line
