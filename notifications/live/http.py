"""Uvicorn's HTTP, with what it lacks: patience that ends, and responses that do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from notifications.live.websocket import DIRECT, NoticeProtocol

REQUEST_SECONDS = 20  # for a whole request, with its body: the largest that we take are a few KiB
MAX_HEAD_BYTES = 65_536
DEAF_MS = 35_000  # a client that does not acknowledge what a stream writes is gone


class PromptHttpProtocol(HttpToolsProtocol):
    """`uvicorn --http …`: a request that is not complete in time, or has no end of headers, is given up.

    Stock Uvicorn waits for ever, so that a few thousand slow clients would take all descriptors.

    A response that goes on and on (`events.py`) finds it in its scope as `notices.direct`.
    """

    when_leaving: Callable[[], None] | None = None  # asks the response to end, because the server stops

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes: int | None = 0  # so far; None: the head is complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hurry()

    def data_received(self, data: bytes) -> None:
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:  # not the first one, which should be on its way since there is a connection
            self._hurry()

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = {DIRECT: self}  # type: ignore[dict-item]
        super().on_headers_complete()
        self._head_bytes = None

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._relax()

    def handle_websocket_upgrade(self) -> None:
        # Stock Uvicorn writes the request anew for another parser.
        self._relax()
        self.connections.discard(self)
        protocol = NoticeProtocol(self.config, self.server_state)
        protocol.begin(self.transport, self.url, dict(self.scope))

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    # For a response that goes on and on ---------------------------------------------------------------------

    @property
    def is_page(self) -> bool:
        """Whether a page listens here, which is to be asked to leave."""
        return self.when_leaving is not None

    def hold_page(self, when_leaving: Callable[[], None]) -> None:
        self.when_leaving = when_leaving
        if self.transport.is_closing():
            return  # it went away while we looked who it is; `receive` says so
        line = self.transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and line.family in (socket.AF_INET, socket.AF_INET6):
            # It never says anything, so nothing else tells soon that the network between us is gone.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAF_MS)

    def write(self, data: bytes) -> bool:
        """Write a piece of the response at once. False: not now, or not any more."""
        if self.flow.write_paused or self.cycle.disconnected or self.cycle.response_complete:
            return False
        if data:  # an empty piece would end it
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def abort(self) -> None:
        """Cut the connection at once, whatever is still to be written."""
        self.transport.abort()

    def shutdown(self) -> None:
        if self.when_leaving:
            self.when_leaving()
        else:
            super().shutdown()

    def _hurry(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _relax(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
