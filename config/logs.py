"""How often the same trouble may be said."""

from __future__ import annotations

import asyncio
import logging
import time

from django.db import InterfaceError, OperationalError


class OnceAMinute(logging.Filter):
    """Lets a message through once a minute, as one line: its exception's words, without the traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            return True  # a fault of our own: all of it is wanted
        error = record.exc_info[1] if record.exc_info else None
        cause = type(error).__name__ if error else str(record.msg)
        now = time.monotonic()
        if now - self._last.get(cause, -60) < 60:
            return False
        self._last[cause] = now
        if error:
            said = record.getMessage()
            record.msg = said if str(error) in said else f"{said} {error!r}"
            record.args = record.exc_info = record.exc_text = None
        return True


class DatabaseAway(OnceAMinute):
    """A request that failed because the database is away, full or read-only: once a minute, as one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return super().filter(record) if isinstance(error, OperationalError | InterfaceError) else True


class NoFault(logging.Filter):
    """Uvicorn takes for faults of ours what is none.

    A handshake that we refused, text that is no UTF-8, and a page that is cut off because it did not leave a
    stopping server in time (of which it tells in a line of its own).
    """

    _WORDS = ("without completing handshake", "Invalid UTF-8 sequence received")

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        cut_off = isinstance(error, asyncio.CancelledError)
        return not cut_off and not any(words in str(record.msg) for words in self._WORDS)
