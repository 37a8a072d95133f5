"""What a server runs. Everything between a browser and our code stands in one expression."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
pages = get_asgi_application()  # first: it loads the models that the imports below need

from notifications.live.access import SameOrigin  # noqa: E402
from notifications.live.application import LiveApplication  # noqa: E402
from notifications.live.routing import http_urlpatterns, websocket_urlpatterns  # noqa: E402

application = LiveApplication(
    ProtocolTypeRouter(
        {
            "http": URLRouter([*http_urlpatterns, re_path(r"", pages)]),  # type: ignore[arg-type]
            "websocket": SameOrigin(URLRouter(websocket_urlpatterns)),
        }
    )
)
