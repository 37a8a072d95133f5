"""The page where somebody says how much they want to hear."""

from __future__ import annotations

import contextlib
import json
from datetime import time

import pytest
from django.db import OperationalError
from django.urls import reverse

from notifications import deeds, muting
from notifications.forms import PreferencesForm
from notifications.models import Mute, Preferences, Topic
from tests.people import person, topic

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

CHOICES = {
    "info": "row",
    "success": "nothing",
    "warning": "sound",
    "error": "desktop",
    "quiet_from": "22:00",
    "quiet_until": "07:00",
    "time_zone": "Europe/Berlin",
    "volume": "80",
    "shortcuts": "on",
}


@pytest.fixture
def ada(client):
    ada = person("ada")
    client.force_login(ada)
    return ada


@pytest.fixture
def told_afresh(monkeypatch):
    """Whose pages were told to take themselves afresh."""
    people = []
    monkeypatch.setattr(deeds, "begin_afresh", people.append)
    return people


def test_a_stranger_is_sent_to_sign_in_and_back(client):
    assert client.get(reverse("preferences"))["Location"] == "/accounts/login/?next=/preferences/"


def test_what_is_chosen_is_kept_and_told_to_the_open_pages(client, ada, told_afresh):
    answer = client.post(reverse("preferences"), CHOICES, follow=True)

    kept = Preferences.objects.get(user=ada)
    assert (kept.info, kept.success, kept.warning, kept.error) == ("row", "nothing", "sound", "desktop")
    assert (kept.quiet_from, kept.quiet_until, kept.time_zone) == (time(22), time(7), "Europe/Berlin")
    assert (kept.volume, kept.shortcuts) == (80, True)
    assert told_afresh == [ada]
    assert "Your preferences are saved." in answer.content.decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda client, ada: client.post(reverse("preferences"), CHOICES),
        lambda client, ada: muting.mute(ada, Topic.objects.get(), None),
        lambda client, ada: muting.unmute(ada, Topic.objects.get()),
    ],
    ids=["preferences", "mute", "unmute"],
)
def test_what_cannot_be_told_to_the_open_pages_is_not_kept_either(client, ada, monkeypatch, change):
    def fails(user):
        raise OperationalError("the database went away")

    deploys = topic("deploys", ada)
    if "unmute" in str(change.__code__.co_names):
        muting.mute(ada, deploys, None)
    mutes = list(Mute.objects.values_list("topic", "until"))
    for module in (deeds, muting):
        monkeypatch.setattr(module, "begin_afresh", fails)

    with contextlib.suppress(OperationalError):
        change(client, ada)

    assert not Preferences.objects.exists()
    assert list(Mute.objects.values_list("topic", "until")) == mutes


def test_choosing_again_changes_the_same_row(client, ada):
    client.post(reverse("preferences"), CHOICES)
    client.post(reverse("preferences"), {**CHOICES, "info": "toast", "shortcuts": ""})

    kept = Preferences.objects.get(user=ada)
    assert (kept.info, kept.shortcuts) == ("toast", False)


def test_the_inbox_is_rendered_with_what_was_chosen(client, ada):
    client.post(reverse("preferences"), CHOICES)

    told = json.loads(client.get(reverse("inbox")).context["attention"])

    assert told["levels"]["error"] == "desktop"
    assert told["quiet"] == {"from": "22:00", "until": "07:00", "zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"info": "siren"}, "info", "siren"),
        ({"info": ""}, "info", "required"),
        ({"quiet_until": ""}, "quiet_until", "when the quiet hours end"),
        ({"quiet_from": ""}, "quiet_from", "when the quiet hours begin"),
        ({"quiet_until": "22:00"}, "quiet_until", "another time"),
        ({"quiet_from": "25:00"}, "quiet_from", "valid time"),
        ({"time_zone": "Moon/Tranquility"}, "time_zone", "Moon/Tranquility"),
        ({"volume": "101"}, "volume", "100"),
        ({"volume": "loud"}, "volume", "whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_on_its_own_field(client, ada, told_afresh, values, field, says):
    answer = client.post(reverse("preferences"), CHOICES | values)

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert says in answer.context["form"].errors[field][0]
    assert not Preferences.objects.exists()
    assert told_afresh == []


def test_quiet_hours_that_were_refused_are_not_told_as_if_they_were_in_force(client, ada):
    answer = client.post(reverse("preferences"), CHOICES | {"info": "siren"})

    assert answer.context["quiet_hours_set"] is False


def test_who_has_no_time_zone_yet_is_offered_the_sites(settings):
    settings.TIME_ZONE = "Asia/Tokyo"

    assert PreferencesForm()["time_zone"].value() == "Asia/Tokyo"
    assert PreferencesForm(instance=Preferences(time_zone="Europe/Paris"))["time_zone"].value() == "Europe/Paris"
