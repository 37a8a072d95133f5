"""Uvicorn's protocols, with what they lack: patience that ends, and pages that leave before they are closed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from notifications.live.rate import Rate

ABORT = "notices.abort"  # the scope extension: a call that cuts the transport at once
DRAIN = "notices.drain"  # the event that tells a consumer to say goodbye

REQUEST_SECONDS = 20  # for a whole request, with its body: the largest that we take are a few KiB
MAX_HEAD_BYTES = 65_536
MAX_FRAGMENTS = 1024  # of one message; empty ones have no bytes to be limited by
PINGS_PER_SECOND = 10


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
        self._hurry()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_bytes = None

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._relax()

    def handle_websocket_upgrade(self) -> None:
        self._relax()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _hurry(self) -> None:
        self._relax()
        self._head_bytes = 0
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _relax(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


class NoticeProtocol(WebSocketsSansIOProtocol):
    """`uvicorn --ws …`: a stuck socket can be cut, and a page is asked to leave when the server stops."""

    _pings: Rate | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was fit for a scope; the consumer's task begins later
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(1009, f"more than {MAX_FRAGMENTS} fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        # The answer waits in `conn`; a client that asks ten times a second is none that wants to know.
        self._pings = self._pings or Rate(PINGS_PER_SECOND)
        if self._pings.exceeded():
            self.transport.abort()
            return
        super().handle_ping()

    def keepalive_timeout(self) -> None:
        # Stock Uvicorn waits for the dead peer to take its buffer: the socket is never freed.
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        """The server stops. Stock Uvicorn closes every socket at the same moment, and they all come back together."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast(Any, {"type": DRAIN}))
        else:
            super().shutdown()
