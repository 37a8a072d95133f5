"""What pages say was on their screens, collected for a second and written for all of them together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from django.db import Error as DatabaseError

from notifications import seeing
from notifications.live.database import in_database
from notifications.seeing import Sighting

logger = logging.getLogger(__name__)

TOGETHER_SECONDS = 1.0  # pages spread what they say over 20 s, so that many are written together
PEOPLE_AT_ONCE = 64  # in one transaction; 500 held up SQLite and the event loop for 20 ms
MOST_IDS = 1000  # of one person that may wait; a page says again what is lost
TRIES = 3
LAST_SECONDS = 3.0  # for what is left when the server stops


class Sightings:
    """Waits for nobody: a page hears of what was written by its person's `inbox` frame, and says it again without."""

    def __init__(self) -> None:
        self._waiting: dict[int, Sighting] = {}  # by person
        self._failures: dict[int, int] = {}  # how often somebody's could not be written
        self._wanted = asyncio.Event()

    def note(self, user_id: int, ids: Iterable[int], through: int) -> None:
        sighting = self._waiting.setdefault(user_id, Sighting())
        sighting.through = max(sighting.through, through)
        sighting.ids.update(list(ids)[: MOST_IDS - len(sighting.ids)])
        self._wanted.set()

    async def write(self) -> None:
        """Write whenever there is something. Runs for as long as the hub does."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(TOGETHER_SECONDS)
            for _ in range(0, len(self._waiting), PEOPLE_AT_ONCE):
                await self._write_some()

    async def finish(self) -> None:
        """Write what is left: the server stops, and its pages may be gone for good."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while self._waiting:
                    await self._write_some()
        except TimeoutError:
            logger.warning(
                "What %d people have seen lately was not stored; open pages say it again", len(self._waiting)
            )

    async def _write_some(self) -> None:
        batch = {user_id: self._waiting.pop(user_id) for user_id in list(self._waiting)[:PEOPLE_AT_ONCE]}
        if not self._waiting:
            self._wanted.clear()
        try:
            await in_database(seeing.write, batch)
        except DatabaseError as error:
            self._put_back(batch, error)
        except Exception:  # the hub's other tasks, and so all its pages, must not end for it
            logger.exception("What %d people have seen could not be stored", len(batch))
        for user_id in batch.keys() - self._waiting.keys():
            self._failures.pop(user_id, None)

    def _put_back(self, batch: dict[int, Sighting], error: DatabaseError) -> None:
        logger.warning("What %d people have seen could not be stored, and is tried three times: %s", len(batch), error)
        for user_id, sighting in batch.items():
            self._failures[user_id] = self._failures.get(user_id, 0) + 1
            if self._failures[user_id] < TRIES:
                self.note(user_id, sighting.ids, sighting.through)
