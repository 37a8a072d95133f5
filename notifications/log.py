"""The log: in which order notices were published, and what came after a given place."""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from django.db import DataError, OperationalError, connection, transaction
from django.db import Error as DatabaseError
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery, prefetch_related_objects
from django.utils import timezone

from notifications.audiences import EVERYONE
from notifications.doorbell import LogGrew, ring
from notifications.entries import Entry, entry_of, gap_of
from notifications.models import Log, Notice, NoticeQuerySet, Posting
from notifications.prepared import prepared

logger = logging.getLogger(__name__)

BATCH = 500  # notices published in one transaction
MAX_ERROR = 1000  # characters kept of why a notice cannot be published
# What is done for each notice is kept as SQL: putting one statement together costs Django 0.4 ms, six times a notice.
LOG, NOTICE, POSTING = (model._meta.db_table for model in (Log, Notice, Posting))
SOME_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)  # stands in a compiled query for the moment of asking


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


@dataclass(slots=True)
class _Attempt:
    """To publish one batch: how many at the most, and without which.

    `held` are the ids of notices that wait for a recall: they are passed over, and the batch adds those it finds.
    `taken` are the ids that the batch took; one of them is at fault if it fails.
    """

    size: int = BATCH
    held: set[int] = field(default_factory=set)
    taken: list[int] = field(default_factory=list)


class CommitFailed(OperationalError):
    """The database went away while it committed ``notices``: they are stored, or they are not."""

    def __init__(self, notices: list[Notice]) -> None:
        self.notices = notices
        super().__init__("the database went away during a commit")


def head() -> Place:
    """The newest place in the log."""
    log = next(iter(Log.objects.raw(*_compiled(_log))), None) or _begin_log()
    return Place(str(log.epoch), log.head)


def begin_epoch(instead_of: str | None = None) -> Place:
    """Make every cursor of before mean nothing: the database was restored. Pages then fetch their inbox afresh.

    With ``instead_of`` only if that is still the epoch: several hubs notice a restore, and one new epoch is enough.
    """
    with transaction.atomic():
        log = _locked_log()
        if instead_of in (None, str(log.epoch)):
            log.epoch, log.head = uuid.uuid4(), max(log.head, _highest_position())
            log.save(update_fields=["epoch", "head"])
    return Place(str(log.epoch), log.head)


def lies_behind() -> bool:
    """Whether a notice stands above the head: the log's row is older than the notices."""
    return _highest_position() > head().position


