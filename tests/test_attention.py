"""How far a notice may go, and when it is quiet."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from notifications.attention import QuietHours, for_page, is_quiet, preferences_of, rung_of, time_zones
from notifications.models import Preferences
from tests.people import person


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


# Quiet hours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "quiet"), [("12:59", False), ("13:00", True), ("13:59", True), ("14:00", False), ("00:00", False)]
)
def test_a_quiet_hour_holds_from_its_first_minute_until_its_end(clock, quiet):
    lunch = QuietHours(time(13), time(14), "UTC")

    assert lunch.hold_at(at(f"2026-11-23T{clock}")) is quiet


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("06:59", True), ("07:00", False)],
)
def test_a_quiet_night_goes_over_midnight(clock, quiet):
    night = QuietHours(time(22), time(7), "UTC")

    assert night.hold_at(at(f"2026-11-23T{clock}")) is quiet


def test_quiet_hours_go_by_the_clock_of_their_own_zone():
    night = QuietHours(time(22), time(7), "Asia/Tokyo")

    assert night.hold_at(datetime(2026, 11, 23, 13, 30, tzinfo=UTC))  # 22:30 in Tokyo
    assert not night.hold_at(datetime(2026, 11, 23, 23, 30, tzinfo=UTC))  # 08:30 there


def test_quiet_hours_follow_the_clock_as_it_is_put_forward_and_back():
    night = QuietHours(time(22), time(7), "Europe/Berlin")

    # Winter: UTC+1; summer, from 29 March until 25 October 2026: UTC+2.
    assert night.hold_at(datetime(2026, 3, 28, 5, 30, tzinfo=UTC))
    assert not night.hold_at(datetime(2026, 3, 29, 5, 30, tzinfo=UTC))
    assert not night.hold_at(datetime(2026, 10, 24, 5, 30, tzinfo=UTC))
    assert night.hold_at(datetime(2026, 10, 25, 5, 30, tzinfo=UTC))


def test_the_hour_that_comes_twice_is_quiet_twice_and_the_one_that_is_left_out_harms_nobody():
    small_hours = QuietHours(time(2, 15), time(2, 45), "Europe/Berlin")

    twice = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]  # 02:30 in summer, and in winter
    assert [small_hours.hold_at(moment) for moment in twice] == [True, True]
    that_night = [datetime(2026, 3, 29, 1, minute, tzinfo=UTC) for minute in range(60)]  # 02:… is 03:…
    assert not any(small_hours.hold_at(moment) for moment in that_night)


def test_without_both_of_its_ends_there_are_no_quiet_hours(settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    night = {"quiet_from": time(22), "quiet_until": time(7)}
    half_past_ten_in_tokyo = datetime(2026, 11, 23, 13, 30, tzinfo=UTC)

    assert is_quiet(Preferences(**night), half_past_ten_in_tokyo)  # a person without a zone has the site's
    assert not is_quiet(Preferences(**night, time_zone="Europe/Berlin"), half_past_ten_in_tokyo)
    for end in night:
        assert not is_quiet(Preferences(**night | {end: None}), half_past_ten_in_tokyo)


# The ladder -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_who_has_chosen_nothing_hears_no_sound_and_sees_toasts_of_what_went_wrong():
    kept = preferences_of(person("ada"))

    assert [rung_of(kept, level) for level in ("info", "success", "warning", "error")] == [
        "announce",
        "announce",
        "toast",
        "toast",
    ]
    assert kept.shortcuts
    assert not Preferences.objects.exists()


@pytest.mark.django_db
def test_what_somebody_has_chosen_is_theirs_alone():
    ada, brian = person("ada"), person("brian")
    Preferences.objects.create(user=ada, info="desktop")

    assert preferences_of(ada).info == "desktop"
    assert preferences_of(brian).info == "announce"


def test_the_page_is_told_all_that_it_needs_to_decide():
    kept = Preferences(info="nothing", quiet_from=time(22), quiet_until=time(7), time_zone="Europe/Berlin", volume=20)

    assert json.loads(for_page(kept, muted=True)) == {
        "levels": {"info": "nothing", "success": "announce", "warning": "toast", "error": "toast"},
        "quiet": {"from": "22:00", "until": "07:00", "zone": "Europe/Berlin"},
        "muted": True,
        "volume": 20,
        "shortcuts": True,
    }
    assert json.loads(for_page(Preferences(), muted=False))["quiet"] is None


def test_the_time_zones_are_places_where_people_live():
    assert {"UTC", "Europe/Berlin", "Asia/Shanghai", "America/Argentina/Buenos_Aires"} <= set(time_zones())
    assert not [name for name in time_zones() if name.startswith("Etc/")]
