"""Looks again at the people who are connected: may they still be here, and what may they see?"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error as DatabaseError

from notifications.live.access import Finding, Reader, Refusal, look_again
from notifications.live.connection import Connection
from notifications.live.database import in_database

if TYPE_CHECKING:
    from notifications.live.hub import Hub

logger = logging.getLogger(__name__)

TOGETHER_SECONDS = 0.05  # doubts that come within this are looked into together
AGAIN_SECONDS = 1.0  # a sign-out is announced just before its session is deleted: look once more
READERS_AT_ONCE = 1000  # below SQLite's limit of variables in one query


class Warden:
    """Closes a hub's connections, or changes what they hear, when their readers' access has changed.

    At once when a bell says whose; everybody every ACCESS_LOOK_SECONDS, because not every change rings (bulk updates,
    another program), and not every bell is heard.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._wanted = asyncio.Event()
        self._doubted: set[int] = set()
        self._everybody = False
        self._lately: dict[int, float] = {}  # person → when something of theirs changed last
        self._everybody_lately = -float("inf")

    def doubt(self, user_ids: Iterable[int]) -> None:
        """These people's access may have changed: look at once, and a moment later once more."""
        ids = set(user_ids)
        for user_id in ids:
            self.note(user_id)
        self._want(ids)
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._want, ids)

    def note(self, user_id: int) -> None:
        """Something of this person's has changed; whoever joins now may have been read just before it."""
        self._lately[user_id] = time.monotonic()

    def doubt_everybody(self) -> None:
        self._everybody_lately = time.monotonic()
        self._everybody = True
        self._wanted.set()

    def meet(self, user_id: int, since: float) -> None:
        """Somebody joins in this step of the loop, as read after ``since`` (monotonic): look, if that is old news."""
        if max(self._everybody_lately, self._lately.get(user_id, since - 1)) >= since:
            self._want({user_id})

    async def watch(self) -> None:
        """Look whenever there is a doubt, and at everybody now and then. Runs for as long as the hub does."""
        next_round = time.monotonic() + settings.ACCESS_LOOK_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), max(0, next_round - time.monotonic()))
                await asyncio.sleep(TOGETHER_SECONDS)
            if self._everybody or time.monotonic() >= next_round:
                next_round = time.monotonic() + settings.ACCESS_LOOK_SECONDS
                self._everybody = True
                self._forget_old_doubts()
            await self._look()

    def _want(self, user_ids: set[int]) -> None:
        self._doubted |= user_ids
        self._wanted.set()

    def _forget_old_doubts(self) -> None:
        long_ago = time.monotonic() - settings.ACCESS_LOOK_SECONDS
        self._lately = {user_id: at for user_id, at in self._lately.items() if at > long_ago}

    async def _look(self) -> None:
        self._wanted.clear()
        everybody, doubted = self._everybody, self._doubted
        self._everybody, self._doubted = False, set()
        connections = list(self._hub.connections) if everybody else self._hub.connections_of(doubted)
        try:
            for first in range(0, len(connections), READERS_AT_ONCE):
                await self._look_at(connections[first : first + READERS_AT_ONCE])
        except DatabaseError as error:
            logger.warning("Who may still be connected could not be looked up, trying again: %s", error)
            self._everybody |= everybody  # beside the doubts that came meanwhile
            self._doubted |= doubted
            self._wanted.set()
            await asyncio.sleep(1)

    async def _look_at(self, connections: list[Connection]) -> None:
        readers = {connection.reader for connection in connections}
        findings = await in_database(look_again, readers)
        for connection in connections:
            if connection in self._hub.connections and (finding := findings.get(connection.reader)):
                self._act(connection, connection.reader, finding)

    def _act(self, connection: Connection, before: Reader, finding: Finding) -> None:
        now = finding.reader
        if isinstance(now, Refusal):
            self._hub.leave(connection)
            connection.close(now.code, now.reason)
            return
        if now.audiences != before.audiences:
            self._hub.readdress(connection, now)
            connection.reset()
        else:
            connection.reader = now
        if finding.changes > connection.changes:
            # Its bell was lost, or is on its way.
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, connection.hear_of_reading, finding.changes, None)
