"""The walk through the log: however it cuts the log into windows, it finds what is visible, and nothing else."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifications import inbox, walk
from notifications.deeds import archive, mark_all_read, mark_unread
from notifications.filters import Filter
from notifications.inbox import count_all, count_archived, newest, standing_of, visible_to
from notifications.log import publish_pending
from notifications.marks import mark_of
from notifications.models import Level, Log, Notice, Posting, ReadMark, Receipt
from notifications.sending import Draft, send_notices
from tests.people import group, person, publish, topic

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
NOTICES = 150
CHANGES = 8
WORDS = ["", "disk", "Fête", "ÖL", "100%", "a_b", "back\\slash", "[x]", "*", "^", "?", "ß", "日本", "it's", '"', "-]"]


@pytest.fixture(params=range(12))
def dice(request):
    return random.Random(request.param)


@pytest.fixture
def people(dice):
    """Old and new accounts, in many audiences and in few."""
    joined = [0, dice.randrange(NOTICES), NOTICES - dice.randrange(9), NOTICES]
    people = [person(f"person{n}", joined=where, is_staff=n == 1) for n, where in enumerate(joined)]
    for name in ("ops", "sales"):
        group(name, *dice.sample(people, 2))
    topic("deploys", *dice.sample(people, 2))
    return people


@pytest.fixture
def log(dice, people):
    """A log by several clocks, in which much was recalled, has expired, and is for several audiences.

    And everybody has dealt with much of it in one way or another.
    """
    now = timezone.now()
    somewhere = [*(a for user in people for a in standing_of(user).audiences), "group:0", "staff"]
    postings, receipts = [], []
    for position in range(1, NOTICES + 1):
        at = now - (NOTICES - position) * MINUTE + dice.randrange(-4, 5) * MINUTE
        notice = Notice.objects.create(
            title=f"Notice {position} {dice.choice(WORDS)}",
            body=dice.choice(WORDS),
            level=dice.choice(Level.values),
            published=position,
            position=position,
            published_at=at,
            recalled_at=now if dice.random() < 0.1 else None,
            expires_at=now + dice.choice([-1, 1]) * MINUTE if dice.random() < 0.2 else None,
        )
        audiences = {dice.choice(somewhere) for _ in range(dice.choice([1, 1, 2, 3]))}
        shown = None if notice.recalled_at and dice.random() < 0.5 else position
        postings += [Posting(notice=notice, audience=each, published=shown) for each in audiences]
        for user in people:
            if dice.random() < 0.4:
                receipts.append(Receipt(user=user, notice=notice, **some_receipt(dice, position, now)))
    Posting.objects.bulk_create(postings)
    Receipt.objects.bulk_create(receipts)
    for user in people[:3]:
        through, change = dice.choice([0, 0, dice.randrange(NOTICES)]), dice.randrange(CHANGES)
        seen = dice.choice([0, dice.randrange(NOTICES), NOTICES])
        ReadMark.objects.filter(user=user).update(
            through=through, through_change=change, seen_through=seen, changes=CHANGES
        )
    Log.objects.update_or_create(pk=1, defaults={"head": NOTICES})


def some_receipt(dice, position, now):
    """Any that there can be: the first is as the version wrote it that knew only of reading."""
    return dice.choice(
        [
            {"read_at": now},
            {"published": position},
            {"published": position, "read_at": now},
            {"published": position, "unread_change": 1 + dice.randrange(CHANGES)},
            {"published": position, "read_at": now, "archived_at": now},
        ]
    )


@pytest.mark.parametrize("wider", [1, 2, 8])
def test_badges_and_lists_are_what_is_visible(monkeypatch, dice, people, log, wider):
    monkeypatch.setattr(walk, "WIDER", wider)
    for user in people:
        standing, visible = standing_of(user), list(visible_to(user))
        kept = [notice for notice in visible if not notice.is_archived]
        unread = [notice for notice in visible if not notice.is_read]
        unseen = [notice for notice in visible if not notice.is_seen]
        archived = [notice for notice in visible if notice.is_archived]
        assert (standing.unread, standing.unseen) == (len(unread), len(unseen))
        assert (count_all(user, standing), count_archived(user, standing)) == (len(kept), len(archived))

        most = dice.randrange(1, 9)
        with monkeypatch.context() as patch:
            patch.setattr(inbox, "MOST_UNREAD", most)
            counted = standing_of(user)
            assert (counted.unread, counted.unseen) == (min(most, len(unread)), min(most, len(unseen)))
            assert count_all(user, standing) == min(most, len(kept))
            assert count_archived(user, standing) == min(most, len(archived))
        for limit, before in [(1, None), (5, None), (1000, None), (3, dice.randrange(NOTICES)), (50, 1), (50, 0)]:
            for tab, rows in (("all", kept), ("unread", unread), ("archived", archived)):
                page = [notice for notice in rows if before is None or notice.published < before][:limit]
                listed = newest(user, standing, limit, before, Filter(tab))
                assert states(listed) == states(page)


def test_a_filter_leaves_in_what_it_says(monkeypatch, dice, people, log):
    monkeypatch.setattr(walk, "WIDER", dice.choice([1, 8]))
    for user in people:
        standing, visible = standing_of(user), list(visible_to(user).prefetch_related("postings"))
        for _ in range(8):
            wanted = some_filter(dice, standing.audiences)
            before, limit = dice.choice([None, dice.randrange(NOTICES)]), dice.choice([1, 4, 1000])
            page = [n for n in visible if fits(n, wanted, user) and (before is None or n.published < before)][:limit]
            assert states(newest(user, standing, limit, before, wanted)) == states(page), wanted


def test_a_search_that_stops_is_gone_on_with_until_everything_was_found(monkeypatch, dice, people, log):
    """However often it stops: nothing is found twice, and nothing is missed."""
    monkeypatch.setattr(inbox, "SEARCH_SECONDS", -1)
    monkeypatch.setattr(walk, "WIDER", 2)
    monkeypatch.setattr(walk, "WIDEST", 15)
    monkeypatch.setattr(walk, "FIRST_SEARCHED", 6)
    for user in people:
        standing = standing_of(user)
        wanted = some_filter(dice, standing.audiences)
        everything, found, pages, before = newest(user, standing, 1000, None, wanted), [], 0, None
        while pages == 0 or before is not None:
            page = inbox.page(user, standing, 3, before, wanted)
            found, before, pages = found + page.notices, page.older, pages + 1

        assert states(found) == states(everything)
        assert pages > len(everything) / 3


def test_a_search_of_which_windows_are_given_up_finds_everything_in_the_end(monkeypatch, dice, people, log):
    begun = []

    @contextmanager
    def deadline(seconds):
        yield
        begun.append(seconds)
        if len(begun) % 2:
            raise walk.TooLong

    monkeypatch.setattr(walk, "_deadline", deadline)
    user, wanted = dice.choice(people), Filter(dice.choice(["all", "unread", "archived"]), q="notice")
    standing, found, before, is_first = standing_of(user), [], None, True
    everything = newest(user, standing, 1000, None, wanted)
    while is_first or before is not None:
        page = inbox.page(user, standing, 10, before, wanted)
        assert page.older is None or page.older < (before or NOTICES + 2), "it goes on"
        found, before, is_first = found + page.notices, page.older, False

    assert states(found) == states(everything)
    assert begun or not everything


# For ever, as far as a test can tell.
ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


def ask_for_ever(cursor, seconds):
    with walk._deadline(seconds):
        cursor.execute(ENDLESS[connection.vendor])
        cursor.fetchall()


@pytest.mark.parametrize("within", [transaction.atomic, nullcontext])
def test_a_query_is_given_up_at_its_deadline_and_the_next_one_has_none(within):
    began = time.monotonic()
    with within(), connection.cursor() as cursor:
        with pytest.raises(walk.TooLong):
            ask_for_ever(cursor, seconds=0.2)
        assert 0.1 < time.monotonic() - began < 5

        with walk._deadline(0.2):
            cursor.execute("SELECT 1")
        ends = time.monotonic() + 0.5
        while time.monotonic() < ends:
            publish("Still stored")
        if connection.vendor == "postgresql":
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize("tab", ["all", "unread", "archived"])
def test_no_word_takes_longer_than_a_search_may(monkeypatch, tab):
    ada = person("ada")
    send_notices(Draft(title="x", audiences=["everyone"], body="ä" * 4000) for _ in range(100))
    publish_pending()
    if tab == "unread":
        mark_all_read(ada, 100)
        mark_unread(ada, list(Notice.objects.values_list("pk", flat=True)))
    elif tab == "archived":
        archive(ada, list(Notice.objects.values_list("pk", flat=True)))
    monkeypatch.setattr(inbox, "SEARCH_SECONDS", 0.05)
    standing, wanted = standing_of(ada), Filter(tab, q="ä" * 49 + "b")
    # SQLite searches in this process, which other tests on the machine must not slow down.
    clock = time.process_time if connection.vendor == "sqlite" else time.monotonic
    began = clock()
    assert newest(ada, standing, 51, None, wanted) == []
    whole = clock() - began

    began = clock()
    page = inbox.page(ada, standing, 50, None, wanted)

    assert clock() - began < max(whole / 2, 0.3)
    assert page.notices == []
    assert page.older or whole < 0.2


def states(notices):
    return [(n.title, n.is_read, n.is_seen, n.is_archived) for n in notices]


def some_filter(dice, audiences):
    return Filter(
        tab=dice.choice(["all", "unread", "archived"]),
        level=dice.choice(["", "", *Level.values]),
        audience=dice.choice(["", "", *sorted(audiences)]),
        q=dice.choice(["", "", "NOTICE 1", "1 fÊTE", "%", "a_b", "[x]", *WORDS]),
    )


def fits(notice, wanted, user):
    """The same by the plainest means."""
    is_in = {"all": not notice.is_archived, "unread": not notice.is_read, "archived": notice.is_archived}[wanted.tab]
    is_old = wanted.audience == "everyone" and notice.published <= mark_of(user).joined
    audiences = {posting.audience for posting in notice.postings.all()}
    is_for = not wanted.audience or (wanted.audience in audiences and not is_old)
    says = all(w.lower() in notice.title.lower() or w.lower() in notice.body.lower() for w in wanted.q.split())
    return is_in and is_for and says and wanted.level in ("", notice.level)


@pytest.mark.parametrize("edge", [0, 3, 40, 400, 990, 999, 1000, 2000])
def test_windows_cover_everything_once_and_cross_no_edge(edge):
    pieces = list(walk._pieces(3, 1000, edge, 10))

    assert pieces[0] == (max(990, edge if edge < 1000 else 0), 1000)
    assert pieces[-1][0] == 3
    assert all(later[0] == earlier[1] for later, earlier in pairwise(pieces))
    assert not any(first < edge < last for first, last in pieces)


def test_nobody_finds_anything_in_a_log_that_is_empty():
    ada = person("ada")

    assert (standing_of(ada).unread, newest(ada, standing_of(ada), 10)) == (0, [])
