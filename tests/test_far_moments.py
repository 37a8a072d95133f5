"""Moments that no page can show in every time zone: refused when sent, and harmless where they are stored already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from notifications.inbox import visible_to
from notifications.models import Notice
from notifications.sending import InvalidNotice, send_notice
from notifications.times import UnknownTime, moment
from tests.people import person, publish

pytestmark = pytest.mark.django_db

WEST, EAST = timezone(timedelta(hours=-10)), timezone(timedelta(hours=14))
FAR = [
    datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, tzinfo=WEST),
    datetime(9001, 1, 1, tzinfo=EAST),
    datetime(1969, 12, 31, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=EAST),
]
STORED = [datetime(9999, 12, 31, 23, 59, tzinfo=UTC), datetime(9001, 1, 1, tzinfo=UTC)]


@pytest.fixture
def zone(settings):
    settings.TIME_ZONE = "Asia/Shanghai"


@pytest.mark.parametrize("when", FAR, ids=str)
@pytest.mark.parametrize("field", ["publish_at", "expires_at"])
def test_a_far_moment_is_refused_by_name_with_the_bounds(zone, field, when):
    with pytest.raises(InvalidNotice, match=rf"^{field} {when.year:04}.*1970 to 9000") as refusal:
        send_notice(title="Far", audiences=["everyone"], **{field: when})

    assert refusal.value.field == field
    assert not Notice.objects.exists()


@pytest.mark.parametrize("year", [1970, 9000])
def test_the_bounds_themselves_are_moments(zone, year):
    assert moment(f"{year}-12-31T23:59").year == year


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59-10:00", "9999-12-31T23:59", "9001-01-01T00:00Z", "0001-01-01T00:00+14:00", "1969-12-31"]
)
def test_a_far_moment_in_words_is_refused_with_the_bounds(zone, text):
    with pytest.raises(UnknownTime, match=rf"{text[:10]}.*1970 to 9000"):
        moment(text if "T" in text else text + "T00:00")


@pytest.mark.parametrize("option", ["--at", "--expires"])
@pytest.mark.parametrize("when", ["9999-12-31T23:59-10:00", "9999-12-31T23:59Z", "9001-01-01", "+7000y", "+9999999d"])
def test_the_command_refuses_a_far_moment_as_a_wrong_value(zone, option, when):
    with pytest.raises(CommandError) as refusal:
        call_command("send_notice", "Far", "--everyone", option, when)

    assert refusal.value.returncode == 2
    assert "9" in str(refusal.value)
    assert not Notice.objects.exists()


@pytest.mark.parametrize("date", ["9999-12-31", "9001-01-01", "0001-01-01"])
def test_the_admin_names_the_field_of_a_far_moment(client, zone, date):
    client.force_login(person("sara", is_staff=True, is_superuser=True))
    form = {"title": "Far", "level": "info", "everyone": "on", "expires_at_0": date, "expires_at_1": "23:59"}

    answer = client.post(reverse("admin:notifications_notice_add"), form)

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == ["expires_at"]
    assert not Notice.objects.exists()


@pytest.mark.parametrize("when", STORED, ids=str)
def test_a_far_moment_that_is_stored_is_shown_as_the_last_that_can_be(client, zone, when):
    sara = person("sara", is_staff=True, is_superuser=True)
    notice = publish("Far")
    Notice.objects.update(expires_at=when, publish_at=when)
    client.force_login(sara)

    for address in (
        reverse("inbox"),
        reverse("bell"),
        reverse("notice", args=[notice.pk]),
        reverse("admin:notifications_notice_changelist"),
        reverse("admin:notifications_notice_change", args=[notice.pk]),
    ):
        assert client.get(address).status_code == 200, address
    assert visible_to(sara).get().expires_at.year == 9000
