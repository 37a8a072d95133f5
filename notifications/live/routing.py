"""Which address of the event loop leads to which consumer; Django knows the others."""

from __future__ import annotations

from django.urls import path, re_path

from notifications.live.access import Receive, Scope, Send, refuse_handshake
from notifications.live.consumers import EchoConsumer, NoticeConsumer
from notifications.live.events import events


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Channels' router answers an unknown path with a traceback."""
    await refuse_handshake(scope, send, 404, "No WebSocket here; there are /ws/notices/ and /ws/echo/.")


http_urlpatterns = [path("events/", events)]  # type: ignore[arg-type]
websocket_urlpatterns = [
    path("ws/notices/", NoticeConsumer.as_asgi()),
    path("ws/echo/", EchoConsumer.as_asgi()),
    re_path(r"", not_found),  # type: ignore[arg-type]
]
