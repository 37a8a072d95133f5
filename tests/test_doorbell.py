"""The bell: heard at once when Redis works, and never in the way when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import msgspec
import pytest
import redis
from channels.layers import get_channel_layer
from redis.asyncio import Redis as AsyncRedis

from notifications.doorbell import (
    GROUP,
    MAX_BYTES,
    AccessChanged,
    InboxChanged,
    LogGrew,
    Presence,
    Probe,
    Subscription,
    ring,
)
from notifications.entries import Entry
from tests.sockets import eventually


def entry(position, size=10):
    return Entry(position, position, 0.0, position, ("everyone",), "x" * size)


@pytest.fixture
async def ear(valkey):
    """An open subscription, and the bells it has heard."""
    bells = []
    subscription = Subscription(bells.append)
    subscription.bells = bells
    await subscription.open()
    yield subscription
    await subscription.close()


BELLS = [
    LogGrew(epoch="e", first=1, head=2, entries=[entry(1), entry(2)]),
    LogGrew(epoch="e", first=1, head=2, entries=[]),
    AccessChanged(user_ids=[7, 8]),
    AccessChanged(user_ids=[]),
    Presence(hub="h", counts={7: 2}, is_all=True),
    InboxChanged(user_id=7, change=3, position=2, text='{"type":"inbox","unread":0,"position":2}'),
    InboxChanged(user_id=7, change=4, position=0, text=None),
    Probe(hub="here"),
]


@pytest.mark.parametrize("bell", BELLS, ids=lambda bell: type(bell).__name__)
async def test_a_bell_is_heard_as_it_was_rung(ear, bell):
    heard_by = await asyncio.to_thread(ring, bell)

    assert heard_by == 1
    await eventually(lambda: ear.bells)
    assert ear.bells == [bell]


async def test_bells_are_heard_in_the_order_in_which_they_were_rung(ear):
    bells = [LogGrew(epoch="e", first=n, head=n, entries=[entry(n)]) for n in range(1, 101)]

    for bell in bells:
        await asyncio.to_thread(ring, bell)

    await eventually(lambda: len(ear.bells) == 100)
    assert ear.bells == bells


async def test_what_we_publish_is_byte_for_byte_what_the_layer_itself_would(valkey, settings):
    async with AsyncRedis.from_url(settings.REDIS_URL) as client, client.pubsub() as listener:
        await listener.psubscribe("*")
        assert (await listener.get_message(timeout=5))["type"] == "psubscribe"
        for bell in BELLS:
            await asyncio.to_thread(ring, bell)
            await get_channel_layer().group_send(GROUP, {"type": "bell", "bell": msgspec.msgpack.encode(bell)})

            ours, theirs = [await listener.get_message(timeout=5) for _ in range(2)]

            assert ours == theirs
            assert ours["channel"] == b"notices__group__hubs"


async def test_a_bell_that_is_too_long_carries_only_the_head(ear):
    long = LogGrew(epoch="e", first=1, head=9, entries=[entry(n, MAX_BYTES // 8) for n in range(1, 10)])

    await asyncio.to_thread(ring, long)

    await eventually(lambda: ear.bells)
    assert ear.bells == [LogGrew(epoch="e", first=1, head=9, entries=[])]


async def test_a_bell_that_just_fits_carries_its_entries(ear):
    bell = LogGrew(epoch="e", first=1, head=1, entries=[entry(1, 65_000)])
    assert len(msgspec.msgpack.encode(bell)) <= MAX_BYTES

    await asyncio.to_thread(ring, bell)

    await eventually(lambda: ear.bells)
    assert ear.bells == [bell]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "bell", "bell": msgspec.msgpack.encode({"type": "from_next_year"})},
        {"type": "bell", "bell": b"\xc1"},
        {"type": "bell", "bell": "text"},
        {"type": "bell", "bell": 7},
        {"type": "bell"},
        {"type": "something.else"},
        ["no", "dictionary"],
    ],
    ids=repr,
)
async def test_a_bell_of_another_version_is_passed_over_and_the_next_one_heard(ear, message, caplog):
    await get_channel_layer().group_send(GROUP, message)
    await asyncio.to_thread(ring, Probe(hub="next"))

    await eventually(lambda: ear.bells)
    assert ear.bells == [Probe(hub="next")]
    assert "A bell that this version does not know" in caplog.text


async def test_who_has_closed_hears_nothing_and_hears_again_after_opening(ear):
    await ear.close()
    assert not ear.is_open
    await eventually(lambda: ring(Probe(hub="missed")) == 0)  # Valkey may not have noticed yet that we left

    await ear.open()

    assert ear.is_open
    assert await asyncio.to_thread(ring, Probe(hub="heard")) == 1
    await eventually(lambda: ear.bells)
    assert ear.bells == [Probe(hub="heard")]


async def test_a_subscription_that_closes_leaves_the_other_consumers_of_the_layer_alone(ear):
    """A hub closes and opens it whenever its probe fails; all else in the process went deaf with it."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("another application", channel)

    await ear.close()
    await layer.group_send("another application", {"type": "hello"})

    assert await asyncio.wait_for(layer.receive(channel), timeout=5) == {"type": "hello"}
    await layer.flush()


