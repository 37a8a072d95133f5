"""The log: every notice has its place, in order, and nothing falls between two places."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from notifications import log
from notifications.audiences import audiences_of
from notifications.inbox import newest, standing_of
from notifications.log import Place, entries_after, entries_for, head, next_due, publish_pending
from notifications.marks import mark_of
from notifications.models import Log, Notice, Posting, Receipt
from notifications.sending import Draft, recall_notice, send_notices
from tests.people import group, person, publish, send

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
FAR = 2**62


@pytest.fixture
def bells(monkeypatch):
    """What was announced, instead of announcing it."""
    bells = []
    monkeypatch.setattr(log, "ring", lambda bell: bells.append(bell) or 0)
    return bells


def missed_by(user, after=0, through=FAR, limit=1000):
    return entries_for(audiences_of(user), mark_of(user).joined, after, through, limit)


def places():
    return list(Notice.objects.order_by("id").values_list("position", flat=True))


def pass_over(notice, hours=1):
    """Let ``notice`` become so many hours older."""
    for name in ("created_at", "publish_at", "published_at", "expires_at"):
        if moment := getattr(notice, name):
            setattr(notice, name, moment - hours * HOUR)
    notice.save()


# A place --------------------------------------------------------------------------------------------------


def test_a_cursor_names_the_place_it_was_made_from():
    place = Place(str(uuid.uuid4()), 42)

    assert Place.parse(str(place)) == place


@given(st.text(st.characters(codec=None, exclude_categories=())) | st.text("0123456789abcdef-:{}", max_size=60))
@example("")
@example(":")
@example(f"{uuid.UUID(int=0)}:")
@example(f"{uuid.UUID(int=0)}:-1")
@example(f"{uuid.UUID(int=0)}:1.5")
@example(f"{uuid.UUID(int=0)}:²")
@example(f"{uuid.UUID(int=0)}:٣")
@example(f"{uuid.UUID(int=0)}:{10**18}")
@example(f"{uuid.UUID(int=0)}:1\0")
def test_nonsense_is_no_cursor(text):
    place = Place.parse(text)

    assert place is None or (0 <= place.position < 2**63 and uuid.UUID(place.epoch))


# Publishing -----------------------------------------------------------------------------------------------


def test_notices_get_their_places_in_the_order_in_which_they_were_sent(bells):
    for n in range(5):
        send(f"Notice {n}")
    assert places() == [None] * 5

    published = publish_pending()

    assert published.count == 5
    assert places() == [1, 2, 3, 4, 5]
    assert head().position == 5
    [bell] = bells
    assert (bell.epoch, bell.first, bell.head) == (head().epoch, 1, 5)
    assert [entry.position for entry in bell.entries] == [1, 2, 3, 4, 5]


def test_publishing_again_changes_nothing_and_rings_no_bell(bells):
    publish()
    assert len(bells) == 1

    assert publish_pending().count == 0

    assert places() == [1]
    assert len(bells) == 1


def test_a_crash_between_commit_and_publishing_loses_nothing(django_capture_on_commit_callbacks, bells):
    with django_capture_on_commit_callbacks():  # and never calls them
        send("Sent by a process that died")
    assert (places(), bells) == ([None], [])

    publish_pending()

    assert places() == [1]
    assert len(bells) == 1


@pytest.mark.parametrize("count", [499, 500, 501, 1200])
def test_a_great_many_are_published_in_batches_of_500(bells, count):
    send_notices(Draft(title=f"Notice {n}", audiences=["everyone"]) for n in range(count))

    published = publish_pending()

    assert published.count == count
    assert places() == list(range(1, count + 1))
    assert all(len(bell.entries) <= 500 for bell in bells)
    assert [entry.position for bell in bells for entry in bell.entries] == places()
    assert [bell.first for bell in bells] == list(range(1, count + 1, 500))


def test_an_announced_entry_is_the_one_that_the_log_keeps(bells):
    ada = person("ada")
    publish("Disk is full", audiences=["everyone", f"user:{ada.pk}"], body="42 GB", expires_at=timezone.now() + HOUR)

    [announced] = bells[0].entries
    [kept] = entries_after(0, 10)

    assert announced.text == kept.text
    assert sorted(announced.audiences) == sorted(kept.audiences)
    assert announced.published_at == pytest.approx(kept.published_at)


@on_commit
def test_eight_who_send_at_once_get_places_without_a_gap_and_readers_miss_nothing(bells, caplog):
    senders, each = 8, 5
    start, done = threading.Barrier(senders + 1), threading.Event()

    def send_some(sender):
        dice = random.Random(sender)
        try:
            start.wait()
            for n in range(each):
                with transaction.atomic():
                    send(f"{sender}.{n}")
                    time.sleep(dice.uniform(0, 0.01))
        finally:
            connection.close()

    def follow():
        """What a page sees that always asks for whatever comes after what it has."""
        seen = []
        try:
            start.wait()
            while True:
                last_round = done.is_set()
                seen += entries_after(seen[-1].position if seen else 0, 1000)
                if last_round:
                    return seen
                time.sleep(0.001)  # one that never pauses keeps the interpreter from the senders
        finally:
            connection.close()

    with ThreadPoolExecutor(senders + 1) as threads:
        follower = threads.submit(follow)
        sending = [threads.submit(send_some, sender) for sender in range(senders)]
        for each_sending in sending:
            each_sending.result()
        done.set()
        seen = follower.result()

    everything = list(range(1, senders * each + 1))
    assert [entry.position for entry in seen] == everything
    bells.sort(key=lambda bell: bell.first)
    assert [entry.position for bell in bells for entry in bell.entries] == everything
    for sender in range(senders):
        titles = [title for e in seen if (title := json.loads(e.text)["notice"]["title"])[0] == str(sender)]
        assert titles == [f"{sender}.{n}" for n in range(each)]
    assert "not published yet" not in caplog.text  # nobody was in anybody's way


@pytest.mark.parametrize("kinds", ["nrn", "rnr", "nnrrnn", "n-n", "r-n-r", "k-nk", "nkkr"])
def test_whatever_meets_in_one_batch_each_gets_its_own_place(bells, kinds):
    """New ones, recalled ones, ids that were never used, superseded ones: written in runs, as if one by one."""
    notices = {n: publish(f"Notice {n}") for n, kind in enumerate(kinds) if kind == "r"}
    Notice.objects.all().delete()
    head_before = head().position
    for n, kind in enumerate(kinds):
        if kind == "r":
            notices[n].pk = None
            notices[n].save()  # with its old place, and a new id
            notices[n].postings.create(audience="everyone", published=notices[n].published)
            assert recall_notice(notices[n])
        elif kind in "nk":
            notices[n] = send(f"Notice {n}", key="disk" if kind == "k" else "")
        else:
            send().delete()
    last = kinds.rfind("k")

    publish_pending()

    position = head_before
    for n, notice in sorted(notices.items()):
        before = notice.published
        notice.refresh_from_db()
        if kinds[n] == "k" and n != last:
            assert (notice.status, notice.published, notice.position) == ("recalled", None, None)
            continue
        position += 1
        assert notice.position == position
        assert notice.published == (before if kinds[n] == "r" else position)
        assert [p.published for p in notice.postings.all()] == [None if kinds[n] == "r" else position]
    assert head().position == position == bells[-1].head
    assert [e.text for e in bells[-1].entries] == [e.text for e in entries_after(head_before, 100)]


def test_a_posting_stands_in_its_audiences_part_of_the_log_until_the_recall_has_its_place():
    notice = publish(audiences=["everyone", "staff"])
    assert [posting.published for posting in notice.postings.all()] == [1, 1]

    recall_notice(notice)
    publish_pending()

    assert [posting.published for posting in notice.postings.order_by("id")] == [None, None]


def test_postings_from_before_they_carried_a_place_are_given_theirs():
    live, recalled, waiting = publish(), publish(), send(publish_at=timezone.now() + HOUR)
    recall_notice(recalled)
    publish_pending()
    Posting.objects.update(published=None)
    Log.objects.update(filled=0)

    import_module("notifications.migrations.0002_posting_published").fill(apps, None)

    assert [each.postings.get().published for each in (live, recalled, waiting)] == [live.published, None, None]
    assert Log.objects.get().filled == head().position


def test_what_the_version_before_this_one_publishes_meanwhile_is_in_the_inboxes_soon():
    ada, notice = person("ada"), publish()
    other, recalled = publish(), publish()
    recall_notice(recalled)
    publish_pending()
    Posting.objects.exclude(notice=notice).update(published=None)
    Log.objects.update(filled=1)
    assert standing_of(ada).unread == 1

    publish_pending()  # each hub does it every 1.5 s

    assert standing_of(ada).unread == 2
    assert [n.pk for n in newest(ada, standing_of(ada), 9)] == [other.pk, notice.pk]
    assert Log.objects.get().filled == head().position


# Not yet, and not any more --------------------------------------------------------------------------------


def test_a_scheduled_notice_is_not_published_before_its_time(bells):
    notice = send(publish_at=timezone.now() + HOUR)
    assert publish_pending().count == 0
    assert notice.status == "scheduled"

    pass_over(notice)
    assert publish_pending().count == 1

    notice.refresh_from_db()
    assert notice.status == "live"


def test_a_notice_that_expired_before_it_was_shown_never_is(bells):
    notice = send(expires_at=timezone.now() + HOUR)
    pass_over(notice)

    assert publish_pending().count == 0

    assert (places(), bells, next_due()) == ([None], [], None)


def test_the_log_knows_when_the_next_notice_falls_due():
    soon, later = timezone.now() + HOUR, timezone.now() + 2 * HOUR
    assert next_due() is None

    send(publish_at=later)
    send(publish_at=soon)
    assert next_due() == soon

    send()
    assert next_due() <= timezone.now()


# Superseding ----------------------------------------------------------------------------------------------


def live_titles():
    return sorted(Notice.objects.live().values_list("title", flat=True))


def test_a_newer_notice_with_the_same_key_recalls_the_earlier_one(bells):
    old = publish("91 %", key="disk")

    new = publish("95 %", key="disk")

    old.refresh_from_db()
    assert (old.status, old.published) == ("recalled", 1)
    assert live_titles() == ["95 %"]
    # Both moves are in one bell, so no page shows neither or both for longer than it takes to draw them.
    assert {entry.notice_id for entry in bells[1].entries} == {old.pk, new.pk}
    assert [entry.position for entry in bells[1].entries] == [2, 3]
    assert [entry.is_change for entry in bells[1].entries] == [True, False]


def test_only_notices_for_the_very_same_audiences_are_superseded():
    ops = group("ops")
    for title, audiences in [
        ("everyone", ["everyone"]),
        ("staff", ["staff"]),
        ("both", ["staff", "everyone"]),
        ("ops", [f"group:{ops.pk}"]),
    ]:
        publish(title, audiences, key="disk")
    publish("another key", ["everyone", "staff"], key="disc")
    publish("no key", ["everyone", "staff"])
    publish("no key either", ["everyone", "staff"])

    publish("newest", ["everyone", "staff"], key="disk")

    assert live_titles() == [
        "another key", "everyone", "newest", "no key", "no key either", "ops", "staff",
    ]  # fmt: skip


def test_of_several_with_one_key_in_one_batch_only_the_last_is_shown(bells):
    send_notices(Draft(title=f"{n} %", audiences=["everyone"], key="disk") for n in (91, 92, 93))

    publish_pending()

    assert live_titles() == ["93 %"]
    assert places() == [None, None, 1]
    assert [entry.position for entry in bells[0].entries] == [1]


def test_the_last_of_more_than_a_batch_with_one_key_is_shown_at_once(bells):
    send_notices(Draft(title=f"{n} files", audiences=["everyone"], key="count") for n in range(1201))

    publish_pending()

    assert live_titles() == ["1200 files"]
    assert next_due() is None


def test_a_scheduled_notice_is_superseded_before_it_is_ever_shown():
    scheduled = send("Maintenance tonight", key="maintenance", publish_at=timezone.now() + HOUR)

    publish("Maintenance is cancelled", key="maintenance")

    scheduled.refresh_from_db()
    assert (scheduled.status, scheduled.published) == ("recalled", None)
    assert next_due() is None


def test_a_scheduled_notice_supersedes_when_it_is_published_not_when_it_is_sent():
    publish("Maintenance tonight", key="maintenance")
    scheduled = send("Maintenance is over", key="maintenance", publish_at=timezone.now() + HOUR)
    publish_pending()
    assert live_titles() == ["Maintenance tonight"]

    pass_over(scheduled)
    publish_pending()

    assert live_titles() == ["Maintenance is over"]


def test_of_two_senders_at_once_the_one_who_commits_last_has_the_last_word():
    slow = send("91 %", key="disk", publish_at=timezone.now() + HOUR)  # stands for a transaction that is still open
    quick = publish("95 %", key="disk")
    Notice.objects.filter(pk=slow.pk).update(publish_at=None, recalled_at=None)
    assert slow.pk < quick.pk

    publish_pending()

    assert live_titles() == ["91 %"]


def test_a_recalled_notice_that_moves_supersedes_nothing():
    old = publish("91 %", key="disk")
    new = publish("95 %", key="disk")
    Notice.objects.filter(pk=old.pk).update(recalled_at=None)  # as if it had not been superseded
    assert live_titles() == ["91 %", "95 %"]

    recall_notice(new)
    publish_pending()

    assert live_titles() == ["91 %"]


@on_commit
def test_a_notice_is_superseded_while_somebody_marks_it_seen():
    """PostgreSQL locks the notice that a new receipt points to; a notice on 500 screens is nearly always locked so."""
    ada, old = person("ada"), publish("91 %", key="disk")
    written, may_commit = threading.Event(), threading.Event()

    def mark_seen():
        try:
            with transaction.atomic():
                Receipt.objects.create(user=ada, notice=old, published=old.published)
                if connection.vendor == "postgresql":
                    connection.check_constraints()  # the lock comes with the check, which else waits for the commit
                    with connection.cursor() as cursor:
                        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                written.set()
                assert may_commit.wait(10)
        finally:
            connection.close()

    def supersede():
        try:
            return publish("92 %", key="disk")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        marking = threads.submit(mark_seen)
        assert written.wait(10)
        superseding = threads.submit(supersede)
        if connection.vendor == "postgresql":  # SQLite's waits for its turn
            superseding.result(10)
        may_commit.set()
        marking.result(20)
        superseding.result(20)

    assert live_titles() == ["92 %"]


@on_commit
def test_a_notice_waits_while_the_earlier_one_is_being_recalled_and_supersedes_it_if_that_is_undone():
    old = publish("91 %", key="disk")
    recalled, may_end = threading.Event(), threading.Event()

    def recall_and_think_better_of_it():
        try:
            with transaction.atomic():
                recall_notice(old)
                recalled.set()
                assert may_end.wait(10)
                transaction.set_rollback(True)
        finally:
            connection.close()

    def supersede():
        try:
            publish("92 %", key="disk")
            publish("something else")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        recalling = threads.submit(recall_and_think_better_of_it)
        assert recalled.wait(10)
        superseding = threads.submit(supersede)
        if connection.vendor == "postgresql":
            superseding.result(10)
            assert live_titles() == ["91 %", "something else"], "nobody else waits for the recall"
        may_end.set()
        recalling.result(20)
        superseding.result(20)
    publish_pending()

    assert live_titles() == ["92 %", "something else"]


def test_one_key_used_for_many_people_costs_what_it_costs_for_one(django_assert_num_queries, monkeypatch):
    ada, others = person("ada"), range(10_000, 12_000)
    publish("first", [f"user:{ada.pk}"], key="invoice")
    with CaptureQueriesContext(connection) as alone:
        publish("second", [f"user:{ada.pk}"], key="invoice")
    for each in others:
        get_user_model().objects.create(pk=each, username=f"person {each}")
    send_notices(Draft(title="invoice", audiences=[f"user:{each}"], key="invoice") for each in others)
    publish_pending()
    assert Notice.objects.live().count() == len(others) + 1

    loaded = []

    def from_db(model, *row, **how):
        loaded.append(row)
        return super(Notice, model).from_db(*row, **how)

    monkeypatch.setattr(Notice, "from_db", classmethod(from_db))

    with django_assert_num_queries(len(alone)):
        publish("third", [f"user:{ada.pk}"], key="invoice")

    assert len(loaded) < 5, "the other people's notices are not read"

    assert Notice.objects.live().count() == len(others) + 1
    assert "third" in live_titles()


def test_earlier_ones_that_have_expired_are_not_moved_and_are_looked_at_once(bells):
    old = publish("91 %", key="disk", expires_at=timezone.now() + HOUR)
    Notice.objects.filter(pk=old.pk).update(expires_at=timezone.now() - HOUR)

    new = publish("92 %", key="disk")

    old.refresh_from_db()
    assert (old.status, old.position, old.subject) == ("expired", 1, None)
    assert [entry.notice_id for entry in bells[1].entries] == [new.pk]


@pytest.mark.parametrize("sent_at_once", [1, 700])
def test_a_notice_that_cannot_be_published_is_set_aside_and_stops_nobody(monkeypatch, caplog, sent_at_once):
    of_notice = log.entry_of

    def entry_of(notice, audiences):
        if notice.title == "impossible":
            raise ValueError("no entry can be made of it")
        return of_notice(notice, audiences)

    monkeypatch.setattr(log, "entry_of", entry_of)
    titles = [f"before {n}" for n in range(sent_at_once)] + ["impossible"] + [f"after {n}" for n in range(sent_at_once)]

    send_notices(Draft(title=title, audiences=["everyone"]) for title in titles)
    publish_pending()

    assert [notice.title for notice in Notice.objects.live().order_by("position")] == [
        title for title in titles if title != "impossible"
    ]
    aside = Notice.objects.get(title="impossible")
    assert (aside.status, aside.error) == ("failed", "ValueError: no entry can be made of it")
    assert next_due() is None
    assert f"Notice {aside.pk} cannot be published" in caplog.text


@pytest.mark.parametrize("end", ["recalled", "published"])
def test_only_the_notice_that_failed_is_set_aside(monkeypatch, end):
    """By the time it is, it may have been recalled, and another one be the first that is due."""
    bad, good = send("impossible"), send("good")
    of_notice = log.entry_of

    def entry_of(notice, audiences):
        if notice.title == "impossible":
            raise ValueError("no entry can be made of it")
        return of_notice(notice, audiences)

    def set_aside(pk, error, set_aside=log._set_aside):
        monkeypatch.setattr(log, "entry_of", of_notice)
        if end == "recalled":
            Notice.objects.filter(pk=bad.pk).update(recalled_at=timezone.now())
        else:
            publish_pending()
        set_aside(pk, error)

    monkeypatch.setattr(log, "entry_of", entry_of)
    monkeypatch.setattr(log, "_set_aside", set_aside)
    publish_pending()

    bad.refresh_from_db()
    good.refresh_from_db()
    assert good.status == "live"
    assert (bad.status, bad.error) == ("recalled" if end == "recalled" else "live", "")


def test_a_published_row_that_cannot_be_shown_is_stepped_over_and_said(caplog):
    """No code of ours writes one."""
    ada = person("ada")
    for title in ("before", "broken", "after"):
        publish(title, key=title)
    held = entries_after(0, 10)
    Notice.objects.filter(title="broken").update(published_at=None)

    entries = entries_after(0, 10)

    assert [(entry.position, entry.audiences) for entry in entries] == [(1, ("everyone",)), (2, ()), (3, ("everyone",))]
    assert [record.getMessage() for record in caplog.records] == [
        f"Notice {held[1].notice_id} cannot be shown, and is left out of the log"
    ]
    assert [entry.position for entry in missed_by(ada)] == [1, 3]
    assert log.holds(entries), "it is no sign of a restored backup"

    assert publish("broken again", key="broken").status == "live", "it can be superseded"


def test_a_database_that_is_away_sets_nothing_aside(monkeypatch):
    notice = send()

    def away(*_):
        raise OperationalError("the connection is gone")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_write_new", away)
        with pytest.raises(OperationalError):
            publish_pending()
    publish_pending()

    notice.refresh_from_db()
    assert (notice.status, notice.error) == ("live", "")


def test_a_log_whose_head_lies_behind_sets_nothing_aside():
    publish()
    publish()
    Log.objects.update(head=1, filled=1)  # as after a restore in part
    notice = send()

    with pytest.raises(IntegrityError):
        publish_pending()
    log.begin_epoch()
    publish_pending()

    notice.refresh_from_db()
    assert (notice.status, notice.error, notice.position) == ("live", "", 3)


@on_commit
@pytest.mark.parametrize("count", [2, 500])
def test_notices_that_wait_for_a_long_transaction_hold_up_nobody_behind_them(monkeypatch, count):
    """They would supersede what it has locked. (In SQLite there is one writer at a time.)"""
    if connection.vendor != "postgresql":
        return
    Notice.objects.all().delete()
    keys = [f"key {n}" for n in range(count)]
    send_notices(Draft(title="old", audiences=["everyone"], key=key) for key in keys)
    entry_of, is_locked, may_commit = log.entry_of, threading.Event(), threading.Event()

    def refuse_the_impossible(notice, audiences):
        if notice.title == "impossible":
            raise ValueError("no entry can be made of it")
        return entry_of(notice, audiences)

    def hold():
        try:
            with transaction.atomic():
                Notice.objects.filter(title="old").update(body="changed")
                is_locked.set()
                assert may_commit.wait(20)
        finally:
            connection.close()

    monkeypatch.setattr(log, "entry_of", refuse_the_impossible)
    with ThreadPoolExecutor(2) as threads:
        holding = threads.submit(hold)
        assert is_locked.wait(10)
        publishing = threads.submit(_send_behind, keys)
        try:
            publishing.result(10)
            assert live_titles() == ["behind"] + ["old"] * count
        finally:
            may_commit.set()
            holding.result(20)
    publish_pending()

    assert live_titles() == ["behind"] + ["new"] * count
    assert Notice.objects.get(title="impossible").status == "failed"


def _send_behind(keys):
    try:
        new = [Draft(title="new", audiences=["everyone"], key=key) for key in keys]
        send_notices([*new, Draft(title="impossible", audiences=["everyone"])])
        send("behind")
    finally:
        connection.close()


# Recalling ------------------------------------------------------------------------------------------------


def test_a_recall_moves_the_place_but_not_the_place_of_first_appearance(bells):
    notice = publish()
    publish()

    recall_notice(notice)
    publish_pending()

    notice.refresh_from_db()
    assert (notice.published, notice.position) == (1, 3)
    [entry] = bells[-1].entries
    assert (entry.is_change, json.loads(entry.text)["notice"]["recalled"]) == (True, True)


@on_commit
@pytest.mark.parametrize("was_published", [True, False])
def test_a_recall_that_is_not_committed_yet_is_not_lost_to_somebody_who_publishes(was_published):
    """The one who publishes reads the row before the recall and must not write that back over it."""
    notice = send(publish_at=None if was_published else timezone.now() + HOUR)
    if not was_published:
        Notice.objects.update(publish_at=None)
    notice.refresh_from_db()
    assert (notice.published is not None) == was_published
    recalled, may_commit = threading.Event(), threading.Event()

    def recall():
        try:
            with transaction.atomic():
                recall_notice(notice)
                recalled.set()
                assert may_commit.wait(10)
        finally:
            connection.close()

    def publish_meanwhile():
        try:
            publish_pending()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        recalling = threads.submit(recall)
        assert recalled.wait(10)
        publishing = threads.submit(publish_meanwhile)
        if connection.vendor == "postgresql":  # SQLite's waits for its turn
            publishing.result(10)
        may_commit.set()
        recalling.result(20)
        publishing.result(20)

    notice.refresh_from_db()
    assert notice.recalled_at is not None
    assert (notice.published, notice.position) == ((1, 2) if was_published else (None, None))


@on_commit
def test_a_recall_that_comes_while_its_notice_is_being_published_is_not_lost():
    Notice.objects.all().delete()
    notice = send(publish_at=timezone.now() + HOUR)
    Notice.objects.update(publish_at=None)
    published, may_commit = threading.Event(), threading.Event()

    def publish_slowly():
        try:
            with transaction.atomic():
                publish_pending()
                published.set()
                assert may_commit.wait(10)
        finally:
            connection.close()

    def recall():
        try:
            return recall_notice(notice)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        publishing = threads.submit(publish_slowly)
        assert published.wait(10)
        recalling = threads.submit(recall)
        may_commit.set()
        publishing.result(20)
        assert recalling.result(20) is True

    notice = Notice.objects.get(pk=notice.pk)
    assert (notice.status, notice.published, notice.position) == ("recalled", 1, 2)


@on_commit
def test_a_sender_does_not_wait_for_somebody_who_publishes(bells):
    """On PostgreSQL it stores its notice, and then waits for its turn; in SQLite there is one writer at a time."""
    Notice.objects.all().delete()
    locked, may_go_on = threading.Event(), threading.Event()

    def hold_the_log():
        try:
            with transaction.atomic():
                Log.objects.select_for_update().get(pk=1)
                locked.set()
                assert may_go_on.wait(10)
        finally:
            connection.close()

    def send_meanwhile():
        try:
            return send()
        finally:
            connection.close()

    log.head()  # there is one
    with ThreadPoolExecutor(2) as threads:
        holding = threads.submit(hold_the_log)
        assert locked.wait(10)
        sending = threads.submit(send_meanwhile)
        if connection.vendor == "postgresql":
            deadline = time.monotonic() + 10
            while not Notice.objects.exists():
                assert time.monotonic() < deadline, "it was not stored while the log was locked"
                time.sleep(0.01)
        may_go_on.set()
        holding.result(20)
        sending.result(20)

    assert Notice.objects.get().position == 1
    assert [bell.head for bell in bells] == [1]


# Reading the log ------------------------------------------------------------------------------------------


def test_a_hub_reads_everything_after_its_place_in_order():
    for n in range(5):
        publish(f"Notice {n}")
    recall_notice(Notice.objects.get(title="Notice 1"))
    publish_pending()

    assert [entry.position for entry in entries_after(0, 10)] == [1, 3, 4, 5, 6]
    assert [entry.position for entry in entries_after(3, 10)] == [4, 5, 6]
    assert [entry.position for entry in entries_after(0, 2)] == [1, 3]
    assert entries_after(6, 10) == []


def test_a_page_that_was_away_gets_what_it_missed_and_nothing_else():
    ada, brian = person("ada"), person("brian")
    ops = group("ops", ada)
    for title, audience in [
        ("before", "everyone"),
        ("for everyone", "everyone"),
        ("for ada", f"user:{ada.pk}"),
        ("for brian", f"user:{brian.pk}"),
        ("for ops", f"group:{ops.pk}"),
        ("for staff", "staff"),
        ("after", "everyone"),
    ]:
        publish(title, [audience])

    missed = missed_by(ada, after=1, through=6)

    titles = [json.loads(entry.text)["notice"]["title"] for entry in missed]
    assert titles == ["for everyone", "for ada", "for ops"]
    assert len(missed_by(ada, limit=2)) == 2


def test_a_notice_that_names_a_person_twice_over_is_missed_once():
    ada = person("ada")
    ops = group("ops", ada)

    publish(audiences=["everyone", f"user:{ada.pk}", f"group:{ops.pk}"])

    assert len(missed_by(ada)) == 1


def test_a_page_that_holds_a_notice_hears_of_its_recall_and_one_that_does_not_never_hears_of_it():
    ada, notice = person("ada"), publish()
    recall_notice(notice)
    publish_pending()

    [entry] = missed_by(ada, after=1)
    assert json.loads(entry.text)["notice"]["recalled"] is True
    assert missed_by(ada, after=0) == []


def test_what_expired_while_a_page_was_away_is_not_replayed():
    ada = person("ada")
    short, long = (
        publish("short", expires_at=timezone.now() + HOUR),
        publish("long", expires_at=timezone.now() + 3 * HOUR),
    )
    assert len(missed_by(ada)) == 2

    pass_over(short)
    pass_over(long)

    assert [entry.notice_id for entry in missed_by(ada)] == [long.pk]


def test_notices_for_everyone_reach_an_account_only_since_it_was_created():
    veteran = person("veteran")
    pass_over(publish("before"))
    newcomer = person("newcomer")
    ops = group("ops", newcomer)
    pass_over(publish("before, to ops", [f"group:{ops.pk}"]))
    publish("after")

    def titles(user):
        return [json.loads(entry.text)["notice"]["title"] for entry in missed_by(user)]

    assert titles(veteran) == ["before", "after"]
    assert titles(newcomer) == ["before, to ops", "after"]


# The log's own row ----------------------------------------------------------------------------------------


def test_a_database_without_a_log_begins_one():
    Log.objects.all().delete()

    place = head()

    assert place.position == 0
    assert head() == place


def test_a_log_that_was_lost_begins_anew_after_what_there_is():
    before = [publish(), publish()]
    old = head()
    Log.objects.all().delete()

    publish("After the loss")

    assert head().epoch != old.epoch
    assert head().position == 3
    assert [notice.position for notice in before] == [1, 2]


@on_commit
def test_of_many_who_find_no_log_only_one_begins_it():
    Log.objects.all().delete()

    def look(_):
        try:
            return head()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(look, range(8)))

    assert len(found) == Log.objects.count() == 1


# What PostgreSQL plans once -------------------------------------------------------------------------------


@on_commit
def test_what_each_sender_asks_is_planned_once_and_nothing_else_is(bells):
    if connection.vendor != "postgresql":
        return  # other databases keep their statements by themselves
    for _ in range(5):
        send()
        Notice.objects.filter(title="Something else").count()

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        statements = " ".join(statement for (statement,) in cursor.fetchall())

    assert "UPDATE" in statements
    assert "INSERT" in statements
    assert "COUNT" not in statements
