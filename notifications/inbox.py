"""The inbox: what one person sees, and what of it they have seen, read and archived."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from django.db.models import CharField, Count, Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat

from notifications import log, walk
from notifications.audiences import EVERYONE, Audience, audiences_of, audiences_of_each, reached_by_any
from notifications.filters import EVERYTHING, Filter
from notifications.log import Place
from notifications.marks import mark_of, marks_of
from notifications.models import Notice, NoticeQuerySet, Posting, ReadMark, Receipt
from notifications.walk import Walker

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST_UNREAD = 1000  # counting stops here: then it means "as many, or more"
SEARCH_SECONDS = 0.25  # after this a page shows what was found, and a link from where to look on


@dataclass(frozen=True, slots=True)
class Standing:
    """How one inbox stands: what a page is rendered with, and a socket welcomed with.

    `unread` and `unseen` are true as of `place`, and at most `MOST_UNREAD`; None if nobody asked. `changes` counts what
    this person has changed in their inbox; everything up to `read_through` is read, unless it was marked unread by a
    change after `through_change`. Everything up to `seen_floor` was seen. What was sent to everyone
    up to `joined` is not theirs.
    """

    place: Place
    audiences: frozenset[str]
    changes: int
    read_through: int = 0
    through_change: int = 0
    unread: int | None = None
    unseen: int | None = None
    seen_floor: int = 0
    joined: int = 0

    @property
    def stamp(self) -> str:
        """Differs from an earlier one if the inbox changed otherwise than by the log: by reading, or by audiences.

        A page that comes back with another stamp cannot be brought up to date by replaying notices.
        """
        audiences = ",".join(sorted(self.audiences)).encode()
        return f"{self.changes}-{hashlib.blake2s(audiences, digest_size=6).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of an inbox, newest first. `older`: there may be more that were published below it; None for no more.

    So a search that would take long stops, and is gone on with where it stopped.
    """

    notices: list[Notice]
    older: int | None


def standing_of(user: User) -> Standing:
    """How the inbox of ``user`` stands now. Rows that are read after this hold all that it tells of, or more."""
    return with_unread(user, standings_of([user])[user.pk])


def standings_of(users: Collection[User]) -> dict[int, Standing]:
    """How the inboxes of all these people stand now, by their ids, but for what is counted: four queries."""
    marks = marks_of(users)
    place = log.head()
    audiences = audiences_of_each(users)

    def standing(user: User) -> Standing:
        mark = marks[user.pk]
        return Standing(
            place,
            audiences[user.pk],
            mark.changes,
            mark.through,
            mark.through_change,
            seen_floor=mark.seen_floor,
            joined=mark.joined or 0,
        )

    return {user.pk: standing(user) for user in users}


def with_unread(user: User, standing: Standing) -> Standing:
    """The same with unread and unseen notices counted, up to `MOST_UNREAD`: nobody can count a million quickly."""
    unread, unseen = walk.count_unread(walker(user, standing), standing.place.position, most=MOST_UNREAD)
    return replace(standing, unread=unread, unseen=unseen)


def count_all(user: User, standing: Standing) -> int:
    """How many notices are in the inbox, read or not, up to `MOST_UNREAD`."""
    return walk.count_all(walker(user, standing), standing.place.position, most=MOST_UNREAD)


def count_archived(user: User, standing: Standing) -> int:
    """How many notices have left the inbox for the archive, up to `MOST_UNREAD`."""
    return walk.count_archived(walker(user, standing), standing.place.position, most=MOST_UNREAD)


def newest(
    user: User, standing: Standing, limit: int, before: int | None = None, wanted: Filter = EVERYTHING
) -> list[Notice]:
    """The newest of what `visible_to` holds at the place of ``standing`` and ``wanted`` names, each with its sender.

    With ``before`` only what was published below it.
    """
    found = walk.newest(walker(user, standing), _through(standing, before), limit, wanted)
    return _rows(user, standing, found.ids)


def page(user: User, standing: Standing, limit: int, before: int | None = None, wanted: Filter = EVERYTHING) -> Page:
    """The same as one page, which says where the next one begins; a search begins no new window after 0.25 s."""
    through = _through(standing, before)
    found = walk.newest(walker(user, standing), through, limit + 1, wanted, patience=SEARCH_SECONDS)
    notices = _rows(user, standing, found.ids[:limit])
    if len(found.ids) > limit:
        return Page(notices, notices[-1].published)
    return Page(notices, found.down_to + 1 if found.down_to else None)


def walker(user: User, standing: Standing) -> Walker:
    """For whom, and with what read, the log is searched."""
    return Walker(
        user.pk,
        standing.audiences,
        standing.joined,
        standing.read_through,
        standing.through_change,
        standing.seen_floor,
    )


