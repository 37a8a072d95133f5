"""The echo page, and what the sockets' addresses say to a plain request."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def echo(request: HttpRequest) -> HttpResponse:
    most_bytes = settings.WS_ANONYMOUS_MAX_BYTES or settings.WS_MAX_BYTES
    return render(request, "notifications/echo.html", {"most_characters": most_bytes // 4})  # of up to 4 bytes each


def upgrade_required(request: HttpRequest) -> HttpResponse:
    """A plain request to a WebSocket address."""
    response = HttpResponse(
        "This address speaks WebSocket: connect with ws:// or wss://.\n", status=426, content_type="text/plain"
    )
    response["Upgrade"] = "websocket"
    response["Connection"] = "Upgrade"
    return response
