"""How much of somebody's attention may a notice take? Decided here; attention.js does it, for pages that are open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings

from notifications.models import Level, Preferences, Rung

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Names that only repeat others, by rules that nobody lives by.
NO_PLACES = ("Etc/", "SystemV/", "US/", "posix/", "right/")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time on the clock of ``zone`` until another, over midnight if that comes first.

    Clocks that are put forward or back take them along: 22:00 is when their clock says so.
    """

    start: time
    until: time
    zone: str

    def hold_at(self, moment: datetime) -> bool:
        clock = moment.astimezone(ZoneInfo(self.zone)).time()
        if self.start < self.until:
            return self.start <= clock < self.until
        return clock >= self.start or clock < self.until


def preferences_of(user: User) -> Preferences:
    """What ``user`` has chosen, or the defaults, which are stored only with the first choice."""
    return Preferences.objects.filter(user=user).first() or Preferences(user=user)


def quiet_hours_of(preferences: Preferences) -> QuietHours | None:
    if preferences.quiet_from is None or preferences.quiet_until is None:
        return None
    return QuietHours(preferences.quiet_from, preferences.quiet_until, preferences.time_zone or settings.TIME_ZONE)


def is_quiet(preferences: Preferences, moment: datetime) -> bool:
    """Whether nothing may go beyond the row at ``moment``."""
    quiet = quiet_hours_of(preferences)
    return quiet is not None and quiet.hold_at(moment)


def rung_of(preferences: Preferences, level: str) -> Rung:
    """How far a notice of ``level`` may go outside quiet hours."""
    return Rung(getattr(preferences, level))


def for_page(preferences: Preferences, *, muted: bool) -> str:
    """What `data-attention` tells the page, as JSON; ``muted``: whether it has to ask which notices are muted."""
    quiet = quiet_hours_of(preferences)
    told: dict[str, Any] = {
        "levels": {level: rung_of(preferences, level) for level in Level.values},
        "quiet": quiet and {"from": f"{quiet.start:%H:%M}", "until": f"{quiet.until:%H:%M}", "zone": quiet.zone},
        "muted": muted,
        "volume": preferences.volume,
        "shortcuts": preferences.shortcuts,
    }
    return json.dumps(told)


@cache
def time_zones() -> list[str]:
    """The zones that people live in, by name, and UTC."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith(NO_PLACES))
    return ["UTC", *sorted(places)]
