"""What pages say that they have seen is collected, and written together."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from django.db import OperationalError

from notifications import seeing
from notifications.live import sightings as module
from notifications.live.sightings import MOST_IDS, TRIES, Sightings
from tests.sockets import eventually


@pytest.fixture
def written(monkeypatch):
    """What came to the database, which is away as often as `written.failures` says."""

    class Written(list):
        failures = 0
        error = OperationalError("the database is away")

        def write(self, batch):
            if self.failures:
                self.failures -= 1
                raise self.error
            self.append({user: (each.ids, each.through) for user, each in batch.items()})

    written = Written()
    monkeypatch.setattr(seeing, "write", written.write)
    monkeypatch.setattr(module, "TOGETHER_SECONDS", 0.02)
    return written


def lived(life):
    async def live():
        sightings = Sightings()
        writing = asyncio.create_task(sightings.write())
        try:
            await life(sightings)
            assert not writing.done()
        finally:
            writing.cancel()

    asyncio.run(live())


def test_what_comes_within_a_moment_is_written_together(written):
    async def life(sightings):
        sightings.note(1, [5], 0)
        sightings.note(2, [], 9)
        sightings.note(1, [6], 4)
        sightings.note(1, [], 3)
        await eventually(lambda: written)
        sightings.note(1, [], 10)
        await eventually(lambda: len(written) == 2)

    lived(life)
    assert written == [{1: ({5, 6}, 4), 2: (set(), 9)}, {1: (set(), 10)}]


def test_all_who_wait_are_written_in_one_round_and_64_of_them_in_a_transaction(written, monkeypatch):
    monkeypatch.setattr(module, "TOGETHER_SECONDS", 0.5)

    async def life(sightings):
        for user in range(201):
            sightings.note(user, [], 1)
        began = time.monotonic()
        await eventually(lambda: sum(map(len, written)) == 201)
        assert time.monotonic() - began < 1.5, "four rounds take two seconds"

    lived(life)
    assert [len(batch) for batch in written] == [64, 64, 64, 9]


def test_while_the_database_is_away_nothing_is_lost_and_nothing_is_said_at_length(written, caplog):
    written.failures = TRIES - 1

    async def life(sightings):
        sightings.note(1, [5], 3)
        await eventually(lambda: not written.failures)
        sightings.note(1, [6], 0)
        await eventually(lambda: written)

    with caplog.at_level(logging.WARNING):
        lived(life)
    assert written == [{1: ({5, 6}, 3)}] or written == [{1: ({5}, 3)}, {1: ({6}, 0)}]
    assert not [record for record in caplog.records if record.exc_info]


def test_what_cannot_be_written_three_times_is_left_to_the_page_and_then_tried_afresh(written):
    written.failures = TRIES

    async def life(sightings):
        sightings.note(1, [5], 3)
        await eventually(lambda: not written.failures)
        await asyncio.sleep(0.1)
        assert written == []
        written.failures = 1
        sightings.note(1, [5], 3)
        await eventually(lambda: written)

    lived(life)
    assert written == [{1: ({5}, 3)}]


def test_a_fault_of_ours_ends_no_task_of_the_hub(written, caplog):
    written.failures, written.error = 1, ZeroDivisionError("a fault")

    async def life(sightings):
        sightings.note(1, [5], 3)
        await eventually(lambda: not written.failures)
        sightings.note(2, [5], 3)
        await eventually(lambda: written)

    with caplog.at_level(logging.ERROR):
        lived(life)
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_what_is_left_is_written_when_the_server_stops(written):
    async def life(sightings):
        for user in range(700):
            sightings.note(user, [user], 0)
        await sightings.finish()
        assert sum(map(len, written)) == 700

    lived(life)


def test_one_person_s_page_cannot_make_it_keep_everything(written):
    async def life(sightings):
        for first in range(0, 10_000, 500):
            sightings.note(1, range(first, first + 500), 0)
        await eventually(lambda: written)

    lived(life)
    assert len(written[0][1][0]) == MOST_IDS
