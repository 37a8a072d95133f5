"""The bell: what it shows before it is opened, and the newest notices once it is."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from notifications import inbox as inboxes
from notifications import muting
from notifications.attention import for_page, preferences_of
from notifications.models import Notice
from notifications.views.signed_in import SignedInRequest

NEWEST = 10


@dataclass(frozen=True, slots=True)
class Bell:
    """What a bell is rendered with: whose it is, where its socket begins, how many notices are unseen, and how far
    one that arrives may go.
    """

    reader: int
    cursor: str
    stamp: str
    unread: int
    unseen: int
    unseen_shown: str
    attention: str
    notices: list[Notice]


def bell_of(user: User, newest: int = 0) -> Bell:
    """The bell of ``user``, with so many of their newest notices.

    The cursor is read before the notices, so nothing falls between these and the socket.
    """
    standing = inboxes.standing_of(user)
    unseen = standing.unseen or 0
    return Bell(
        reader=user.pk,
        cursor=str(standing.place),
        stamp=standing.stamp,
        unread=standing.unread or 0,
        unseen=unseen,
        unseen_shown=f"{inboxes.MOST_UNREAD - 1}+" if unseen == inboxes.MOST_UNREAD else str(unseen),
        attention=for_page(preferences_of(user), muted=bool(muting.mutes_of(user))),
        notices=inboxes.newest(user, standing, newest) if newest else [],
    )


@login_required
@require_safe
@never_cache
def bell(request: SignedInRequest) -> HttpResponse:
    """The newest notices, as the part of a page that bell.js puts into its dropdown."""
    return render(request, "notifications/_bell_notices.html", {"bell": bell_of(request.user, NEWEST)})
