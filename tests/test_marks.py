"""What an account sees of the notices to everyone is decided by the log's positions, and by no clock."""

from __future__ import annotations

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from notifications.audiences import audiences_of
from notifications.inbox import live_for, newest, standing_of, standings_of, visible_to
from notifications.log import entries_for
from notifications.marks import mark_of
from notifications.models import Notice, ReadMark, Receipt
from notifications.seeing import Sighting, write
from tests.people import person, publish

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
joined = importlib.import_module("notifications.migrations.0007_joined")


def sees(user):
    """The titles, by each form of the rule, which must agree."""
    standing = standing_of(user)
    listed = [notice.title for notice in newest(user, standing, 100)]
    assert standing.unread == len(listed)
    assert [notice.title for notice in visible_to(user)] == listed
    entries = entries_for(audiences_of(user), mark_of(user).joined, 0, 2**62, 100)
    assert [Notice.objects.get(pk=entry.notice_id).title for entry in reversed(entries)] == listed
    return listed


@pytest.mark.parametrize("ahead", [2 * DAY, -2 * DAY, timedelta()], ids=["ahead", "behind", "right"])
def test_a_clock_that_was_wrong_when_an_account_was_made_hides_nothing_and_shows_nothing_older(ahead):
    publish("before")
    ada = person("ada", date_joined=timezone.now() + ahead)
    publish("after")

    assert sees(ada) == ["after"]


@pytest.mark.parametrize("ahead", [2 * DAY, -2 * DAY], ids=["ahead", "behind"])
def test_a_clock_that_is_wrong_where_notices_are_published_changes_nothing(ahead):
    publish("before")
    ada = person("ada")
    publish("after")
    Notice.objects.update(published_at=timezone.now() + ahead)

    assert sees(ada) == ["after"]


def test_what_was_on_a_screen_is_marked_seen_by_the_same_rule():
    before = publish("before")
    ada = person("ada", date_joined=timezone.now() + 2 * DAY)
    publish("never shown")
    after = publish("after")

    write({ada.pk: Sighting(ids={before.pk, after.pk})})

    assert set(Receipt.objects.values_list("notice", flat=True)) == {after.pk}


def test_accounts_of_a_bulk_insert_keep_the_place_of_their_first_visit():
    publish("before")
    Notice.objects.update(published_at=timezone.now() - DAY)
    publish("meanwhile")
    User.objects.bulk_create(
        [
            User(username="ada", date_joined=timezone.now() - DAY / 2),
            User(username="tomorrow", date_joined=timezone.now() + DAY),
        ]
    )
    ada, tomorrow = User.objects.order_by("pk")

    assert (sees(ada), sees(tomorrow)) == (["meanwhile"], [])

    publish("after")
    User.objects.update(date_joined=timezone.now() + 9 * DAY)
    for user in User.objects.all():
        assert "after" in sees(user)
    assert "meanwhile" in sees(ada)


def test_only_the_first_visit_asks_for_more_than_the_marks(django_assert_num_queries):
    people = [person("ada"), *User.objects.bulk_create([User(username="brian"), User(username="cleo")])]
    standings_of(people)

    with django_assert_num_queries(4):
        standings_of(people)


def test_a_mark_that_an_older_version_wrote_is_completed_and_keeps_what_it_says():
    ada = person("ada")
    notice = publish()
    ReadMark.objects.update(joined=None, through=notice.published, changes=7)
    User.objects.update(date_joined=timezone.now() - DAY)

    mark = mark_of(ada)

    assert (mark.joined, mark.through, mark.changes) == (0, notice.published, 7)
    assert live_for(ada).count() == 1


def test_the_upgrade_gives_each_account_the_place_that_its_moment_had():
    ada, brian = person("ada"), person("brian")
    first, second = publish("first"), publish("second")
    Notice.objects.filter(pk=first.pk).update(published_at=timezone.now() - DAY)
    User.objects.filter(pk=ada.pk).update(date_joined=timezone.now() - 2 * DAY)
    User.objects.filter(pk=brian.pk).update(date_joined=timezone.now() - DAY / 2)
    ReadMark.objects.filter(user=ada).delete()
    ReadMark.objects.filter(user=brian).update(joined=None, through=second.published, changes=3)

    joined.fill_joined(apps, connection.SchemaEditorClass(connection))

    marks = ReadMark.objects.order_by("user").values_list("user", "joined", "through", "changes")
    assert list(marks) == [(ada.pk, 0, 0, 0), (brian.pk, first.published, second.published, 3)]
