"""Whatever happens, and whatever bells get lost or cross on their way: a page ends up as one that is fetched afresh."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from notifications import access_bells, deeds, doorbell, log, seeing
from notifications.deeds import CannotUndo, mark_all_read, mark_read
from notifications.inbox import standing_of, visible_to
from notifications.live import hub as hubs
from notifications.live import warden
from notifications.live.consumers import NoticeConsumer
from notifications.live.database import in_database
from notifications.live.hub import Hub
from notifications.models import Notice
from notifications.seeing import Sighting
from notifications.sending import recall_notice, send_notice
from tests.people import group, person
from tests.sockets import Wire, eventually
from tests.test_access import session_of

NAMES = ("ada", "brian")
GROUPS = ("ops", "sales")
DEEDS = ("read", "marked_unread", "archived", "unarchived", "seen")  # as an `inbox` frame lists them
ENDS_SECONDS = 0.3

who, some_group, number = st.sampled_from(NAMES), st.sampled_from(GROUPS), st.integers(0, 30)
page_number = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([*NAMES, *GROUPS, "everyone"]), st.sampled_from(["", "", "a", "b"])),
    st.tuples(st.just("send_briefly"), st.sampled_from([*GROUPS, "everyone"])),
    st.tuples(st.just("recall"), number),
    st.tuples(st.just("read"), page_number, number),
    st.tuples(st.just("read_all"), page_number, st.integers(-3, 3)),
    st.tuples(st.just("see"), page_number, st.lists(number, max_size=2), st.integers(-30, 3)),
    st.tuples(st.just("write_seen"), st.integers(0, 1)),
    st.tuples(
        st.just("do"), who, st.sampled_from(["mark_unread", "archive", "unarchive", "mark_seen"]), st.integers(0, 9)
    ),
    st.tuples(st.just("undo"), who),
    st.tuples(st.just("join"), who, some_group),
    st.tuples(st.just("leave"), who, some_group),
    st.tuples(st.just("disconnect"), page_number),
    st.tuples(st.just("connect"), page_number),
    st.tuples(st.just("look"), st.integers(0, 1)),
    st.tuples(st.just("bells"), st.lists(st.sampled_from(["hear", "lose", "delay"]), min_size=1, max_size=4)),
)


@dataclass
class Row:
    """What a page shows of one notice."""

    published: int
    expires: str | None
    is_read: bool = False
    is_seen: bool = False
    is_archived: bool = False


class Page:
    """One page of a person, as the browser's client keeps it (docs/protocol.md)."""

    def __init__(self, world, name, hub):
        self.world, self.name, self.hub = world, name, hub
        self.rows = {}
        self.cursor = self.stamp = ""
        self.wire = self.task = None
        self.taken = 0
        self.hears = asyncio.Queue()
        self.is_answered = True  # the server waits for what the page says next

    async def hear(self):
        self.is_answered = self.hears.empty()
        event = await self.hears.get()
        self.is_answered = False
        return event

    async def fetch(self):
        self.cursor, self.stamp, self.rows = await in_database(self.world.fetched, self.name)

    async def connect(self):
        if self.task:
            return
        self.wire, self.hears, self.taken = Wire(), asyncio.Queue(), 0
        scope = {
            "hub": self.hub,
            "headers": [(b"cookie", f"sessionid={self.world.sessions[self.name]}".encode())],
            "query_string": f"cursor={self.cursor}&stamp={self.stamp}".encode(),
        }
        self.hears.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(NoticeConsumer()(scope, self.hear, self.wire.send))
        await eventually(lambda: self.wire.frames)

    async def disconnect(self):
        if self.task:
            self.hears.put_nowait({"type": "websocket.disconnect"})
            await self.take()
            await self.task
            self.task = None

    async def take(self):
        """Do what the frames say that have come meanwhile. Returns whether there were any."""
        frames = self.wire.frames[self.taken :] if self.wire else []
        self.taken += len(frames)
        for frame in frames:
            match frame["type"]:
                case "welcome":
                    self.cursor, self.stamp = frame["cursor"], frame["stamp"]
                case "notice":
                    self.show(frame["notice"])
                    self.cursor = f"{self.cursor.rpartition(':')[0]}:{frame['position']}"
                case "inbox":
                    self.stamp = f"{frame['changes']}-{self.stamp.partition('-')[2]}"
                    self.learn(frame)
                case "reset":
                    self.taken = len(self.wire.frames)  # the page lets go of this socket
                    await self.disconnect()
                    await self.fetch()
                    await self.connect()
                    return True
        return bool(frames)

    def show(self, notice):
        if notice["recalled"]:
            self.rows.pop(notice["id"], None)
        elif notice["id"] not in self.rows:
            self.rows[notice["id"]] = Row(notice["published"], notice["expires_at"])

    def learn(self, frame):
        """What somebody did with the rows, here or elsewhere."""
        for notice, row in self.rows.items():
            is_named = {name for name in DEEDS if notice in frame.get(name, [])}
            if row.published <= frame.get("read_through", 0):
                is_named.add("read")
            if is_named & {"read", "archived"}:
                row.is_read = True
            if "marked_unread" in is_named:
                row.is_read = False
            if is_named & {"archived", "unarchived"}:
                row.is_archived = "archived" in is_named
            row.is_seen |= bool(is_named) or row.published <= frame.get("seen_through", 0)

    def say(self, frame):
        self.is_answered = False
        self.hears.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})


