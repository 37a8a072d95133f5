"""What a server runs. Everything between a browser and our code stands in one expression."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
pages = get_asgi_application()  # first: it loads the models that the imports below need

from notifications.live.access import SameOrigin  # noqa: E402
from notifications.live.application import LiveApplication  # noqa: E402
from notifications.live.routing import websocket_urlpatterns  # noqa: E402

application = LiveApplication(
    ProtocolTypeRouter({"http": pages, "websocket": SameOrigin(URLRouter(websocket_urlpatterns))})
)
