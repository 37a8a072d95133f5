"""What a person does with the notices in their inbox: read, archive, see them, and take it back.

Each deed counts one change under the lock on this person's read mark, and is told to all of their pages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications import walk
from notifications.doorbell import InboxChanged, ring
from notifications.filters import EVERYTHING, Filter
from notifications.frames import MAX_IDS, Inbox, encode
from notifications.inbox import MOST_UNREAD, Standing, live_for, standing_of, standings_of, visible_to, walker
from notifications.models import Notice, NoticeQuerySet, ReadMark, Receipt, Undo

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 1000  # notices for one deed
SEARCH_SECONDS = 1.0  # for what a filter matches; then the rest is left to the next deed
UNDO_FOR = timedelta(seconds=60)  # the page offers it for 10 s


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done. `ids` are as they are to be now, all of them; `count` were not so before.

    `change` is what `undo` takes; None where nothing was changed. Marking all read has no ids, and its count stops at
    `MOST_UNREAD`. `through`: there may be more that a filter matches, published up to there; None for no more.
    """

    ids: list[int]
    count: int = 0
    change: int | None = None
    through: int | None = None

    @property
    def more(self) -> bool:
        return self.through is not None


NOTHING = Deed([])


@dataclass(frozen=True, slots=True)
class Matching:
    """Not ids, but what a filter matches that was published up to a place."""

    wanted: Filter
    through: int


Which = Iterable[int] | Matching


class CannotUndo(Exception):
    """It is not the last deed any more, or too long ago. Says which, for a person."""


# Deeds ----------------------------------------------------------------------------------------------------


def mark_read(user: User, which: Which) -> Deed:
    """Note that ``user`` has read these notices."""
    return _do(user, "read", which)


def mark_unread(user: User, which: Which) -> Deed:
    """Note that ``user`` wants to read them again: until they mark all read. What was archived comes back."""
    return _do(user, "unread", which)


def archive(user: User, which: Which) -> Deed:
    """Take them out of the inbox. They are read with that."""
    return _do(user, "archive", which)


def unarchive(user: User, which: Which) -> Deed:
    """Put them back into the inbox, read."""
    return _do(user, "unarchive", which)


def mark_seen(user: User, which: Which) -> Deed:
    """Note that they were on a screen. It is no deed that can be undone, nor in the way of undoing another."""
    return _do(user, "seen", which)


def mark_all_read(user: User, through: int, wanted: Filter = EVERYTHING) -> Deed:
    """Note that ``user`` has read everything published at or below ``through``; with a filter, what it leaves in.

    The read mark never moves back, nor past the head.
    """
    if wanted.is_on:
        return mark_read(user, Matching(wanted, through))
    with transaction.atomic():
        mark = _locked_mark(user)
        standing = standings_of([user])[user.pk]
        through = min(through, standing.place.position)
        count, _unseen = walk.count_unread(walker(user, standing), through, most=MOST_UNREAD)
        change = _next_change(mark)
        if through >= mark.through:
            before = _Before(mark=(mark.through, mark.through_change))
            mark.through, mark.through_change = through, change
            mark.save(update_fields=["through", "through_change"])
        else:  # by a page that knows nothing of what came since: of that, nothing becomes read
            before = _mark_exceptions_read(mark, through)
        if count:
            _remember(user, change, before)
        _tell_on_commit(user, change, read_through=through)
    return Deed([], count, change if count else None)


def undo(user: User, change: int) -> int:
    """Take back the deed that counted as ``change``: everything that it changed is as it was before.

    Returns:
        The number of this change.

    Raises:
        CannotUndo: the deed is not the last one, or `UNDO_FOR` is over. Nothing was changed.
    """
    with transaction.atomic():
        mark = _locked_mark(user)
        last = Undo.objects.filter(user=user).first()
        if last is None or last.change != change:
            raise CannotUndo(_("This cannot be undone any more: something else was done since."))
        if last.at < timezone.now() - UNDO_FOR:
            why = _("This cannot be undone any more: it was done more than %(seconds)d seconds ago.")
            raise CannotUndo(why % {"seconds": UNDO_FOR.seconds})
        _Before(**last.before).restore(mark)
        last.delete()
        number = _next_change(mark)
        _tell_on_commit(user, number)
    return number


def begin_afresh(user: User) -> int:
    """Tell the pages of ``user`` to fetch what they show: something changed that no frame tells of.

    Returns:
        The number of this change.
    """
    with transaction.atomic():
        change = _next_change(_locked_mark(user))
        _tell_on_commit(user, change)
    return change


def nothing_read(user: User, changes: int) -> Inbox:
    """The frame for a page that asked in vain, and knows of so many ``changes``: none that it named is theirs."""
    return _frame(replace(standing_of(user), changes=changes), read=[])


# What they change -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Moment:
    mark: ReadMark
    change: int
    now: datetime


