"""The pages: inbox, send form, echo; and what a monitor asks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from config.redis import NO_LAYER
from notifications import inbox as inboxes
from notifications import log
from notifications.audiences import people_in
from notifications.forms import SendForm
from notifications.live.hub import Hub
from notifications.models import Source

PAGE_SIZE = 50


class SignedInRequest(HttpRequest):
    user: User


@login_required
@require_safe
@never_cache
def inbox(request: SignedInRequest) -> HttpResponse:
    """The newest notices, or those before ``?before=<published>``.

    The cursor is read before the rows, so nothing falls between this page and its socket.
    """
    standing = inboxes.standing_of(request.user)
    before = _whole(request.GET.get("before"))
    notices = inboxes.newest(request.user, standing, PAGE_SIZE + 1, before)
    older = notices[PAGE_SIZE - 1].published if len(notices) > PAGE_SIZE else None
    context = {
        "notices": notices[:PAGE_SIZE],
        "cursor": str(standing.place),
        "stamp": standing.stamp,
        "unread": standing.unread,
        "unread_shown": _shown(standing.unread),
        "older": older,
        "newest_first_page": before is None,
    }
    return render(request, "notifications/inbox.html", context)


@login_required
@require_POST
def read(request: SignedInRequest) -> HttpResponse:
    """Mark the notices named by ``id`` read."""
    ids = [number for number in map(_whole, request.POST.getlist("id")[:500]) if number is not None]
    inboxes.mark_read(request.user, ids)
    return _done(request)


@login_required
@require_POST
def read_all(request: SignedInRequest) -> HttpResponse:
    """Mark everything published at or below ``through`` read."""
    through = _whole(request.POST.get("through"))
    if through is None:
        return HttpResponse(_("'through' must be a position: a whole number."), status=400)
    inboxes.mark_all_read(request.user, through)
    return _done(request)


@login_required
@permission_required("notifications.send_notice", raise_exception=True)
def send(request: SignedInRequest) -> HttpResponse:
    """Write a notice and send it."""
    form = SendForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        notice = form.send(audiences=form.audiences(), sender=request.user, source=Source.VIEW)
        if notice is not None:
            people = people_in(form.audiences()).count()
            messages.success(
                request, _("Sent “%(title)s” to %(people)d people.") % {"title": notice.title, "people": people}
            )
            return redirect("send")
    return render(request, "notifications/send.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
def echo(request: HttpRequest) -> HttpResponse:
    return render(request, "notifications/echo.html")


def upgrade_required(request: HttpRequest) -> HttpResponse:
    """A plain request to a WebSocket address."""
    response = HttpResponse(
        "This address speaks WebSocket: connect with ws:// or wss://.\n", status=426, content_type="text/plain"
    )
    response["Upgrade"] = "websocket"
    response["Connection"] = "Upgrade"
    return response


@require_GET
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives. Nothing else is asked, so that a Redis or a database away restarts nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_GET
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: 200 or 503. A layer that is away only makes notices slower."""
    hub: Hub | None = getattr(request, "scope", {}).get("hub")
    state: dict[str, Any] = {
        "database": _database_state(),
        "layer": _layer_state(hub),
        "hub": _hub_state(hub),
    }
    ready = state["database"] == "ok" and hub is not None and hub.is_ready
    return JsonResponse({"ready": ready, **state}, status=200 if ready else 503)


def _database_state() -> str:
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


def _whole(text: str | None) -> int | None:
    """The whole number in ``text``, if it is one that a database can hold."""
    if not text or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    return int(text)


def _shown(unread: int | None) -> str:
    """The count as a person reads it; badge.js says the same."""
    return f"{inboxes.MOST_UNREAD - 1}+" if unread == inboxes.MOST_UNREAD else str(unread)


def _done(request: HttpRequest) -> HttpResponse:
    """Back to the page that was left; a script only wants to know that it worked."""
    if "text/html" not in request.headers.get("Accept", ""):
        return HttpResponse(status=204)
    goal = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(goal, {request.get_host()}, require_https=request.is_secure())
    return redirect(goal if safe else "inbox")
