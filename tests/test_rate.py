"""How many frames a client may send."""

from __future__ import annotations

import pytest

from notifications.live import rate
from notifications.live.rate import Rate


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(rate, "time", clock)
    return clock


def test_three_seconds_worth_may_come_at_once_and_no_more(clock):
    limit = Rate(10)

    answers = [limit.exceeded() for _ in range(31)]

    assert answers == [False] * 30 + [True]


def test_waiting_earns_frames_at_the_limit(clock):
    limit = Rate(10)
    for _ in range(30):
        assert not limit.exceeded()

    clock.now += 0.5

    assert [limit.exceeded() for _ in range(6)] == [False] * 5 + [True]


def test_a_long_silence_earns_no_more_than_the_burst(clock):
    limit = Rate(10)

    clock.now += 86_400

    assert sum(not limit.exceeded() for _ in range(100)) == 30


def test_a_steady_client_at_the_limit_is_never_stopped(clock):
    limit = Rate(10)

    for _ in range(1000):
        clock.now += 0.1
        assert not limit.exceeded()


def test_zero_means_no_limit():
    limit = Rate(0)

    assert not any(limit.exceeded() for _ in range(10_000))
