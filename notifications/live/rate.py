"""How many frames a client may send: a token bucket."""

from __future__ import annotations

import time

BURST_SECONDS = 3  # so many seconds' worth may come at once


class Rate:
    """``limit`` frames a second on average, and a burst of three seconds' worth. 0 means no limit."""

    __slots__ = ("_limit", "_seen_at", "_tokens")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._tokens = limit * BURST_SECONDS
        self._seen_at = time.monotonic()

    def exceeded(self, count: int = 1) -> bool:
        """Count so many frames; True when they are too many."""
        if not self._limit:
            return False
        now = time.monotonic()
        refilled = self._tokens + (now - self._seen_at) * self._limit
        self._tokens = min(refilled, self._limit * BURST_SECONDS) - count
        self._seen_at = now
        return self._tokens < 0
