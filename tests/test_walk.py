"""The walk through the log: however it cuts the log into windows, it finds what is visible, and nothing else."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from notifications import inbox, walk
from notifications.inbox import newest, standing_of, visible_to
from notifications.models import Log, Notice, Posting, ReadMark, Receipt
from tests.people import group, person, publish, topic

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
NOTICES = 150


@pytest.fixture(params=range(12))
def dice(request):
    return random.Random(request.param)


@pytest.fixture
def people(dice):
    """Old and new accounts, in many audiences and in few."""
    now = timezone.now()
    joined = [now - NOTICES * MINUTE * 2, now - dice.randrange(NOTICES) * MINUTE, now - dice.randrange(9) * MINUTE, now]
    people = [person(f"person{n}", date_joined=when, is_staff=n == 1) for n, when in enumerate(joined)]
    for name in ("ops", "sales"):
        group(name, *dice.sample(people, 2))
    topic("deploys", *dice.sample(people, 2))
    return people


@pytest.fixture
def log(dice, people):
    """A log by several clocks, in which much was recalled, has expired, was read, and is for several audiences."""
    now = timezone.now()
    somewhere = [*(a for user in people for a in standing_of(user).audiences), "group:0", "staff"]
    for position in range(1, NOTICES + 1):
        at = now - (NOTICES - position) * MINUTE + dice.randrange(-4, 5) * MINUTE
        notice = Notice.objects.create(
            title=f"Notice {position}",
            published=position,
            position=position,
            published_at=at,
            recalled_at=now if dice.random() < 0.1 else None,
            expires_at=now + dice.choice([-1, 1]) * MINUTE if dice.random() < 0.2 else None,
        )
        audiences = {dice.choice(somewhere) for _ in range(dice.choice([1, 1, 2, 3]))}
        shown = None if notice.recalled_at and dice.random() < 0.5 else position
        Posting.objects.bulk_create(Posting(notice=notice, audience=each, published=shown) for each in audiences)
        for user in people:
            if dice.random() < 0.2:
                Receipt.objects.create(user=user, notice=notice)
    for user in people[:3]:
        ReadMark.objects.create(user=user, through=dice.choice([0, 0, dice.randrange(NOTICES)]))
    Log.objects.update_or_create(pk=1, defaults={"head": NOTICES})


@pytest.mark.parametrize("wider", [1, 2, 8])
def test_badge_and_list_are_what_is_visible(monkeypatch, dice, people, log, wider):
    monkeypatch.setattr(walk, "CLOCKS_APART", 9 * MINUTE)
    monkeypatch.setattr(walk, "WIDER", wider)
    for user in people:
        standing, visible = standing_of(user), list(visible_to(user))
        unread = [notice for notice in visible if not notice.is_read]
        assert standing.unread == len(unread)

        most = dice.randrange(1, 9)
        with monkeypatch.context() as patch:
            patch.setattr(inbox, "MOST_UNREAD", most)
            assert standing_of(user).unread == min(most, len(unread))
        for limit, before in [(1, None), (5, None), (1000, None), (3, dice.randrange(NOTICES)), (50, 1), (50, 0)]:
            page = [notice for notice in visible if before is None or notice.published < before][:limit]
            listed = newest(user, standing, limit, before)
            assert [(n.title, n.is_read) for n in listed] == [(n.title, n.is_read) for n in page]


def test_windows_cover_everything_once_and_cross_no_edge():
    pieces = list(walk._pieces(3, 1000, (40, 400), 10))

    assert pieces[0] == (990, 1000)
    assert pieces[-1][0] == 3
    assert all(later[0] == earlier[1] for later, earlier in pairwise(pieces))
    assert {40, 400} <= {first for first, _ in pieces}


def test_nobody_finds_anything_in_a_log_that_is_empty():
    ada = person("ada")

    assert (standing_of(ada).unread, newest(ada, standing_of(ada), 10)) == (0, [])


def test_a_notice_at_the_very_moment_an_account_is_created_is_theirs():
    publish()
    ada = person("ada", date_joined=Notice.objects.get().published_at)

    assert standing_of(ada).unread == len(newest(ada, standing_of(ada), 10)) == visible_to(ada).count() == 1
