"""A moment as a person writes it: `2026-12-24T18:00`, `+30m`, `2h`, `tomorrow 09:00`."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from notifications.models import FIRST_YEAR, LAST_YEAR

EXAMPLES = "2026-12-24T18:00, +30m, 2h, 'tomorrow 09:00'"
_CLOCK = re.compile(r"\d{1,2}(:\d{2}){0,2}\s*([ap]\.?m\.?)?", re.IGNORECASE)
_UNIT = r"(?:s(?:ec(?:ond)?)?|m(?:in(?:ute)?)?|h(?:r|our)?|d(?:ay)?|w(?:ee)?k?|mo(?:nth)?|y(?:ea)?r?)s?"
_SPAN = re.compile(rf"(\+|-|in\s)?\s*((?:(?:\d+\s*|an?\s+){_UNIT}\s*)+)(?:from\s+now)?", re.IGNORECASE)
_LENGTH = re.compile(rf"\d\s*{_UNIT}\b", re.IGNORECASE)
# "monday at 9" would be the first of September, and "friday 18" the next Friday that is an 18th.
_BARE_HOUR = re.compile(r"\b(today|tomorrow|tonight|(mon|tues|wednes|thurs|fri|satur|sun)day)\s+(at\s+)?\d{1,2}$", re.I)
_PASSED_OVER = re.compile(r"\d{4}-\d{2}-\d{2}|\.\d+|(utc|gmt)?\s*[+-]\d{1,2}(:?\d{2})?$", re.IGNORECASE)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s*([./-])\s*(\d{1,2})\s*\2\s*(\d{1,2})(?!\d)")
_NUMERIC_DAYS = (
    re.compile(r"(?<![\d:./+-])(\d{1,2})\s*([./\\,\s-])\s*(\d{1,2})\s*\2\s*(\d{4}|\d{2})(?![\d:])"),  # 03/04/2027
    re.compile(r"(?<![\d:./+-])(\d{1,2})([/-]|\.\s*(?=\d{1,2}\.))(\d{1,2})(?![\d:])()"),  # 3/4 and 03. 04., not 18.30
    re.compile(rf"(?<![\d:./+-])(\d{{1,2}})(\.(?!\d\d)|\s+)(\d{{1,2}})(?![\d:]|\s*{_UNIT}\b)()", re.I),  # 3.4, not 1.5h
)


class UnknownTime(ValueError):
    """The text names no moment, or more than one."""


def moment(text: str) -> datetime:
    """The moment that ``text`` names; one without a zone is in TIME_ZONE, one without a date is the next to come.

    Raises:
        UnknownTime: the text is understood neither as ISO 8601 nor as words, might be another day or hour to whoever
            wrote it, or no page could show the moment.
    """
    try:
        exact = parse_datetime(text.strip())
        found = exact or _in_words(text)
    except UnknownTime:
        raise
    except ValueError as error:  # well formed, but no such day or hour
        raise UnknownTime(f"{text!r}: {error}") from error
    if found is None:
        sentence = _("%(text)r is no time that I know; write for example %(examples)s")
        raise UnknownTime(sentence % {"text": text, "examples": EXAMPLES})
    if not FIRST_YEAR <= found.year <= LAST_YEAR:  # as it was written: in another zone it may be no moment at all
        sentence = _("%(text)r: choose one of the years %(first)d to %(last)d")
        raise UnknownTime(sentence % {"text": text, "first": FIRST_YEAR, "last": LAST_YEAR})
    return found if timezone.is_aware(found) else on_our_clock(found)


def on_our_clock(wall: datetime) -> datetime:
    """The moment at which clocks in the current time zone show ``wall`` (naive).

    Raises:
        UnknownTime: they are put forward over it, or back, so that it comes twice; with the two moments to choose from.
    """
    zone = timezone.get_current_timezone()
    before, after = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if before.utcoffset() == after.utcoffset():
        return before
    is_skipped = before.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall
    sentence = (
        _("%(wall)s is skipped by the clocks of %(zone)s; write %(first)s or %(second)s")
        if is_skipped
        else _("%(wall)s comes twice on the clocks of %(zone)s; write %(first)s or %(second)s")
    )
    first, second = sorted(each.astimezone(UTC) for each in (before, after))
    shown = [moment.astimezone(zone).isoformat(timespec="minutes") for moment in (first, second)]
    words = {"wall": wall.isoformat(" ", "minutes"), "zone": zone, "first": shown[0], "second": shown[1]}
    raise UnknownTime(sentence % words)


def _in_words(text: str) -> datetime | None:
    text = text.strip()
    if text.isdecimal():
        return None  # a day, an hour, seconds since 1970? better asked than guessed
    if span := _SPAN.fullmatch(text):
        return _from_now(span)
    text = _YEAR_FIRST.sub(_iso, text)
    for pattern in _NUMERIC_DAYS:
        if found := pattern.search(text):
            _ask_for_iso(text, found)
    now = timezone.localtime().replace(tzinfo=None)
    # An hour that has struck already is tomorrow's. On the last of a month dateparser would take the first of it.
    is_clock = _CLOCK.fullmatch(text) is not None
    meant = _parsed(text, now, prefer="current_period" if is_clock else "future")
    if meant and (_BARE_HOUR.search(text) or not _has_every_number(meant, text)):
        return None
    return meant + timedelta(days=1) if meant and is_clock and meant <= now else meant


def _has_every_number(found: datetime, text: str) -> bool:
    """Whether it has all that ``text`` says in numbers: of "tomorrow 25:00" dateparser takes the first word alone."""
    shown = {found.day, found.hour, found.hour % 12 or 12, found.minute, found.second, found.year, found.year % 100}
    is_span = _LENGTH.search(text) is not None  # in 2.5 hours
    return is_span or all(int(number) in shown for number in re.findall(r"\d+", _PASSED_OVER.sub("", text)))


def _from_now(span: re.Match[str]) -> datetime | None:
    """Counted in UTC, whose clock is never put forward or back: a day is 24 hours."""
    sign, length = span[1], span[2]
    found = _parsed(f"{length} ago" if sign == "-" else f"in {length}", timezone.now().replace(tzinfo=None), "future")
    return found and found.replace(tzinfo=UTC)


def _parsed(text: str, now: datetime, prefer: str) -> datetime | None:
    import dateparser  # 0.3 s: only who writes words waits for it

    settings = {"PREFER_DATES_FROM": prefer, "RELATIVE_BASE": now}
    found: datetime | None = dateparser.parse(text, languages=["en"], settings=settings)
    return found


def _iso(found: re.Match[str]) -> str:
    """Raises ValueError: there is no such day."""
    return date(int(found[1]), int(found[3]), int(found[4])).isoformat()


def _ask_for_iso(text: str, found: re.Match[str]) -> None:
    """Refuse a day of numbers alone: 03/04 is the 3rd of April to one, the 4th of March to another."""
    days = _readings(int(found[1]), int(found[3]), found[4])
    if days:
        sentence = _("%(text)r may be read as another day: write it year first, %(days)s")
        choices = _(" or ").join(day.isoformat() for day in days)
        raise UnknownTime(sentence % {"text": text, "days": choices})


def _readings(first: int, second: int, third: str) -> list[date]:
    """Every day that the numbers may mean; without a year, the next to come."""
    today = timezone.localdate()
    orders = [(first, second), (second, first)]
    if third:
        candidates = [(int(third) + (2000 if len(third) == 2 else 0), *order) for order in orders]
        if len(third) == 2:
            candidates.append((2000 + first, second, int(third)))
    else:
        candidates = [(today.year + (order < (today.month, today.day)), *order) for order in orders]
    days = set()
    for candidate in candidates:
        with suppress(ValueError):
            days.add(date(*candidate))
    return sorted(days)
