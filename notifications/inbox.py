"""The inbox: what one person sees, and what of it they have read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from notifications import log
from notifications.audiences import Audience, audiences_of, people_in
from notifications.doorbell import InboxChanged, ring
from notifications.frames import Inbox, encode
from notifications.log import Place
from notifications.models import Notice, NoticeQuerySet, ReadMark, Receipt

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def visible_to(user: User) -> NoticeQuerySet:
    """The live notices for ``user``, newest first, each with `is_read`. The badge and the list both begin here."""
    receipt = Receipt.objects.filter(user=user, notice=OuterRef("pk"))
    through = Subquery(ReadMark.objects.filter(user=user).values("through")[:1])
    return (
        log.visible(audiences_of(user), user.date_joined)
        .live()
        .annotate(is_read=Exists(receipt) | Q(published__lte=Coalesce(through, Value(0), output_field=IntegerField())))
        .order_by("-published")
    )


def unread_count(user: User, as_of: Place) -> int:
    """How many notices published up to ``as_of`` this person has not read."""
    return visible_to(user).filter(Q(is_read=False), published__lte=as_of.position).count()


def mark_read(user: User, ids: Iterable[int]) -> list[int]:
    """Note that ``user`` has read these notices, and tell their other pages.

    An id that this person cannot see is passed over in silence, like one that does not exist.

    Returns:
        Those of the ids that this person sees, all of them read now.
    """
    seen = list(visible_to(user).filter(pk__in=list(ids)))
    unread = [notice for notice in seen if not notice.is_read]  # type: ignore[attr-defined]  # visible_to adds it
    Receipt.objects.bulk_create((Receipt(user=user, notice=notice) for notice in unread), ignore_conflicts=True)
    read = [notice.pk for notice in seen]
    if read:
        transaction.on_commit(lambda: _tell(user, read=read), robust=True)
    return read


def mark_all_read(user: User, through: int) -> int:
    """Note that ``user`` has read everything published at or below ``through``, and tell their other pages.

    Returns:
        The position up to which everything is read now; it never moves back, nor past the head.
    """
    through = min(through, log.head().position)
    mark, created = ReadMark.objects.get_or_create(user=user, defaults={"through": through})
    if not created:
        ReadMark.objects.filter(user=user, through__lt=through).update(through=through)
        mark.refresh_from_db()
    transaction.on_commit(lambda: _tell(user, read_through=mark.through), robust=True)
    return mark.through


def readers_of(notice: Notice) -> QuerySet[User]:
    """The people whom ``notice`` reaches now and who have read it."""
    receipt = Receipt.objects.filter(notice=notice, user=OuterRef("pk"))
    people = people_in(Audience.parse(posting.audience) for posting in notice.postings.all())
    has_read = Q(Exists(receipt))
    if notice.published is not None:
        has_read |= Q(read_mark__through__gte=notice.published)
    return people.filter(has_read)


def state_of(user: User, *, read: list[int] | None = None, read_through: int | None = None) -> Inbox:
    """The frame that tells a page of a change, with a count that says as of where it is true."""
    as_of = log.head()
    return Inbox(unread=unread_count(user, as_of), position=as_of.position, read=read, read_through=read_through)


def _tell(user: User, *, read: list[int] | None = None, read_through: int | None = None) -> None:
    """Tell every page of ``user``."""
    ring(InboxChanged(user_id=user.pk, text=encode(state_of(user, read=read, read_through=read_through))))