def _read(receipt: Receipt, moment: _Moment) -> bool:
    if _is_read(receipt, moment.mark):
        return False
    receipt.read_at, receipt.unread_change = moment.now, None
    return True


def _unread(receipt: Receipt, moment: _Moment) -> bool:
    if not (_is_read(receipt, moment.mark) or receipt.archived_at):
        return False
    receipt.read_at, receipt.unread_change, receipt.archived_at = None, moment.change, None
    return True


def _archive(receipt: Receipt, moment: _Moment) -> bool:
    if receipt.archived_at:
        return False
    receipt.read_at, receipt.unread_change = receipt.read_at or moment.now, None
    receipt.archived_at = moment.now
    return True


def _unarchive(receipt: Receipt, moment: _Moment) -> bool:
    if not receipt.archived_at:
        return False
    receipt.archived_at = None
    return True


def _see(receipt: Receipt, moment: _Moment) -> bool:
    assert receipt.published is not None
    return receipt.pk is None and receipt.published > moment.mark.seen_floor


def _is_read(receipt: Receipt, mark: ReadMark) -> bool:
    """The rule that `inbox.visible_to` has for rows."""
    assert receipt.published is not None
    marked_since = receipt.unread_change is not None and receipt.unread_change > mark.through_change
    return receipt.read_at is not None or (receipt.published <= mark.through and not marked_since)


CHANGES: dict[str, Callable[[Receipt, _Moment], bool]] = {
    "read": _read,
    "unread": _unread,
    "archive": _archive,
    "unarchive": _unarchive,
    "seen": _see,
}


# Doing ----------------------------------------------------------------------------------------------------


def _do(user: User, verb: str, which: Which) -> Deed:
    """Change these receipts. An id that this person cannot see is passed over, like one that does not exist."""
    places, go_on = _matching(user, verb, which) if isinstance(which, Matching) else (_named(user, verb, which), None)
    if not places:
        return replace(NOTHING, through=go_on)
    with transaction.atomic():
        mark = _locked_mark(user)
        receipts = _receipts(user, places)
        stored = {receipt.notice_id: _as_stored(receipt) for receipt in receipts}
        moment = _Moment(mark, mark.changes + 1, timezone.now())
        changed = [receipt for receipt in receipts if CHANGES[verb](receipt, moment)]
        before = _Before(receipts=[stored[receipt.notice_id] for receipt in changed])
        ids = [receipt.notice_id for receipt in (changed if verb == "seen" else receipts)]
        if not ids:
            return replace(NOTHING, through=go_on)
        change = _next_change(mark)
        _write(changed)
        is_undoable = bool(changed) and verb != "seen"
        if is_undoable:
            _remember(user, change, before)
        # Of what was never read or archived nothing is told: a page would take it for seen.
        told = [receipt.notice_id for receipt in changed] if verb in ("unread", "unarchive") else ids
        _tell_on_commit(user, change, **_told(verb, told, before))
    return Deed(ids, len(changed), change if is_undoable else None, go_on)


def _named(user: User, verb: str, ids: Iterable[int]) -> dict[int, int]:
    """Those of the ``ids`` that this person sees, and where they were published."""
    named = list(ids)[:MOST_AT_ONCE]
    if verb == "seen":  # mostly they were seen before, and then nothing is to be locked
        return _places(visible_to(user).filter(pk__in=named, is_seen=False))  # type: ignore[misc]  # it adds `is_seen`
    return _places(live_for(user).filter(pk__in=named))


def _matching(user: User, verb: str, which: Matching) -> tuple[dict[int, int], int | None]:
    """The newest that match and are not yet as they are to be, and where they were published; and where to go on."""
    standing = standings_of([user])[user.pk]
    who, wanted, but = walker(user, standing), which.wanted, walk.ANY
    match verb, wanted.tab:
        case ("archive", "archived") | ("unarchive", "all" | "unread") | ("unread", "unread"):
            return {}, None
        case ("read" | "seen", "archived"):
            return {}, None
        case ("read" | "seen", _):
            wanted = replace(wanted, tab="unread")
            but = walk.unseen(who) if verb == "seen" else but
        case ("unread", "all"):
            but = walk.read(who)
    through = min(which.through, standing.place.position)
    found = walk.newest(who, through, MOST_AT_ONCE, wanted, but=but, patience=SEARCH_SECONDS)
    places = _places(Notice.objects.filter(pk__in=found.ids))
    if len(found.ids) == MOST_AT_ONCE:
        return places, min(places.values()) - 1
    return places, found.down_to or None


def _places(notices: NoticeQuerySet) -> dict[int, int]:
    return {pk: published for pk, published in notices.values_list("pk", "published") if published is not None}


def _locked_mark(user: User) -> ReadMark:
    """The row stays locked until the commit, so that changes are numbered in their order."""
    mark, _created = ReadMark.objects.select_for_update().get_or_create(user=user)
    return mark


def _next_change(mark: ReadMark) -> int:
    mark.changes += 1
    mark.save(update_fields=["changes"])
    return mark.changes


