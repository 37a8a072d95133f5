"""A page whose network lets no WebSocket through: it listens to `/events/`, with a socket of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any, Self
from urllib.parse import quote

from tests.live.page import SMALL_BUFFER, Page

EVENTS = "/events/"


class Listener(Page):
    """A `Page` that cannot say anything. `closed` holds the code of the last event, or None and nothing."""

    status: int | None = None
    headers: dict[str, str]
    words: str = ""  # of a refusal
    retry_ms: int | None = None
    last_id: str = ""  # of an event, as a browser would say it when it comes back by itself
    once = False
    _writer: asyncio.StreamWriter | None = None
    more_headers: dict[str, str] = {}

    async def open(self) -> Self:
        """Ask for the events after the place that this page has reached, and wait for the first one, or a refusal."""
        await self.leave()
        heard = len(self.frames)
        query = f"cursor={quote(self.cursor)}&stamp={self.stamp}" + ("&once=1" if self.once else "")
        line = socket.socket()
        if not self._reads:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        line.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self.server.port))
        except OSError:
            line.close()
            raise
        self._reader, self._writer = await asyncio.open_connection(sock=line)
        headers = {"Host": self.server.url.removeprefix("http://"), **self.more_headers}
        if self.session:
            headers["Cookie"] = f"sessionid={self.session}"
        head = [f"GET {EVENTS}?{query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._writer.write("\r\n".join(head).encode())
        self.closed = None
        if self._reads:
            self.read_on()
            await self.until(lambda: len(self.frames) > heard or self.closed is not None)
        return self

    async def leave(self) -> None:
        if self._writer:
            self._writer.transport.abort()
            with suppress(OSError):
                await self._writer.wait_closed()
        if self._reading:
            await asyncio.wait([self._reading])

    @property
    def is_listening(self) -> bool:
        return self.status == 200 and self.closed is None

    async def ends(self) -> None:
        """Wait until the response has ended."""
        await self.until(lambda: self.closed is not None)

    def read_on(self) -> None:
        self._reading = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._take_head()
            text = ""
            while piece := await self._piece():
                text += piece
                *whole, text = text.split("\n\n")
                for event in whole:
                    self._take_event(event)
                    self._news.set()
        self.closed = self.closed or (None, None)
        self._news.set()

    async def _take_head(self) -> None:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if self.status != 200:
            self.words = (await self._reader.readexactly(int(self.headers["content-length"]))).decode()

    async def _piece(self) -> str:
        """The next piece of a chunked body; nothing at its end."""
        if self.status != 200:
            return ""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2].decode()

    def _take_event(self, event: str) -> None:
        fields: dict[str, Any] = dict(line.split(": ", 1) for line in event.split("\n"))
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        if "data" not in fields:
            return
        data = json.loads(fields["data"])
        if fields.get("event") == "close":
            self.closed = data["code"], data["reason"]
        else:
            self._take(data)
            self.last_id = fields.get("id", self.last_id)
