"""One open page: frames reach the socket in order, whatever the socket does."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from django.db import OperationalError

from notifications.doorbell import InboxChanged
from notifications.frames import CloseCode, Error, Heartbeat
from notifications.live import connection as connections
from notifications.live.connection import STUCK_SECONDS, Connection
from notifications.live.hub import REPLAY_ENTRIES, RING_ENTRIES, Hub
from notifications.live.outbox import MAX_BYTES, MAX_FRAMES
from notifications.log import Place
from tests.sockets import Wire, bell, connect, entry, eventually, reader


@pytest.fixture(autouse=True, params=[True, False], ids=["direct", "by send"])
def kind_of_server(request, monkeypatch):
    """Our own server writes frames at once; others have an ASGI `send`, and a page must not see the difference."""
    monkeypatch.setattr(Wire, "is_direct", request.param)


@pytest.fixture
async def hub():
    """A hub that follows nothing by itself: it hears what the test rings, and keeps it in its ring."""
    return Hub()


async def settled():
    """Every task that could go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def now():
    return time.monotonic()


# While nothing blocks -------------------------------------------------------------------------------------


async def test_a_page_is_welcomed_and_then_shown_what_comes(hub):
    connection, wire = await connect(hub)
    assert wire.types == ["welcome"]

    hub.hear(bell(1, 2, 3))

    assert wire.is_direct == (wire.positions == [1, 2, 3])  # our own server: in the same step, no task had to run
    await settled()
    assert wire.positions == [1, 2, 3]
    assert not connection._tasks


async def test_a_page_gets_what_it_missed_before_what_is_new(hub):
    hub.hear(bell(1, 2, 3, 4))

    _, wire = await connect(hub, after=2)
    hub.hear(bell(5))
    await settled()

    assert wire.types == ["welcome", "notice", "notice", "notice"]
    assert wire.positions == [3, 4, 5]


async def test_a_notice_that_the_page_was_rendered_with_is_not_written_again(hub):
    """The page came from a process that was ahead of this one."""
    _, wire = await connect(hub, after=2)

    hub.hear(bell(1, 2, 3))
    await settled()

    assert wire.positions == [3]


async def test_notices_that_arrive_while_the_page_is_welcomed_come_after_the_replay(hub):
    hub.hear(bell(1, 2))
    wire = Wire()
    wire.block()
    joining = asyncio.create_task(connect(hub, wire, after=0))
    await settled()
    assert len(hub.connections) == 1

    hub.hear(bell(3))
    hub.hear(InboxChanged(user_id=1, change=1, position=0, text='{"type":"inbox"}'))
    hub.hear(bell(4))
    wire.unblock()
    await joining

    assert wire.types == ["welcome", "notice", "notice", "notice", "inbox", "notice"]
    assert wire.positions == [1, 2, 3, 4]


async def test_a_page_whose_cursor_means_nothing_is_asked_to_start_afresh(hub):
    hub.hear(bell(1, 2))
    wire = Wire()
    connection = Connection(reader(), hub, wire.send, wire.direct)

    await connection.begin('{"type":"welcome"}', hub.position, complete=False)
    hub.hear(bell(3))
    await settled()

    assert wire.types == ["welcome", "reset", "notice"]
    assert wire.positions == [3]


async def test_a_page_that_missed_too_much_is_asked_to_start_afresh(hub):
    hub.hear(bell(*range(1, REPLAY_ENTRIES + 2)))

    _, enough = await connect(hub, after=1)
    _, too_much = await connect(hub, after=0)
    hub.hear(bell(REPLAY_ENTRIES + 2))
    await settled()

    assert enough.positions == list(range(2, REPLAY_ENTRIES + 3))
    assert too_much.types == ["welcome", "reset", "notice"]
    assert too_much.positions == [REPLAY_ENTRIES + 2]


# While the socket takes nothing ---------------------------------------------------------------------------


