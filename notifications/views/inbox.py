"""The inbox, and what a person does in it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from notifications import deeds, muting, seeing
from notifications import inbox as inboxes
from notifications.attention import for_page, preferences_of
from notifications.audiences import audiences_of, in_words
from notifications.deeds import Deed, Matching
from notifications.filters import Filter, Tab
from notifications.inbox import MOST_UNREAD, Standing
from notifications.models import Level
from notifications.seeing import Sighting
from notifications.views.signed_in import (
    BadRequest,
    SignedInRequest,
    back,
    ids_in,
    is_script,
    says_what_is_wrong,
    whole,
)

PAGE_SIZE = 50
TABS: tuple[Tab, ...] = ("unread", "all", "archived")  # as a page shows them
MOST_ROWS = 500  # of a page that has loaded several, and is fetched afresh


# Looking --------------------------------------------------------------------------------------------------


@login_required
@require_safe
@never_cache
@says_what_is_wrong
def inbox(request: SignedInRequest) -> HttpResponse:
    """The newest notices of a tab, or those before ``?before=<published>``; narrowed down by a filter.

    The cursor is read before the rows, so nothing falls between this page and its socket.
    """
    standing = inboxes.standing_of(request.user)
    wanted = Filter.parse(request.GET.dict(), standing.audiences)
    before = whole(request.GET, "before") if request.GET.get("before") else None
    rows = whole(request.GET, "rows", default=PAGE_SIZE)
    if not 1 <= rows <= MOST_ROWS:
        raise BadRequest(
            _("“rows” is at least 1 and at most %(most)d, not %(rows)d.") % {"most": MOST_ROWS, "rows": rows}
        )
    page = inboxes.page(request.user, standing, rows, before, wanted)
    counts = _counts(request, standing)
    context = {
        "notices": page.notices,
        "cursor": str(standing.place),
        "stamp": standing.stamp,
        "unread": standing.unread,
        "unread_shown": _shown(standing.unread),
        "unseen": standing.unseen,
        "unseen_shown": _shown(standing.unseen),
        "tabs": [_tab(wanted, name, counts[name]) for name in TABS],
        "filter": wanted,
        "levels": [(level.value, level.label) for level in Level],
        "audiences": sorted(in_words(standing.audiences).items(), key=lambda each: each[1].lower()),
        "older": _address(wanted, before=page.older) if page.older is not None else "",
        "newest": _address(wanted),
        "first_page": before is None,
        "through": page.notices[0].published if page.notices else 0,
        "at": timezone.now(),
        "ever": bool(counts["all"] or counts["archived"]),
        "attention": for_page(preferences_of(request.user), muted=bool(muting.mutes_of(request.user))),
    }
    return render(request, "notifications/inbox.html", context)


@login_required
@require_safe
@never_cache
def counts(request: SignedInRequest) -> HttpResponse:
    """The numbers of an inbox, for what shows no rows of it; 1000 means as many or more."""
    standing = inboxes.standing_of(request.user)
    answer = _counts(request, standing) | {
        "unseen": standing.unseen,
        "position": standing.place.position,
        "changes": standing.changes,
    }
    return JsonResponse(answer)


def _counts(request: SignedInRequest, standing: Standing) -> dict[str, int | None]:
    """How much each tab holds."""
    return {
        "all": inboxes.count_all(request.user, standing),
        "unread": standing.unread,
        "archived": inboxes.count_archived(request.user, standing),
    }


def _tab(wanted: Filter, name: Tab, count: int | None) -> dict[str, Any]:
    words = {"all": _("All"), "unread": _("Unread"), "archived": _("Archived")}
    return {
        "name": name,
        "words": words[name],
        "url": _address(wanted.in_tab(name)),
        "count": count,
        "count_shown": _shown(count),
        "current": name == wanted.tab,
    }


def _address(wanted: Filter, **more: int) -> str:
    query = "&".join(filter(None, [wanted.query, urlencode(more)]))
    return f"?{query}" if query else "./"


def _shown(count: int | None) -> str:
    """The count as a person reads it; counts.js says the same."""
    return f"{MOST_UNREAD - 1}+" if count == MOST_UNREAD else str(count)


# Doing ----------------------------------------------------------------------------------------------------


@login_required
@require_POST
@says_what_is_wrong
def read(request: SignedInRequest) -> HttpResponse:
    """Mark notices read."""
    done = deeds.mark_read(request.user, _which(request))
    said = ngettext("%(count)d notice is marked as read.", "%(count)d notices are marked as read.", done.count)
    return _done(request, done, said)


@login_required
@require_POST
@says_what_is_wrong
def unread(request: SignedInRequest) -> HttpResponse:
    """Mark notices unread."""
    done = deeds.mark_unread(request.user, _which(request))
    said = ngettext("%(count)d notice is marked as unread.", "%(count)d notices are marked as unread.", done.count)
    return _done(request, done, said)


@login_required
@require_POST
@says_what_is_wrong
def archive(request: SignedInRequest) -> HttpResponse:
    """Move notices out of the inbox."""
    done = deeds.archive(request.user, _which(request))
    said = ngettext("%(count)d notice is archived.", "%(count)d notices are archived.", done.count)
    return _done(request, done, said)


@login_required
@require_POST
@says_what_is_wrong
def unarchive(request: SignedInRequest) -> HttpResponse:
    """Move notices back into the inbox."""
    done = deeds.unarchive(request.user, _which(request))
    said = ngettext("%(count)d notice is back in the inbox.", "%(count)d notices are back in the inbox.", done.count)
    return _done(request, done, said)


@login_required
@require_POST
@says_what_is_wrong
def seen(request: SignedInRequest) -> HttpResponse:
    """Note that notices were on a screen; with ``through`` and without a filter, also everything up to there."""
    if "matching" in request.POST:
        return _done(request, deeds.mark_seen(request.user, _which(request)), "")
    ids, through = ids_in(request.POST), whole(request.POST, "through", default=0)
    if not through:
        return _done(request, deeds.mark_seen(request.user, ids), "")
    seeing.write({request.user.pk: Sighting(set(ids), through)})
    return _done(request, deeds.NOTHING, "")


@login_required
@require_POST
@says_what_is_wrong
def read_all(request: SignedInRequest) -> HttpResponse:
    """Mark everything published at or below ``through`` read, or what the filter ``matching`` leaves in of it."""
    done = deeds.mark_all_read(request.user, whole(request.POST, "through"), _filter(request))
    said = ngettext("%(count)d notice is marked as read.", "%(count)d notices are marked as read.", done.count)
    return _done(request, done, said)


@login_required
@require_POST
@says_what_is_wrong
def undo(request: SignedInRequest) -> HttpResponse:
    """Take back the last deed, which ``change`` names."""
    change = deeds.undo(request.user, whole(request.POST, "change"))
    if is_script(request):
        return JsonResponse({"change": change})
    messages.success(request, _("It is undone."))
    return back(request)


# What a request says, and what it is answered -------------------------------------------------------------


def _which(request: SignedInRequest) -> list[int] | Matching:
    """The notices that a form names by their ids, or by a filter and a place."""
    if "matching" in request.POST:
        return Matching(_filter(request), whole(request.POST, "through"))
    return ids_in(request.POST)


def _filter(request: SignedInRequest) -> Filter:
    return Filter.parse(QueryDict(request.POST.get("matching", "")).dict(), audiences_of(request.user))


def _done(request: SignedInRequest, done: Deed, said: str) -> HttpResponse:
    """Back to the page that was left; it, or a script, is told what was done, and the number by which to undo it."""
    if is_script(request):
        answer = {"change": done.change, "count": done.count, "more": done.more, "ids": done.ids}
        return JsonResponse(answer | ({"through": done.through} if done.more else {}))
    if said and done.count:
        messages.success(request, said % {"count": done.count}, extra_tags=str(done.change))
    return back(request)