async def test_a_subscription_that_closes_leaves_another_hub_of_this_process_its_ear(ear, valkey):
    bells = []
    other = Subscription(bells.append)
    await other.open()

    await ear.close()
    await eventually(lambda: ring(Probe(hub="other")) == 1)

    await eventually(lambda: bells)
    assert not ear.bells
    await other.close()


async def test_opening_while_redis_is_away_says_so_at_once(valkey):
    valkey.stop()
    subscription, started = Subscription(print), time.monotonic()

    with pytest.raises((redis.RedisError, OSError)):
        await subscription.open()

    assert time.monotonic() - started < 10
    await subscription.close()


# Redis is away --------------------------------------------------------------------------------------------


async def test_without_a_server_nobody_hears(valkey):
    await eventually(lambda: ring(Probe(hub="nobody")) == 0)  # Valkey may not have noticed yet that the last one left


def test_a_ring_while_redis_is_stopped_returns_soon_and_raises_nothing(valkey, caplog):
    ring(Probe(hub="connects"))
    valkey.stop()
    started = time.monotonic()

    assert ring(Probe(hub="lost")) is None

    assert time.monotonic() - started < 3
    assert "Redis did not take the bell" in caplog.text


def test_a_redis_that_hangs_is_waited_for_half_a_second_once_and_then_hardly_at_all(valkey):
    bell = AccessChanged(user_ids=[7])
    ring(bell)
    valkey.freeze()

    started = time.monotonic()
    assert ring(bell) is None
    assert 0.5 <= time.monotonic() - started < 1.5

    started = time.monotonic()
    assert [ring(bell) for _ in range(10)] == [None] * 10
    assert 1 <= time.monotonic() - started < 3


def test_a_redis_that_answers_slowly_is_given_time_again_once_a_probe_came_through(valkey):
    bell = AccessChanged(user_ids=[7])
    ring(bell)
    valkey.freeze()
    assert ring(bell) is None
    threading.Timer(1, valkey.thaw).start()

    assert ring(Probe(hub="waits for two seconds")) is not None

    valkey.freeze()
    threading.Timer(0.2, valkey.thaw).start()
    assert ring(bell) is not None, "it waits for longer than the 0.1 s of the impatient"


def test_the_first_ring_after_a_restart_of_redis_arrives(valkey):
    ring(Probe(hub="connects"))

    valkey.restart()

    assert ring(Probe(hub="arrives")) == 0


def test_a_redis_that_refuses_to_publish_is_like_one_that_is_away(valkey, settings):
    """Such as one that wants a password, or that is a read-only replica without its master."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.config_set("maxmemory", "1")
        client.execute_command("ACL", "SETUSER", "default", "-publish")
        try:
            assert ring(Probe(hub="refused")) is None
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+publish")
            client.config_set("maxmemory", "0")


async def test_while_redis_is_away_the_hub_of_this_very_process_still_hears(ear, valkey):
    valkey.stop()

    assert await asyncio.to_thread(ring, Probe(hub="here")) is None

    await eventually(lambda: ear.bells)
    assert ear.bells == [Probe(hub="here")]


# No layer -------------------------------------------------------------------------------------------------


async def test_without_a_layer_the_hub_of_this_very_process_hears(settings):
    settings.REDIS_URL = "memory://"
    bells = []
    subscription = Subscription(bells.append)

    assert await asyncio.to_thread(ring, Probe(hub="here")) is None

    await eventually(lambda: bells)
    assert bells == [Probe(hub="here")]
    del subscription


def test_a_ring_after_the_loop_has_ended_raises_nothing(settings):
    settings.REDIS_URL = "memory://"

    async def listen():
        return Subscription(print)

    subscription = asyncio.run(listen())

    with contextlib.closing(asyncio.new_event_loop()):
        assert ring(Probe(hub="nobody")) is None
    del subscription
