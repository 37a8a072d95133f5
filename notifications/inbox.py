"""The inbox: what one person sees, and what of it they have read."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from notifications import log
from notifications.audiences import Audience, audiences_of, audiences_of_each, people_in
from notifications.doorbell import InboxChanged, ring
from notifications.frames import Inbox, encode
from notifications.log import Place
from notifications.models import Notice, NoticeQuerySet, ReadMark, Receipt
from notifications.walk import Walker, count_unread
from notifications.walk import newest as newest_ids

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

MOST_UNREAD = 1000  # counting stops here: then it means "as many, or more"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one inbox stands: what a page is rendered with, and a socket welcomed with.

    `unread` is true as of `place`, and at most `MOST_UNREAD`; None if nobody asked. `changes` counts what this person
    has changed of their read state; everything up to `read_through` is read.
    """

    place: Place
    audiences: frozenset[str]
    changes: int
    read_through: int = 0
    unread: int | None = None

    @property
    def stamp(self) -> str:
        """Differs from an earlier one if the inbox changed otherwise than by the log: by reading, or by audiences.

        A page that comes back with another stamp cannot be brought up to date by replaying notices.
        """
        audiences = ",".join(sorted(self.audiences)).encode()
        return f"{self.changes}-{hashlib.blake2s(audiences, digest_size=6).hexdigest()}"


def standing_of(user: User) -> Standing:
    """How the inbox of ``user`` stands now. Rows that are read after this hold all that it tells of, or more."""
    return with_unread(user, standings_of([user])[user.pk])


def standings_of(users: Collection[User]) -> dict[int, Standing]:
    """How the inboxes of all these people stand now, by their ids, but for `unread`: four queries."""
    marks = {mark.user_id: mark for mark in ReadMark.objects.filter(user__in=users)}
    place = log.head()
    audiences = audiences_of_each(users)

    def standing(user: User) -> Standing:
        mark = marks.get(user.pk) or ReadMark()
        return Standing(place, audiences[user.pk], mark.changes, mark.through)

    return {user.pk: standing(user) for user in users}


def with_unread(user: User, standing: Standing) -> Standing:
    """The same with the unread notices counted, up to `MOST_UNREAD`: nobody can count a million in milliseconds."""
    walker = Walker(user.pk, standing.audiences, user.date_joined)
    return replace(
        standing, unread=count_unread(walker, standing.read_through, standing.place.position, most=MOST_UNREAD)
    )


def newest(user: User, standing: Standing, limit: int, before: int | None = None) -> list[Notice]:
    """The newest of what `visible_to` holds at the place of ``standing``, each with its sender.

    With ``before`` only what was published below it.
    """
    through = standing.place.position if before is None else min(standing.place.position, before - 1)
    ids = newest_ids(Walker(user.pk, standing.audiences, user.date_joined), through, limit)
    notices = Notice.objects.filter(pk__in=ids).select_related("sender")
    return list(_with_read_state(notices, user, standing.read_through))


def visible_to(user: User) -> NoticeQuerySet:
    """The live notices for ``user``, newest first, each with `is_read`: what badge and list are made of.

    To be narrowed down to some notices. All of them are a walk through the whole log; see `newest` and `with_unread`.
    """
    through = ReadMark.objects.filter(user=user).values_list("through", flat=True).first() or 0
    return _with_read_state(log.visible(audiences_of(user), user.date_joined).live(), user, through)


def mark_read(user: User, ids: Iterable[int]) -> list[int]:
    """Note that ``user`` has read these notices, and tell their other pages.

    An id that this person cannot see is passed over in silence, like one that does not exist.

    Returns:
        Those of the ids that this person sees, all of them read now.
    """
    seen = list(visible_to(user).filter(pk__in=list(ids)))
    unread = [notice for notice in seen if not notice.is_read]  # type: ignore[attr-defined]  # _visible adds it
    read = [notice.pk for notice in seen]
    if read:
        with transaction.atomic():
            mark = _next_change(user)
            Receipt.objects.bulk_create((Receipt(user=user, notice=notice) for notice in unread), ignore_conflicts=True)
            _tell_on_commit(user, mark.changes, read=read)
    return read


def mark_all_read(user: User, through: int) -> int:
    """Note that ``user`` has read everything published at or below ``through``, and tell their other pages.

    Returns:
        The position up to which everything is read now; it never moves back, nor past the head.
    """
    with transaction.atomic():
        mark = _next_change(user)
        mark.through = max(mark.through, min(through, log.head().position))
        mark.save(update_fields=["through"])
        _tell_on_commit(user, mark.changes, read_through=mark.through)
    return mark.through


def tell_afresh(user: User) -> None:
    """What the pages of ``user`` go by has changed: they take themselves afresh."""
    with transaction.atomic():
        _tell_on_commit(user, _next_change(user).changes)


def readers_of(notice: Notice) -> QuerySet[User]:
    """The people whom ``notice`` reaches now and who have read it."""
    receipt = Receipt.objects.filter(notice=notice, user=OuterRef("pk"))
    people = people_in(Audience.parse(posting.audience) for posting in notice.postings.all())
    has_read = Q(Exists(receipt))
    if notice.published is not None:
        has_read |= Q(read_mark__through__gte=notice.published)
    return people.filter(has_read)


def nothing_read(user: User, changes: int) -> Inbox:
    """The frame for a page that asked in vain, and knows of so many ``changes``: none that it named is theirs."""
    return _frame(replace(standing_of(user), changes=changes), read=[])


def _with_read_state(notices: NoticeQuerySet, user: User, through: int) -> NoticeQuerySet:
    receipt = Receipt.objects.filter(user=user, notice=OuterRef("pk"))
    is_read = Q(published__lte=through) | Exists(receipt)
    return notices.annotate(is_read=is_read).order_by("-published")


def _next_change(user: User) -> ReadMark:
    """Count one more change; the row stays locked until the commit, so that the numbers are given out in order."""
    mark, _ = ReadMark.objects.select_for_update().get_or_create(user=user)
    mark.changes += 1
    mark.save(update_fields=["changes"])
    return mark


def _tell_on_commit(user: User, change: int, *, read: list[int] | None = None, read_through: int | None = None) -> None:
    """Tell every page of ``user``. Should this fail, their number of changes tells them that they missed it."""

    def tell() -> None:
        try:
            # The count is of now, the number is of this change: the pages have yet to hear of later ones.
            standing = replace(standing_of(user), changes=change)
        except DatabaseError as error:
            logger.warning("A change of read state was stored, but could not be told: %s", error)
            return
        frame = _frame(standing, read=read, read_through=read_through)
        ring(InboxChanged(user_id=user.pk, change=change, position=frame.position, text=encode(frame)))

    transaction.on_commit(tell)


def _frame(standing: Standing, *, read: list[int] | None = None, read_through: int | None = None) -> Inbox:
    assert standing.unread is not None
    return Inbox(
        unread=standing.unread,
        position=standing.place.position,
        changes=standing.changes,
        read=read,
        read_through=read_through,
    )
