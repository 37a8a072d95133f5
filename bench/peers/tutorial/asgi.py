"""The tutorial's `asgi.py`: sockets from our own pages, whose sender is known by the session."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

django_application = get_asgi_application()

from bench.peers.tutorial.consumers import EchoConsumer, NoticeConsumer  # noqa: E402

sockets = URLRouter([path("ws/notices/", NoticeConsumer.as_asgi()), path("ws/echo/", EchoConsumer.as_asgi())])

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets)),
    }
)
