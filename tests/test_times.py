"""Moments as a person writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifications import times
from notifications.times import UnknownTime, moment


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-12-24T18:00", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24 18:00:30", datetime(2026, 12, 24, 18, 0, 30, tzinfo=UTC)),
        ("2026-12-24T18:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24T18:00+01:00", datetime(2026, 12, 24, 17, tzinfo=UTC)),
        (" 2026-12-24T18:00 ", datetime(2026, 12, 24, 18, tzinfo=UTC)),
    ],
)
def test_iso_8601_is_understood_exactly(text, meant):
    assert moment(text) == meant


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("+30m", timedelta(minutes=30)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("+2h 30m", timedelta(hours=2, minutes=30)),
        ("+ 90 s", timedelta(seconds=90)),
        ("3d", timedelta(days=3)),
        ("in 2 hours", timedelta(hours=2)),
    ],
)
def test_a_span_counts_from_now(text, span):
    before = timezone.now()

    found = moment(text)

    assert before - timedelta(seconds=1) <= found - span <= timezone.now() + timedelta(seconds=1)


def test_tomorrow_at_nine_is_tomorrow_at_nine():
    tomorrow = timezone.localtime() + timedelta(days=1)

    found = moment("tomorrow 09:00")

    assert found == tomorrow.replace(hour=9, minute=0, second=0, microsecond=0)


def test_an_hour_alone_is_the_next_one_to_come():
    anywhen = timezone.localtime() - timedelta(minutes=5)

    found = moment(anywhen.strftime("%H:%M"))

    assert timedelta(0) < found - timezone.now() < timedelta(days=1)


@pytest.mark.parametrize("day", ["2026-11-30", "2026-12-31", "2028-02-29", "2026-11-15"])
@pytest.mark.parametrize("clock", ["21:47", "9:47 pm", "21:47:00"])
def test_an_hour_that_has_struck_is_tomorrows_also_on_the_last_of_a_month(monkeypatch, day, clock):
    now = datetime.fromisoformat(f"{day}T21:52+00:00")
    monkeypatch.setattr(times.timezone, "now", lambda: now)

    assert moment(clock) == now.replace(minute=47) + timedelta(days=1)


def test_a_moment_without_a_zone_is_in_the_zone_of_the_service(settings):
    settings.TIME_ZONE = "Asia/Shanghai"

    assert moment("2026-12-24T18:00") == datetime(2026, 12, 24, 10, tzinfo=UTC)
    assert moment("tomorrow 09:00").utcoffset() == timedelta(hours=8)


@pytest.mark.parametrize("text", ["", " ", "soon", "0", "-", "+", "next time", "2026-13-01T00:00", "2026-02-30T10:00"])
def test_what_names_no_moment_is_refused_with_the_text(text):
    with pytest.raises(UnknownTime) as refusal:
        moment(text)

    assert repr(text) in str(refusal.value)


def test_a_refusal_shows_how_to_write_one():
    with pytest.raises(UnknownTime, match=r"2026-12-24T18:00, \+30m, 2h, 'tomorrow 09:00'"):
        moment("soon")


@given(
    st.text(max_size=40)
    | st.text("0123456789+-:TZ .mhdsw/", max_size=25)
    | st.from_regex(r"\+?[0-9]{1,20}(s|m|h|d|w|months|years)", fullmatch=True)
)
@settings(max_examples=150, deadline=None)
@example("+99999999999999h")
@example("+9999999999 years")
@example("0001-01-01T00:00+23:59")
@example("9999-12-31T23:59-23:59")
@example("2026-12-24T18:00+99:99")
@example("\udcff")
@example("\0")
def test_any_text_is_a_moment_with_a_zone_or_refused(text):
    try:
        found = moment(text)
    except UnknownTime:
        return

    assert timezone.is_aware(found)


# Read in two ways -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("03/04/2027", "2027-03-04 or 2027-04-03"),
        ("3.4.2027", "2027-03-04 or 2027-04-03"),
        ("3 . 4 . 2027 18:00", "2027-03-04 or 2027-04-03"),
        ("03-04-2027", "2027-03-04 or 2027-04-03"),
        ("03-04-27", "2003-04-27 or 2027-03-04 or 2027-04-03"),
        ("03 04 2027", "2027-03-04 or 2027-04-03"),
        ("friday 03/04/2027", "2027-03-04 or 2027-04-03"),
        ("25/12/2027 6pm", "2027-12-25"),
        ("4/4/2027", "2027-04-04"),
    ],
)
def test_a_day_of_numbers_alone_is_refused_with_what_it_may_mean(text, days):
    with pytest.raises(UnknownTime) as refusal:
        moment(text)

    assert str(refusal.value) == f"{text!r} may be read as another day: write it year first, {days}"


@pytest.mark.parametrize("text", ["3/4", "03.04. 18:00", "3-4 at 9:00", "3.4", "3.4 18:00", "3 4", "3. 4. 18:00"])
def test_without_a_year_the_next_ones_are_named(monkeypatch, text):
    monkeypatch.setattr(times.timezone, "now", lambda: datetime(2026, 3, 20, 12, tzinfo=UTC))

    with pytest.raises(UnknownTime, match="year first, 2026-04-03 or 2027-03-04"):
        moment(text)


@pytest.mark.parametrize("text", ["2027/04/03 18:00", "2027-4-3 6pm", "2027.04.03 18:00", "3 apr 2027 18:00"])
def test_a_day_with_its_year_first_or_its_month_in_words_has_one_meaning(text):
    assert moment(text) == datetime(2027, 4, 3, 18, tzinfo=UTC)


@pytest.mark.parametrize(("text", "hours"), [("1.5h", 1.5), ("in 2.5 hours", 2.5)])
def test_a_span_with_a_point_is_no_day(monkeypatch, text, hours):
    now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    monkeypatch.setattr(times.timezone, "now", lambda: now)

    assert moment(text) == now + timedelta(hours=hours)


@pytest.mark.parametrize("text", ["2027-28-03", "2027/02/30", "13/13/2027"])
def test_numbers_that_are_no_day_are_refused(text):
    with pytest.raises(UnknownTime):
        moment(text)


# When clocks are put forward or back ----------------------------------------------------------------------

SKIPPED = "2027-03-28T01:30+01:00 or 2027-03-28T03:30+02:00"
TWICE = "2027-10-31T02:30+02:00 or 2027-10-31T02:30+01:00"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2027-03-28 02:30", f"2027-03-28 02:30 is skipped by the clocks of Europe/Berlin; write {SKIPPED}"),
        ("28 mar 2027 02:30", SKIPPED),
        ("2027-10-31 02:30", f"2027-10-31 02:30 comes twice on the clocks of Europe/Berlin; write {TWICE}"),
        ("31 oct 2027 2:30 am", TWICE),
    ],
)
def test_an_hour_that_clocks_skip_or_show_twice_is_refused_with_the_two_choices(settings, text, says):
    settings.TIME_ZONE = "Europe/Berlin"

    with pytest.raises(UnknownTime) as refusal:
        moment(text)

    assert says in str(refusal.value)
    choices = [moment(each) for each in str(refusal.value).rpartition("write ")[2].split(" or ")]
    assert choices[1] - choices[0] == timedelta(hours=1)


@pytest.mark.parametrize("began", ["2027-03-28T00:40Z", "2027-10-30T23:50Z", "2027-10-31T00:20Z"])
@pytest.mark.parametrize("text", ["+1h", "1h", "in 1 hour", "an hour from now", "60 min"])
def test_a_span_is_as_long_as_it_says_whatever_the_clocks_do(settings, monkeypatch, began, text):
    settings.TIME_ZONE = "Europe/Berlin"
    now = datetime.fromisoformat(began)
    monkeypatch.setattr(times.timezone, "now", lambda: now)

    assert moment(text) == now + timedelta(hours=1)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "monday at 9",
            "friday at 18",
            "Tomorrow at 9",
            "tomorrow 9",
            "tomorrow 24:00",
            "today 25:00",
            "tomorrow 25:00",
        ),
        *("3rd 4", "tomorrow 18.30", "friday 12:75", "24 december 25:00"),
    ],
)
def test_words_of_which_a_number_would_be_passed_over_are_refused(text):
    with pytest.raises(UnknownTime):
        moment(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("monday 9:00", "2026-12-07 09:00"),
        ("tomorrow at 9am", "2026-12-02 09:00"),
        ("tomorrow at 12:30 am", "2026-12-02 00:30"),
        ("friday 18:30", "2026-12-04 18:30"),
        ("24 Dec 2026 18:00", "2026-12-24 18:00"),
        ("December 24th at 6 pm", "2026-12-24 18:00"),
        ("24 dec 18:00 +02:00", "2026-12-24 16:00"),
        ("2027/04/03 18:00:15", "2027-04-03 18:00:15"),
    ],
)
def test_words_with_all_their_numbers_are_understood(monkeypatch, text, meant):
    monkeypatch.setattr(times.timezone, "now", lambda: datetime(2026, 12, 1, 3, 47, tzinfo=UTC))

    assert moment(text).astimezone(UTC) == datetime.fromisoformat(meant).replace(tzinfo=UTC)