async def test_what_comes_while_the_socket_blocks_is_written_afterwards_in_order(hub):
    connection, wire = await connect(hub)
    wire.block()

    for position in range(1, 101):
        hub.hear(bell(position))
        if position % 10 == 0:
            hub.hear(InboxChanged(user_id=1, change=position // 10, position=0, text='{"type":"inbox"}'))
            await settled()
    assert wire.types == ["welcome"]
    wire.unblock()
    await eventually(lambda: connection._flowing)
    hub.hear(bell(101))
    await settled()

    assert wire.positions == list(range(1, 102))
    assert wire.types.count("inbox") == 10


async def test_a_slow_page_delays_nobody_else(hub):
    _, slow = await connect(hub, user_id=1)
    _, quick = await connect(hub, user_id=2)
    slow.block()

    hub.hear(bell(*range(1, 101)))
    await settled()

    assert quick.positions == list(range(1, 101))
    assert slow.positions == []


async def test_a_socket_that_blocks_again_and_again_loses_and_repeats_nothing(hub):
    connection, wire = await connect(hub)

    for position in range(1, 201):
        if position % 3 == 0:
            wire.block()
        hub.hear(bell(position))
        if position % 7 == 0:
            wire.unblock()
        if position % 5 == 0:
            await settled()
    wire.unblock()
    await eventually(lambda: connection._flowing)

    assert wire.positions == list(range(1, 201))


async def test_an_outbox_that_collapses_is_repaired_by_a_replay_without_a_hole(hub):
    connection, wire = await connect(hub)
    wire.block()
    last = MAX_FRAMES + 30

    for position in range(1, last + 1):
        hub.hear(bell(position))
        await settled()
    assert connection._outbox.collapsed
    wire.unblock()
    await eventually(lambda: connection._flowing)
    hub.hear(bell(last + 1))
    await settled()

    assert wire.types == ["welcome", *["notice"] * (last + 1)]
    assert wire.positions == list(range(1, last + 2))


async def test_frames_that_are_large_collapse_it_by_their_bytes(hub):
    connection, wire = await connect(hub)
    wire.block()

    for position in range(1, 6):
        hub.hear(bell(entry(position, size=MAX_BYTES // 3)))
        await settled()
    assert connection._outbox.collapsed
    wire.unblock()
    await eventually(lambda: connection._flowing)

    assert wire.positions == [1, 2, 3, 4, 5]


async def test_a_replay_after_a_collapse_shows_a_notice_that_changed_only_as_it_is_now(hub):
    connection, wire = await connect(hub)
    wire.block()
    last = MAX_FRAMES + 30
    for position in range(1, last + 1):
        hub.hear(bell(position))
        await settled()

    hub.hear(bell(entry(last + 1, published=10)))
    wire.unblock()
    await eventually(lambda: connection._flowing)

    assert wire.positions == [n for n in range(1, last + 2) if n != 10]
    assert wire.frames[-1]["recalled"] is True


async def test_a_page_that_fell_too_far_behind_is_asked_to_start_afresh(hub):
    connection, wire = await connect(hub)
    wire.block()

    for position in range(1, REPLAY_ENTRIES + 50):
        hub.hear(bell(position))
        await settled()
    wire.unblock()
    await eventually(lambda: connection._flowing)
    hub.hear(bell(REPLAY_ENTRIES + 50))
    await settled()

    assert wire.types == ["welcome", "notice", "reset", "notice"]
    assert wire.positions == [1, REPLAY_ENTRIES + 50]


async def test_a_page_that_lost_a_read_state_is_asked_to_start_afresh(hub):
    """A replay brings notices back, but not what was read in another tab."""
    connection, wire = await connect(hub)
    wire.block()

    hub.hear(bell(1))
    await settled()
    hub.hear(InboxChanged(user_id=1, change=1, position=0, text='{"type":"inbox"}'))
    for position in range(2, MAX_FRAMES + 10):
        hub.hear(bell(position))
    wire.unblock()
    await eventually(lambda: connection._flowing)

    assert wire.types == ["welcome", "notice", "reset"]


async def test_an_outbox_that_collapses_during_its_repair_is_repaired_again(hub, monkeypatch):
    monkeypatch.setattr(connections, "PIECE_BYTES", 0)  # one after the other
    connection, wire = await connect(hub)
    wire.block()
    for position in range(1, MAX_FRAMES + 10):
        hub.hear(bell(position))
        await settled()
    stop_at = {MAX_FRAMES // 2}

    class Stops:
        async def send(self, event):
            await wire.send(event)
            if stop_at and len(wire.positions) in stop_at:
                stop_at.clear()
                wire.block()

    connection._send = Stops().send
    wire.unblock()
    await eventually(lambda: not stop_at)
    for position in range(MAX_FRAMES + 10, 2 * MAX_FRAMES + 20):
        hub.hear(bell(position))
    assert connection._outbox.collapsed
    wire.unblock()
    await eventually(lambda: connection._flowing)

    assert wire.positions == list(range(1, 2 * MAX_FRAMES + 20))


async def test_a_repair_that_cannot_read_the_log_sends_the_page_away_to_come_back(hub, monkeypatch):
    async def no_answer(*_):
        raise OperationalError("the database is away")

    _, wire = await connect(hub)
    wire.block()
    for position in range(1, MAX_FRAMES + 10):
        hub.hear(bell(position))
        await settled()
    monkeypatch.setattr(hub, "missed", no_answer)

    wire.unblock()
    await eventually(lambda: wire.closed_with)

    assert wire.closed_with == 4008
    assert wire.positions == [1]


# Another log ----------------------------------------------------------------------------------------------


def another_log_begins(hub, place, entries):
    hub.following.set()  # the first one would be its own
    hub._begin_at(place, entries)


async def test_a_page_that_is_up_to_date_when_another_log_begins_is_asked_to_start_afresh(hub):
    """And is then sent what the new log brings, at places below those of the old one."""
    _, wire = await connect(hub)
    hub.hear(bell(1, 2, 3))
    await settled()

    another_log_begins(hub, Place("new", 1), [entry(1)])
    hub.hear(bell(2, epoch="new"))
    await settled()

    assert wire.types == ["welcome", "notice", "notice", "notice", "reset", "notice"]
    assert wire.positions == [1, 2, 3, 2]


@pytest.mark.parametrize("count", [2, MAX_FRAMES + 10])
async def test_a_page_that_reads_slowly_when_another_log_begins_is_sent_nothing_more_and_comes_back(hub, count):
    """Whether what it has yet to read waits in its outbox or was too much for that."""
    _, wire = await connect(hub)
    wire.block()
    hub.hear(bell(*range(1, count + 1)))
    await settled()

    another_log_begins(hub, Place("new", 1), [entry(1)])
    hub.hear(bell(2, epoch="new"))
    await settled()
    wire.unblock()

    await eventually(lambda: wire.closed_with)
    await settled()
    assert wire.closed_with == CloseCode.DRAINING
    assert [event.get("text") for event in wire.events[1:-1]] in ([], [None]), "of a frame under way nothing is made"


async def test_a_page_that_reads_nothing_when_another_log_begins_is_cut(hub, monkeypatch):
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(Wire, "is_direct", True)
    _, wire = await connect(hub)
    wire.block()
    hub.hear(bell(1))

    another_log_begins(hub, Place("new", 0), [])

    await eventually(lambda: wire.aborted)


@pytest.mark.parametrize("too_much", [False, True])
async def test_a_page_that_is_being_replayed_when_another_log_begins_is_sent_nothing_of_the_old_one(
    hub, monkeypatch, too_much
):
    hub.hear(bell(1, 2))
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def missed(*_):
        asked.set()
        await may_answer.wait()
        return None if too_much else [entry(1), entry(2)]

    monkeypatch.setattr(hub, "missed", missed)
    wire = Wire()
    joining = asyncio.create_task(connect(hub, wire, after=0))
    await asked.wait()

    another_log_begins(hub, Place("new", 1), [entry(1)])
    await eventually(lambda: wire.closed_with)
    may_answer.set()
    await joining

    assert wire.types == ["welcome"]
    assert wire.events[-1]["type"] == "websocket.close", "nothing is written to a closed socket"


# A socket that is stuck -----------------------------------------------------------------------------------


async def test_a_page_that_reads_nothing_for_30_seconds_is_closed_4008_and_cut(hub, monkeypatch):
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(Wire, "is_direct", True)  # another server cuts it when it likes
    connection, wire = await connect(hub)
    wire.block()
    hub.hear(bell(1))

    connection.visit(now() + STUCK_SECONDS - 1, hub.position)
    await settled()
    assert not connection.closing
    connection.visit(now() + STUCK_SECONDS + 1, hub.position)

    await eventually(lambda: wire.aborted)
    assert connection.closing
    connection.end()


async def test_a_stuck_page_that_reads_again_in_the_last_moment_hears_why_it_is_closed(hub):
    connection, wire = await connect(hub)
    wire.block()
    hub.hear(bell(1))
    await settled()

    connection.visit(now() + STUCK_SECONDS + 1, hub.position)
    await settled()
    wire.unblock()

    await eventually(lambda: wire.closed_with == 4008)
    assert not wire.aborted


async def test_a_page_that_reads_slowly_but_reads_is_not_closed(hub):
    connection, wire = await connect(hub)
    wire.block()
    hub.hear(bell(1, 2))
    await settled()
    blocked_since = connection._blocked_since
    wire.unblock()
    await eventually(lambda: connection._flowing)
    wire.block()
    hub.hear(bell(3))
    await settled()

    assert connection._blocked_since > blocked_since
    connection.visit(blocked_since + STUCK_SECONDS, hub.position)
    await settled()

    assert not connection.closing
    connection.end()


async def test_a_page_that_blocks_from_the_first_frame_on_is_closed_too(hub, monkeypatch):
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(Wire, "is_direct", True)
    wire = Wire()
    wire.block()
    joining = asyncio.create_task(connect(hub, wire))
    await settled()
    [connection] = hub.connections

    connection.visit(now() + STUCK_SECONDS + 1, hub.position)

    await eventually(lambda: wire.aborted)
    joining.cancel()


# Heartbeats and the end of a session ----------------------------------------------------------------------


async def test_a_quiet_page_is_asked_whether_it_is_there(hub, settings):
    settings.HEARTBEAT_SECONDS = 25
    connection, wire = await connect(hub)
    hub.hear(bell(1, 2))
    await settled()

    connection.visit(now() + 5, hub.position)
    assert "heartbeat" not in wire.types
    connection.visit(now() + 25, hub.position)
    await settled()

    assert wire.frames[-1] == {"type": "heartbeat", "position": 2}


async def test_a_page_that_answers_heartbeats_stays(hub, settings):
    settings.HEARTBEAT_SECONDS, settings.HEARTBEAT_ANSWER_SECONDS = 25, 10
    connection, wire = await connect(hub)
    moment = now()

    for _ in range(10):
        moment += 25
        connection.visit(moment, 7)
        await settled()
        connection.answered(7)
        connection.visit(moment + 11, 7)

    assert wire.types == ["welcome", *["heartbeat"] * 10]
    assert not connection.closing
    assert connection.displayed == 7


async def test_a_page_that_does_not_answer_a_heartbeat_is_closed_4012(hub, settings):
    settings.HEARTBEAT_SECONDS, settings.HEARTBEAT_ANSWER_SECONDS = 25, 10
    connection, wire = await connect(hub)
    asked = now() + 25
    connection.visit(asked, 0)

    connection.visit(asked + 9, 0)
    await settled()
    assert wire.closed_with is None
    connection.visit(asked + 11, 0)

    await eventually(lambda: wire.closed_with == 4012)


async def test_a_page_that_is_behind_gets_no_heartbeat_that_would_overtake_its_notices(hub, settings):
    settings.HEARTBEAT_SECONDS = 25
    connection, wire = await connect(hub)
    wire.block()
    hub.hear(bell(1, 2, 3))

    connection.visit(now() + 24, hub.position)
    wire.unblock()
    await eventually(lambda: connection._flowing)
    connection.visit(now() + 25, hub.position)
    await settled()

    assert wire.types == ["welcome", "notice", "notice", "notice", "heartbeat"]


async def test_the_position_that_a_page_says_it_shows_never_goes_back(hub):
    connection, _ = await connect(hub)

    connection.answered(7)
    connection.answered(3)

    assert connection.displayed == 7


async def test_a_page_whose_session_ends_is_closed_4005(hub):
    connection, wire = await connect(hub, session_ends=time.time() + 0.05)
    connection.visit(now(), 0)
    await settled()
    assert wire.closed_with is None

    await eventually(lambda: time.time() > connection.reader.session_ends)
    connection.visit(now(), 0)

    await eventually(lambda: wire.closed_with == 4005)


# Leaving --------------------------------------------------------------------------------------------------


async def test_a_page_that_is_closed_hears_the_last_words_first(hub):
    connection, wire = await connect(hub)

    await connection.leave(CloseCode.TOO_MANY_FRAMES, "too many", Error(code="too_many_frames", detail="…"))

    assert wire.types == ["welcome", "error"]
    assert wire.events[-1] == {"type": "websocket.close", "code": 4013, "reason": "too many"}


async def test_a_page_is_closed_only_once(hub):
    connection, wire = await connect(hub, session_ends=0)

    for _ in range(3):
        connection.visit(now(), 0)
    await settled()
    connection.visit(now(), 0)
    await settled()

    assert [event["type"] for event in wire.events].count("websocket.close") == 1


async def test_a_page_is_told_when_to_come_back_before_the_server_stops(hub):
    connection, wire = await connect(hub)

    connection.drain(0, 750)

    await eventually(lambda: wire.closed_with == 4001)
    assert wire.frames[-1] == {"type": "bye", "code": 4001, "retry_ms": 750}


async def test_an_ended_connection_writes_nothing_and_leaves_no_task_behind(hub):
    before = asyncio.all_tasks()
    connection, wire = await connect(hub)
    wire.block()
    hub.hear(bell(1, 2, 3))
    connection.drain(60, 1)
    await settled()
    assert asyncio.all_tasks() > before

    hub.leave(connection)
    connection.end()
    wire.unblock()
    connection.say(Heartbeat(position=3))
    hub.hear(bell(4))
    await eventually(lambda: asyncio.all_tasks() == before)

    assert wire.types == ["welcome"]
    assert not connection._tasks


async def test_a_connection_that_ends_in_the_step_in_which_it_blocked_leaves_no_task_behind(hub):
    before = asyncio.all_tasks()
    connection, wire = await connect(hub)
    wire.block()

    hub.hear(bell(1))
    connection.end()
    await eventually(lambda: asyncio.all_tasks() == before)

    assert not connection._tasks


async def test_a_handshake_that_is_cancelled_leaves_no_task_behind(hub):
    before = asyncio.all_tasks()
    wire = Wire()
    wire.block()
    joining = asyncio.create_task(connect(hub, wire))
    await settled()
    [connection] = hub.connections

    joining.cancel()
    await asyncio.wait([joining])
    hub.leave(connection)
    connection.end()

    assert asyncio.all_tasks() == before
    assert not hub.connections


@pytest.mark.parametrize("gone", [OSError("broken pipe"), RuntimeError("already closed"), ConnectionResetError()])
async def test_a_socket_that_is_gone_is_no_news_and_harms_nobody_else(hub, gone, caplog):
    class Gone(Wire):
        def write(self, frames):
            return False

        async def send(self, event):
            if self.events:
                raise gone
            await super().send(event)

    connection, _ = await connect(hub, Gone())
    _, other = await connect(hub)

    hub.hear(bell(1))
    hub.hear(bell(2))
    await settled()

    assert other.positions == [1, 2]
    assert not connection._flowing
    assert caplog.text == ""


async def test_a_socket_that_goes_while_it_blocks_is_no_news(hub, caplog):
    class GoesLater(Wire):
        async def send(self, event):
            await super().send(event)
            if json.loads(event["text"])["type"] == "notice":
                raise OSError("broken pipe")

    connection, wire = await connect(hub, GoesLater())
    wire.block()
    hub.hear(bell(1, 2))

    wire.unblock()
    await eventually(lambda: not connection._tasks)

    assert wire.positions == [1]
    assert caplog.text == ""


async def test_our_own_fault_while_writing_is_logged(hub, caplog):
    class Faulty(Wire):
        async def send(self, event):
            await super().send(event)
            if len(self.events) > 1:
                raise ZeroDivisionError

    connection, wire = await connect(hub, Faulty())
    wire.block()
    hub.hear(bell(1))

    wire.unblock()
    await eventually(lambda: not connection._tasks)

    assert "Writing to a socket failed" in caplog.text


# A server that is not our own -----------------------------------------------------------------------------


async def by_send(hub, send):
    connection = Connection(reader(), hub, send, None)
    await connection.begin('{"type":"welcome"}', hub.position, complete=True)
    return connection


async def test_a_send_with_a_time_limit_of_its_own_leaves_the_hub_alone(hub):
    """Such as a wrapper around the application: its `asyncio.timeout` cancels the task in which it was entered."""
    wire = Wire()

    async def limited(event):
        async with asyncio.timeout(0.05):
            await wire.send(event)

    await by_send(hub, limited)
    _, other = await connect(hub, user_id=2)
    wire.block()

    async def follow():
        hub.hear(bell(1))
        await asyncio.sleep(0.2)  # the limit passes meanwhile
        hub.hear(bell(2))
        await settled()

    await asyncio.create_task(follow())

    assert other.positions == [1, 2]


async def test_what_comes_in_one_step_is_no_sign_of_a_slow_page(hub):
    """Nobody has tried to write yet, however much it is."""
    wire = Wire()
    await by_send(hub, wire.send)

    hub.hear(bell(*range(1, RING_ENTRIES + 1)))
    await settled()

    assert wire.positions == list(range(1, RING_ENTRIES + 1))


@pytest.mark.parametrize("leave", [Connection.leave, Connection.close])
async def test_what_was_said_just_before_the_end_is_written_before_it(hub, leave):
    wire = Wire()
    connection = await by_send(hub, wire.send)

    hub.hear(bell(1))
    connection.say(Error(code="bad_frame", detail="the fifth"))
    if ended := leave(connection, CloseCode.BAD_FRAMES, "5 bad frames"):
        await ended
    await eventually(lambda: wire.closed_with)

    assert wire.types == ["welcome", "notice", "error"]
    assert wire.events[-1]["type"] == "websocket.close"
