"""Many askers, one visit to the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from notifications.live.database import in_database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

AT_ONCE = 100  # questions in one visit: a few milliseconds, in which the event loop has to share the interpreter
VISITS = 2  # under way at the same time: a second one, so that a slow one does not hold up everybody


class Batch(Generic[K, V]):
    """Puts questions to ``answer`` that come while others are being answered: alone when quiet, together in a storm.

    A page that comes back alone with the right stamp costs 1.6 ms of this; one of a hundred costs 0.09 ms.
    """

    def __init__(self, answer: Callable[[list[K]], dict[K, V]]) -> None:
        self._answer = answer
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._visits: set[asyncio.Task[None]] = set()

    async def ask(self, question: K) -> V:
        """Its answer. Raises what ``answer`` raised."""
        future = self._waiting.get(question)
        if future is None:
            future = self._waiting[question] = asyncio.get_running_loop().create_future()
        if len(self._visits) < VISITS:
            visit = asyncio.create_task(self._visit())
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
        return await asyncio.shield(future)  # the others who wait for it stay, when one of them is given up

    async def _visit(self) -> None:
        while self._waiting:
            asked = {question: self._waiting.pop(question) for question in list(self._waiting)[:AT_ONCE]}
            try:
                answers = await in_database(self._answer, list(asked))
            except Exception as error:  # whatever it is, each asker must hear of it
                for future in asked.values():
                    future.set_exception(error)
                    future.exception()  # nobody may be left to ask
            else:
                for question, future in asked.items():
                    future.set_result(answers[question])