def _receipts(user: User, places: dict[int, int]) -> list[Receipt]:
    """One for each notice, newest first; those that are not there yet are not stored."""
    stored = {receipt.notice_id: receipt for receipt in Receipt.objects.filter(user=user, notice__in=places)}
    receipts = []
    for notice_id, published in sorted(places.items(), key=lambda place: -place[1]):
        receipt = stored.get(notice_id) or Receipt(user=user, notice_id=notice_id)
        receipt.published = published  # the version before this one stored none
        receipts.append(receipt)
    return receipts


def _write(receipts: Collection[Receipt]) -> None:
    """One statement for a thousand, whether they are there or not."""
    for receipt in receipts:
        receipt.pk = None  # who and what decide which row is meant
    Receipt.objects.bulk_create(
        receipts,
        update_conflicts=True,
        unique_fields=["user", "notice"],
        update_fields=["published", "read_at", "unread_change", "archived_at"],
    )


# Taking back ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Before:
    """What a deed found: receipts (without values: there was none), and the read mark if it was moved."""

    receipts: Collection[Sequence[Any]] = ()
    mark: Sequence[int] | None = None

    def restore(self, mark: ReadMark) -> None:
        if self.mark:
            mark.through, mark.through_change = self.mark
            mark.save(update_fields=["through", "through_change"])
        kept = [row for row in self.receipts if len(row) > 1]
        _write([_restored(mark.user_id, row) for row in _of_notices_still_there(kept)])
        made = [notice_id for notice_id, *values in self.receipts if not values]
        Receipt.objects.filter(user=mark.user_id, notice__in=made).delete()


def _as_stored(receipt: Receipt) -> list[Any]:
    if receipt.pk is None:
        return [receipt.notice_id]
    read_at, archived_at = _text(receipt.read_at), _text(receipt.archived_at)
    return [receipt.notice_id, receipt.published, read_at, receipt.unread_change, archived_at]


def _restored(user_id: int, row: Sequence[Any]) -> Receipt:
    notice_id, published, read_at, unread_change, archived_at = row
    return Receipt(
        user_id=user_id,
        notice_id=notice_id,
        published=published,
        read_at=_moment(read_at),
        unread_change=unread_change,
        archived_at=_moment(archived_at),
    )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _of_notices_still_there(rows: list[Sequence[Any]]) -> list[Sequence[Any]]:
    there = set(Notice.objects.filter(pk__in=[row[0] for row in rows]).values_list("pk", flat=True))
    return [row for row in rows if row[0] in there]


def _remember(user: User, change: int, before: _Before) -> None:
    values = {"change": change, "at": timezone.now(), "before": asdict(before)}
    Undo.objects.update_or_create(user=user, defaults=values)


def _mark_exceptions_read(mark: ReadMark, through: int) -> _Before:
    """What was marked unread below the read mark, up to ``through``."""
    receipts = list(
        Receipt.objects.filter(
            user=mark.user_id, published__lte=through, unread_change__gt=mark.through_change, read_at=None
        )
    )
    before = _Before(receipts=[_as_stored(receipt) for receipt in receipts])
    for receipt in receipts:
        receipt.read_at, receipt.unread_change = timezone.now(), None
    _write(receipts)
    return before


# Telling --------------------------------------------------------------------------------------------------


def _told(verb: str, ids: list[int], before: _Before) -> dict[str, list[int]]:
    """What a frame says of it; nothing where it would be too long for one."""
    if len(ids) > MAX_IDS:
        return {}
    match verb:
        case "unread":
            archived = {row[0] for row in before.receipts if row[-1] is not None and len(row) > 1}
            back = [notice_id for notice_id in ids if notice_id in archived]
            return {"marked_unread": ids} | ({"unarchived": back} if back else {})
        case "archive" | "unarchive":
            return {f"{verb}d": ids}
        case _:
            return {verb: ids}


def _tell_on_commit(user: User, change: int, **what: Any) -> None:
    """Tell every page of ``user``; without saying ``what``, they begin afresh.

    Should this fail, their number of changes tells them that they missed it.
    """

    def tell() -> None:
        if not what:
            ring(InboxChanged(user_id=user.pk, change=change, position=0, text=None))
            return
        try:
            # The count is of now, the number is of this change: the pages have yet to hear of later ones.
            standing = replace(standing_of(user), changes=change)
        except DatabaseError as error:
            logger.warning("A change of an inbox was stored, but could not be told: %s", error)
            return
        frame = _frame(standing, **what)
        ring(InboxChanged(user_id=user.pk, change=change, position=frame.position, text=encode(frame)))

    transaction.on_commit(tell, robust=True)


def _frame(standing: Standing, **what: Any) -> Inbox:
    assert standing.unread is not None
    assert standing.unseen is not None
    return Inbox(
        unread=standing.unread,
        unseen=standing.unseen,
        position=standing.place.position,
        changes=standing.changes,
        **what,
    )