def visible_to(user: User) -> NoticeQuerySet:
    """The live notices for ``user``, newest first, each with `is_read`, `is_seen` and `is_archived`.

    This is what badges and lists are made of. To be narrowed down to some notices: all of them are a walk through the
    whole log; see `newest` and `with_unread`.
    """
    mark = mark_of(user)
    return _with_state(_live_for(user, mark), user, mark.through, mark.through_change, mark.seen_floor)


def live_for(user: User) -> NoticeQuerySet:
    """The same without what ``user`` has done with them, which costs some milliseconds to ask."""
    return _live_for(user, mark_of(user))


def _live_for(user: User, mark: ReadMark) -> NoticeQuerySet:
    return log.visible(audiences_of(user), mark.joined or 0).live()


def reached_by(user: User, ids: Iterable[int]) -> dict[int, set[str]]:
    """By which of their own audiences each of these notices reaches ``user``; those that do not are left out."""
    audiences = audiences_of(user)
    since = Q(audience=str(EVERYONE), published__lte=mark_of(user).joined)
    mine = Posting.objects.filter(notice__in=live_for(user).filter(pk__in=ids), audience__in=audiences)
    found: dict[int, set[str]] = {}
    for notice_id, audience in mine.exclude(since).values_list("notice", "audience"):
        found.setdefault(notice_id, set()).add(audience)
    return found


def count_readers(notices: Collection[Notice]) -> dict[int, int]:
    """How many of the people whom each of these notices reaches now have read it, by ids. Three queries for all.

    Those whose read mark lies at or above it, and those below whose receipt says so; without those who marked it
    unread since.
    """
    shown = {notice.pk: notice.published for notice in notices if notice.published is not None}
    if not shown:
        return {notice.pk: 0 for notice in notices}
    reached = _reached_by_each(shown)
    marked = {f"n{pk}": Count("pk", filter=Q(through__gte=place) & reached[pk]) for pk, place in shown.items()}
    readers = ReadMark.objects.filter(user__is_active=True).aggregate(**marked)
    is_above = Q(user__read_mark__through__gte=F("notice__published"))
    said = Q(read_at__isnull=False) & (Q(user__read_mark=None) | Q(user__read_mark__through__lt=F("notice__published")))
    taken_back = is_above & Q(unread_change__gt=F("user__read_mark__through_change"))
    of_reached = reduce(or_, (Q(notice=pk) & condition for pk, condition in reached.items()))
    receipts = Receipt.objects.filter(of_reached, user__is_active=True).values("notice")
    counted = receipts.annotate(more=Count("pk", filter=said) - Count("pk", filter=taken_back))
    more = dict(counted.values_list("notice", "more"))
    return {notice.pk: readers.get(f"n{notice.pk}", 0) + more.get(notice.pk, 0) for notice in notices}


def _reached_by_each(pks: Iterable[int]) -> dict[int, Q]:
    """Whom each of these notices reaches: the condition for rows with a user."""
    postings = Posting.objects.filter(notice__in=list(pks))
    wide: dict[int, list[Audience]] = {pk: [] for pk in pks}
    for pk, audience in postings.exclude(audience__startswith="user:").values_list("notice", "audience"):
        wide[pk].append(Audience.parse(audience))
    own = Concat(Value("user:"), Cast(OuterRef("user_id"), CharField()))
    # Compared as text: one look into an index for each row, so that nobody reads 50,000 names to count 10 readers.
    named = {pk: Exists(Posting.objects.filter(notice=pk, audience=own)) for pk in wide}
    return {pk: reached_by_any(wide[pk], "user__") | Q(named[pk]) for pk in wide}


def _through(standing: Standing, before: int | None) -> int:
    return standing.place.position if before is None else min(standing.place.position, before - 1)


def _rows(user: User, standing: Standing, ids: list[int]) -> list[Notice]:
    notices = Notice.objects.filter(pk__in=ids).select_related("sender")
    return list(_with_state(notices, user, standing.read_through, standing.through_change, standing.seen_floor))


def _with_state(
    notices: NoticeQuerySet, user: User, through: int, through_change: int, seen_floor: int
) -> NoticeQuerySet:
    receipt = Receipt.objects.filter(user=user, notice=OuterRef("pk"))
    marked_since = Exists(receipt.filter(unread_change__gt=through_change))
    return notices.annotate(
        is_seen=Q(published__lte=seen_floor) | Exists(receipt),
        is_read=Q(published__lte=through) & ~marked_since | Exists(receipt.filter(read_at__isnull=False)),
        is_archived=Exists(receipt.filter(archived_at__isnull=False)),
    ).order_by("-published")
