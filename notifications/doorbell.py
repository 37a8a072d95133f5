"""Telling every server process that something changed: the only code that touches the channel layer.

A bell makes a notice arrive at once. It never decides whether it arrives: hubs also look at the log themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import redis
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers, get_channel_layer
from django.conf import settings
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.redis import NO_LAYER, PATIENCE
from notifications.entries import Entry

logger = logging.getLogger(__name__)

GROUP = "hubs"
# Seconds to wait for an answer, which usually takes 0.1 ms. Somebody waits behind most bells, and behind a page that
# sends, every other page of its process; hubs look at the log themselves after 1.5 s.
BELL_PATIENCE = 0.5
IMPATIENCE = 0.1  # for a Redis that did not answer the last time: it hangs, and so would each of us
MAX_BYTES = 65_536  # a longer bell carries only the head, and hubs read the log


class LogGrew(Struct, tag="log_grew", frozen=True):
    """Positions `first` to `head` are taken. `entries` are all of them, in order, or none (then read the log)."""

    epoch: str
    first: int
    head: int
    entries: list[Entry]


class InboxChanged(Struct, tag="inbox_changed", frozen=True):
    """One person's inbox changed, for the `change`-th time; `text` is the frame for all of their sockets.

    Without it they begin afresh. Every notice that it speaks of was published at or below `position`.
    """

    user_id: int
    change: int
    position: int
    text: str | None


class InboxesChanged(Struct, tag="inboxes_changed", frozen=True):
    """The inboxes of several people: what they have seen is written together, and told by one bell."""

    changes: list[InboxChanged]


class AccessChanged(Struct, tag="access_changed", frozen=True):
    """These people may see more or less than before, or nothing any more; no ids mean that it may be anybody."""

    user_ids: list[int]


class Presence(Struct, tag="presence", frozen=True):
    """How many pages each of these people has open at one hub; `is_all`: nobody else has any there."""

    hub: str
    counts: dict[int, int]
    is_all: bool


class Probe(Struct, tag="probe", frozen=True):
    """A hub rings itself, to learn whether its subscription still works."""

    hub: str


Bell = LogGrew | InboxChanged | InboxesChanged | AccessChanged | Presence | Probe
_decoder: msgspec.msgpack.Decoder[Bell] = msgspec.msgpack.Decoder(Bell)


def ring(bell: Bell) -> int | None:
    """Ring every hub's bell. Blocks for 1 s at the most (a probe for 3 s); never raises.

    Without Redis, the hub of this process at least hears it; the others find the news in the log.

    One PUBLISH in the layer's own wire format. `async_to_sync(layer.group_send)` would cost a new thread, event
    loop and connection each time: 4.2 ms against 0.12 ms.

    Returns:
        How many server processes heard it; None if Redis did not answer, or there is none.
    """
    if settings.REDIS_URL == NO_LAYER:
        _ring_here(bell)
        return None
    try:
        return _publish(bell)
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:
        logger.warning("Redis did not take the bell; hubs will find it in the log: %s", error)
    except Exception:
        # What rings has been committed, so its caller must not fail any more: for example by settings of the layer.
        logger.exception("The bell could not be rung; hubs will find it in the log")
    _ring_here(bell)
    return None


def _publish(bell: Bell) -> int:
    global _was_silent
    payload = msgspec.msgpack.encode(bell)
    if len(payload) > MAX_BYTES and isinstance(bell, LogGrew):
        payload = msgspec.msgpack.encode(msgspec.structs.replace(bell, entries=[]))
    layer: Any = get_channel_layer()
    channel = f"{settings.CHANNEL_LAYERS['default']['CONFIG']['prefix']}__group__{GROUP}"
    try:
        client = _client(settings.REDIS_URL, _patience(bell))
        heard = client.publish(channel, layer.serialize({"type": "bell", "bell": payload}))
        _was_silent = False
    except redis.RedisError as error:
        _was_silent = isinstance(error, redis.TimeoutError)
        raise
    return int(heard)


def _patience(bell: Bell) -> float:
    """A probe asks whether Redis answers at all, however slowly; nobody waits for it."""
    if isinstance(bell, Probe):
        return float(PATIENCE["socket_timeout"])
    return IMPATIENCE if _was_silent else BELL_PATIENCE


def _ring_here(bell: Bell) -> None:
    for subscription in list(_subscriptions):
        subscription.hear_soon(bell)


@functools.cache
def _client(url: str, patience: float) -> redis.Redis:
    """One pool for each patience. A connection that Redis closed meanwhile is replaced once; a time-out is final."""
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    connect = min(patience, PATIENCE["socket_connect_timeout"])
    return redis.Redis.from_url(url, retry=retry, socket_timeout=patience, socket_connect_timeout=connect)


_was_silent = False  # the last bell of this process timed out


_subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()


class Subscription:
    """A hub's ear at the channel layer: one channel in one group.

    ``on_bell`` is called with each `Bell`, on the event loop; it must not block and must not raise.

    The layer is an instance of its own, with the settings of the default one: to close a dead connection is to flush
    the layer, and in the default one that would take their channels and groups from all consumers of the process.
    """

    def __init__(self, on_bell: Callable[[Bell], None]) -> None:
        self._on_bell = on_bell
        self._layer: Any = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
        self._loop = asyncio.get_running_loop()
        self._listening: asyncio.Task[None] | None = None
        _subscriptions.add(self)

    @property
    def is_open(self) -> bool:
        return self._listening is not None and not self._listening.done()

    def hear_soon(self, bell: Bell) -> None:
        """Hear a bell that was rung in this process, from whatever thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its pages with it
            self._loop.call_soon_threadsafe(self._on_bell, bell)

    async def open(self) -> None:
        """Join the group. Whatever is rung from now on is heard.

        Raises:
            redis.RedisError, OSError: the layer is away; call again later.
        """
        channel = await self._layer.new_channel()
        await self._layer.group_add(GROUP, channel)
        self._listening = asyncio.create_task(self._listen(channel), name="doorbell")

    async def close(self) -> None:
        """Leave, and drop the connection whatever state it is in. Takes 3 s at the most."""
        if self._listening:
            self._listening.cancel()
            await asyncio.wait([self._listening], timeout=1)
            self._listening = None
        with contextlib.suppress(redis.RedisError, OSError, TimeoutError):
            await asyncio.wait_for(self._layer.flush(), timeout=2)

    async def _listen(self, channel: str) -> None:
        while True:
            message = await self._layer.receive(channel)
            try:
                bell = _decoder.decode(message["bell"])
            except (msgspec.MsgspecError, KeyError, TypeError) as error:
                # A neighbour of another version during a deploy, or a stranger: the log has what matters.
                logger.warning("A bell that this version does not know: %s", error)
                continue
            self._on_bell(bell)
