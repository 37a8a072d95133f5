"""How often the same trouble may be said."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time

import redis
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError

# Trouble that comes from outside: its words are enough. Any other exception is a bug, and keeps its traceback.
EXPECTED = (redis.RedisError, OSError, OperationalError, InterfaceError, SuspiciousOperation)
BUGS_A_MINUTE = 10  # so many whole tracebacks of one message; further ones are only counted


class OnceAMinute(logging.Filter):
    """Lets a message of a logger through once a minute, as one line: an expected exception's words, no traceback.

    A bug is logged with its whole traceback, up to BUGS_A_MINUTE times; how many were left out is said later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}
        self._bugs: dict[tuple[str, str], tuple[float, int]] = {}  # when the minute began, and how many since

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error and not is_expected(error):
            return self._may_tell_bug(record)
        if record.levelno >= logging.CRITICAL:
            return True
        # Django logs a refused request with the exception's words as the message, and a stranger may choose those.
        is_all = error is not None and str(error) == str(record.msg)
        cause = (record.name, type(error).__name__ if is_all else str(record.msg))
        now = time.monotonic()
        if now - self._last.get(cause, -60) < 60:
            return False
        self._last[cause] = now
        if error:
            said = record.getMessage()
            record.msg = said if str(error) in said else f"{said} {error!r}"
            record.args = record.exc_info = record.exc_text = None
        return True

    def _may_tell_bug(self, record: logging.LogRecord) -> bool:
        cause, now = (record.name, str(record.msg)), time.monotonic()
        began, count = self._bugs.get(cause, (now, 0))
        if now - began >= 60:
            if (left_out := count - BUGS_A_MINUTE) > 0:
                record.msg = f"{record.msg} (and {left_out} more in an earlier minute)"
            began, count = now, 0
        self._bugs[cause] = (began, count + 1)
        return count < BUGS_A_MINUTE


def is_expected(error: BaseException) -> bool:
    """Whether ``error`` is trouble from outside. SQLite calls also a wrong statement an OperationalError."""
    wrong_statement = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return isinstance(error, EXPECTED) and not wrong_statement


class DatabaseAway(OnceAMinute):
    """A request that failed because the database is away, full or read-only: once a minute, as one line.

    So is a 503 that a view answers on purpose: 40 guesses of a password at once were 30 lines.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        is_away = isinstance(error, OperationalError | InterfaceError) and is_expected(error)
        is_refusal = error is None and getattr(record, "status_code", None) == 503
        return super().filter(record) if is_away or is_refusal else True


class FromStrangers(OnceAMinute):
    """What anybody can cause without signing in: each kind once a minute, in one line of 200 characters at the most.

    A filter of the handler, because a logger's filters do not see the records of its children (`django.security.*`).
    """

    LONGEST = 200
    _LOGGERS = ("django.security", "notifications.live.access")

    def filter(self, record: logging.LogRecord) -> bool:
        is_warning_of_server = record.name == "uvicorn.error" and record.levelno <= logging.WARNING
        if not (is_warning_of_server or record.name.startswith(self._LOGGERS)):
            return True
        if not super().filter(record):
            return False
        said = record.getMessage()
        if len(said) > self.LONGEST:
            said = f"{said[: self.LONGEST]}… ({len(said)} characters)"
        record.msg = "".join(each if each.isprintable() else repr(each)[1:-1] for each in said)
        record.args = None
        return True


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
