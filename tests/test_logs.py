"""How often the same trouble is said."""

from __future__ import annotations

import asyncio
import logging

import pytest
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, OperationalError, ProgrammingError, connection

from config import logs
from config.logs import FromStrangers, NoFault, OnceAMinute


def record(message, *args, error=None):
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord("test", logging.ERROR, __file__, 1, message, args, exc_info)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    return clock


def test_the_same_trouble_is_said_once_a_minute(clock):
    once = OnceAMinute()

    said = []
    for _ in range(125):
        said.append(once.filter(record("Redis is away: %s", "refused")))
        clock.now += 1

    assert [second for second, each in enumerate(said) if each] == [0, 60, 120]


def test_another_trouble_is_said_at_once(clock):
    once = OnceAMinute()
    assert once.filter(record("Redis is away"))

    assert once.filter(record("Redis is full"))


def test_the_same_trouble_with_other_words_in_it_is_the_same(clock):
    once = OnceAMinute()
    assert once.filter(record("Redis is away: %s", "refused"))

    assert not once.filter(record("Redis is away: %s", "timed out"))


def test_trouble_is_one_line_with_its_cause_and_without_a_traceback(clock):
    trouble = record("Unexpected exception in receive task", error=ConnectionError("refused"))

    assert OnceAMinute().filter(trouble)

    line = logging.Formatter("%(message)s").format(trouble)
    assert line == "Unexpected exception in receive task ConnectionError('refused')"


def bug(name="test", error=None):
    fault = record("Writing to a socket failed", error=error or ZeroDivisionError())
    fault.name = name
    return fault


def test_a_fault_of_our_own_keeps_its_traceback(clock):
    once = OnceAMinute()

    for error in (TypeError(), KeyError(), ProgrammingError()):
        fault = bug(error=error)
        assert once.filter(fault)
        assert fault.exc_info


def test_a_wrong_statement_is_a_fault_of_our_own_although_sqlite_calls_it_an_operational_error(clock, db):
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column")
    fault = bug(error=caught.value)

    assert OnceAMinute().filter(fault)
    assert fault.exc_info


def test_a_fault_of_our_own_does_not_silence_those_of_another_part(clock):
    once = OnceAMinute()
    assert once.filter(bug("notifications.live.hub"))

    assert once.filter(bug("notifications.live.connection"))


def test_expected_trouble_of_one_part_does_not_silence_that_of_another(clock):
    once = OnceAMinute()

    for message in ("No answer, trying again", "A page was sent away"):
        assert once.filter(record(message, error=OperationalError("gone away")))


def test_a_fault_of_our_own_that_does_not_end_is_said_ten_times_a_minute_and_counted(clock):
    once = OnceAMinute()
    assert [once.filter(bug()) for _ in range(15)] == [True] * 10 + [False] * 5

    clock.now += 60
    fault = bug()

    assert once.filter(fault)
    assert fault.getMessage() == "Writing to a socket failed (and 5 more in an earlier minute)"


def test_whatever_name_a_stranger_asks_for_is_the_same_trouble(clock):
    once = OnceAMinute()
    asked = [DisallowedHost(f"Invalid HTTP_HOST header: '{name}'") for name in ("a.example", "b.example")]

    assert [once.filter(record(str(error), error=error)) for error in asked] == [True, False]


@pytest.mark.parametrize(
    "words",
    ["ASGI callable returned without completing handshake.", "Invalid UTF-8 sequence received from client."],
)
def test_what_is_no_fault_of_ours_is_not_said(words):
    assert not NoFault().filter(record(words))


def test_a_page_that_is_cut_off_when_the_server_stops_is_no_fault():
    assert not NoFault().filter(record("Exception in ASGI application\n", error=asyncio.CancelledError()))


def test_a_fault_of_ours_is_said():
    assert NoFault().filter(record("Exception in ASGI application\n", error=ZeroDivisionError()))
    assert NoFault().filter(record("Exception in ASGI application\n"))


# What strangers can cause ---------------------------------------------------------------------------------


def security_record(message, *args, name="django.security.csrf", level=logging.WARNING):
    return logging.LogRecord(name, level, __file__, 1, message, args, None)


def test_what_strangers_cause_is_said_once_a_minute_whatever_words_they_choose(clock):
    strangers = FromStrangers()
    assert strangers.filter(security_record("Forbidden (%s): %s", "Origin checking failed", "/a"))

    assert not strangers.filter(security_record("Forbidden (%s): %s", "another reason", "/b"))
    assert strangers.filter(security_record("Too many fields", name="django.security.TooManyFieldsSent"))
    assert strangers.filter(security_record("Invalid HTTP request received.", name="uvicorn.error"))


def test_what_strangers_cause_is_one_short_line_without_anything_that_a_terminal_obeys(clock):
    said = security_record("Forbidden: %s", "line\nline\x1b[2J" + "x" * 50_000)

    assert FromStrangers().filter(said)

    assert len(said.getMessage()) < 300
    assert said.getMessage().startswith(r"Forbidden: line\nline\x1b[2Jxxx")
    assert "50024 characters" in said.getMessage()


@pytest.mark.parametrize(("name", "level"), [("notifications.live.hub", 30), ("uvicorn.error", logging.ERROR)])
def test_what_others_say_is_left_as_it_is(clock, name, level):
    strangers = FromStrangers()

    for _ in range(2):
        said = security_record("x" * 5000, name=name, level=level)
        assert strangers.filter(said)
        assert len(said.getMessage()) == 5000
