"""What people have seen is written for all of them together, and is no more than each of them may see."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications import seeing
from notifications.audiences import audiences_of
from notifications.deeds import mark_all_read, mark_read, mark_unread, undo
from notifications.inbox import live_for, standing_of, visible_to
from notifications.log import head
from notifications.models import Notice, ReadMark, Receipt
from notifications.seeing import Sighting, write
from notifications.sending import recall_notice
from tests.people import group, person, publish

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada():
    return person("ada")


@pytest.fixture
def bells(monkeypatch):
    """What was rung, instead of ringing it."""
    rung = []
    monkeypatch.setattr(seeing, "ring", rung.append)
    return rung


def told(bell):
    return [json.loads(each.text) for each in bell.changes]


def unseen(user):
    """The badge, which must say what the list says."""
    standing = standing_of(user)
    assert standing.unseen == len([notice for notice in visible_to(user) if not notice.is_seen])
    assert standing.unread == len([notice for notice in visible_to(user) if not notice.is_read])
    return standing.unseen


def transactions(queries):
    return [each for each in queries if each["sql"].startswith("BEGIN")]


@on_commit
def test_a_broadcast_that_five_hundred_have_seen_is_one_transaction_and_one_bell_without_a_receipt(bells):
    people = [person(f"reader-{number}") for number in range(500)]
    broadcast = publish()

    with CaptureQueriesContext(connection) as queries:
        write({user.pk: Sighting(through=broadcast.published) for user in people})

    assert len(transactions(queries)) == 1
    assert len(queries) <= 12, [each["sql"][:80] for each in queries]
    assert [unseen(user) for user in people[::100]] == [0] * 5
    assert not Receipt.objects.exists()
    [bell] = bells
    assert {each.user_id for each in bell.changes} == {user.pk for user in people}


@on_commit
def test_what_the_mark_covers_is_told_without_counting_and_what_it_does_not_with_the_counts(ada, bells):
    brian = person("brian")
    older, newer = publish(), publish()

    write({ada.pk: Sighting(through=newer.published), brian.pk: Sighting({newer.pk})})

    changes, through = 1, newer.published
    assert told(bells[0]) == [
        {"type": "inbox", "unseen": 0, "position": through, "changes": changes, "seen_through": through},
        {"type": "inbox", "unread": 2, "unseen": 1, "position": through, "changes": changes, "seen": [newer.pk]},
    ]
    assert [bell.change for bell in bells[0].changes] == [standing_of(user).changes for user in (ada, brian)] == [1, 1]
    assert [notice.pk for notice in visible_to(brian) if not notice.is_seen] == [older.pk]


@on_commit
def test_what_was_seen_before_is_no_news(ada, bells):
    notices = [publish() for _ in range(4)]
    write({ada.pk: Sighting({notices[3].pk}, notices[1].published)})
    before = standing_of(ada).changes

    write({ada.pk: Sighting({notices[0].pk, notices[3].pk}, notices[1].published)})
    mark_all_read(ada, notices[2].published)
    write({ada.pk: Sighting({notices[2].pk}, notices[2].published)})

    assert (standing_of(ada).changes, len(bells)) == (before + 1, 1), "only reading was a change"


def test_nobody_has_seen_what_is_still_to_come(ada):
    publish()
    write({ada.pk: Sighting(through=head().position + 5)})
    publish()

    assert unseen(ada) == 1


def test_what_was_only_seen_stays_unread_and_undo_brings_back_no_more_than_it_took(ada):
    one, two = publish(), publish()
    write({ada.pk: Sighting(through=two.published)})
    done = mark_all_read(ada, two.published)
    mark_unread(ada, [])
    undo(ada, done.change)

    assert unseen(ada) == 0
    assert not any(notice.is_read for notice in visible_to(ada))
    mark_read(ada, [one.pk])
    assert standing_of(ada).unread == 1


def test_somebody_else_s_notice_and_one_that_is_gone_are_passed_over(ada):
    brian, earlier = person("brian"), publish()
    late = person("late")
    theirs = publish(audiences=[f"user:{brian.pk}"])
    recalled, mine = publish(), publish()
    recall_notice(recalled)

    ids = {theirs.pk, recalled.pk, mine.pk, earlier.pk, 10**12}
    write({user.pk: Sighting(set(ids)) for user in (ada, late)} | {10**9: Sighting({mine.pk}, 7)})

    assert set(Receipt.objects.values_list("user", "notice")) == {
        (ada.pk, earlier.pk),
        (ada.pk, mine.pk),
        (late.pk, mine.pk),
    }
    assert set(ReadMark.objects.exclude(changes=0).values_list("user", flat=True)) == {ada.pk, late.pk}
    assert unseen(brian) == 3


def test_each_person_has_seen_what_the_inbox_would_show_them_and_nothing_else():
    dice = random.Random(5)
    groups = [group(f"group-{number}") for number in range(3)]
    people, notices = [], []
    for number in range(60):
        if number % 5 == 0:
            user = person(f"person-{number}", is_staff=dice.random() < 0.3, is_active=dice.random() < 0.8)
            user.groups.set(dice.sample(groups, dice.randrange(3)))
            people.append(user)
        audiences = dice.sample(["everyone", "staff", *(f"group:{each.pk}" for each in groups)], dice.randint(1, 2))
        active = [user for user in people if user.is_active]
        audiences += [f"user:{dice.choice(active).pk}"] if active and dice.random() < 0.3 else []
        notices.append(publish(audiences=audiences))
    ids = {notice.pk for notice in notices}

    write({user.pk: Sighting(set(ids)) for user in people})

    for user in people:
        expected = set(live_for(user).values_list("pk", flat=True)) if audiences_of(user) else set()
        assert set(Receipt.objects.filter(user=user).values_list("notice", flat=True)) == expected, user
    assert 0 < Receipt.objects.count() < len(people) * len(notices)


@on_commit
def test_two_processes_that_write_the_same_people_do_not_wait_for_each_other_for_ever():
    people = [person(f"reader-{number}").pk for number in range(400)]
    for _ in range(30):
        publish()
    rounds = 30
    start = threading.Barrier(2)

    def process(order):
        dice = random.Random(order[0])
        try:
            for through in range(1, rounds + 1):
                start.wait(30)
                write({pk: Sighting(through=through) for pk in dice.sample(order, len(order))})
        finally:
            connection.close()

    with ThreadPoolExecutor() as threads:
        for each in [threads.submit(process, order) for order in (people, people[::-1])]:
            each.result(60)

    marks = ReadMark.objects.filter(user__in=people)
    assert {(mark.seen_through, mark.changes) for mark in marks} == {(rounds, rounds)}
    assert len(marks) == len(people)
    Notice.objects.all().delete()
