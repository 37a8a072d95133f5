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
