"""Uvicorn's WebSocket protocol, with what it lacks: cutting a stuck socket, and leaving before it is closed."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT = "notices.abort"  # the scope extension: a call that cuts the transport at once
DRAIN = "notices.drain"  # the event that tells a consumer to say goodbye


class NoticeProtocol(WebSocketsSansIOProtocol):
    """`uvicorn --ws notifications.live.protocol:NoticeProtocol`."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was fit for a scope; the consumer's task begins later
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort

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
