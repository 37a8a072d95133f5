"""Topics in the admin: their subscribers, and what goes with them when they are deleted."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from notifications import access_bells
from notifications.inbox import standing_of, visible_to
from notifications.models import Mute, Notice, Posting, Subscription, Topic
from tests.people import group, person, publish, topic

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sara(client):
    sara = person("sara", may=["view_topic", "change_topic", "delete_topic"], is_staff=True)
    client.force_login(sara)
    return sara


def titles(user):
    return sorted(visible_to(user).values_list("title", flat=True))


def one_by_one(topics):
    for each in topics:
        each.delete()


def all_at_once(topics):
    Topic.objects.filter(pk__in=[each.pk for each in topics]).delete()


@pytest.mark.parametrize("delete", [one_by_one, all_at_once])
def test_a_topic_that_is_made_again_shows_nothing_of_the_old_one(delete):
    ada = person("ada")
    old = topic("deploys", ada)
    both = publish("For topic and everyone", ["topic:deploys", "everyone"])
    publish("OLD PRIVATE", ["topic:deploys"])
    publish("Of another topic", ["topic:deploys-2"]) if topic("deploys-2", ada) else None
    assert len(titles(ada)) == 3

    delete([old])
    bob = person("bob")
    topic("deploys", ada, bob)

    assert titles(ada) == ["For topic and everyone", "Of another topic"]
    assert titles(bob) == []
    assert [str(posting) for posting in both.postings.all()] == ["everyone"]
    assert Notice.objects.count() == 3, "what was sent stays on record"


def test_a_group_or_a_person_that_is_made_again_is_another_one():
    """They go by their ids, which no database gives out twice."""
    ada, gone = person("ada"), person("gone")
    ops = group("ops", ada)
    publish("OLD PRIVATE", [f"group:{ops.pk}", f"user:{gone.pk}"])
    old = (ops.pk, gone.pk)
    assert titles(ada) == ["OLD PRIVATE"]

    ops.delete(), gone.delete()
    again = person("gone")
    ops = group("ops", ada, again)

    assert (ops.pk, again.pk) != old
    assert (titles(ada), titles(again)) == ([], [])


@on_commit
def test_deleting_a_topic_is_one_bell_for_all_who_had_subscribed(monkeypatch):
    rung = []
    monkeypatch.setattr(access_bells, "ring", rung.append)
    people = [person(f"person{n}") for n in range(20)]
    old = topic("deploys", *people)
    before = {each.pk: standing_of(each).stamp for each in people}

    old.delete()

    assert [sorted(bell.user_ids) for bell in rung] == [[each.pk for each in people]]
    assert all(standing_of(each).stamp != before[each.pk] for each in people), "their pages begin afresh"


def test_the_page_that_confirms_counts_what_goes_with_a_topic(client, sara):
    people = [person(f"person{n}") for n in range(400)]
    deploys = topic("deploys", *people)
    Mute.objects.create(user=people[0], topic=deploys)
    for n in range(3):
        publish(f"Notice {n}", ["topic:deploys"])

    page = client.get(reverse("admin:notifications_topic_delete", args=[deploys.pk]))

    assert dict(page.context["model_count"]) == {
        "topics": 1,
        "subscriptions": 400,
        "mutes": 1,
        "postings": 3,
    }
    assert page.context["perms_lacking"] == set(), "no permission for subscriptions of their own is asked for"
    assert len(page.content) < 20_000


@pytest.mark.parametrize("how", ["on its page", "in the list"])
def test_a_topic_is_deleted_in_the_admin_with_all_that_was_put_up_for_it(client, sara, how):
    deploys = topic("deploys", person("ada"))
    publish("Old", ["topic:deploys"])

    if how == "on its page":
        client.post(reverse("admin:notifications_topic_delete", args=[deploys.pk]), {"post": "yes"})
    else:
        form = {"action": "delete_selected", "_selected_action": [deploys.pk], "post": "yes"}
        client.post(reverse("admin:notifications_topic_changelist"), form)

    assert not Topic.objects.exists()
    assert not Posting.objects.exists()
    assert not Subscription.objects.exists()


def test_a_topic_with_a_thousand_subscribers_is_saved_and_they_are_on_pages_of_their_own(client):
    client.force_login(person("root", is_staff=True, is_superuser=True))
    deploys = topic("deploys", *User.objects.bulk_create(User(username=f"user{n:04}") for n in range(1000)))
    address = reverse("admin:notifications_topic_change", args=[deploys.pk])

    page = client.get(address)
    answer = client.post(address, {"name": "Deploys of today", "description": ""})
    subscribers = client.get(reverse("admin:notifications_subscription_changelist"), {"topic__id__exact": deploys.pk})

    assert f'?topic__id__exact={deploys.pk}">1000</a>' in page.content.decode()
    assert len(page.content) < 20_000
    assert answer.status_code == 302
    assert Topic.objects.get().name == "Deploys of today"
    assert (subscribers.context["cl"].result_count, len(subscribers.context["cl"].result_list)) == (1000, 100)


def test_a_subscription_is_made_and_ended_in_the_admin_and_never_turned_into_another(client):
    client.force_login(person("root", is_staff=True, is_superuser=True))
    ada, bob, deploys = person("ada"), person("bob"), topic("deploys")

    client.post(reverse("admin:notifications_subscription_add"), {"user": ada.pk, "topic": deploys.pk})
    made = Subscription.objects.get()
    change = reverse("admin:notifications_subscription_change", args=[made.pk])
    refused = client.post(change, {"user": bob.pk, "topic": deploys.pk})
    assert (made.user, refused.status_code, Subscription.objects.get().user) == (ada, 403, ada)

    client.post(reverse("admin:notifications_subscription_delete", args=[made.pk]), {"post": "yes"})
    assert not Subscription.objects.exists()
