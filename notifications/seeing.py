"""What was on people's screens, written for all of them together: one transaction and one bell, however many they are.

A broadcast is seen by thousands within a second. A deed for each of them kept a server busy for 15 s.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import F

from notifications import log
from notifications.audiences import EVERYONE, any_of, audiences_of_each
from notifications.doorbell import InboxChanged, InboxesChanged, ring
from notifications.frames import Inbox, encode
from notifications.inbox import standing_of
from notifications.marks import marks_of
from notifications.models import Notice, Posting, ReadMark, Receipt

logger = logging.getLogger(__name__)

# Marks are locked in the order of ids: two processes that write the same people would wait for each other otherwise.
MARKS = ReadMark._meta.db_table
ADVANCE = f"""
    UPDATE {MARKS} SET seen_through = %s, changes = changes + 1
    WHERE user_id IN (
      SELECT user_id FROM {MARKS} WHERE user_id IN ({{}}) AND seen_through < %s AND through < %s ORDER BY user_id {{}}
    )
    RETURNING user_id, changes
"""


@dataclass(slots=True)
class Sighting:
    """What one person's pages say: everything published up to `through` was on a screen, and these notices, too."""

    ids: set[int] = field(default_factory=set)
    through: int = 0


@dataclass(frozen=True, slots=True)
class _News:
    """What was not known before of one person: notices above their mark, newest first, and the mark if it moved."""

    mark: ReadMark
    ids: list[int]
    through: int | None


def write(sightings: Mapping[int, Sighting]) -> None:
    """Keep what these people, by their ids, have seen, and tell their pages.

    What somebody may not see is passed over, like what does not exist; so is somebody who does not exist.
    """
    named = {user_id: sighting for user_id, sighting in sightings.items() if sighting.ids}
    through = {user_id: sighting.through for user_id, sighting in sightings.items() if not sighting.ids}
    visible, head = _visible(named), log.head().position
    with transaction.atomic():
        news = [*_advanced(through, head), *_written(named, visible, head)]
        transaction.on_commit(lambda: _tell(news), robust=True)


def _advanced(through: Mapping[int, int], head: int) -> list[_News]:
    """Move the marks of those who name no notice: nearly everybody, so it is one statement for all who saw as far.

    Loading 500 marks to look at them held SQLite's only writer up for 20 ms; this takes 2.
    """
    together: dict[int, list[int]] = defaultdict(list)
    for user_id, place in through.items():
        together[min(place, head)].append(user_id)
    news = []
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        for place, user_ids in together.items():
            those = any_of(user_ids)
            cursor.execute(ADVANCE.format(those.sql, lock), [place, *those.params, place, place])
            moved = cursor.fetchall()
            news += [_News(ReadMark(user_id=user_id, changes=changes), [], place) for user_id, changes in moved]
    return news


def _written(named: Mapping[int, Sighting], visible: Mapping[int, Mapping[int, int]], head: int) -> list[_News]:
    """Those who name notices above their mark get receipts for them."""
    if not named:
        return []
    marks, stored = _locked_marks(named), _stored(visible)
    news = [found for mark in marks if (found := _news(mark, named[mark.user_id], visible, stored, head)) is not None]
    _move_marks(news)
    _write_receipts(news, visible)
    return news


def _visible(sightings: Mapping[int, Sighting]) -> dict[int, dict[int, int]]:
    """Of the notices that are named, those that each person sees, and where they were published. `inbox.live_for`
    costs seven queries a person; these are six for all of them."""
    ids = set().union(*(sighting.ids for sighting in sightings.values()))
    if not ids:
        return {}
    people: list[User] = list(get_user_model().objects.filter(pk__in=any_of(sightings)))
    marks, audiences = marks_of(people), audiences_of_each(people)
    notices = {notice.pk: notice for notice in Notice.objects.live().filter(pk__in=any_of(ids)).defer("body")}
    put_up = _put_up(notices, set().union(*audiences.values()))

    def sees(user: User, notice_id: int) -> bool:
        mine = put_up[notice_id] & audiences[user.pk]
        joined = marks[user.pk].joined or 0
        return bool(mine - {str(EVERYONE)}) or (bool(mine) and (notices[notice_id].published or 0) > joined)

    return {
        user.pk: {
            notice_id: notices[notice_id].published or 0
            for notice_id in sightings[user.pk].ids & notices.keys()
            if sees(user, notice_id)
        }
        for user in people
    }


