"""The log: in which order notices were published, and what came after a given place."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import DateTimeField, Exists, F, Max, Min, OuterRef, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from notifications.audiences import EVERYONE
from notifications.doorbell import LogGrew, ring
from notifications.entries import Entry, entry_of
from notifications.models import Log, Notice, NoticeQuerySet, Posting

BATCH = 500  # notices published in one transaction


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands in the log; `str(place)` is the cursor that clients keep."""

    epoch: str
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.position}"

    @classmethod
    def parse(cls, cursor: str) -> Place | None:
        """The place that a client's cursor names, or None for anything that is not a cursor."""
        epoch, _, position = cursor.rpartition(":")
        try:
            uuid.UUID(epoch)
        except ValueError:
            return None
        if not (position.isascii() and position.isdecimal()) or len(position) > 18:  # a bigint's digits
            return None
        return cls(epoch, int(position))


@dataclass(frozen=True, slots=True)
class Published:
    """What one `publish_pending` did: how many notices, and how many server processes heard of it."""

    count: int = 0
    heard_by: int | None = 0


def head() -> Place:
    """The newest place in the log."""
    row = Log.objects.filter(pk=1).values_list("epoch", "head").first()
    if row is None:
        log = _begin_log()
        row = (log.epoch, log.head)
    return Place(str(row[0]), row[1])


def publish_pending() -> Published:
    """Give every notice that is waiting and due its position, and ring the bell for them."""
    count = 0
    heard_by: int | None = 0
    for bell in publish_due():
        heard_by = ring(bell)
        count += len(bell.entries)
    return Published(count, heard_by)


def publish_due() -> Iterator[LogGrew]:
    """Give every notice that is waiting and due its position; gives the bell for each batch, once it is committed.

    The log's row is locked until the commit, so positions become visible in order. Senders that queue on the lock
    find their notices already published by the one before. A notice that somebody else is changing at this moment
    is skipped: that change publishes it when it commits.
    """
    was_last = False
    while not was_last:
        with transaction.atomic():
            log = _locked_log()
            first = log.head + 1
            entries, was_last = _publish_batch(log)
        if entries:
            yield LogGrew(epoch=str(log.epoch), first=first, head=log.head, entries=entries)


def next_due() -> datetime | None:
    """When the next waiting notice wants to be published (now or earlier: at once); None if nothing waits."""
    soonest = Min(Coalesce("publish_at", Value(timezone.now(), DateTimeField())))
    due: datetime | None = Notice.objects.waiting().aggregate(due=soonest)["due"]
    return due


def entries_after(position: int, limit: int) -> list[Entry]:
    """Every entry after ``position``, oldest first, ``limit`` at the most, for a hub."""
    notices = Notice.objects.filter(position__gt=position).order_by("position")
    return _entries(_with_details(notices)[:limit])


def newest_entries(limit: int) -> list[Entry]:
    """The newest entries, oldest first, for a hub that begins; without those that ended unchanged."""
    over = Q(position=F("published"), expires_at__lte=timezone.now())
    notices = Notice.objects.filter(position__isnull=False).exclude(over).order_by("-position")
    return _entries(_with_details(notices)[:limit])[::-1]


def entries_for(audiences: Collection[str], joined_at: datetime, after: int, through: int, limit: int) -> list[Entry]:
    """What these audiences have missed in (``after``, ``through``], oldest first, ``limit`` at the most.

    A notice that ended before they ever saw it is left out; one that they hold and that was recalled is in.
    """
    never_seen_and_over = Q(published__gt=after) & (Q(recalled_at__isnull=False) | Q(expires_at__lte=timezone.now()))
    notices = (
        visible(audiences, joined_at)
        .filter(position__gt=after, position__lte=through)
        .exclude(never_seen_and_over)
        .order_by("position")
    )
    return _entries(_with_details(notices)[:limit])


def visible(audiences: Collection[str], joined_at: datetime) -> NoticeQuerySet:
    """Notices put up for any of these audiences; those for everyone only since ``joined_at``."""
    postings = Posting.objects.filter(notice=OuterRef("pk"))
    mine = Q(Exists(postings.filter(audience__in=[a for a in audiences if a != str(EVERYONE)])))
    if str(EVERYONE) in audiences:
        mine |= Q(Exists(postings.filter(audience=str(EVERYONE))), published_at__gte=joined_at)
    return Notice.objects.filter(mine)


def _with_details(notices: NoticeQuerySet) -> NoticeQuerySet:
    """Also what `entry_of` needs of other tables."""
    return notices.select_related("sender").prefetch_related("postings")


def _entries(notices: Iterable[Notice]) -> list[Entry]:
    return [entry_of(notice, [p.audience for p in notice.postings.all()]) for notice in notices]


def _publish_batch(log: Log) -> tuple[list[Entry], bool]:
    """Under the log's lock: the next ``BATCH`` notices get their positions, and so do those they supersede.

    Returns:
        Their entries, and whether no more are due.
    """
    now = timezone.now()
    due = _lock(Notice.objects.due()).order_by("id")[:BATCH]
    batch = {notice.pk: notice for notice in due}
    was_last = len(batch) < BATCH
    for earlier in _superseded_by(batch.values()):
        earlier = batch.setdefault(earlier.pk, earlier)
        earlier.recalled_at, earlier.position = now, None
    # One that was superseded before it was ever shown takes no place.
    shown = [n for n in batch.values() if n.published is not None or n.recalled_at is None]
    for position, notice in enumerate(sorted(shown, key=lambda n: n.pk), start=log.head + 1):
        notice.position = position
        if notice.published is None:
            notice.published, notice.published_at = position, now
    if batch:
        Notice.objects.bulk_update(batch.values(), ["position", "published", "published_at", "recalled_at"])
        log.head += len(shown)
        log.save(update_fields=["head"])
    return _entries(sorted(shown, key=lambda n: n.pk)), was_last


def _superseded_by(batch: Collection[Notice]) -> list[Notice]:
    """What has the key and audiences of one that ``batch``, in id order, shows for the first time, and came before.

    One with a higher id came before, too, if it is published already: its transaction was the quicker one.
    """
    newest = {_subject(notice): notice.pk for notice in batch if notice.key and notice.published is None}
    if not newest:
        return []
    namesakes = _lock(Notice.objects.filter(key__in={key for key, _ in newest}, recalled_at=None))
    return [
        notice
        for notice in namesakes
        if (newer := newest.get(_subject(notice))) and (notice.pk < newer or notice.published is not None)
    ]


def _subject(notice: Notice) -> tuple[str, frozenset[str]]:
    """What a notice is about, and for whom: a newer one with the same subject takes its place."""
    return notice.key, frozenset(posting.audience for posting in notice.postings.all())


def _lock(notices: NoticeQuerySet) -> NoticeQuerySet:
    """Lock these rows and see their newest state; rows that somebody else is changing are left to them."""
    return _with_details(notices).select_for_update(skip_locked=True, of=("self",))


def _locked_log() -> Log:
    return Log.objects.select_for_update().filter(pk=1).first() or _begin_log()


def _begin_log() -> Log:
    """A database without a log row (emptied, or restored in part) begins a new epoch after what it holds."""
    highest = Notice.objects.aggregate(highest=Max("position"))["highest"] or 0
    Log.objects.get_or_create(pk=1, defaults={"head": highest})
    with transaction.atomic():
        return Log.objects.select_for_update().get(pk=1)
