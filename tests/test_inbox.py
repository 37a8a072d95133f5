"""The inbox: what one person sees, and what of it they have read."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from notifications import deeds, inbox, log
from notifications.audiences import audiences_of
from notifications.deeds import NOTHING, Deed, archive, mark_all_read, mark_read, mark_unread, nothing_read
from notifications.inbox import count_readers, newest, standing_of, visible_to
from notifications.log import entries_for, publish_pending
from notifications.marks import mark_of
from notifications.models import Notice, ReadMark, Receipt, Subscription
from notifications.sending import recall_notice
from tests.people import group, person, publish, send, topic

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def told(monkeypatch):
    """What pages were told, instead of telling them: (who, frame)."""
    told = []
    monkeypatch.setattr(deeds, "ring", lambda bell: told.append((bell.user_id, json.loads(bell.text))))
    return told


def unread(user):
    """The badge, which must say what the list says."""
    count = standing_of(user).unread
    assert count == len([notice for notice in visible_to(user) if not notice.is_read])
    return count


def titles(user):
    """The list, which must be what is visible."""
    listed = newest(user, standing_of(user), limit=1000)
    assert [(n.pk, n.is_read) for n in listed] == [(n.pk, n.is_read) for n in visible_to(user)]
    return [notice.title for notice in listed]


# What one person sees -------------------------------------------------------------------------------------


def test_a_person_sees_what_is_for_them_newest_first():
    ada, brian = person("ada"), person("brian")
    ops = group("ops", ada)
    topic("deploys", ada)
    topic("lunch", brian)
    for audience in ["everyone", "staff", f"user:{ada.pk}", f"user:{brian.pk}", f"group:{ops.pk}"]:
        publish(audience, [audience])
    publish("deploys", ["topic:deploys"])
    publish("lunch", ["topic:lunch"])

    assert titles(ada) == ["deploys", f"group:{ops.pk}", f"user:{ada.pk}", "everyone"]
    assert titles(brian) == ["lunch", f"user:{brian.pk}", "everyone"]


def test_a_notice_that_reaches_a_person_in_several_ways_is_seen_once():
    ada = person("ada", is_staff=True)
    ops = group("ops", ada)

    publish(audiences=["everyone", "staff", f"user:{ada.pk}", f"group:{ops.pk}"])

    assert len(titles(ada)) == unread(ada) == 1


def test_an_inactive_account_sees_nothing():
    ada = person("ada")
    publish(audiences=["everyone", f"user:{ada.pk}"])
    assert unread(ada) == 1

    ada.is_active = False

    assert titles(ada) == []
    assert unread(ada) == 0


def test_an_account_sees_notices_for_everyone_only_since_it_was_created():
    veteran = person("veteran")
    publish("before")
    ada = person("ada")
    publish("after")

    assert titles(ada) == ["after"]
    assert titles(veteran) == ["after", "before"]


def test_what_waits_is_not_seen_yet():
    ada = person("ada")
    send("now")
    send("later", publish_at=timezone.now() + HOUR)
    assert titles(ada) == []

    publish_pending()

    assert titles(ada) == ["now"]


def test_a_recalled_notice_leaves_inbox_and_badge():
    ada, notice = person("ada"), publish()
    assert unread(ada) == 1

    recall_notice(notice)

    assert (titles(ada), unread(ada)) == ([], 0)


def test_an_expired_notice_leaves_inbox_and_badge():
    ada = person("ada")
    publish(expires_at=timezone.now() + HOUR)
    assert unread(ada) == 1

    Notice.objects.update(expires_at=timezone.now())

    assert (titles(ada), unread(ada)) == ([], 0)


def test_who_leaves_a_group_no_longer_sees_its_notices():
    ada = person("ada")
    ops = group("ops", ada)
    publish(audiences=[f"group:{ops.pk}"])
    assert unread(ada) == 1

    ada.groups.clear()

    assert (titles(ada), unread(ada)) == ([], 0)


def test_the_badge_counts_no_notice_that_came_after_its_place(monkeypatch):
    ada = person("ada")
    publish("in it")
    place = log.head()
    publish("after it")
    assert standing_of(ada).unread == 2

    monkeypatch.setattr(log, "head", lambda: place)

    assert standing_of(ada).unread == 1


def test_the_stamp_changes_with_what_the_log_does_not_tell_and_with_nothing_else():
    ada = person("ada")
    ops = group("ops")
    notice = publish()
    stamps = [standing_of(ada).stamp]

    publish("another")
    recall_notice(notice)
    publish_pending()
    assert standing_of(ada).stamp == stamps[0]
    for change in (
        lambda: mark_read(ada, [publish("one more").pk]),
        lambda: mark_all_read(ada, 1),
        lambda: ada.groups.add(ops),
        lambda: topic("deploys", ada),
    ):
        change()
        stamps.append(standing_of(ada).stamp)

    assert len(set(stamps)) == 5


def test_counting_stops_where_nobody_reads_the_number_any_more(monkeypatch):
    ada = person("ada")
    for _ in range(3):
        publish()
    monkeypatch.setattr(inbox, "MOST_UNREAD", 3)
    assert standing_of(ada).unread == 3

    publish()

    assert standing_of(ada).unread == 3


@pytest.mark.parametrize("notices", [1, 60])
def test_the_inbox_takes_the_same_queries_however_full_it_is(django_assert_num_queries, notices):
    ada = person("ada")
    for n in range(notices):
        send(f"Notice {n}")
    publish_pending()

    standing = standing_of(ada)
    with django_assert_num_queries(2):  # which notices, the notices
        assert len(newest(ada, standing, 100)) == notices


# Reading --------------------------------------------------------------------------------------------------


def test_a_notice_that_was_read_stays_in_the_inbox_and_leaves_the_badge():
    ada, brian = person("ada"), person("brian")
    notice, other = publish("read"), publish("unread")

    assert mark_read(ada, [notice.pk]).ids == [notice.pk]

    assert [(n.title, n.is_read) for n in visible_to(ada)] == [("unread", False), ("read", True)]
    assert unread(ada) == 1
    assert unread(brian) == 2
    assert other.receipts.count() == 0


def test_reading_again_changes_nothing_and_says_that_it_is_read():
    ada, notice = person("ada"), publish()
    mark_read(ada, [notice.pk])
    before = Receipt.objects.values().get()

    assert mark_read(ada, [notice.pk, notice.pk]) == Deed([notice.pk], count=0, change=None)

    assert Receipt.objects.values().get() == before


def test_what_is_read_by_its_mark_needs_no_receipt():
    ada, notice = person("ada"), publish()
    mark_all_read(ada, 1)

    assert mark_read(ada, [notice.pk]).ids == [notice.pk]

    assert not Receipt.objects.exists()


def test_notices_of_others_and_notices_that_are_not_there_cannot_be_marked_read(told):
    ada, brian = person("ada"), person("brian")
    brians = publish(audiences=[f"user:{brian.pk}"])
    scheduled = send(publish_at=timezone.now() + HOUR)
    recalled = publish()
    recall_notice(recalled)
    expired = publish()
    Notice.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    assert brians in visible_to(brian)

    ids = [brians.pk, scheduled.pk, recalled.pk, expired.pk, 0, 424242, 2**63 - 1]
    assert mark_read(ada, ids) == NOTHING

    assert not Receipt.objects.exists()
    assert told == []


def test_among_ids_of_others_ones_own_are_marked_read():
    ada, brian = person("ada"), person("brian")
    brians, adas = publish(audiences=[f"user:{brian.pk}"]), publish(audiences=[f"user:{ada.pk}"])

    assert mark_read(ada, [brians.pk, adas.pk]).ids == [adas.pk]

    assert [receipt.notice for receipt in Receipt.objects.all()] == [adas]


def test_all_read_is_everything_up_to_a_place_and_nothing_after_it():
    ada, brian = person("ada"), person("brian")
    for n in range(5):
        publish(f"Notice {n}")

    assert mark_all_read(ada, 3) == Deed([], count=3, change=1)

    assert unread(ada) == 2
    assert unread(brian) == 5


def test_all_read_never_moves_back():
    ada = person("ada")
    for _ in range(3):
        publish()
    mark_all_read(ada, 3)

    assert mark_all_read(ada, 1) == Deed([], count=0, change=None)

    assert ReadMark.objects.get().through == 3
    assert unread(ada) == 0


@pytest.mark.parametrize("through", [4, 10**9, 2**63 - 1])
def test_all_read_never_moves_past_the_head(through):
    ada = person("ada")
    for _ in range(3):
        publish()

    mark_all_read(ada, through)

    assert ReadMark.objects.get().through == 3
    publish("This one came later")
    assert unread(ada) == 1


def test_a_recall_does_not_make_a_read_notice_new():
    """Its place moves beyond the mark, but what counts is where it first appeared."""
    ada, first = person("ada"), publish("91 %", key="disk")
    mark_all_read(ada, 1)

    publish("95 %", key="disk")

    first.refresh_from_db()
    assert first.position > 1
    assert unread(ada) == 1


def test_what_was_read_in_one_group_stays_read_after_leaving_and_coming_back():
    ada = person("ada")
    ops = group("ops", ada)
    notice = publish(audiences=[f"group:{ops.pk}"])
    mark_read(ada, [notice.pk])

    ada.groups.clear()
    ada.groups.add(ops)

    assert (len(titles(ada)), unread(ada)) == (1, 0)


@on_commit
def test_two_pages_that_read_the_same_at_the_same_moment_leave_one_receipt(told):
    ada = person("ada")
    notices = [publish() for _ in range(5)]

    def read(_):
        try:
            mark_read(ada, [notice.pk for notice in notices])
            mark_all_read(ada, 5)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, range(8)))

    assert Receipt.objects.count() <= 5
    assert ReadMark.objects.get().through == 5
    assert unread(ada) == 0


# Telling the other pages ----------------------------------------------------------------------------------


@on_commit
def test_reading_is_told_to_the_readers_pages_with_what_is_still_unread(told):
    ada = person("ada")
    notice, _ = publish(), publish()

    mark_read(ada, [notice.pk])

    assert told == [
        (ada.pk, {"type": "inbox", "unread": 1, "unseen": 1, "position": 2, "changes": 1, "read": [notice.pk]})
    ]


@on_commit
def test_all_read_is_told_to_the_readers_pages(told):
    ada = person("ada")
    publish(), publish()

    mark_all_read(ada, 1)

    assert told == [
        (ada.pk, {"type": "inbox", "unread": 1, "unseen": 1, "position": 2, "changes": 1, "read_through": 1})
    ]


@on_commit
def test_what_was_rolled_back_is_told_to_nobody(told):
    ada, notice = person("ada"), publish()

    with transaction.atomic():
        assert mark_read(ada, [notice.pk]).ids == [notice.pk]
        assert mark_all_read(ada, 1).count == 0
        transaction.set_rollback(True)

    assert told == []
    assert unread(ada) == 1


def test_the_state_says_what_is_unread_as_of_where():
    ada = person("ada")
    publish(), publish()

    state = nothing_read(ada, 7)

    assert (state.unread, state.position, state.read, state.read_through) == (2, 2, [], None)
    assert state.changes == 7, "what the page knows, not what it may not have heard yet"


# Who has read a notice ------------------------------------------------------------------------------------


def test_readers_are_those_with_a_receipt_and_those_who_marked_all_read():
    ada, brian, cleo = person("ada"), person("brian"), person("cleo")
    notice = publish()
    mark_read(ada, [notice.pk])
    mark_read(brian, [notice.pk])
    mark_all_read(brian, 1)
    mark_all_read(cleo, 1)
    person("dora")

    assert count_readers([notice]) == {notice.pk: 3}


def test_who_marked_all_read_before_a_notice_came_has_not_read_it():
    ada = person("ada")
    publish()
    mark_all_read(ada, 1)

    assert list(count_readers([publish()]).values()) == [0]


def test_who_marked_all_read_is_no_reader_of_what_was_not_for_them():
    ada, brian = person("ada"), person("brian")
    notice = publish(audiences=[f"user:{brian.pk}"])
    mark_all_read(ada, 1)
    mark_all_read(brian, 1)

    assert count_readers([notice]) == {notice.pk: 1}


def test_nobody_has_read_what_was_not_published():
    ada = person("ada")
    publish()
    mark_all_read(ada, 1)

    assert list(count_readers([send(publish_at=timezone.now() + HOUR)]).values()) == [0]


def test_readers_are_counted_as_each_of_them_sees_it(django_assert_num_queries):
    people = [person(f"person{n}", is_staff=n % 2 == 0) for n in range(6)]
    ops, _ = group("ops", *people[:3]), topic("deploys", *people[2:5])
    audiences = [["everyone"], ["staff"], [f"group:{ops.pk}", "topic:deploys"], [f"user:{people[1].pk}", "staff"]]
    audiences += [[f"user:{people[0].pk}", f"group:{ops.pk}"], ["everyone", f"user:{people[5].pk}"]]
    notices = [publish(f"Notice {n}", each) for n, each in enumerate(audiences * 2)]
    choose = random.Random(7)
    for _step in range(60):
        who, which = choose.choice(people), choose.sample(notices, 2)
        deed = choose.choice([mark_read, mark_unread, archive, mark_all_read])
        deed(who, choose.randint(1, 12)) if deed is mark_all_read else deed(who, [notice.pk for notice in which])
    people[3].is_active = False
    people[3].save()
    ops.user_set.remove(people[1])

    with django_assert_num_queries(3):
        counted = count_readers(notices)

    reached = [each for each in people if each.is_active]
    seen = {notice.pk: [visible_to(each).filter(pk=notice.pk, is_read=True) for each in reached] for notice in notices}
    assert counted == {pk: sum(found.exists() for found in each) for pk, each in seen.items()}
    assert len(set(counted.values())) > 2, "some have more readers than others"


# Whatever happens, in whatever order ----------------------------------------------------------------------

NAMES = ("ada", "brian")
AUDIENCES = ("everyone", "staff", "ada", "brian", "ops", "sales", "deploys")
who = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(
        st.just("send"),
        st.lists(st.sampled_from(AUDIENCES), min_size=1, max_size=2),
        st.sampled_from(["", "", "disk", "backup"]),
    ),
    st.tuples(st.just("recall"), st.integers(0, 30)),
    st.tuples(st.just("read"), who, st.integers(0, 30)),
    st.tuples(st.just("read_all"), who, st.integers(0, 40)),
    st.tuples(st.just("join"), who, st.sampled_from(["ops", "sales"])),
    st.tuples(st.just("leave"), who, st.sampled_from(["ops", "sales"])),
    st.tuples(st.just("subscribe"), who),
)


class History:
    """Plays steps against the database, and keeps by the plainest means what ought to come of them."""

    def __init__(self):
        self.people = {"ada": person("ada", is_staff=True), "brian": person("brian")}
        self.groups = {name: group(name) for name in ("ops", "sales")}
        self.deploys = topic("deploys")
        self.audiences = {
            **{name: f"user:{user.pk}" for name, user in self.people.items()},
            **{name: f"group:{each.pk}" for name, each in self.groups.items()},
            "everyone": "everyone",
            "staff": "staff",
            "deploys": "topic:deploys",
        }
        self.notices = []  # in the order sent
        self.ended = set()  # ids that were recalled or superseded
        self.read_ids = {name: set() for name in NAMES}
        self.read_through = dict.fromkeys(NAMES, 0)
        self.looks = []  # what a page held: (the audiences then, its place, its notices)

    def send(self, audiences, key):
        audiences = {self.audiences[name] for name in audiences}
        for earlier in self.notices:
            if key and earlier.key == key and earlier.to == audiences:
                self.ended.add(earlier.pk)
        notice = publish(f"Notice {len(self.notices)}", sorted(audiences), key=key)
        notice.to = audiences
        self.notices.append(notice)

    def recall(self, number):
        if self.notices:
            notice = self.notices[number % len(self.notices)]
            assert recall_notice(notice) is (notice.pk not in self.ended)
            publish_pending()
            self.ended.add(notice.pk)

    def read(self, name, number):
        if self.notices:
            notice = self.notices[number % len(self.notices)]
            expected = [notice.pk] if notice.pk in self.seen(name) else []
            assert mark_read(self.people[name], [notice.pk]).ids == expected
            self.read_ids[name].update(expected)

    def read_all(self, name, through):
        self.read_through[name] = max(self.read_through[name], min(through, log.head().position))
        mark_all_read(self.people[name], through)

    def join(self, name, group):
        self.people[name].groups.add(self.groups[group])

    def leave(self, name, group):
        self.people[name].groups.remove(self.groups[group])

    def subscribe(self, name):
        Subscription.objects.get_or_create(user=self.people[name], topic=self.deploys)

    def look(self, name):
        """Remember what this person's page holds now, and its place."""
        self.looks.append((audiences_of(self.people[name]), log.head(), self.fetched(name)))

    def fetched(self, name):
        user = self.people[name]
        return {notice.pk: notice.title for notice in newest(user, standing_of(user), limit=1000)}

    def seen(self, name):
        mine = audiences_of(self.people[name])
        return {n.pk for n in self.notices if n.pk not in self.ended and n.to & mine}

    def unread(self, name):
        through = self.read_through[name]
        read = {n.pk for n in self.notices if n.pk in self.read_ids[name] or n.published <= through}
        return self.seen(name) - read

    def check_replays(self, name):
        """A page that comes back with a cursor, and replays, holds what one holds that is fetched afresh."""
        user, now, head, fetched = self.people[name], audiences_of(self.people[name]), log.head(), self.fetched(name)
        for audiences, place, held in self.looks:
            if audiences == now:  # a change of access is no matter of replay
                entries = entries_for(now, mark_of(user).joined, place.position, head.position, 1000)
                assert replayed(held, entries, place.position) == fetched


def replayed(held, entries, position):
    """What a page that held this holds after these entries, which must come in order and name each notice once."""
    held = dict(held)
    assert len({entry.notice_id for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.position > position
        position, notice = entry.position, json.loads(entry.text)["notice"]
        if notice["recalled"]:
            held.pop(notice["id"], None)
        else:
            held[notice["id"]] = notice["title"]
    return held


@given(st.lists(steps, min_size=15, max_size=30), who)
@settings(max_examples=20, deadline=None, phases=[Phase.reuse, Phase.generate])  # making it smaller takes minutes
def test_whatever_happens_badge_list_and_replay_say_the_same(history_of_steps, watcher):
    with transaction.atomic():
        history = History()

        for verb, *values in history_of_steps:
            getattr(history, verb)(*values)
            history.look(watcher)

        for name, user in history.people.items():
            assert set(history.fetched(name)) == history.seen(name)
            assert {notice.pk for notice in visible_to(user) if not notice.is_read} == history.unread(name)
            assert standing_of(user).unread == len(history.unread(name))
        history.check_replays(watcher)
        transaction.set_rollback(True)
