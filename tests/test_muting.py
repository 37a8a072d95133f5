"""Topics that somebody wants no attention for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import deeds
from notifications.inbox import newest, standing_of
from notifications.models import Mute
from notifications.muting import mute, muted_among, mutes_of, unmute
from tests.people import person, publish, topic

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def ada():
    return person("ada")


def test_a_topic_is_muted_until_then_or_for_good(ada):
    deploys, lunch = topic("deploys", ada), topic("lunch", ada)
    soon = timezone.now() + HOUR

    mute(ada, deploys, soon)
    mute(ada, lunch, None)
    assert mutes_of(ada) == {"deploys": soon, "lunch": None}
    assert mutes_of(person("brian")) == {}

    mute(ada, lunch, soon)
    unmute(ada, deploys)
    assert mutes_of(ada) == {"lunch": soon}

    Mute.objects.update(until=timezone.now())
    assert mutes_of(ada) == {}


def test_what_comes_by_a_muted_topic_only_is_muted_and_comes_all_the_same(ada):
    deploys, lunch = topic("deploys", ada), topic("lunch", ada)
    by_topic = publish(audiences=["topic:deploys"])
    by_both = publish(audiences=["topic:deploys", "topic:lunch"])
    to_her_too = publish(audiences=["topic:deploys", f"user:{ada.pk}"])
    other = publish()
    ids = [by_topic.pk, by_both.pk, to_her_too.pk, other.pk, 424242]
    assert muted_among(ada, ids) == []

    mute(ada, deploys, None)
    assert muted_among(ada, ids) == [by_topic.pk]
    assert muted_among(ada, []) == []

    mute(ada, lunch, timezone.now() + HOUR)
    assert muted_among(ada, ids) == [by_topic.pk, by_both.pk]
    assert len(newest(ada, standing_of(ada), 10)) == 4


def test_nobody_learns_of_what_they_cannot_see_that_it_is_muted(ada):
    brian = person("brian")
    deploys = topic("deploys", ada)
    mute(ada, deploys, None)
    mute(brian, deploys, None)
    notice = publish(audiences=["topic:deploys"])
    assert muted_among(ada, [notice.pk]) == [notice.pk]

    assert muted_among(brian, [notice.pk]) == []


@on_commit
def test_muting_is_told_to_the_persons_pages(ada, monkeypatch):
    told = []
    monkeypatch.setattr(deeds, "ring", told.append)
    deploys = topic("deploys", ada)

    mute(ada, deploys, None)
    unmute(ada, deploys)

    assert [(bell.user_id, bell.change, bell.text) for bell in told] == [(ada.pk, 1, None), (ada.pk, 2, None)]


def test_a_notice_for_everyone_before_one_came_reaches_one_by_the_topic_only():
    deploys = topic("deploys")
    notice = publish(audiences=["everyone", "topic:deploys"])
    ada = person("ada")
    deploys.subscriptions.create(user=ada)

    mute(ada, deploys, None)

    assert muted_among(ada, [notice.pk]) == [notice.pk]
