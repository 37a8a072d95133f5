"""Uvicorn's HTTP, with what it lacks: patience that ends."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from notifications.live.websocket import NoticeProtocol

REQUEST_SECONDS = 20  # for a whole request, with its body: the largest that we take are a few KiB
MAX_HEAD_BYTES = 65_536


class PromptHttpProtocol(HttpToolsProtocol):
    """`uvicorn --http …`: a request that is not complete in time, or has no end of headers, is given up.

    Stock Uvicorn waits for ever, so that a few thousand slow clients would take all descriptors.
    """

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

    def _hurry(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _relax(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