def _put_up(notices: Collection[int], audiences: Collection[str]) -> dict[int, set[str]]:
    """For which of these audiences each of the notices is."""
    found: dict[int, set[str]] = defaultdict(set)
    postings = Posting.objects.filter(notice__in=any_of(notices), audience__in=any_of(audiences))
    for notice_id, audience in postings.values_list("notice", "audience"):
        found[notice_id].add(audience)
    return found


def _locked_marks(user_ids: Iterable[int]) -> list[ReadMark]:
    """Locked until the commit, so that changes are numbered in their order.

    In the order of the ids, and those that are missing are made before the first is locked: two processes that write
    the same people would wait for each other otherwise.
    """
    wanted = set(user_ids)
    missing = wanted - set(ReadMark.objects.filter(user__in=any_of(wanted)).values_list("user", flat=True))
    if missing:
        there = get_user_model().objects.filter(pk__in=any_of(missing)).order_by("pk").values_list("pk", flat=True)
        ReadMark.objects.bulk_create([ReadMark(user_id=user_id) for user_id in there], ignore_conflicts=True)
    return list(ReadMark.objects.select_for_update().filter(user__in=any_of(wanted)).order_by("user"))


def _stored(visible: Mapping[int, Mapping[int, int]]) -> set[tuple[int, int]]:
    """Who has a receipt of what already, of the notices in question."""
    if not visible:
        return set()
    ids = set().union(*visible.values())
    receipts = Receipt.objects.filter(user__in=any_of(visible), notice__in=any_of(ids))
    return set(receipts.values_list("user", "notice"))


def _news(
    mark: ReadMark,
    sighting: Sighting,
    visible: Mapping[int, Mapping[int, int]],
    stored: Collection[tuple[int, int]],
    head: int,
) -> _News | None:
    through = min(sighting.through, head)
    floor = max(mark.seen_floor, through)
    mine = visible.get(mark.user_id, {})
    ids = sorted(
        (pk for pk, published in mine.items() if published > floor and (mark.user_id, pk) not in stored), reverse=True
    )
    moved = floor > mark.seen_floor
    return _News(mark, ids, through if moved else None) if ids or moved else None


def _move_marks(news: Iterable[_News]) -> None:
    """Count the change of each, and move the marks: one statement for all who have seen as far."""
    together: dict[int | None, list[int]] = defaultdict(list)
    for each in news:
        each.mark.changes += 1
        together[each.through].append(each.mark.user_id)
    for through, user_ids in together.items():
        moved = {} if through is None else {"seen_through": through}
        ReadMark.objects.filter(user__in=any_of(user_ids)).update(changes=F("changes") + 1, **moved)


def _write_receipts(news: Iterable[_News], visible: Mapping[int, Mapping[int, int]]) -> None:
    receipts = [
        Receipt(user_id=user_id, notice_id=notice_id, published=visible[user_id][notice_id])
        for each in news
        for user_id in [each.mark.user_id]
        for notice_id in each.ids
    ]
    Receipt.objects.bulk_create(receipts, batch_size=1000)


# Telling --------------------------------------------------------------------------------------------------


def _tell(news: Iterable[_News]) -> None:
    bells = [bell for each in news if (bell := _bell(each))]
    if bells:
        ring(InboxesChanged(changes=bells))


def _bell(news: _News) -> InboxChanged | None:
    """Should it fail, the number of changes tells the pages that they missed it."""
    try:
        frame = _counted(news) if news.ids else _frame(news, unseen=0, position=news.through or 0)
    except (DatabaseError, User.DoesNotExist) as error:
        logger.warning("What somebody has seen was stored, but could not be told: %s", error)
        return None
    return InboxChanged(
        user_id=news.mark.user_id, change=news.mark.changes, position=frame.position, text=encode(frame)
    )


def _counted(news: _News) -> Inbox:
    """Above the mark, only counting says how many are unseen."""
    standing = standing_of(get_user_model().objects.get(pk=news.mark.user_id))
    return _frame(news, unread=standing.unread, unseen=standing.unseen, position=standing.place.position)


def _frame(news: _News, *, unseen: int | None, position: int, unread: int | None = None) -> Inbox:
    """Seeing changes nothing about what is unread, and up to the mark nothing is unseen: so that needs no counting."""
    return Inbox(
        unread=unread,
        unseen=unseen,
        position=position,
        changes=news.mark.changes,
        seen=news.ids or None,
        seen_through=news.through,
    )
