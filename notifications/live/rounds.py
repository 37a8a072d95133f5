"""What a hub does again and again beside following the log: it visits its pages, watches its loop, says how it is."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from notifications.live.database import in_database
from notifications.models import ServerProcess

if TYPE_CHECKING:
    from notifications.live.hub import Hub

logger = logging.getLogger(__name__)

ROUND_STEPS = 50  # the connections are visited in this many slices, so that 10,000 are not woken in one tick
LOOP_LOOK_SECONDS = 0.5
STILL_SECONDS = 0.5  # the event loop may be late by so much before it is worth a line in the log
DESCRIBE_SECONDS = 30  # how often a process that has no news says that it is alive


class Rounds:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._described: tuple[int, str, float] | None = None

    async def visit_pages(self) -> None:
        """Heartbeats and time-outs: every connection is visited about ten times in a heartbeat."""
        pause = settings.HEARTBEAT_SECONDS / 10 / ROUND_STEPS
        while True:
            connections = list(self._hub.connections)
            step = max(1, -(-len(connections) // ROUND_STEPS))
            started = time.monotonic()
            for first in range(0, len(connections), step):
                now = time.monotonic()
                for connection in connections[first : first + step]:
                    connection.visit(now, self._hub.position, delayed=self._hub.is_delayed)
                await asyncio.sleep(pause)
            await asyncio.sleep(max(0, settings.HEARTBEAT_SECONDS / 10 - (time.monotonic() - started)))

    async def watch_loop(self) -> None:
        """Say so when this process stood still: nothing is lost by it, but everybody waited."""
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(LOOP_LOOK_SECONDS)
            late = time.monotonic() - asleep - LOOP_LOOK_SECONDS
            if late > STILL_SECONDS:
                logger.warning("The event loop stood still for %.1f s", late)

    async def describe(self) -> None:
        """Write down how many are connected here, when that changed or half a minute went by."""
        now = time.monotonic()
        before = self._described
        if before:
            news = before[:2] != (len(self._hub.connections), self._hub.state)
            if now - before[2] < (settings.LOG_LOOK_SECONDS if news else DESCRIBE_SECONDS):
                return
        else:
            await in_database(_forget_the_dead)
        self._described = (len(self._hub.connections), self._hub.state, now)
        await in_database(
            ServerProcess.objects.update_or_create,
            id=self._hub.id,
            defaults={
                "name": self._hub.name,
                "state": self._hub.state,
                "connections": len(self._hub.connections),
                "position": self._hub.position,
                "seen_at": timezone.now(),
            },
        )


def _forget_the_dead() -> None:
    """Processes that were killed left their line behind."""
    long_ago = timezone.now() - timedelta(seconds=10 * ServerProcess.STALE_SECONDS)
    ServerProcess.objects.filter(seen_at__lt=long_ago).delete()
