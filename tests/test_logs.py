"""How often the same trouble is said."""

from __future__ import annotations

import asyncio
import logging

import pytest

from config import logs
from config.logs import NoFault, OnceAMinute


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


def test_a_fault_of_our_own_is_said_each_time_and_in_full(clock):
    once = OnceAMinute()

    for _ in range(3):
        fault = record("The hub failed", error=ZeroDivisionError())
        fault.levelno = logging.CRITICAL
        assert once.filter(fault)
        assert fault.exc_info


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
