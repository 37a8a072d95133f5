"""A moment as a person writes it: `2026-12-24T18:00`, `+30m`, `2h`, `tomorrow 09:00`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from notifications.models import FIRST_YEAR, LAST_YEAR

EXAMPLES = "2026-12-24T18:00, +30m, 2h, 'tomorrow 09:00'"
_CLOCK = re.compile(r"\d{1,2}(:\d{2}){0,2}\s*([ap]\.?m\.?)?", re.IGNORECASE)
_SPAN = re.compile(r"\+?\s*(\d+\s*[a-z]+\s*)+", re.IGNORECASE)


class UnknownTime(ValueError):
    """The text names no moment."""


def moment(text: str) -> datetime:
    """The moment that ``text`` names; one without a zone is in TIME_ZONE, one without a date is the next to come.

    Raises:
        UnknownTime: the text is understood neither as ISO 8601 nor as words, or no page could show the moment.
    """
    try:
        exact = parse_datetime(text.strip())
    except ValueError as error:  # well formed, but no such day or hour
        raise UnknownTime(f"{text!r}: {error}") from error
    found = exact or _in_words(text)
    if found is None:
        sentence = _("%(text)r is no time that I know; write for example %(examples)s")
        raise UnknownTime(sentence % {"text": text, "examples": EXAMPLES})
    if not FIRST_YEAR <= found.year <= LAST_YEAR:  # as it was written: in another zone it may be no moment at all
        sentence = _("%(text)r: choose one of the years %(first)d to %(last)d")
        raise UnknownTime(sentence % {"text": text, "first": FIRST_YEAR, "last": LAST_YEAR})
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def _in_words(text: str) -> datetime | None:
    import dateparser  # 0.3 s: only who writes words waits for it

    text = text.strip()
    if text.isdecimal():
        return None  # a day, an hour, seconds since 1970? better asked than guessed
    if _SPAN.fullmatch(text):
        text = "in " + text.lstrip("+ ")
    now = timezone.localtime().replace(tzinfo=None)
    # An hour that has struck already is tomorrow's. On the last of a month dateparser would take the first of it.
    is_clock = _CLOCK.fullmatch(text) is not None
    prefer = "current_period" if is_clock else "future"
    found: datetime | None = dateparser.parse(
        text, languages=["en"], settings={"PREFER_DATES_FROM": prefer, "RELATIVE_BASE": now}
    )
    return found + timedelta(days=1) if found and is_clock and found <= now else found
