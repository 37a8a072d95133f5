"""Which topics does somebody want no attention for? Their notices come into the inbox all the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from notifications import log
from notifications.audiences import audiences_of
from notifications.deeds import begin_afresh
from notifications.models import Mute, Posting, Topic

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def mute(user: User, topic: Topic, until: datetime | None) -> None:
    """No attention for this topic ``until`` then; None for good."""
    with transaction.atomic():
        Mute.objects.update_or_create(user=user, topic=topic, defaults={"until": until})
        begin_afresh(user)


def unmute(user: User, topic: Topic) -> None:
    """Attention as for all others again."""
    with transaction.atomic():
        Mute.objects.filter(user=user, topic=topic).delete()
        begin_afresh(user)


def mutes_in_force(user: User) -> QuerySet[Mute]:
    """What ``user`` has muted and not turned on again, each with its topic."""
    still = Q(until=None) | Q(until__gt=timezone.now())
    return Mute.objects.filter(still, user=user).select_related("topic").order_by("topic__name")


def mutes_of(user: User) -> dict[str, datetime | None]:
    """Until when ``user`` has muted which topics, by their slugs; None for good."""
    return dict(mutes_in_force(user).values_list("topic__slug", "until"))


def muted_among(user: User, ids: Iterable[int]) -> list[int]:
    """Those of these notices that reach ``user`` by muted topics only, and not otherwise as well."""
    muted = {f"topic:{slug}" for slug in mutes_of(user)}
    if not muted:
        return []
    audiences = audiences_of(user)
    reached_by: dict[int, set[str]] = {}
    visible = log.visible(audiences, user.date_joined).live().filter(pk__in=list(ids))
    postings = Posting.objects.filter(notice__in=visible, audience__in=audiences)
    for notice, audience in postings.values_list("notice", "audience"):
        reached_by.setdefault(notice, set()).add(audience)
    return sorted(notice for notice, mine in reached_by.items() if mine <= muted)
