"""Which topics does somebody want no attention for? Their notices come into the inbox all the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from notifications.deeds import begin_afresh
from notifications.inbox import reached_by
from notifications.models import Mute, Topic

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
    return sorted(notice for notice, audiences in reached_by(user, ids).items() if audiences <= muted)
