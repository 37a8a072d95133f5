"""What a monitor asks."""

from __future__ import annotations

import functools
import time
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from config.redis import NO_LAYER
from notifications import log
from notifications.addresses import is_this_machine
from notifications.live.hub import Hub


@require_GET
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives. Nothing else is asked, so that a Redis or a database away restarts nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_GET
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: 200 or 503. A layer that is away only makes notices slower.

    Why, and which process it is, is told to this machine only: strangers need no host names, nor numbers of pages.
    """
    hub: Hub | None = getattr(request, "scope", {}).get("hub")
    state: dict[str, Any] = {
        "database": _database_state(int(time.monotonic())),
        "layer": _layer_state(hub),
        "hub": _hub_state(hub),
    }
    ready = state["database"] == "ok" and hub is not None and hub.is_ready
    told = state if is_this_machine(request.META.get("REMOTE_ADDR", "")) else {}
    return JsonResponse({"ready": ready, **told}, status=200 if ready else 503)


@functools.lru_cache(maxsize=1)
def _database_state(second: int) -> str:
    """Asked once a second, however often strangers ask us: 2.4 ms of a core each time."""
    try:
        log.head()
    except DatabaseError:
        return "away"
    return "ok"


def _layer_state(hub: Hub | None) -> str:
    if settings.REDIS_URL == NO_LAYER:
        return "none"
    return "ok" if hub and hub.state == "live" else "away"


def _hub_state(hub: Hub | None) -> dict[str, Any] | None:
    if hub is None:  # a server that knows no sockets, such as a test client
        return None
    return {
        "state": "draining" if hub.draining else hub.state,
        "position": hub.position,
        "connections": len(hub.connections),
        "process": hub.name,
    }
