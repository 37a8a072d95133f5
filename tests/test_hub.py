"""The hub: everything reaches whom it is for, once and in order, whatever the doorbell does."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from datetime import timedelta

import pytest
import redis
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from notifications import log
from notifications.audiences import audiences_of
from notifications.doorbell import InboxChanged, LogGrew, Probe, ring
from notifications.live import database, warden
from notifications.live import hub as hubs
from notifications.live.access import Finding
from notifications.live.database import in_database
from notifications.live.hub import RING_ENTRIES, Hub
from notifications.models import Log, Notice, ServerProcess
from notifications.sending import recall_notice
from tests.people import group, person, send
from tests.sockets import Wire, bell, connect, entry, eventually

in_real_life = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def deaf():
    """A hub that has not been started: it hears only what the test rings."""
    return Hub()


@pytest.fixture
async def follow(transactional_db, valkey, settings, monkeypatch):
    """`await follow()` starts a hub on the real log and the real Valkey, and waits until it is live.

    The people on its pages need no account: see test_warden.py for those who do.
    """
    settings.LOG_LOOK_SECONDS, settings.LOG_POLL_SECONDS = 60, 0.05
    monkeypatch.setattr(warden, "look_again", lambda readers: {reader: Finding(reader, 0) for reader in readers})
    started = []

    async def follow(state="live"):
        hub = Hub()
        started.append(hub)
        hub.start()
        await eventually(lambda: hub.following.is_set() and hub.state == state)
        return hub

    yield follow
    for hub in started:
        await hub.stop()


@in_real_life
async def test_a_row_that_cannot_be_shown_stops_no_hub(follow):
    first, broken = await in_database(send, "first"), await in_database(send, "broken")
    await in_database(Notice.objects.filter(pk=broken.pk).update, published_at=None)

    hub = await follow()
    _, wire = await connect(hub, after=0)
    await in_database(send, "third")
    await eventually(lambda: hub.position == 3)

    assert [entry.notice_id for entry in hub._ring if entry.audiences] == [first.pk, broken.pk + 1]
    assert wire.positions == [1, 3]


# For whom -------------------------------------------------------------------------------------------------


async def test_an_entry_reaches_the_pages_it_is_for_and_no_others(deaf):
    _, adas = await connect(deaf, user_id=1, audiences=["everyone", "user:1", "group:7"])
    _, brians = await connect(deaf, user_id=2, audiences=["everyone", "user:2", "staff"])

    deaf.hear(bell(entry(1), entry(2, "user:1"), entry(3, "staff"), entry(4, "group:7"), entry(5, "topic:x")))

    assert adas.positions == [1, 2, 4]
    assert brians.positions == [1, 3]
    assert deaf.position == 5


async def test_an_entry_for_several_audiences_reaches_a_page_in_all_of_them_once(deaf):
    _, wire = await connect(deaf, audiences=["everyone", "staff", "user:1"])

    deaf.hear(bell(entry(1, "everyone", "staff", "user:1")))

    assert wire.positions == [1]


async def test_every_page_of_a_person_hears_of_their_read_state_and_no_other_persons_page_does(deaf):
    wires = [(await connect(deaf, user_id=user_id))[1] for user_id in (1, 1, 2)]

    deaf.hear(InboxChanged(user_id=1, change=1, position=0, text='{"type":"inbox"}'))

    assert [wire.types[1:] for wire in wires] == [["inbox"], ["inbox"], []]


async def test_what_was_read_is_told_after_the_notices_it_speaks_of(deaf):
    _, wire = await connect(deaf)

    deaf.hear(InboxChanged(user_id=1, change=1, position=2, text='{"type":"inbox"}'))
    assert wire.types == ["welcome"]
    assert deaf._look_wanted.is_set()
    deaf.hear(bell(1))
    deaf.hear(bell(2))

    assert wire.types == ["welcome", "notice", "notice", "inbox"]


def read_state(change):
    return InboxChanged(user_id=1, change=change, position=0, text=f'{{"type":"inbox","changes":{change}}}')


async def test_changes_of_what_was_read_that_crossed_are_told_in_their_order_as_soon_as_the_first_is_there(deaf):
    """A process under load was measured to ring 118 ms after its commit: two others had changed the same by then."""
    _, wire = await connect(deaf)

    deaf.hear(read_state(3))
    deaf.hear(read_state(2))
    await asyncio.sleep(0.15)
    deaf.hear(read_state(1))

    assert [frame.get("changes") for frame in wire.frames] == [None, 1, 2, 3]


async def test_a_change_of_what_was_read_that_is_missing_makes_the_page_start_afresh(deaf):
    _, wire = await connect(deaf)

    deaf.hear(InboxChanged(user_id=1, change=2, position=0, text='{"type":"inbox"}'))

    await eventually(lambda: wire.types == ["welcome", "reset"])


async def test_a_change_that_no_frame_tells_of_makes_every_page_of_this_person_start_afresh(deaf):
    wires = [(await connect(deaf, user_id=user_id))[1] for user_id in (1, 1, 2)]

    deaf.hear(InboxChanged(user_id=1, change=1, position=0, text=None))
    deaf.hear(InboxChanged(user_id=1, change=2, position=0, text='{"type":"inbox"}'))

    assert [wire.types[1:] for wire in wires] == [["reset", "inbox"], ["reset", "inbox"], []]


async def test_a_recall_of_a_notice_from_before_the_account_is_not_told_to_it(deaf):
    _, wire = await connect(deaf, joined=1)
    deaf.hear(bell(entry(1, "staff"), entry(2, "staff")))

    deaf.hear(bell(entry(3, published=1)))
    deaf.hear(bell(entry(4, published=2)))

    assert wire.positions == [4]


async def test_a_recall_of_an_old_notice_for_a_group_is_told_to_its_newcomers(deaf):
    """What is for a group is seen by whoever joins it, from whenever it is."""
    _, wire = await connect(deaf, joined=1, audiences=["everyone", "group:7"])
    deaf.hear(bell(entry(1, "staff")))

    deaf.hear(bell(entry(2, "everyone", "group:7", published=1)))

    assert wire.positions == [2]


async def test_a_page_that_left_is_offered_nothing_more(deaf):
    connection, wire = await connect(deaf, audiences=["everyone", "user:1"])
    deaf.hear(bell(1))

    deaf.leave(connection)
    deaf.leave(connection)
    deaf.hear(bell(2))
    deaf.hear(InboxChanged(user_id=1, change=1, position=0, text="{}"))

    assert wire.positions == [1]
    assert wire.types == ["welcome", "notice"]
    assert not deaf._by_audience
    assert not deaf._by_user


async def test_the_pages_of_a_person_are_counted(deaf):
    first, _ = await connect(deaf, user_id=1)
    await connect(deaf, user_id=1)
    await connect(deaf, user_id=3)
    assert len(deaf.connections_of([1])) == 2

    deaf.leave(first)

    assert [len(deaf.connections_of(ids)) for ids in ([1], [2], [1, 2, 3])] == [1, 0, 2]


# Bells that cross, repeat and go missing ------------------------------------------------------------------


async def test_a_bell_that_is_heard_twice_is_shown_once(deaf):
    _, wire = await connect(deaf)

    for _ in range(2):
        deaf.hear(bell(1, 2))
    deaf.hear(bell(2))

    assert wire.positions == [1, 2]
    assert [entry.position for entry in deaf._ring] == [1, 2]
    assert not deaf._look_wanted.is_set()


async def test_a_bell_that_overlaps_the_last_one_brings_only_what_is_new(deaf):
    _, wire = await connect(deaf)
    deaf.hear(bell(1, 2))

    deaf.hear(bell(2, 3, 4))

    assert wire.positions == [1, 2, 3, 4]


async def test_bells_that_crossed_are_put_in_order_without_a_look_at_the_log(deaf):
    _, wire = await connect(deaf)
    deaf.hear(bell(1))

    deaf.hear(bell(4))
    deaf.hear(bell(3))
    assert wire.positions == [1]
    deaf.hear(bell(2))

    assert wire.positions == [1, 2, 3, 4]
    assert not deaf._early


async def test_a_bell_without_entries_asks_for_a_look_at_the_log(deaf):
    deaf.hear(LogGrew(epoch="", first=1, head=3, entries=[]))

    assert deaf._look_wanted.is_set()
    assert deaf.position == 0


async def test_a_bell_of_another_epoch_is_not_believed(deaf):
    _, wire = await connect(deaf)

    deaf.hear(bell(1, epoch="another"))

    assert wire.positions == []
    assert deaf._look_wanted.is_set()


async def test_another_hubs_probe_is_not_ours(deaf):
    deaf.hear(Probe(hub=str(uuid.uuid4())))
    assert not deaf._probe_heard.is_set()

    deaf.hear(Probe(hub=str(deaf.id)))

    assert deaf._probe_heard.is_set()


# What was missed ------------------------------------------------------------------------------------------


async def test_what_a_page_missed_comes_from_the_ring_each_notice_once_as_it_is_now(deaf):
    connection, _ = await connect(deaf)
    deaf.hear(bell(1, 2, 3, entry(4, published=2), entry(5, "user:99")))

    missed = await deaf.missed(connection, 0, 5)

    assert [entry.position for entry in missed] == [1, 3, 4]
    assert [entry.position for entry in await deaf.missed(connection, 1, 3)] == [2, 3]


async def test_the_ring_knows_where_it_begins(deaf):
    deaf.hear(bell(*range(1, RING_ENTRIES + 1)))
    assert deaf._ring_begins_after == 0

    deaf.hear(bell(RING_ENTRIES + 1, RING_ENTRIES + 2))

    assert deaf._ring_begins_after == 2
    assert deaf._ring[0].position == 3


# On the real log ------------------------------------------------------------------------------------------


@in_real_life
async def test_a_notice_arrives_by_the_doorbell_within_the_second(follow):
    hub = await follow()
    _, wire = await connect(hub)

    notice = await in_database(send, "Backup finished")

    await eventually(lambda: wire.positions, seconds=1)
    assert wire.positions == [1]
    assert wire.frames[-1]["notice"]["title"] == "Backup finished"
    assert notice.heard_by == 1


@in_real_life
async def test_a_hub_begins_where_the_log_stands(follow):
    await in_database(send)
    hub = await follow()

    assert str(hub.place) == str(await in_database(log.head))
    assert hub.position == 1


@in_real_life
async def test_a_bell_that_got_lost_is_made_up_for_from_the_log_when_the_next_one_rings(follow, monkeypatch):
    hub = await follow()
    _, wire = await connect(hub)
    with monkeypatch.context() as silent:
        silent.setattr(log, "ring", lambda bell: 0)
        await in_database(send, "lost")
        await in_database(send, "lost too")

    await in_database(send, "heard")

    await eventually(lambda: len(wire.positions) == 3)
    assert wire.positions == [1, 2, 3]


@in_real_life
async def test_a_bell_that_got_lost_is_made_up_for_by_the_next_look_at_the_log(follow, monkeypatch, settings):
    settings.LOG_LOOK_SECONDS = 0.2
    monkeypatch.setattr(log, "ring", lambda bell: 0)
    hub = await follow()
    _, wire = await connect(hub)

    await in_database(send)

    await eventually(lambda: wire.positions == [1])


@in_real_life
async def test_what_nobody_published_is_published_by_a_hub(follow, settings):
    settings.LOG_LOOK_SECONDS = 0.2
    hub = await follow()
    _, wire = await connect(hub)

    def commit_and_crash():
        notice = Notice.objects.create(title="Sent by a process that died")
        notice.postings.create(audience="everyone")

    await in_database(commit_and_crash)

    await eventually(lambda: wire.positions == [1])


@in_real_life
async def test_a_notice_that_is_due_and_held_is_not_tried_again_at_once(follow, monkeypatch):
    """A recall in a long transaction holds it: each hub asked the database every 10 ms until that ended."""
    hub = await follow()
    monkeypatch.setattr(log, "ring", lambda bell: 0)
    monkeypatch.setattr(log, "publish_due", lambda: [])
    await in_database(Notice.objects.create, title="held")

    found = await in_database(hubs._look, hub.place, [])

    assert 0.1 < found.next_due - time.time() < 1


@in_real_life
async def test_a_scheduled_notice_appears_when_it_is_due_not_at_the_next_look(follow):
    hub = await follow()
    _, wire = await connect(hub)
    due = timezone.now() + timedelta(seconds=1)

    await in_database(send, publish_at=due)
    await in_database(send, "rings, so that the hub learns of the one that waits")
    hub._look_wanted.set()

    await eventually(lambda: len(wire.positions) == 2)
    assert timedelta(0) <= timezone.now() - due < timedelta(seconds=5)  # LOG_LOOK_SECONDS is 60


@in_real_life
async def test_a_hub_that_begins_replays_what_pages_missed_meanwhile_without_asking_the_log(follow, monkeypatch):
    shown = await in_database(send, "Shown by the process that died")
    await in_database(send, "Missed")
    await in_database(send, "Over by now", expires_at=timezone.now() + timedelta(seconds=0.3))
    await in_database(send, "Missed too")
    await in_database(recall_notice, shown)
    await asyncio.sleep(0.3)
    hub = await follow()
    monkeypatch.setattr(log, "entries_for", None)

    _, wire = await connect(hub, after=1)
    await in_database(send, "With the hub")
    await eventually(lambda: hub.position == 6)

    assert wire.positions == [2, 4, 5, 6]


@in_real_life
async def test_a_replay_that_the_ring_does_not_reach_comes_from_the_log(follow, monkeypatch):
    monkeypatch.setattr(hubs, "RING_ENTRIES", 2)
    for n in range(3):
        await in_database(send, f"Before the hub {n}")
    hub = await follow()
    await in_database(send, "With the hub")
    await eventually(lambda: hub.position == 4)

    _, wire = await connect(hub, after=1)

    assert wire.positions == [2, 3, 4]


@in_real_life
async def test_a_notice_for_a_group_reaches_its_members_pages_only(follow):
    ada, brian = await in_database(person, "ada"), await in_database(person, "brian")
    ops = await in_database(group, "ops", ada)
    hub = await follow()
    _, adas = await connect(hub, user_id=ada.pk, audiences=await in_database(audiences_of, ada))
    _, brians = await connect(hub, user_id=brian.pk, audiences=await in_database(audiences_of, brian))

    await in_database(send, "for ops", [f"group:{ops.pk}"])
    await in_database(send, "for everyone")

    await eventually(lambda: len(adas.positions) == 2)
    await eventually(lambda: brians.positions)
    assert (adas.positions, brians.positions) == ([1, 2], [2])


@in_real_life
async def test_a_recall_reaches_the_pages_that_show_the_notice(follow):
    hub = await follow()
    _, wire = await connect(hub)
    notice = await in_database(send)

    await in_database(recall_notice, notice)

    await eventually(lambda: wire.positions == [1, 2])
    assert [frame["notice"]["recalled"] for frame in wire.frames[1:]] == [False, True]


@in_real_life
async def test_a_log_that_was_rebuilt_makes_every_page_start_afresh(follow):
    hub = await follow()
    _, wire = await connect(hub)
    await in_database(send, "in the old log")
    await eventually(lambda: wire.positions == [1])

    await in_database(lambda: (Notice.objects.all().delete(), Log.objects.update(epoch=uuid.uuid4(), head=0)))
    await in_database(send, "in the new log")
    await eventually(lambda: "reset" in wire.types)
    await in_database(send, "after the reset")

    await eventually(lambda: wire.frames[-1].get("notice", {}).get("title") == "after the reset")
    # A hub that looked before the new log had its first notice delivers that one, too.
    after = wire.frames[wire.types.index("reset") + 1 :]
    assert wire.types[:3] == ["welcome", "notice", "reset"]
    assert [frame["notice"]["title"] for frame in after] in (["after the reset"], ["in the new log", "after the reset"])
    assert str(hub.place) == str(await in_database(log.head))


def restored(*titles):
    """The database as a backup has it, in which one notice was sent; then these are sent before any hub looks."""
    with transaction.atomic():  # a restore replaces all at once: no look falls between the two
        Notice.objects.filter(position__gt=1).delete()
        Log.objects.update(head=1, filled=1)
    for title in titles:
        send(title)


@in_real_life
@pytest.mark.parametrize("sent_since", [0, 1, 2, 5])
async def test_a_backup_that_is_restored_under_a_running_server_is_noticed(follow, sent_since):
    """Whether the restored log is shorter than the one before, as long, or longer by the time the hub looks."""
    hub = await follow()
    _, wire = await connect(hub)
    for number in range(3):
        await in_database(send, f"before {number}")
    await eventually(lambda: wire.positions == [1, 2, 3])
    epoch = hub.place.epoch

    await in_database(restored, *(f"since {number}" for number in range(sent_since)))
    hub._look_wanted.set()
    await eventually(lambda: hub.place.epoch != epoch)
    await in_database(send, "after the reset")

    await eventually(lambda: wire.frames[-1].get("notice", {}).get("title") == "after the reset")
    assert "reset" in wire.types
    assert str(hub.place) == str(await in_database(log.head))


@in_real_life
async def test_two_servers_that_notice_a_restored_backup_begin_one_epoch(follow):
    hubs_here = [await follow(), await follow()]
    wires = [(await connect(hub))[1] for hub in hubs_here]
    for number in range(3):
        await in_database(send, f"before {number}")
    await eventually(lambda: [wire.positions for wire in wires] == [[1, 2, 3]] * 2)
    epoch = hubs_here[0].place.epoch

    await in_database(restored, "since")
    for hub in hubs_here:
        hub._look_wanted.set()
    await eventually(lambda: all(hub.place.epoch != epoch for hub in hubs_here))
    await in_database(send, "after the reset")

    await eventually(lambda: all(_title_of(wire.frames[-1]) == "after the reset" for wire in wires))
    assert [str(hub.place) for hub in hubs_here] == [str(await in_database(log.head))] * 2
    assert [wire.types.count("reset") for wire in wires] == [1, 1]


def _title_of(frame):
    return frame.get("notice", {}).get("title")


@in_real_life
async def test_a_notice_that_is_deleted_is_no_restored_backup(follow):
    hub = await follow()
    _, wire = await connect(hub)
    for number in range(3):
        await in_database(send, f"Notice {number}")
    await eventually(lambda: wire.positions == [1, 2, 3])
    place = hub.place

    await in_database(Notice.objects.filter(position=3).delete)
    await hub.look()

    assert hub.place == place
    assert "reset" not in wire.types


@in_real_life
async def test_a_log_behind_its_notices_begins_a_new_epoch_when_a_server_starts(follow):
    for number in range(3):
        await in_database(send, f"before {number}")
    before = await in_database(log.head)
    await in_database(lambda: Log.objects.update(head=1, filled=1))

    hub = await follow()

    assert hub.place.epoch != before.epoch
    assert hub.position == 3


@in_real_life
async def test_a_log_that_only_grows_keeps_its_epoch(follow):
    hub = await follow()
    epoch = hub.place.epoch

    for number in range(3):
        notice = await in_database(send, f"notice {number}", key="one")
        await in_database(recall_notice, notice)
        await hub.look()

    assert hub.place.epoch == epoch


@in_real_life
async def test_a_burst_of_senders_is_delivered_in_order_and_once(follow):
    hub = await follow()
    _, wire = await connect(hub)

    await asyncio.gather(*(in_database(send, f"Notice {n}") for n in range(60)))

    await eventually(lambda: len(wire.positions) == 60)
    assert wire.positions == list(range(1, 61))


# When Redis dies ------------------------------------------------------------------------------------------


@in_real_life
async def test_without_a_layer_notices_are_found_by_polling(follow, settings, monkeypatch):
    settings.REDIS_URL = "memory://"
    monkeypatch.setattr(log, "ring", lambda bell: None)  # another process sent it
    hub = await follow("polling")
    _, wire = await connect(hub)

    await in_database(send)

    await eventually(lambda: wire.positions == [1], seconds=5)


@in_real_life
async def test_while_redis_is_away_notices_are_found_by_polling_and_the_hub_is_live_again_with_it(
    follow, valkey, settings, monkeypatch
):
    settings.LOG_LOOK_SECONDS = 0.2
    hub = await follow()
    _, wire = await connect(hub)

    with monkeypatch.context() as silent:
        silent.setattr(log, "ring", lambda bell: None)  # so that nothing is heard within this process
        valkey.stop()
        await eventually(lambda: hub.state == "polling")
        await in_database(send, "while it is away")
        await eventually(lambda: wire.positions == [1])
        valkey.start()
        await eventually(lambda: hub.state == "live")
    settings.LOG_LOOK_SECONDS = 60
    notice = await in_database(send, "now that it is back")

    await eventually(lambda: wire.positions == [1, 2])
    assert notice.heard_by == 1


@in_real_life
async def test_a_redis_that_falls_silent_is_noticed(follow, valkey, settings):
    """The connection stays, and nothing comes: only our own probe finds that out."""
    settings.LOG_LOOK_SECONDS = 0.2
    hub = await follow()

    valkey.freeze()
    await eventually(lambda: hub.state == "polling")
    valkey.thaw()

    await eventually(lambda: hub.state == "live")


@in_real_life
async def test_a_subscription_that_redis_forgot_is_opened_anew(follow, settings):
    settings.LOG_LOOK_SECONDS = 0.2
    hub = await follow()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: hub.state == "live" and hub._subscription.is_open)

    _, wire = await connect(hub)
    await in_database(send)
    await eventually(lambda: wire.positions == [1])


@in_real_life
async def test_a_hub_that_starts_without_redis_follows_the_log_and_becomes_live_with_it(follow, valkey):
    valkey.stop()
    hub = await follow("polling")
    assert hub.following.is_set()

    valkey.start()

    await eventually(lambda: hub.state == "live")


# When the database dies -----------------------------------------------------------------------------------


@in_real_life
async def test_a_database_that_does_not_answer_is_asked_again(follow, monkeypatch, settings):
    settings.LOG_LOOK_SECONDS = 0.1
    hub = await follow()
    _, wire = await connect(hub)
    asked = []

    def away(*_):
        asked.append(True)
        raise OperationalError("away")

    with monkeypatch.context() as broken:
        broken.setattr(log, "ring", lambda bell: 0)
        broken.setattr(hubs, "_look", away)
        await in_database(send)
        await eventually(lambda: len(asked) >= 2)
        assert wire.positions == []

    await eventually(lambda: wire.positions == [1])
    assert hub.state == "live"


# Life -----------------------------------------------------------------------------------------------------


@in_real_life
async def test_a_hub_tells_the_admin_how_many_pages_it_holds(follow, settings):
    settings.LOG_LOOK_SECONDS = 0.1
    hub = await follow()
    await connect(hub)
    await connect(hub)

    def described():
        return ServerProcess.objects.filter(id=hub.id, connections=2, state="live").first()

    while not (line := await in_database(described)):
        await asyncio.sleep(0.01)

    assert line.name == hub.name
    assert timezone.now() - line.seen_at < timedelta(seconds=10)


@in_real_life
async def test_a_hub_that_stops_leaves_no_task_no_line_and_no_subscription(follow):
    before = asyncio.all_tasks()
    hub = await follow()
    while not await in_database(ServerProcess.objects.filter(id=hub.id).exists):
        await asyncio.sleep(0.01)

    await hub.stop()

    assert hub.state == "stopped"
    assert await in_database(ServerProcess.objects.count) == 0
    assert await asyncio.to_thread(ring, Probe(hub="nobody")) == 0
    await eventually(lambda: not {t for t in asyncio.all_tasks() - before if "hub" in t.get_name()})


@in_real_life
async def test_a_hub_stops_even_if_a_task_overhears_it_once(follow):
    """`asyncio.wait_for` does that, when a bell rings at the same moment: a server did not end within 20 s."""
    hub = await follow()

    async def busy():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    hub._tasks.append(asyncio.create_task(busy()))
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await hub.stop()


@in_real_life
async def test_a_part_of_the_hub_that_fails_is_said_and_the_process_is_not_ready_any_more(follow, monkeypatch, caplog):
    hub = await follow()
    ended = []
    hub._on_failure = lambda: ended.append(hub)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(hubs, "_look", broken)
    hub._look_wanted.set()

    await eventually(lambda: hub.state == "stopped")
    assert "restart this server" in caplog.text
    assert hub.draining, "no new page is taken"
    assert ended == [hub], "the process is asked to end"


@in_real_life
async def test_every_page_is_visited_within_a_heartbeat(follow, settings):
    settings.HEARTBEAT_SECONDS = 0.5
    hub = await follow()
    wires = [(await connect(hub, Wire()))[1] for _ in range(120)]

    await eventually(lambda: all("heartbeat" in wire.types for wire in wires), seconds=10)


@in_real_life
async def test_database_work_for_sockets_leaves_no_connection_open():
    def is_open():
        return connection.connection is not None

    def open_one():
        assert Notice.objects.count() == 0
        return is_open()

    assert all(await asyncio.gather(*(in_database(open_one) for _ in range(20))))

    left_open = [database._threads.submit(is_open) for _ in range(20)]
    assert not any(each.result() for each in left_open)