class World:
    """Two people with two pages each, on two server processes, and bells that may be lost or cross."""

    def __init__(self):
        self.people = {name: person(f"{name}-{timezone.now().timestamp()}") for name in NAMES}
        self.groups = {name: group(f"{name}-{timezone.now().timestamp()}") for name in GROUPS}
        self.sessions = {name: session_of(user).session_key for name, user in self.people.items()}
        self.audiences = {
            "everyone": "everyone",
            **{name: f"user:{user.pk}" for name, user in self.people.items()},
            **{name: f"group:{each.pk}" for name, each in self.groups.items()},
        }
        self.notices = []
        self.fates = []  # what becomes of the next bells
        self.delayed = []
        self.done = {}  # the last change of each person that can be undone

    async def begin(self):
        self.loop = asyncio.get_running_loop()
        self.hubs = [Hub(), Hub()]
        for hub in self.hubs:
            await hub.look()
            hub.state = "live"
        self.pages = [Page(self, name, hub) for name in NAMES for hub in self.hubs]
        for page in self.pages:
            await page.fetch()
            await page.connect()

    def ring(self, bell):
        """In the place of Redis: each hub hears it, or does not, or hears it after the next one."""
        for hub in self.hubs:
            fate = self.fates.pop(0) if self.fates else "hear"
            if fate == "delay":
                self.delayed.append((hub, bell))
            elif fate == "hear":
                self.loop.call_soon_threadsafe(hub.hear, bell)
                late, self.delayed = self.delayed, []
                for hub_late, bell_late in late:
                    self.loop.call_soon_threadsafe(hub_late.hear, bell_late)
        return 2

    def fetched(self, name):
        user = self.people[name]
        standing = standing_of(user)
        rows = {
            notice.pk: Row(
                notice.published,
                notice.expires_at and notice.expires_at.isoformat(),
                bool(notice.is_read),
                bool(notice.is_seen),
                bool(notice.is_archived),
            )
            for notice in visible_to(user)
        }
        return str(standing.place), standing.stamp, rows

    # Steps ------------------------------------------------------------------------------------------------

    async def send(self, to, key):
        self.notices.append(await in_database(send_notice, title="x", audiences=[self.audiences[to]], key=key))

    async def send_briefly(self, to):
        ends = timezone.now() + timedelta(seconds=ENDS_SECONDS)
        self.notices.append(await in_database(send_notice, title="x", audiences=[self.audiences[to]], expires_at=ends))

    async def recall(self, number):
        if self.notices:
            await in_database(recall_notice, self.notices[number % len(self.notices)])

    async def read(self, page, number):
        if self.notices:
            page, notice = self.pages[page], self.notices[number % len(self.notices)]
            if page.task:
                page.say({"type": "read", "ids": [notice.pk]})
            else:
                await in_database(mark_read, self.people[page.name], [notice.pk])

    async def read_all(self, page, offset):
        page = self.pages[page]
        through = max(0, int(page.cursor.rpartition(":")[2]) + offset)
        if page.task:
            page.say({"type": "read_all", "through": through})
        else:
            await in_database(mark_all_read, self.people[page.name], through)

    async def see(self, page, numbers, offset):
        """Some notices, and, a third of the time, everything up to the page's place, or thereabouts."""
        page = self.pages[page]
        ids = [self.notices[number % len(self.notices)].pk for number in numbers if self.notices]
        through = max(0, int(page.cursor.rpartition(":")[2]) + offset) if offset >= -10 else 0
        if page.task:
            page.say({"type": "seen", "ids": ids, "through": through})
        else:
            await in_database(seeing.write, {self.people[page.name].pk: Sighting(set(ids), through)})

    async def write_seen(self, hub):
        """What a process has collected is written, a second later or when it stops."""
        await self.hubs[hub].sightings.finish()

    async def do(self, name, deed, number):
        """By a form: whichever pages are open hear of it."""
        if self.notices:
            notice = self.notices[number % len(self.notices)]
            done = await in_database(getattr(deeds, deed), self.people[name], [notice.pk])
            self.done[name] = done.change or self.done.get(name)

    async def undo(self, name):
        with suppress(CannotUndo):
            await in_database(deeds.undo, self.people[name], self.done.get(name) or 0)

    async def join(self, name, group):
        await in_database(self.people[name].groups.add, self.groups[group])

    async def leave(self, name, group):
        await in_database(self.people[name].groups.remove, self.groups[group])

    async def disconnect(self, page):
        await self.pages[page].disconnect()

    async def connect(self, page):
        await self.pages[page].connect()

    async def look(self, hub):
        """What a hub does by itself now and then."""
        await self.hubs[hub].look()
        self.hubs[hub].warden.doubt_everybody()
        await self.hubs[hub].warden._look()

    async def bells(self, fates):
        self.fates = list(fates)

    # The end ----------------------------------------------------------------------------------------------

    async def settle(self):
        """Everybody comes back, and what each hub does now and then is done once more."""
        self.fates = []
        for page in self.pages:
            await page.connect()
        for _ in range(3):
            await eventually(lambda: all(page.is_answered for page in self.pages))
            for hub in range(2):
                await self.write_seen(hub)
                await self.look(hub)
            await asyncio.sleep(warden.AGAIN_SECONDS + 0.02)
            for page in self.pages:
                while await page.take():
                    await asyncio.sleep(0)

    def check(self):
        now = timezone.now().isoformat()
        for page in self.pages:
            _, stamp, fresh = self.fetched(page.name)
            shown = {notice: row for notice, row in page.rows.items() if not row.expires or row.expires > now}
            assert shown == fresh, page.name
            assert page.stamp == stamp


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(300)
@given(history=st.lists(steps, min_size=10, max_size=25))
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_page_ends_up_as_one_that_is_fetched_afresh(history, monkeypatch, settings):
    settings.WS_RATE_LIMIT = 0
    monkeypatch.setattr(warden, "AGAIN_SECONDS", 0.03)
    monkeypatch.setattr(hubs, "CROSSING_SECONDS", 0.01)
    monkeypatch.setattr(hubs, "READS_CROSSING_SECONDS", 0.01)
    world = World()
    for module in (log, deeds, seeing, access_bells):
        monkeypatch.setattr(module, "ring", world.ring)
    assert doorbell.ring is not world.ring

    async def live():
        await world.begin()
        for verb, *values in history:
            await getattr(world, verb)(*values)
            for page in world.pages:
                await page.take()
        if any(verb == "send_briefly" for verb, *_ in history):
            await asyncio.sleep(ENDS_SECONDS)
        await world.settle()
        for page in world.pages:
            await page.disconnect()

    asyncio.run(live())
    world.check()
    Notice.objects.all().delete()
