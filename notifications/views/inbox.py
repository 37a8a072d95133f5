"""The inbox, and what a person does in it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from notifications import inbox as inboxes
from notifications.attention import for_page, preferences_of
from notifications.views.signed_in import SignedInRequest

PAGE_SIZE = 50


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
        "attention": for_page(preferences_of(request.user), muted=False),
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


def _whole(text: str | None) -> int | None:
    """The whole number in ``text``, if it is one that a database can hold."""
    if not text or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    return int(text)


def _shown(unread: int | None) -> str:
    """The count as a person reads it; counts.js says the same."""
    return f"{inboxes.MOST_UNREAD - 1}+" if unread == inboxes.MOST_UNREAD else str(unread)


def _done(request: HttpRequest) -> HttpResponse:
    """Back to the page that was left; a script only wants to know that it worked."""
    if "text/html" not in request.headers.get("Accept", ""):
        return HttpResponse(status=204)
    goal = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(goal, {request.get_host()}, require_https=request.is_secure())
    return redirect(goal if safe else "inbox")
