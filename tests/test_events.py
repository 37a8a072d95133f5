"""A stream of events is a socket to its connection: in order, bounded, and cut when nobody reads."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from notifications.frames import CloseCode, Heartbeat, Inbox, NoticeBody, NoticeFrame, Welcome, encode
from notifications.live import connection as connections
from notifications.live.connection import STUCK_SECONDS, Connection
from notifications.live.events import EventStream
from notifications.live.hub import Hub
from notifications.live.wire import events_of
from notifications.log import Place
from tests.sockets import bell, eventually, reader

EPOCH = "1f2e-3d"


class Line:
    """Our own server's end of a response: notes what is written, and blocks while the page reads nothing."""

    def __init__(self):
        self.written = b""
        self.ended = False
        self.aborted = False
        self.flow = self
        self._takes = asyncio.Event()
        self._takes.set()

    async def drain(self):
        await self._takes.wait()

    async def send(self, event):
        assert not self.ended, event
        self.written += event.get("body", b"")
        self.ended = event["type"] == "http.response.body" and not event.get("more_body")

    def write(self, data):
        if not self._takes.is_set() or self.ended:
            return False
        self.written += data
        return True

    def abort(self):
        self.aborted = True

    def block(self):
        self._takes.clear()

    def unblock(self):
        self._takes.set()

    @property
    def events(self):
        return [dict(line.split(": ", 1) for line in e.split("\n")) for e in self.written.decode().split("\n\n") if e]

    @property
    def positions(self):
        frames = [json.loads(event["data"]) for event in self.events if "event" not in event and "data" in event]
        return [frame["position"] for frame in frames if frame["type"] == "notice"]


@pytest.fixture
async def hub():
    hub = Hub()
    hub.place = Place(EPOCH, 0)
    return hub


@pytest.fixture(params=[True, False], ids=["our own server", "another one"])
async def line(request, hub):
    line = Line()
    line.is_ours = request.param
    return line


async def listen(hub, line):
    stream = EventStream(line.send, line if line.is_ours else None, events_of(EPOCH))
    connection = Connection(reader(), hub, stream.send, stream.direct, pack=stream.pack, expects_answers=False)
    await stream.open(origin=None)
    await connection.begin('{"type":"welcome"}', hub.position, complete=True)
    return connection


# Events as bytes ------------------------------------------------------------------------------------------


BODY = NoticeBody(
    id=7,
    title="t\nt",
    body="",
    level="info",
    url="",
    sender="",
    published_at="",
    expires_at=None,
    published=4,
    recalled=False,
)


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        (Welcome(cursor="e-p:41", stamp="1-x", position=44, resumed=True, heartbeat=25), "e-p:41"),
        (NoticeFrame(position=42, notice=BODY), f"{EPOCH}:42"),
        (Heartbeat(position=43), f"{EPOCH}:43"),
        (Inbox(unread=1, unseen=1, position=43, changes=2, read=[1]), None),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_id_of_an_event_is_the_place_it_leads_to(frame, place):
    text = encode(frame)

    packed = events_of(EPOCH)([text]).decode()

    assert packed == (f"id: {place}\n" if place else "") + f"data: {text}\n\n"
    assert packed.count("\n") == (3 if place else 2), "no line break of a notice ends its event"


# A stream is a socket -------------------------------------------------------------------------------------


async def test_what_comes_is_written_at_once(hub, line):
    connection = await listen(hub, line)

    hub.hear(bell(1, 2, 3, epoch=EPOCH))
    if connection._direct is None:  # else in the same step of the loop: no task had to run
        await eventually(lambda: not connection._tasks)

    assert line.positions == [1, 2, 3]
    assert not connection._tasks


async def test_heartbeats_need_no_answer(hub, line):
    connection = await listen(hub, line)

    for hours in range(3):
        connection.visit(time.monotonic() + 3600 * hours, 5)
        await eventually(lambda: connection._flowing)

    assert not connection.closing
    assert [event.get("id") for event in line.events][-1] == f"{EPOCH}:5"


async def test_a_close_is_an_event_with_its_code_and_the_end(hub, line):
    connection = await listen(hub, line)

    connection.close(CloseCode.SESSION_EXPIRED, "the session has expired")
    await eventually(lambda: line.ended)

    assert line.events[-1]["event"] == "close"
    assert json.loads(line.events[-1]["data"]) == {"code": 4005, "reason": "the session has expired"}
    hub.hear(bell(1, epoch=EPOCH))
    assert line.positions == []


async def test_who_reads_late_gets_everything_once_and_in_order(hub):
    line = Line()
    line.is_ours = True
    await listen(hub, line)
    line.block()

    hub.hear(bell(*range(1, 400), epoch=EPOCH))
    hub.hear(bell(*range(400, 500), epoch=EPOCH))
    line.unblock()

    await eventually(lambda: line.positions[-1:] == [499] or b'"reset"' in line.written)
    assert line.positions == list(range(1, 1 + len(line.positions)))


async def test_what_somebody_may_not_see_any_more_is_taken_back_while_they_read_nothing(hub):
    line = Line()
    line.is_ours = True
    connection = await listen(hub, line)
    line.block()
    hub.hear(bell(1, epoch=EPOCH))
    await asyncio.sleep(0)

    connection.reset()
    line.unblock()

    await eventually(lambda: b'"reset"' in line.written)
    assert line.positions == []


async def test_who_reads_nothing_for_long_is_cut(hub, monkeypatch):
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.05)
    line = Line()
    line.is_ours = True
    connection = await listen(hub, line)
    line.block()
    hub.hear(bell(1, epoch=EPOCH))

    connection.visit(time.monotonic() + STUCK_SECONDS + 1, 1)

    await eventually(lambda: line.aborted)