def holds(entries: Sequence[Entry]) -> bool:
    """Whether no other notice stands where one of these entries stood, as in a database that was restored.

    An entry that is missing says nothing: its notice has moved on, or was deleted.
    """
    notices = {entry.position: (entry.notice_id, entry.published_at) for entry in entries}
    found = Notice.objects.filter(position__in=list(notices)).values_list("position", "pk", "published_at")
    return all(position and notices[position] == (pk, at.timestamp() if at else 0.0) for position, pk, at in found)


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
    find their notices already published by the one before. A notice that a recall is changing at this moment
    is skipped: the recall publishes it when it commits. A notice that would supersede it waits for the next look.

    A notice that cannot be published is set aside, and those behind it are published. A batch that fails is tried
    again in halves, which finds the one notice among 500 in 9 attempts.
    """
    was_last, attempt = False, _Attempt()
    while not was_last:
        attempt.taken = []
        try:
            with transaction.atomic(), prepared():
                bell, was_last = _publish_batch(_locked_log(), attempt)
        except Exception as error:
            if not attempt.taken or not _is_of_a_notice(error):
                raise
            if len(attempt.taken) == 1:
                _set_aside(attempt.taken[0], error)
            attempt.size = max(1, len(attempt.taken) // 2)
            continue
        attempt.size = min(BATCH, attempt.size * 2)
        if bell:
            yield bell


def publish_with(store: Callable[[], list[Notice]]) -> tuple[list[Notice], Published | None]:
    """Store notices and publish them in one transaction: one commit instead of two. 3.9 → 2.8 ms until a page has it.

    Nobody is waited for: while somebody else publishes, the notices are only stored.

    Returns:
        The notices, and what was published; None if `publish_pending` is to be called, because something may be left.
    """

    def store_and_publish() -> tuple[list[Notice], LogGrew | None, bool]:
        notices = store()
        log = next(iter(Log.objects.raw(*_compiled(_free_log))), None)
        return notices, *(_publish_batch(log, _Attempt()) if log else (None, False))

    try:
        notices, bell, was_last = _committed(store_and_publish)
    except Exception as error:  # one of the batch cannot be published, perhaps another sender's: only store
        if not _is_of_a_notice(error):
            raise
        notices, bell, was_last = _committed(lambda: (store(), None, False))
    published = Published(len(bell.entries), ring(bell)) if bell else Published()
    return notices, published if was_last else None


def _is_of_a_notice(error: Exception) -> bool:
    """Whether one notice may be at fault. Not where none could be published, and all of them would be set aside.

    A unique violation, for example, says that the log's head lies behind the notices: the database was restored.
    """
    return isinstance(error, DataError) or not isinstance(error, DatabaseError)


def _committed(
    work: Callable[[], tuple[list[Notice], LogGrew | None, bool]],
) -> tuple[list[Notice], LogGrew | None, bool]:
    """What ``work`` returns, once its transaction is committed.

    Raises:
        CommitFailed: the database went away after ``work``, during the commit.
    """
    done = None
    try:
        with transaction.atomic(), prepared():
            done = work()
    except DatabaseError as error:
        if done is None:
            raise
        raise CommitFailed(done[0]) from error
    return done


def next_due() -> datetime | None:
    """When the next waiting notice wants to be published (now or earlier: at once); None if nothing waits."""
    soonest: Notice | None = next(iter(Notice.objects.raw(*_at(timezone.now(), _soonest))), None)
    return (soonest.publish_at or timezone.now()) if soonest else None


def glance() -> tuple[Place, datetime | None]:
    """`head` and `next_due` at once: one query, as long as nothing waits."""
    log = next(iter(Log.objects.raw(*_at(timezone.now(), _log_and_waiting))), None) or _begin_log()
    due = next_due() if getattr(log, "waits", True) else None
    return Place(str(log.epoch), log.head), due


def entries_after(position: int, limit: int) -> list[Entry]:
    """Every entry after ``position``, oldest first, ``limit`` at the most, for a hub."""
    notices = Notice.objects.filter(position__gt=position).order_by("position")
    return _entries(list(notices[:limit]))


def newest_entries(limit: int) -> list[Entry]:
    """The newest entries, oldest first, for a hub that begins; without those that ended unchanged."""
    over = Q(position=F("published"), expires_at__lte=timezone.now())
    notices = Notice.objects.filter(position__isnull=False).exclude(over).order_by("-position")
    return _entries(list(notices[:limit]))[::-1]


def entries_for(audiences: Collection[str], joined: int, after: int, through: int, limit: int) -> list[Entry]:
    """What these audiences have missed in (``after``, ``through``], oldest first, ``limit`` at the most.

    A notice that ended before they ever saw it is left out; one that they hold and that was recalled is in.
    """
    never_seen_and_over = Q(published__gt=after) & (Q(recalled_at__isnull=False) | Q(expires_at__lte=timezone.now()))
    notices = (
        visible(audiences, joined)
        .filter(position__gt=after, position__lte=through)
        .exclude(never_seen_and_over)
        .order_by("position")
    )
    return [entry for entry in _entries(list(notices[:limit])) if entry.text]


def visible(audiences: Collection[str], joined: int) -> NoticeQuerySet:
    """Notices put up for any of these audiences; those for everyone only if published after ``joined``."""
    postings = Posting.objects.filter(notice=OuterRef("pk"))
    mine = Q(Exists(postings.filter(audience__in=[a for a in audiences if a != str(EVERYONE)])))
    if str(EVERYONE) in audiences:
        mine |= Q(Exists(postings.filter(audience=str(EVERYONE))), published__gt=joined)
    return Notice.objects.filter(mine)


def _entries(notices: Sequence[Notice], must_be_shown: Collection[int] = ()) -> list[Entry]:
    """An entry for each of these notices; a gap where none can be made, so that one row does not stop every server.

    Raises:
        Exception: none can be made of a notice of which the id is in ``must_be_shown``.
    """
    if not notices:
        return []
    if any(notice.sender_id for notice in notices):
        prefetch_related_objects(notices, "sender")
    audiences = _audiences_of(notices)
    return [_entry(notice, audiences[notice.pk], must=notice.pk in must_be_shown) for notice in notices]


def _entry(notice: Notice, audiences: list[str], *, must: bool) -> Entry:
    try:
        return entry_of(notice, audiences)
    except Exception as error:
        if must:
            raise
        logger.error("Notice %d cannot be shown, and is left out of the log", notice.pk, exc_info=error)
        return gap_of(notice)


def _audiences_of(notices: Iterable[Notice]) -> dict[int, list[str]]:
    """For whom each of these notices is, by their ids."""
    audiences: dict[int, list[str]] = {notice.pk: [] for notice in notices}
    with connection.cursor() as cursor:
        for pks in _pieces(list(audiences)):
            marks = ", ".join(["%s"] * len(pks))
            cursor.execute(f"SELECT notice_id, audience FROM {POSTING} WHERE notice_id IN ({marks})", pks)
            for notice, audience in cursor.fetchall():
                audiences[notice].append(audience)
    return audiences


def _publish_batch(log: Log, attempt: _Attempt) -> tuple[LogGrew | None, bool]:
    """Under the log's lock: the next notices get their positions, and so do those they supersede.

    Returns:
        The bell for them, and whether no more are due.
    """
    _fill_postings(log)
    now = timezone.now()
    first = log.head + 1
    due = list(_lock_due(now, attempt.held))
    was_last = len(due) < BATCH and len(due) <= attempt.size
    batch = {notice.pk: notice for notice in due[: attempt.size]}
    attempt.taken = list(batch)
    earlier, busy = _superseded_by(batch.values())
    for pk in [pk for pk, notice in batch.items() if notice.subject in busy and notice.published is None]:
        del batch[pk]
        attempt.held.add(pk)
    superseded = [notice for notice in earlier if notice.subject not in busy]
    # One object for each row, also for one that is due itself.
    superseded = [batch.get(notice.pk, notice) for notice in superseded]
    for notice in superseded:
        _supersede(notice, now)
    _write_superseded(superseded)
    batch |= {notice.pk: notice for notice in superseded if notice.recalled_at}
    # One that was superseded before it was ever shown takes no place.
    shown = sorted((n for n in batch.values() if n.published is not None or n.recalled_at is None), key=lambda n: n.pk)
    for position, notice in enumerate(shown, start=log.head + 1):
        notice.position = position
    for run in _runs(shown):
        if run[0].published is None:
            _write_new(run, now)
        else:
            _write_moved(run)
    if not shown:
        return None, was_last
    log.head = log.filled = log.head + len(shown)
    _execute(f"UPDATE {LOG} SET head = %s, filled = %s WHERE id = %s", log.head, log.filled, log.pk)
    entries = _entries(shown, must_be_shown=attempt.taken)
    return LogGrew(epoch=str(log.epoch), first=first, head=log.head, entries=entries), was_last


def _fill_postings(log: Log) -> None:
    """Give their place to postings that the version before this one has published, or whose log was lost."""
    if log.filled == log.head:
        return
    shown = Notice.objects.filter(published__gt=log.filled, published__lte=log.head, recalled_at=None)
    place = Notice.objects.filter(pk=OuterRef("notice")).values("published")
    Posting.objects.filter(notice__in=shown).update(published=Subquery(place))
    log.filled = log.head
    log.save(update_fields=["filled"])


def _runs(notices: Iterable[Notice]) -> Iterator[list[Notice]]:
    """These notices, in id order, cut where an id is skipped, and where shown ones and new ones meet.

    One statement writes a whole run: 500 of one sender take 9 ms; `bulk_update`, which names each row, took 226.
    """

    def kind(notice: Notice) -> tuple[int, bool]:
        return _offset(notice), notice.published is None

    for _, run in groupby(notices, key=kind):
        yield list(run)


def _offset(notice: Notice) -> int:
    """How far its position is from its id: the same all through a run."""
    assert notice.position is not None
    return notice.position - notice.pk


def _write_new(run: Sequence[Notice], now: datetime) -> None:
    """These appear for the first time."""
    ids, offset, at = (run[0].pk, run[-1].pk), _offset(run[0]), connection.ops.adapt_datetimefield_value(now)
    where = "WHERE id BETWEEN %s AND %s"
    _execute(
        f"UPDATE {NOTICE} SET position = id + %s, published = id + %s, published_at = %s {where}",
        *(offset, offset, at, *ids),
    )
    _execute(f"UPDATE {POSTING} SET published = notice_id + %s WHERE notice_id BETWEEN %s AND %s", offset, *ids)
    for notice in run:
        notice.published, notice.published_at = notice.position, now


def _write_moved(run: Sequence[Notice]) -> None:
    """These were shown, and were recalled since."""
    ids = (run[0].pk, run[-1].pk)
    _execute(f"UPDATE {NOTICE} SET position = id + %s WHERE id BETWEEN %s AND %s", _offset(run[0]), *ids)
    _execute(f"UPDATE {POSTING} SET published = NULL WHERE notice_id BETWEEN %s AND %s", *ids)


def _execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _superseded_by(batch: Collection[Notice]) -> tuple[list[Notice], set[str | None]]:
    """The earlier notices that a notice in ``batch`` supersedes: same subject, not recalled, locked.

    A notice came earlier if its id is lower, or if it is published already: then its transaction was the quicker one.

    Returns:
        These notices; and the subjects of which a recall holds a notice at this moment. That recall may be rolled
        back, so a new notice of such a subject waits for the next look: two live notices never share a subject.
    """
    newest = {notice.subject: notice.pk for notice in batch if notice.subject and notice.published is None}
    if not newest:
        return [], set()
    came_before = Q(published__isnull=False) | Q(pk__lt=max(newest.values()))
    namesakes = Notice.objects.filter(came_before, subject__in=list(newest), recalled_at=None)
    subjects = {
        pk: subject
        for pk, subject, published in namesakes.values_list("pk", "subject", "published")
        if subject and (published is not None or pk < newest[subject])
    }
    earlier = [notice for pks in _pieces(list(subjects)) for notice in _lock(pks)]
    return earlier, {subjects[pk] for pk in subjects.keys() - {notice.pk for notice in earlier}}


def _lock(pks: Collection[int]) -> QuerySet[Notice]:
    """These notices, locked, without those that a recall holds.

    Not against the key shares that new receipts take on their notice (PostgreSQL): a notice on 500 screens has one
    nearly always in the seconds after it was published, and would be skipped then.
    """
    return Notice.objects.filter(pk__in=pks).select_for_update(skip_locked=True, no_key=True)


def _supersede(notice: Notice, now: datetime) -> None:
    """Recall a notice whose place a newer one takes.

    One that has expired is on no screen: it only loses its subject, so that it is not looked at again.
    """
    if notice.published is not None and notice.expires_at and notice.expires_at <= now:
        notice.subject = None
    else:
        notice.recalled_at, notice.position = now, None


def _write_superseded(earlier: Collection[Notice]) -> None:
    recalled = [notice for notice in earlier if notice.recalled_at]
    for pks in _pieces([notice.pk for notice in recalled]):
        Notice.objects.filter(pk__in=pks).update(recalled_at=recalled[0].recalled_at, position=None)
    for pks in _pieces([notice.pk for notice in earlier if not notice.subject]):
        Notice.objects.filter(pk__in=pks).update(subject=None)


def _pieces(pks: list[int]) -> Iterator[list[int]]:
    """Cut for statements: SQLite takes 250,000 parameters, psycopg 65,535 and its plans grow with them."""
    for start in range(0, len(pks), BATCH):
        yield pks[start : start + BATCH]


def _set_aside(pk: int, error: Exception) -> None:
    """Take this notice, which alone failed with ``error``, out of the way of those behind it.

    Not if it was published or recalled meanwhile.
    """
    if Notice.objects.waiting().filter(pk=pk).update(error=f"{type(error).__name__}: {error}"[:MAX_ERROR]):
        logger.error("Notice %d cannot be published, and is set aside", pk, exc_info=error)


def _lock_due(now: datetime, held: Collection[int] = ()) -> Iterable[Notice]:
    """The next ``BATCH`` that are due, in id order, locked; rows that somebody else is changing are left to them."""
    if held:
        return _due_at(now).exclude(pk__in=held)[:BATCH]
    return Notice.objects.raw(*_at(now, _due))


def _locked_log() -> Log:
    return next(iter(Log.objects.raw(*_compiled(_log_to_lock))), None) or _begin_log()


# Queries that are asked again and again -------------------------------------------------------------------


def _due() -> QuerySet[Notice]:
    return _due_at(SOME_MOMENT)[:BATCH]


def _due_at(moment: datetime) -> QuerySet[Notice]:
    return Notice.objects.due(moment).order_by("id").select_for_update(skip_locked=True, no_key=True)


def _soonest() -> QuerySet[Notice]:
    return Notice.objects.waiting(SOME_MOMENT).only("publish_at").order_by(F("publish_at").asc(nulls_first=True))[:1]


def _log() -> QuerySet[Log]:
    return Log.objects.filter(pk=1)


def _log_and_waiting() -> QuerySet[Log]:
    return _log().annotate(waits=Exists(Notice.objects.waiting(SOME_MOMENT)))


def _log_to_lock() -> QuerySet[Log]:
    return _log().select_for_update()


def _free_log() -> QuerySet[Log]:
    return _log().select_for_update(skip_locked=True)


@functools.cache
def _compiled(query: Callable[[], QuerySet[Any]]) -> tuple[str, tuple[Any, ...]]:
    """The SQL of a query that each sender asks, and its values; made once."""
    return query().query.sql_with_params()


def _at(moment: datetime, query: Callable[[], QuerySet[Any]]) -> tuple[str, list[Any]]:
    """A compiled query with this moment in it instead of `SOME_MOMENT`."""
    statement, values = _compiled(query)
    some, this = (connection.ops.adapt_datetimefield_value(each) for each in (SOME_MOMENT, moment))
    return statement, [this if value == some else value for value in values]


def _begin_log() -> Log:
    """A database without a log row (emptied, or restored in part) begins a new epoch after what it holds."""
    Log.objects.get_or_create(pk=1, defaults={"head": _highest_position()})
    with transaction.atomic():
        return Log.objects.select_for_update().get(pk=1)


def _highest_position() -> int:
    return Notice.objects.aggregate(highest=Max("position"))["highest"] or 0
