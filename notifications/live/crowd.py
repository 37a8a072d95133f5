"""How many pages has one person open, here and on the other server processes?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings

from config.redis import NO_LAYER
from notifications.doorbell import Presence, ring
from notifications.frames import CloseCode

if TYPE_CHECKING:
    from notifications.live.hub import Hub

TELL_SECONDS = 0.3  # how often changes are told to the neighbours, and that we are there
TELL_ALL_SECONDS = 10  # and everything, because not every bell is heard
FORGET_SECONDS = 1.0  # a neighbour that says nothing for so long is gone, and its pages are on their way to us
REMEMBERED = 1000  # sessions that were refused
LINGER_SECONDS = 3.0  # before a refusal: whoever tries again and again gets it so seldom on each socket
LINGERING = 500  # at the same time; beyond that, memory is dearer than time


class TooManyPages(Exception):
    """This person has as many pages open as one may have."""


@dataclass(slots=True)
class _Neighbour:
    heard_at: float = 0
    counts: dict[int, int] = field(default_factory=dict)


class Crowd:
    """Counts pages by person. What the other server processes have is told by bells, and so a moment old."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._neighbours: dict[str, _Neighbour] = {}
        self._changed: set[int] = set()
        self._all_told_at = 0.0
        self._refused: dict[str, int] = {}  # session → its person, lately
        self._lingering = 0

    # Coming and going -------------------------------------------------------------------------------------

    def note(self, user_id: int) -> None:
        """One of this person's pages came or went."""
        self._changed.add(user_id)

    def check_known(self, session_key: str) -> None:
        """Raises `TooManyPages` without asking the database, for a session that was refused and still would be."""
        user_id = self._refused.get(session_key)
        if user_id is not None and self._is_full(user_id):
            raise TooManyPages

    async def check_room(self, user_id: int, session_key: str) -> None:
        """Raises `TooManyPages` when this person has as many pages as one may have.

        What is counted elsewhere may be on a process that was just killed, so it is looked at twice.
        """
        if self._is_full(user_id) and self._here(user_id) < settings.WS_CONNECTIONS_PER_USER:
            await asyncio.sleep(FORGET_SECONDS)
        if self._is_full(user_id):
            self._refused[session_key] = user_id
            if len(self._refused) > REMEMBERED:
                del self._refused[next(iter(self._refused))]
            raise TooManyPages

    async def linger(self) -> None:
        """Let somebody wait for a refusal. 5,000 sockets of one user took everybody else's p99 from 40 to 190 ms."""
        if self._lingering >= LINGERING:
            return
        self._lingering += 1
        try:
            await asyncio.sleep(LINGER_SECONDS)
        finally:
            self._lingering -= 1

    # The neighbours ---------------------------------------------------------------------------------------

    def hear(self, bell: Presence) -> None:
        """What another process has. Two that let somebody's pages in at the same moment agree on who closes some."""
        if bell.hub == str(self._hub.id):
            return
        neighbour = self._neighbours.setdefault(bell.hub, _Neighbour())
        neighbour.heard_at = time.monotonic()
        neighbour.counts = bell.counts if bell.is_all else neighbour.counts | bell.counts
        for user_id in bell.counts:
            if self._is_too_many(user_id):
                asyncio.get_running_loop().call_later(FORGET_SECONDS, self._close_those_too_many, user_id)

    async def tell(self) -> None:
        """Tell the neighbours, while there are any. Runs for as long as the hub does, where it could hear of any."""
        if settings.REDIS_URL == NO_LAYER:
            return
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if not self._hub.neighbours:
                self._changed.clear()
                self._all_told_at = 0
                continue
            await asyncio.to_thread(ring, self._news())

    def _news(self) -> Presence:
        ours, changed = str(self._hub.id), self._changed
        self._changed = set()
        now = time.monotonic()
        if now - self._all_told_at > TELL_ALL_SECONDS:
            self._all_told_at = now
            self._neighbours = {
                name: each for name, each in self._neighbours.items() if now - each.heard_at < TELL_ALL_SECONDS
            }
            people = {connection.user_id for connection in self._hub.connections}
            return Presence(hub=ours, counts={each: self._here(each) for each in people}, is_all=True)
        return Presence(hub=ours, counts={each: self._here(each) for each in changed}, is_all=False)

    def _is_full(self, user_id: int) -> bool:
        most: int = settings.WS_CONNECTIONS_PER_USER
        return self._here(user_id) + self._elsewhere(user_id) >= most

    def _is_too_many(self, user_id: int) -> bool:
        most: int = settings.WS_CONNECTIONS_PER_USER
        return self._here(user_id) + self._elsewhere(user_id) > most

    def _close_those_too_many(self, user_id: int) -> None:
        """The processes in the order of their ids: each keeps what those before it have left of the limit."""
        if not self._is_too_many(user_id):
            return  # they were on a process that has gone
        before_us = self._elsewhere(user_id, before=str(self._hub.id))
        may_stay = max(0, settings.WS_CONNECTIONS_PER_USER - before_us)
        for connection in self._hub.connections_of([user_id])[may_stay:]:
            connection.close(CloseCode.TOO_MANY_CONNECTIONS, "too many pages are open")

    def _here(self, user_id: int) -> int:
        return len(self._hub.connections_of([user_id]))

    def _elsewhere(self, user_id: int, before: str = "~") -> int:
        long_ago = time.monotonic() - FORGET_SECONDS
        return sum(
            neighbour.counts.get(user_id, 0)
            for name, neighbour in self._neighbours.items()
            if name < before and neighbour.heard_at > long_ago
        )
