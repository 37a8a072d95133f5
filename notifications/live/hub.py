"""Follows the log, and hands each entry to the connections it is for. One per server process and event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from config.redis import NO_LAYER
from notifications import log
from notifications.doorbell import (
    AccessChanged,
    Bell,
    InboxChanged,
    InboxesChanged,
    LogGrew,
    Presence,
    Probe,
    Subscription,
    ring,
)
from notifications.entries import Entry
from notifications.live.access import Reader, answers_to
from notifications.live.batch import Batch
from notifications.live.connection import PIECE_BYTES, Connection, Run
from notifications.live.crowd import Crowd
from notifications.live.database import in_database
from notifications.live.occupancy import Occupancy
from notifications.live.rounds import Rounds
from notifications.live.sightings import Sightings
from notifications.live.warden import Warden
from notifications.log import Place
from notifications.models import ServerProcess

logger = logging.getLogger(__name__)

RING_ENTRIES = 1000
REPLAY_ENTRIES = 300  # more than this, and a page is better fetched afresh
READ_ENTRIES = 1000  # from the log at a time
RUN_ENTRIES = 200  # the most that is written as one piece
CROSSING_SECONDS = 0.05  # two bells may cross on their way; wait this long before reading the log
# The same for two changes of one person's read state. Each reset costs a page fetch, and on a busy machine a process
# rang up to 118 ms after its commit, when others had changed the same.
READS_CROSSING_SECONDS = 0.5
HELD_SECONDS = 0.25  # before a due notice that a transaction holds is tried again; without it, each 10 ms
PROBE_SECONDS = 2.0  # our own bell comes back within this, or the subscription is dead

State = Literal["starting", "live", "polling", "stopped"]


class Hub:
    """Where this process stands in the log, and who is connected to it.

    `position` only ever grows within an epoch, and everything up to it has been offered to every connection that
    it was for. `state`: *live* when the doorbell works; *polling* when news comes from looking at the log.
    """

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        """``on_failure`` is called when a task of the hub has failed: what it holds may be half delivered."""
        self.id = uuid.uuid4()
        self._on_failure = on_failure
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.state: State = "starting"
        self.place = Place("", 0)
        self.following = asyncio.Event()  # set once the log was first read
        self.draining = False  # the server stops: no new pages, and those that are open leave
        self.connections: set[Connection] = set()
        self._last_joined = 0  # the position at which the newest account began, of those that have been connected
        self._by_audience: dict[str, set[Connection]] = {}
        self._by_user: dict[int, dict[Connection, None]] = {}  # each person's connections, the oldest first
        self._ring: deque[Entry] = deque(maxlen=RING_ENTRIES)
        self._ring_begins_after = 0  # the ring holds every entry after this position
        self._looked_through = 0  # the position that the last look at the log has confirmed
        self._early: dict[int, LogGrew] = {}  # bells that came before the one they follow, by their first position
        self.warden = Warden(self)
        self.crowd = Crowd(self)
        self.echoes = Occupancy()
        self.arrivals = Batch(answers_to)
        self.sightings = Sightings()
        self._rounds = Rounds(self)
        self.neighbours = 0  # other server processes that hear the doorbell
        self._reads_ahead: list[InboxChanged] = []  # of notices that this hub has not heard of yet
        self._reads_crossed: dict[tuple[int, int], InboxChanged] = {}  # (user, change) that came before the one before
        self._look_wanted = asyncio.Event()
        self._probe_heard = asyncio.Event()
        self._subscription = Subscription(self.hear)
        self._tasks: list[asyncio.Task[None]] = []
        self._ringing: set[asyncio.Task[int | None]] = set()

    @property
    def position(self) -> int:
        return self.place.position

    @property
    def is_delayed(self) -> bool:
        """No doorbell works where there should be one: notices are found by polling, and up to 2 s late."""
        return self.state == "polling" and settings.REDIS_URL != NO_LAYER

    @property
    def is_ready(self) -> bool:
        return self.state in ("live", "polling") and not self.draining

    # Life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow the log. Returns at once; `following` is set when the first look succeeded."""
        rounds = (
            self._rounds.visit_pages,
            self._rounds.watch_loop,
            self.warden.watch,
            self.crowd.tell,
            self.sightings.write,
        )
        for job in (self._watch_doorbell, self._follow, *rounds):
            task = asyncio.create_task(job(), name=f"hub {job.__name__}")
            task.add_done_callback(self._on_task_end)
            self._tasks.append(task)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        """A task of the hub ends only when the hub stops. If one fails, its pages must not go on looking live."""
        if not task.cancelled() and (error := task.exception()):
            self.state = "stopped"
            self.draining = True
            logger.critical("%s failed; this process ends, restart this server", task.get_name(), exc_info=error)
            self._on_failure()

    async def stop(self) -> None:
        """End every task of the hub, and take its line out of the list of server processes."""
        self.state = "stopped"
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()
            # Before Python 3.12, `wait_for` swallows a cancellation that comes together with what it waits for.
            await asyncio.wait(pending, timeout=0.1)
        await self.sightings.finish()
        await self._subscription.close()
        with contextlib.suppress(DatabaseError):
            await in_database(ServerProcess.objects.filter(id=self.id).delete)

    # Connections ------------------------------------------------------------------------------------------

    def join(self, connection: Connection) -> int:
        """Offer ``connection`` everything after the position returned."""
        self.connections.add(connection)
        self._last_joined = max(self._last_joined, connection.reader.joined)
        self._by_user.setdefault(connection.user_id, {})[connection] = None
        self.crowd.note(connection.user_id)
        self._list(connection)
        return self.position

    def leave(self, connection: Connection) -> None:
        """Offer it nothing more. Safe to call twice."""
        self.connections.discard(connection)
        pages = self._by_user.get(connection.user_id, {})
        pages.pop(connection, None)
        if not pages:
            self._by_user.pop(connection.user_id, None)
        self.crowd.note(connection.user_id)
        self._strike(connection)

    def readdress(self, connection: Connection, reader: Reader) -> None:
        """The reader's audiences are others now."""
        self._strike(connection)
        connection.reader = reader
        self._list(connection)

    def connections_of(self, user_ids: Iterable[int]) -> list[Connection]:
        return [connection for user_id in user_ids for connection in self._by_user.get(user_id, ())]

    def _list(self, connection: Connection) -> None:
        for audience in connection.audiences:
            self._by_audience.setdefault(audience, set()).add(connection)

    def _strike(self, connection: Connection) -> None:
        for audience in connection.audiences:
            connections = self._by_audience.get(audience, set())
            connections.discard(connection)
            if not connections:
                self._by_audience.pop(audience, None)

    async def missed(self, connection: Connection, after: int, through: int) -> list[Entry] | None:
        """What ``connection`` has missed in (``after``, ``through``], oldest first, each notice once, as it is now.

        Returns:
            None when it is too much to replay.
        """
        if after >= self._ring_begins_after:
            latest = {
                entry.notice_id: entry
                for entry in self._ring
                if after < entry.position <= through and _is_for(entry, connection)
            }
            entries = sorted(latest.values(), key=lambda entry: entry.position)
        else:
            entries = await in_database(
                log.entries_for,
                connection.audiences,
                connection.reader.joined,
                after,
                through,
                REPLAY_ENTRIES + 1,
            )
        return entries if len(entries) <= REPLAY_ENTRIES else None

    # The doorbell -----------------------------------------------------------------------------------------

    def hear(self, bell: Bell) -> None:
        """What a bell means. Called on the event loop; does not block."""
        match bell:
            case LogGrew():
                self._hear_of_entries(bell)
            case InboxChanged():
                self._hear_of_reading(bell)
            case InboxesChanged(changes=changes):
                for change in changes:
                    self._hear_of_reading(change)
            case AccessChanged(user_ids=[]):
                self.warden.doubt_everybody()
            case AccessChanged(user_ids=user_ids):
                self.warden.doubt(user_ids)
            case Presence():
                self.crowd.hear(bell)
            case Probe(hub=name) if name == str(self.id):
                self._probe_heard.set()

    def _hear_of_entries(self, bell: LogGrew) -> None:
        if bell.epoch != self.place.epoch or not bell.entries:
            self._look_wanted.set()
        elif bell.first > self.position + 1:
            self._early[bell.first] = bell
            self._look_wanted.set()
        else:
            self._deliver(bell.entries)
            self._deliver_early()
            self._hear_reads_again()

    def _hear_reads_again(self) -> None:
        """Of what was read, now that the log has grown here too."""
        ahead, self._reads_ahead = self._reads_ahead, []
        for bell in ahead:
            self._hear_of_reading(bell)

    def _hear_of_reading(self, bell: InboxChanged, *, late: bool = False) -> None:
        """Changes of one person's read state are told in their order; bells that crossed wait for those before them.

        And behind the notices that they speak of: a page cannot mark read what it has not been sent yet.
        """
        self.warden.note(bell.user_id)
        pages = self.connections_of([bell.user_id])
        if pages and bell.position > self.position:
            self._reads_ahead.append(bell)
            self._look_wanted.set()
            return
        if not late and any(bell.change > page.changes + 1 for page in pages):
            self._reads_crossed[bell.user_id, bell.change] = bell
            asyncio.get_running_loop().call_later(READS_CROSSING_SECONDS, self._hear_of_crossed, bell)
            return
        for page in pages:
            page.hear_of_reading(bell.change, bell.text)
        if following := self._reads_crossed.pop((bell.user_id, bell.change + 1), None):
            self._hear_of_reading(following)

    def _hear_of_crossed(self, bell: InboxChanged) -> None:
        """The changes before it did not come in time: they are lost."""
        if self._reads_crossed.pop((bell.user_id, bell.change), None):
            self._hear_of_reading(bell, late=True)

    async def _watch_doorbell(self) -> None:
        """Keep the subscription working: open it, ring ourselves now and then, and open it anew when nothing comes."""
        if settings.REDIS_URL == NO_LAYER:
            self.state = "polling"
            return
        while True:
            if self._subscription.is_open and await self._hear_ourselves():
                if self.state != "live":
                    self.state = "live"
                    self.warden.doubt_everybody()  # of what rang meanwhile, only notices are in the log
                await asyncio.sleep(settings.LOG_LOOK_SECONDS)
                continue
            self.state = "polling"
            await self._subscription.close()
            try:
                await asyncio.wait_for(self._subscription.open(), timeout=3)
            except (redis.RedisError, OSError, TimeoutError) as error:
                logger.warning("No doorbell, polling the log instead: %r", error)
                await asyncio.sleep(settings.LOG_POLL_SECONDS)
            self._look_wanted.set()

    async def _hear_ourselves(self) -> bool:
        self._probe_heard.clear()
        heard_by = await asyncio.to_thread(ring, Probe(hub=str(self.id)))
        self.neighbours = (heard_by or 1) - 1
        if not heard_by:
            return False
        try:
            await asyncio.wait_for(self._probe_heard.wait(), timeout=PROBE_SECONDS)
        except TimeoutError:
            return False
        return True

    # The log ----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Look at the log now and then, when a notice falls due, and whenever a bell says that we missed something."""
        pause = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_wanted.wait(), timeout=pause)
            if self._look_wanted.is_set() and self._early:
                await asyncio.sleep(CROSSING_SECONDS)
            self._look_wanted.clear()
            usual = settings.LOG_LOOK_SECONDS if self.state == "live" else settings.LOG_POLL_SECONDS
            try:
                next_due = await self.look()
                await self._rounds.describe()
            except DatabaseError as error:
                logger.warning("No answer from the database, trying again: %s", error)
                next_due = None
                usual = min(usual, 1.0)
            pause = usual if next_due is None else min(usual, max(next_due - time.time(), 0.01))

    async def look(self) -> float | None:
        """Read what the log has beyond our position, deliver it, and publish what is due.

        Returns:
            When the next waiting notice falls due, in seconds since 1970.
        """
        before = self.place  # bells may move ours while we read
        found = await in_database(_look, before, self._unconfirmed())
        for bell in found.bells:
            self._ring_soon(bell)
        if found.head.epoch != before.epoch or found.head.position < before.position:
            self._begin_at(found.head, found.entries)
            return found.next_due
        self._looked_through = before.position
        self._deliver(found.entries)
        if found.complete:
            # Positions without an entry belong to notices that moved on since.
            self._advance(found.head.position)
        else:
            self._look_wanted.set()
        self._deliver_early()
        self._hear_reads_again()
        return found.next_due

    def _unconfirmed(self) -> list[Entry]:
        """The entries since the last look at the log, and the one before them.

        If the database was restored under a running server and has grown again, these are not in it any more,
        although its head is not below ours. Comparing them costs a look 0.4 ms of processor time when nothing came, and
        10 ms, once, after a burst that fills the ring (20 notices: 1 ms). There are never more than the ring holds.
        """
        entries: list[Entry] = []
        for entry in reversed(self._ring):
            entries.append(entry)
            if entry.position <= self._looked_through:
                break
        return entries

    def _ring_soon(self, bell: Bell) -> None:
        """For the neighbours; nobody here waits for it."""
        ringing = asyncio.create_task(asyncio.to_thread(ring, bell))
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)

    def _begin_at(self, head: Place, newest: list[Entry]) -> None:
        """Our place means nothing any more (or yet): pages fetch their inbox afresh.

        But pages that lost another process to us are replayed from the ``newest``: 5,000 of them would ask the
        database 5,000 times.
        """
        self.place = head
        self._looked_through = head.position
        self._ring.clear()
        self._ring.extend(entry for entry in newest if entry.position <= head.position)
        self._early.clear()
        self._reads_ahead.clear()
        self._ring_begins_after = newest[0].position - 1 if len(newest) == RING_ENTRIES else 0
        if not self.following.is_set():
            self.following.set()
            return
        logger.warning("The log was rebuilt: following it from %s", head)
        for connection in list(self.connections):
            connection.begin_again(head.position)

    def _deliver(self, entries: Iterable[Entry]) -> None:
        news = [entry for entry in entries if entry.position > self.position]
        for entries in self._runs_of(news):
            for entry in entries:
                if len(self._ring) == RING_ENTRIES:
                    self._ring_begins_after = self._ring[0].position
                self._ring.append(entry)
            self._advance(entries[-1].position)
            run = Run.of(entries)
            for connection in self._recipients(entries[0]):
                connection.offer_run(run)

    def _runs_of(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """Neighbours that the same connections get: one write for 200 of them takes 1 µs each instead of 7.5."""
        run: list[Entry] = []
        size = 0
        for entry in entries:
            size += len(entry.text)
            if run and (size > PIECE_BYTES or len(run) == RUN_ENTRIES or not self._are_alike(run[0], entry)):
                yield run
                run, size = [], len(entry.text)
            run.append(entry)
        if run:
            yield run

    def _are_alike(self, one: Entry, other: Entry) -> bool:
        return one.audiences == other.audiences and not (self._is_special(one) or self._is_special(other))

    def _is_special(self, entry: Entry) -> bool:
        """Not all readers of its audiences are meant: a change, or older than an account whose page was quicker."""
        return entry.is_change or entry.published <= self._last_joined

    def _deliver_early(self) -> None:
        """Bells that came too soon and now follow on what we have; those that are old news fall away."""
        for first in sorted(self._early):
            if first > self.position + 1:
                return
            self._deliver(self._early.pop(first).entries)

    def _advance(self, position: int) -> None:
        if position > self.position:
            self.place = Place(self.place.epoch, position)

    def _recipients(self, entry: Entry) -> list[Connection]:
        found = [self._by_audience[audience] for audience in entry.audiences if audience in self._by_audience]
        connections = found[0] if len(found) == 1 else set().union(*found)
        if self._is_special(entry):
            return [connection for connection in connections if _is_for(entry, connection)]
        return list(connections)


class _Found:
    """What one look at the log brought."""

    def __init__(self, place: Place, held: Sequence[Entry] = ()) -> None:
        self.head, due = log.glance()
        if self._was_restored(place, held):
            self.head = log.begin_epoch(instead_of=self.head.epoch)
        self.bells: list[LogGrew] = []  # to be rung afterwards: a Redis that hangs must not keep us from looking
        if due is not None and due <= timezone.now():
            self.bells = list(log.publish_due())
            self.head, due = log.glance()
        self.next_due = due.timestamp() if due else None
        if due is not None and due <= timezone.now():  # a recall still holds it, or its earlier one
            self.next_due = time.time() + HELD_SECONDS
        self.entries: list[Entry] = []
        if self.head.epoch != place.epoch or self.head.position < place.position:
            self.entries = log.newest_entries(RING_ENTRIES)
        elif self.head.position > place.position:
            self.entries = log.entries_after(place.position, READ_ENTRIES)
        self.complete = len(self.entries) < READ_ENTRIES

    def _was_restored(self, place: Place, held: Sequence[Entry]) -> bool:
        """Whether the database is an older one than this process has seen, and nobody has begun a new epoch."""
        if not place.epoch:
            return log.lies_behind()
        if self.head.epoch != place.epoch:
            return False
        return self.head.position < place.position or not log.holds(held)


_look: Callable[[Place, Sequence[Entry]], _Found] = _Found


def _is_for(entry: Entry, connection: Connection) -> bool:
    """Whether this reader is meant; notices for everyone only if they were published after the account was made."""
    mine = connection.audiences.intersection(entry.audiences)
    if not mine:
        return False
    return mine != {"everyone"} or entry.published > connection.reader.joined
