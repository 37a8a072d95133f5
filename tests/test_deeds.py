"""What a person does with their notices, and how it is taken back."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifications import deeds, walk
from notifications.deeds import (
    NOTHING,
    CannotUndo,
    Deed,
    Matching,
    archive,
    begin_afresh,
    mark_all_read,
    mark_read,
    mark_seen,
    mark_unread,
    unarchive,
    undo,
)
from notifications.filters import Filter
from notifications.inbox import count_archived, count_readers, newest, standing_of, visible_to
from notifications.models import Notice, ReadMark, Receipt, Undo
from notifications.sending import recall_notice
from tests.people import group, person, publish

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)

BY_ID = {
    "read": mark_read,
    "unread": mark_unread,
    "archive": archive,
    "unarchive": unarchive,
    "seen": mark_seen,
}
EVERYTHING = 10**9


@pytest.fixture
def ada():
    return person("ada")


@pytest.fixture
def told(monkeypatch):
    """What pages were told, instead of telling them: the frame, or None where they begin afresh."""
    told = []
    monkeypatch.setattr(deeds, "ring", lambda bell: told.append(bell.text and json.loads(bell.text)))
    return told


def counts(user):
    """The badges, which must say what the lists say: unread, unseen, archived."""
    standing, visible = standing_of(user), list(visible_to(user))
    assert standing.unread == len([n for n in visible if not n.is_read])
    assert standing.unseen == len([n for n in visible if not n.is_seen])
    assert count_archived(user, standing) == len([n for n in visible if n.is_archived])
    return standing.unread, standing.unseen, count_archived(user, standing)


def titles(user, tab="all"):
    return [notice.title for notice in newest(user, standing_of(user), 1000, None, Filter(tab))]


def kept(user):
    """Everything that is kept of what this person did, but for the number of changes."""
    mark = ReadMark.objects.filter(user=user).values_list("through", "through_change").first() or (0, 0)
    values = ("notice", "published", "read_at", "unread_change", "archived_at")
    return mark, sorted(Receipt.objects.filter(user=user).values_list(*values))


def changes(user):
    return standing_of(user).changes


# Seen -----------------------------------------------------------------------------------------------------


def test_what_was_on_a_screen_leaves_the_badge_and_stays_unread(ada):
    notice = publish()
    publish()
    assert counts(ada) == (2, 2, 0)

    assert mark_seen(ada, [notice.pk]) == Deed([notice.pk], count=1, change=None)

    assert counts(ada) == (2, 1, 0)


@on_commit
def test_what_was_seen_before_is_no_news(ada, told):
    notice, read, by_mark = publish(), publish(), publish()
    mark_all_read(ada, by_mark.published - 2)
    mark_read(ada, [read.pk])
    mark_seen(ada, [by_mark.pk])
    before, so_far = changes(ada), kept(ada)
    told.clear()

    assert mark_seen(ada, [notice.pk, read.pk, by_mark.pk]) == NOTHING

    assert (changes(ada), kept(ada), told) == (before, so_far, [])


def test_what_was_read_or_archived_was_seen(ada):
    read, archived, marked = publish(), publish(), publish()

    mark_read(ada, [read.pk])
    archive(ada, [archived.pk])
    mark_read(ada, [marked.pk])
    mark_unread(ada, [marked.pk])

    assert counts(ada) == (1, 0, 1)


def test_below_the_seen_mark_everything_was_seen_and_stays_unread_and_needs_no_receipt(ada):
    below, read, above = publish(), publish(), publish()
    mark_read(ada, [read.pk])
    ReadMark.objects.filter(user=ada).update(seen_through=read.published)
    so_far = kept(ada)

    assert counts(ada) == (2, 1, 0)
    assert mark_seen(ada, [below.pk]) == NOTHING
    assert mark_seen(ada, Matching(Filter("all"), above.published)).ids == [above.pk]

    assert (counts(ada), len(kept(ada)[1])) == ((2, 0, 0), len(so_far[1]) + 1)


# Read and unread ------------------------------------------------------------------------------------------


def test_a_notice_that_was_read_can_be_marked_unread(ada):
    notice = publish()
    mark_read(ada, [notice.pk])

    assert mark_unread(ada, [notice.pk]) == Deed([notice.pk], count=1, change=2)

    assert counts(ada) == (1, 0, 0)
    assert titles(ada, "unread") == ["Backup finished"]
    assert count_readers([notice]) == {notice.pk: 0}


def test_so_can_one_that_was_read_with_all_others_and_they_stay_read(ada):
    first, _ = publish("first"), publish("second")
    mark_all_read(ada, 2)
    publish("third")

    mark_unread(ada, [first.pk])

    assert titles(ada, "unread") == ["third", "first"]
    assert counts(ada) == (2, 1, 0)
    assert count_readers([first]) == {first.pk: 0}


def test_what_was_marked_unread_stays_so_until_all_is_marked_read(ada):
    first = publish("first")
    mark_all_read(ada, 1)
    mark_unread(ada, [first.pk])
    publish("second")
    assert counts(ada)[0] == 2

    assert mark_all_read(ada, 2) == Deed([], count=2, change=3)

    assert counts(ada) == (0, 0, 0)
    assert count_readers([first]) == {first.pk: 1}


def test_a_page_that_saw_less_than_the_mark_marks_read_no_more_than_it_saw(ada):
    """It was rendered before the rest came, or knows nothing of what was marked unread above it."""
    first, second, third, _ = publish("first"), publish("second"), publish("third"), publish("fourth")
    mark_all_read(ada, 4)
    mark_unread(ada, [first.pk, second.pk, third.pk])

    assert mark_all_read(ada, 2).count == 2

    assert titles(ada, "unread") == ["third"]


def test_what_is_unread_already_is_left_as_it_is(ada):
    notice = publish()

    assert mark_unread(ada, [notice.pk]) == Deed([notice.pk], count=0, change=None)

    assert not Receipt.objects.exists()


def test_marking_unread_brings_back_from_the_archive(ada):
    notice = publish()
    archive(ada, [notice.pk])

    mark_unread(ada, [notice.pk])

    assert counts(ada) == (1, 0, 0)
    assert titles(ada) == ["Backup finished"]


# The archive ----------------------------------------------------------------------------------------------


def test_what_is_archived_leaves_the_inbox_and_is_read(ada):
    brian = person("brian")
    notice, _ = publish("one"), publish("two")

    assert archive(ada, [notice.pk]) == Deed([notice.pk], count=1, change=1)

    assert (titles(ada), titles(ada, "unread"), titles(ada, "archived")) == (["two"], ["two"], ["one"])
    assert counts(ada) == (1, 1, 1)
    assert count_readers([notice]) == {notice.pk: 1}
    assert titles(brian) == ["two", "one"], "it left ada's inbox, not his"


def test_what_comes_back_from_the_archive_is_read(ada):
    notice = publish()
    archive(ada, [notice.pk])

    unarchive(ada, [notice.pk])

    assert (titles(ada), titles(ada, "archived")) == (["Backup finished"], [])
    assert counts(ada) == (0, 0, 0)


def test_the_archive_holds_only_what_is_live_and_still_for_this_person(ada):
    ops = group("ops", ada)
    stays, recalled, expires, ops_only = publish("stays"), publish(), publish(), publish(audiences=[f"group:{ops.pk}"])
    archive(ada, [stays.pk, recalled.pk, expires.pk, ops_only.pk])
    assert len(titles(ada, "archived")) == 4

    recall_notice(recalled)
    Notice.objects.filter(pk=expires.pk).update(expires_at=timezone.now())
    ada.groups.clear()

    assert titles(ada, "archived") == ["stays"]
    assert counts(ada) == (0, 0, 1)


def test_the_archive_has_the_newest_published_first_whenever_they_were_archived(ada):
    notices = [publish(f"Notice {n}") for n in range(5)]
    random.Random(1).shuffle(notices)

    for notice in notices:
        archive(ada, [notice.pk])

    assert titles(ada, "archived") == [f"Notice {n}" for n in (4, 3, 2, 1, 0)]


# Whose they are -------------------------------------------------------------------------------------------


@on_commit
@pytest.mark.parametrize("verb", BY_ID)
def test_nothing_can_be_done_with_what_one_cannot_see(ada, told, verb):
    brian = person("brian")
    brians, recalled = publish(audiences=[f"user:{brian.pk}"]), publish()
    recall_notice(recalled)
    mine = publish()
    if verb == "unarchive":
        archive(ada, [mine.pk])
    told.clear()

    assert BY_ID[verb](ada, [brians.pk, recalled.pk, 424242, 2**63 - 1]) == NOTHING
    assert told == []
    assert BY_ID[verb](ada, [brians.pk, mine.pk]).ids == [mine.pk]

    assert set(Receipt.objects.values_list("user", "notice")) <= {(ada.pk, mine.pk)}


# What a filter matches ------------------------------------------------------------------------------------


def test_everything_that_matches_up_to_a_place_is_archived(ada):
    publish("old error", level="error"), publish("info")
    through = publish("new error", level="error").published
    publish("error that came since", level="error")

    done = archive(ada, Matching(Filter(level="error"), through))

    assert (done.count, done.more) == (2, False)
    assert titles(ada) == ["error that came since", "info"]


@pytest.mark.parametrize("verb", BY_ID)
@pytest.mark.parametrize("tab", ["all", "unread", "archived"])
@pytest.mark.parametrize("stops", [False, True])
def test_a_deed_is_done_with_all_that_a_tab_holds_and_that_is_not_so_yet(ada, verb, tab, stops, monkeypatch):
    """In several goes, where there is too much for one; each says if there is more, and none does a thing twice."""
    monkeypatch.setattr(deeds, "MOST_AT_ONCE", 2)
    if stops:  # its search takes too long
        monkeypatch.setattr(deeds, "SEARCH_SECONDS", -1)
        monkeypatch.setattr(walk, "WIDER", 1)
        monkeypatch.setattr(walk, "WIDEST", 1)
    for _ in range(12):
        publish()
    mark_all_read(ada, 6)
    ids = list(Notice.objects.order_by("published").values_list("pk", flat=True))
    for pair, deed in ((ids[0:2], archive), (ids[2:4], mark_unread), (ids[6:8], mark_read), (ids[8:10], mark_seen)):
        deed(ada, pair)
    before = {notice.pk: notice for notice in visible_to(ada)}
    in_tab = {notice.pk for notice in newest(ada, standing_of(ada), 99, None, Filter(tab))}
    is_so = {
        "read": lambda n: n.is_read,
        "unread": lambda n: not n.is_read,
        "archive": lambda n: n.is_archived,
        "unarchive": lambda n: not n.is_archived,
        "seen": lambda n: n.is_seen,
    }[verb]
    expected = {pk for pk in in_tab if not is_so(before[pk])}

    done, through = [], EVERYTHING
    while through is not None:
        deed = BY_ID[verb](ada, Matching(Filter(tab), through if stops else EVERYTHING))
        done, through = done + deed.ids, deed.through
        assert len(deed.ids) <= 2

    assert sorted(done) == sorted(expected)
    assert all(is_so(n) for n in visible_to(ada) if n.pk in in_tab)
    others = {pk for pk, notice in before.items() if not is_so(notice)} - expected
    assert {notice.pk for notice in visible_to(ada) if not is_so(notice)} == others


def test_all_read_honours_the_filter(ada):
    publish("error", level="error"), publish("info")

    done = mark_all_read(ada, 2, Filter(level="error"))

    assert done == Deed([Notice.objects.get(title="error").pk], count=1, change=1)
    assert titles(ada, "unread") == ["info"]


def test_all_read_says_how_many_and_does_not_count_for_ever(ada, monkeypatch):
    monkeypatch.setattr(deeds, "MOST_UNREAD", 3)
    for _ in range(5):
        publish()

    assert mark_all_read(ada, 2).count == 2
    assert mark_all_read(ada, 5).count == 3

    publish(), publish(), publish(), publish()
    assert mark_all_read(ada, 9).count == 3
    assert counts(ada) == (0, 0, 0)


# Taking back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["read", "unread", "archive", "unarchive"])
def test_a_deed_that_is_undone_leaves_everything_as_it_was(ada, verb):
    for _ in range(10):
        publish()
    mark_all_read(ada, 5)
    ids = list(Notice.objects.order_by("published").values_list("pk", flat=True))
    archive(ada, [ids[0], ids[5]]), mark_unread(ada, [ids[1]]), mark_seen(ada, [ids[6]]), mark_read(ada, [ids[7]])
    Receipt.objects.filter(notice=ids[7]).update(published=None)  # as the version before this one wrote it
    mark_read(ada, [ids[7]])
    before, states = kept(ada), counts(ada)

    done = BY_ID[verb](ada, ids)
    assert kept(ada) != before
    undo(ada, done.change)

    Receipt.objects.filter(notice=ids[7]).update(published=None)
    assert kept(ada) == before
    assert counts(ada) == states


def test_all_read_is_undone(ada):
    for _ in range(4):
        publish()
    mark_all_read(ada, 2)
    mark_unread(ada, [Notice.objects.get(published=1).pk])
    before = kept(ada)
    assert counts(ada)[0] == 3

    done = mark_all_read(ada, 4)
    assert counts(ada)[0] == 0
    undo(ada, done.change)

    assert kept(ada) == before
    assert counts(ada)[0] == 3


def test_all_read_by_a_page_that_saw_less_is_undone(ada):
    notices = [publish(), publish()]
    mark_all_read(ada, 2)
    mark_unread(ada, [notice.pk for notice in notices])
    before = kept(ada)

    done = mark_all_read(ada, 1)
    undo(ada, done.change)

    assert kept(ada) == before


@on_commit
def test_an_undone_deed_counts_as_a_change_and_pages_begin_afresh(ada, told):
    done = archive(ada, [publish().pk])
    told.clear()

    assert undo(ada, done.change) == done.change + 1

    assert changes(ada) == done.change + 1
    assert told == [None]


def test_only_the_last_deed_can_be_undone(ada):
    first, second = publish(), publish()
    done = archive(ada, [first.pk])
    archive(ada, [second.pk])
    before = kept(ada)

    with pytest.raises(CannotUndo, match="something else was done since"):
        undo(ada, done.change)

    assert kept(ada) == before
    assert changes(ada) == 2


def test_a_deed_is_undone_only_once(ada):
    done = archive(ada, [publish().pk])
    undo(ada, done.change)

    with pytest.raises(CannotUndo):
        undo(ada, done.change)

    assert changes(ada) == 2


def test_seeing_is_not_in_the_way_of_undoing(ada):
    first, second = publish(), publish()
    done = archive(ada, [first.pk])
    mark_seen(ada, [second.pk])

    undo(ada, done.change)

    assert counts(ada) == (2, 1, 0)


def test_undoing_leaves_alone_what_the_deed_did_not_change(ada):
    read, never_read = publish(), publish()
    mark_read(ada, [read.pk])
    done = mark_unread(ada, [read.pk, never_read.pk])
    mark_seen(ada, [never_read.pk])

    undo(ada, done.change)

    assert counts(ada) == (1, 0, 0)


def test_neither_is_what_changed_nothing(ada):
    notice = publish()
    done = mark_read(ada, [notice.pk])
    assert mark_read(ada, [notice.pk]).change is None
    assert mark_all_read(ada, 0).change is None

    undo(ada, done.change)

    assert counts(ada)[0] == 1


def test_after_a_minute_it_is_too_late(ada):
    done = archive(ada, [publish().pk])
    Undo.objects.update(at=timezone.now() - deeds.UNDO_FOR - timedelta(seconds=1))

    with pytest.raises(CannotUndo, match="more than 60 seconds ago"):
        undo(ada, done.change)

    assert counts(ada) == (0, 0, 1)


def test_nobody_undoes_what_somebody_else_did(ada):
    brian = person("brian")
    done = archive(ada, [publish().pk])

    with pytest.raises(CannotUndo):
        undo(brian, done.change)

    assert counts(ada) == (0, 0, 1)


def test_what_was_deleted_since_is_passed_over(ada):
    stays, goes = publish("stays"), publish("goes")
    mark_seen(ada, [stays.pk, goes.pk])
    done = archive(ada, [stays.pk, goes.pk])
    goes.delete()

    undo(ada, done.change)

    assert titles(ada) == ["stays"]


# While hosts are upgraded one by one ----------------------------------------------------------------------


def test_what_the_version_before_this_one_writes_means_what_it_meant(ada):
    """It knows only that a receipt means read, and a mark how far; its INSERTs name no other columns."""
    below, by_receipt, _ = publish("below"), publish("by receipt"), publish("neither")
    ReadMark.objects.all().delete()  # it makes accounts without one
    with connection.cursor() as cursor:
        receipt = "INSERT INTO notifications_receipt (user_id, notice_id, read_at) VALUES (%s, %s, %s)"
        cursor.execute(receipt, [ada.pk, by_receipt.pk, timezone.now()])
        cursor.execute("INSERT INTO notifications_readmark (user_id, through, changes) VALUES (%s, 1, 2)", [ada.pk])
    assert titles(ada, "unread") == ["neither"]
    assert counts(ada) == (1, 1, 0)

    archive(ada, [by_receipt.pk])
    mark_unread(ada, [below.pk])

    assert titles(ada, "unread") == ["neither", "below"]
    assert titles(ada, "archived") == ["by receipt"]


# Telling --------------------------------------------------------------------------------------------------


@on_commit
def test_each_deed_is_told_with_its_ids_and_what_is_left(ada, told):
    notice, other = publish(), publish()

    def frame(change, unread, unseen, **what):
        return {"type": "inbox", "unread": unread, "unseen": unseen, "position": 2, "changes": change, **what}

    for deed in (mark_seen, archive, unarchive, mark_unread, archive, mark_unread, mark_read):
        deed(ada, [notice.pk])
    mark_all_read(ada, 2)

    assert told == [
        frame(1, 2, 1, seen=[notice.pk]),
        frame(2, 1, 1, archived=[notice.pk]),
        frame(3, 1, 1, unarchived=[notice.pk]),
        frame(4, 2, 1, marked_unread=[notice.pk]),
        frame(5, 1, 1, archived=[notice.pk]),
        frame(6, 2, 1, marked_unread=[notice.pk], unarchived=[notice.pk]),
        frame(7, 1, 1, read=[notice.pk]),
        frame(8, 0, 0, read_through=2),
    ]
    assert other.receipts.count() == 0


@on_commit
def test_a_deed_with_more_than_a_frame_holds_makes_pages_begin_afresh(ada, told, monkeypatch):
    monkeypatch.setattr(deeds, "MAX_IDS", 2)
    ids = [publish().pk for _ in range(3)]

    archive(ada, ids)
    unarchive(ada, ids[:2])

    assert told[0] is None
    assert told[1]["unarchived"] == sorted(ids[:2], reverse=True)


@on_commit
def test_what_no_frame_tells_of_makes_pages_begin_afresh(ada, told):
    assert begin_afresh(ada) == 1

    assert (changes(ada), told) == (1, [None])


@on_commit
def test_what_was_rolled_back_was_not_done_and_is_told_to_nobody(ada, told):
    notice = publish()
    done = archive(ada, [notice.pk])
    before = kept(ada), changes(ada)
    told.clear()

    with transaction.atomic():
        undo(ada, done.change)
        mark_unread(ada, [notice.pk])
        transaction.set_rollback(True)

    assert (kept(ada), changes(ada)) == before
    assert told == []
    undo(ada, done.change)


# At the same moment ---------------------------------------------------------------------------------------


@on_commit
def test_of_tabs_that_act_at_the_same_moment_each_counts_and_the_last_can_be_undone(ada, told):
    """Whatever their order, every change has its number, was told, and what is kept is what the last one left."""
    ids = [publish().pk for _ in range(6)]
    verbs = [archive, unarchive, mark_read, mark_unread] * 3

    def act(verb):
        try:
            return verb(ada, ids).change
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(act, verbs))

    counted = [change for change in done if change is not None]
    assert len(set(counted)) == len(counted)
    assert changes(ada) == len(verbs)
    assert sorted(frame["changes"] for frame in told) == list(range(1, len(verbs) + 1))
    states = {(n.is_read, n.is_archived) for n in visible_to(ada)}
    assert len(states) == 1, "each deed was done as a whole"
    before_the_last = Undo.objects.get().change
    assert before_the_last == max(counted)
    undo(ada, before_the_last)
    assert len({(n.is_read, n.is_archived) for n in visible_to(ada)}) == 1


@on_commit
def test_a_deed_that_is_undone_in_two_tabs_at_once_is_undone_once(ada, told):
    notice = publish()
    mark_seen(ada, [notice.pk])
    before = kept(ada)
    done = archive(ada, [notice.pk])

    def take_back(_):
        try:
            return undo(ada, done.change)
        except CannotUndo:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        undone = [change for change in threads.map(take_back, range(6)) if change]

    assert undone == [done.change + 1]
    assert kept(ada) == before


@on_commit
def test_an_undo_and_a_deed_at_the_same_moment_do_not_mix(ada, told):
    """Either the deed came first, and nothing is undone; or the undo did, and the deed was done afterwards."""
    for _ in range(10):
        notice, other = publish(), publish()
        done = archive(ada, [notice.pk])

        def act(deed, *values):
            try:
                return deed(ada, *values)
            except CannotUndo:
                return None
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            undone = threads.submit(act, undo, done.change)
            threads.submit(act, archive, [other.pk]).result()

        archived = {n.pk for n in visible_to(ada) if n.is_archived and n.pk in (notice.pk, other.pk)}
        assert archived == ({other.pk} if undone.result() else {notice.pk, other.pk})
