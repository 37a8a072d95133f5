"""Questions that come while others are being answered are asked together."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from django.db import DataError, OperationalError

from notifications.live.batch import AT_ONCE, VISITS, Batch

pytestmark = pytest.mark.django_db(transaction=True)


class Oracle:
    """Doubles numbers, slowly, and remembers how it was asked."""

    def __init__(self):
        self.visits = []
        self.fails = False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, questions):
        self.visits.append(list(questions))
        self.may_answer.wait(5)
        if self.fails:
            raise ZeroDivisionError
        return {question: question * 2 for question in questions}


async def test_a_single_question_waits_for_nobody():
    batch = Batch(Oracle())
    started = time.monotonic()

    assert await batch.ask(21) == 42

    assert time.monotonic() - started < 0.5


async def test_what_is_asked_meanwhile_is_asked_together():
    oracle = Oracle()
    batch = Batch(oracle)
    oracle.may_answer.clear()
    first = [asyncio.create_task(batch.ask(n)) for n in range(VISITS)]
    while len(oracle.visits) < 1:
        await asyncio.sleep(0.01)

    rest = [asyncio.create_task(batch.ask(n)) for n in range(100, 100 + AT_ONCE)]
    await asyncio.sleep(0.05)
    oracle.may_answer.set()

    assert await asyncio.gather(*first, *rest) == [n * 2 for n in [*range(VISITS), *range(100, 100 + AT_ONCE)]]
    assert len(oracle.visits) <= VISITS + 2


async def test_the_same_question_is_asked_once():
    oracle = Oracle()
    batch = Batch(oracle)

    assert await asyncio.gather(*(batch.ask(1) for _ in range(50))) == [2] * 50

    assert sum(map(len, oracle.visits)) <= VISITS


async def test_who_gives_up_takes_the_answer_from_nobody_else():
    oracle = Oracle()
    batch = Batch(oracle)
    oracle.may_answer.clear()
    one, other = asyncio.create_task(batch.ask(1)), asyncio.create_task(batch.ask(1))
    await asyncio.sleep(0.05)

    one.cancel()
    oracle.may_answer.set()

    assert await other == 2


async def test_a_failure_is_told_to_each_asker_and_the_next_question_is_asked_anew():
    oracle = Oracle()
    batch = Batch(oracle)
    oracle.fails = True

    answers = await asyncio.gather(*(batch.ask(n) for n in range(10)), return_exceptions=True)
    oracle.fails = False

    assert all(isinstance(answer, ZeroDivisionError) for answer in answers)
    assert await batch.ask(1) == 2


async def test_one_bad_question_fails_nobody_elses():
    def answer(questions):
        if 13 in questions:
            raise DataError
        return {question: question * 2 for question in questions}

    batch = Batch(answer)

    answers = await asyncio.gather(*(batch.ask(n) for n in range(20)), return_exceptions=True)

    assert isinstance(answers.pop(13), DataError)
    assert answers == [n * 2 for n in range(20) if n != 13]


async def test_a_database_that_is_away_is_not_asked_again_for_each_question():
    visits = []

    def answer(questions):
        visits.append(questions)
        raise OperationalError

    batch = Batch(answer)

    answers = await asyncio.gather(*(batch.ask(n) for n in range(20)), return_exceptions=True)

    assert all(isinstance(answer, OperationalError) for answer in answers)
    assert len(visits) <= 1 + VISITS


async def test_what_is_asked_in_the_moment_in_which_a_visit_ends_is_answered_too():
    asked_last = []

    class Answers(dict):
        def __getitem__(self, question):  # the last thing that a visit does
            if not asked_last:
                asked_last.append(asyncio.create_task(batch.ask(2)))
            return super().__getitem__(question)

    batch = Batch(lambda questions: Answers({question: question * 2 for question in questions}))

    assert await batch.ask(1) == 2
    assert await asyncio.wait_for(asked_last[0], timeout=2) == 4
