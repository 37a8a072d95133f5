"""What happens on a socket: frames in, calls out. Echo and notices."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer
from django.conf import settings
from django.db import Error as DatabaseError

from notifications import deeds, frames
from notifications.addresses import network_of
from notifications.frames import Alive, BadFrame, CloseCode, Error, Inbox, Read, ReadAll, Seen, Welcome, encode
from notifications.inbox import Standing
from notifications.live.access import (
    Arrival,
    Knock,
    Receive,
    Scope,
    Send,
    refuse_handshake,
    session_key_of,
    user_called,
)
from notifications.live.connection import Connection
from notifications.live.crowd import TooManyPages
from notifications.live.database import in_database
from notifications.live.hub import Hub
from notifications.live.occupancy import Full, most_strangers
from notifications.live.rate import Rate
from notifications.live.websocket import DIRECT, DRAIN, NoticeProtocol
from notifications.log import Place

logger = logging.getLogger(__name__)

BAD_FRAMES = 5  # so many bad frames, and the socket is closed
ECHO_START_SECONDS = 2  # after which somebody is a stranger to the echo
START_SECONDS = 10  # a server that cannot read the log by then sends its clients elsewhere
NO_DATABASE = "the database does not answer; come back"
LEAVING_PER_SECOND = 500  # sockets that leave a stopping server each second
RETRY_MS = (500, 2000)  # and come back after something in between


class EchoConsumer(AsyncConsumer):  # type: ignore[misc]
    """Says back what it hears: `Server: m` for a text m (m itself with ?verbatim=1), the same bytes for bytes.

    It is open to strangers, who may be few, and whose messages are small.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub: Hub = scope["hub"]
        await receive()
        _limit_messages(scope, settings.WS_ANONYMOUS_MAX_BYTES)
        user_id = await _signed_in(hub, scope)
        if user_id is not None:
            _limit_messages(scope, settings.WS_MAX_BYTES)
        try:
            with hub.echoes.admit(_echo_limits(user_id, scope)):
                await send({"type": "websocket.accept"})
                if user_id is None and settings.WS_ECHO_SIGN_IN:
                    reason = "sign in to use the echo"
                    await send({"type": "websocket.close", "code": int(CloseCode.NOT_SIGNED_IN), "reason": reason})
                    return
                await _echo(scope, receive, send)
        except Full as full:
            logger.warning(
                "Refused an echo socket: %s (see WS_CONNECTIONS_PER_USER and WS_ANONYMOUS_… in README.md)", full
            )
            sentence = "Too many echo sockets are open; close one of them, or come back later."
            await refuse_handshake(scope, send, 429, sentence)


async def _signed_in(hub: Hub, scope: Scope) -> int | None:
    """Who opens an echo socket; nobody, as far as we know, while the database does not answer."""
    if not (session_key := session_key_of(scope)):
        return None
    try:
        async with asyncio.timeout(ECHO_START_SECONDS):
            arrival = await hub.arrivals.ask(Knock(session_key, ""))
    except (TimeoutError, DatabaseError):
        return None
    return arrival.reader.user_id if arrival else None


def _echo_limits(user_id: int | None, scope: Scope) -> dict[str, int]:
    if user_id is not None:
        return {f"user {user_id}": settings.WS_CONNECTIONS_PER_USER}
    address = network_of((scope.get("client") or ("",))[0])
    return {"strangers": most_strangers(), f"address {address}": settings.WS_ANONYMOUS_PER_ADDRESS}


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    # Channels' own dispatch would hop to a thread for every frame: 112 µs against 40 µs.
    prefix = "" if parameter(scope, "verbatim") == "1" else "Server: "
    rate = Rate(settings.WS_RATE_LIMIT)
    if direct := _direct(scope):
        direct.ask_for_life()
    while (event := await receive())["type"] != "websocket.disconnect":
        if event["type"] == DRAIN:
            await send({"type": "websocket.close", "code": 1012, "reason": "the server is restarting"})
        elif rate.exceeded():
            reason = f"more than {settings.WS_RATE_LIMIT} frames a second"
            await send({"type": "websocket.close", "code": int(CloseCode.TOO_MANY_FRAMES), "reason": reason})
            return
        elif (text := event.get("text")) is not None:
            await send({"type": "websocket.send", "text": prefix + text})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


class NoticeConsumer(AsyncConsumer):  # type: ignore[misc]
    """One reader's open page: says hello, catches it up, and then mostly listens while the hub does the talking."""

    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        hub: Hub = scope["hub"]
        await receive()
        _limit_messages(scope, settings.WS_ANONYMOUS_MAX_BYTES)
        # A refusal after the handshake can say why; before it, a browser sees no more than 1006.
        await send({"type": "websocket.accept"})
        asked = time.monotonic()
        try:
            arrival = await arrive(hub, scope)
        except Refused as refusal:
            await send({"type": "websocket.send", "text": encode(refusal.frame)})
            await send({"type": "websocket.close", "code": refusal.code, "reason": refusal.frame.detail})
            return
        connection = Connection(arrival.reader, hub, send, _direct(scope), arrival.standing.changes)
        hub.warden.meet(connection.user_id, since=asked)
        _limit_messages(scope, settings.WS_MAX_BYTES)
        scope["headers"].clear()  # 2 KiB a socket, for as long as it is open
        try:
            await begin(connection, hub, arrival.standing, parameter(scope, "cursor"), parameter(scope, "stamp"))
            del arrival
            await _listen(connection, hub, receive)
        except OSError:
            pass  # the socket went away while we wrote to it
        finally:
            hub.leave(connection)
            connection.end()


class Refused(Exception):
    """This page may not stay; the frame says why, in words and as a code."""

    def __init__(self, code: int, error: str, detail: str) -> None:
        self.code, self.frame = int(code), Error(code=error, detail=detail)
        super().__init__(detail)


async def arrive(hub: Hub, scope: Scope) -> Arrival:
    """Who is at the door. Raises `Refused`."""
    session_key = session_key_of(scope)
    knock = Knock(session_key, parameter(scope, "stamp"))
    try:
        async with asyncio.timeout(START_SECONDS):
            await hub.following.wait()
            hub.crowd.check_known(session_key)
            arrival = await hub.arrivals.ask(knock)
            if arrival is None:
                raise Refused(CloseCode.NOT_SIGNED_IN, "not_signed_in", "sign in to receive notices")
            await hub.crowd.check_room(arrival.reader.user_id, session_key)
    except TooManyPages as error:
        await hub.crowd.linger()
        detail = f"{settings.WS_CONNECTIONS_PER_USER} pages are open already; close one of them"
        raise Refused(CloseCode.TOO_MANY_CONNECTIONS, "too_many_connections", detail) from error
    except (TimeoutError, DatabaseError) as error:
        logger.warning("A page was sent away, the database does not answer: %r", error)
        raise Refused(1011, "unavailable", NO_DATABASE) from error
    return arrival


def _direct(scope: Scope) -> NoticeProtocol | None:
    """The socket itself; other servers than our own have none to give."""
    found: NoticeProtocol | None = (scope.get("extensions") or {}).get(DIRECT)
    return found


def _limit_messages(scope: Scope, most: int) -> None:
    """Take messages of so many bytes, where the server lets us choose; 0 leaves it as it is."""
    if most and (direct := _direct(scope)):
        direct.limit_messages(min(most, settings.WS_MAX_BYTES))


def parameter(scope: Scope, name: str) -> str:
    """The value of one parameter in the address; nothing where there is none."""
    return _parameters(scope["query_string"]).get(name, [""])[0]


@functools.lru_cache(maxsize=1)  # one handshake asks for several
def _parameters(query: bytes) -> dict[str, list[str]]:
    return parse_qs(query.decode("latin-1"))


async def begin(connection: Connection, hub: Hub, standing: Standing, cursor: str, stamp: str) -> None:
    """Welcome the page where its cursor stands, or where the log stands; replay, or ask for a reset."""
    here = standing.place
    place = Place.parse(cursor) if cursor else here
    known = place is not None and place.epoch == hub.place.epoch == here.epoch and place.position <= here.position
    known = known and stamp in ("", standing.stamp)  # else notices alone would not bring the page up to date
    start = place if place and known else hub.place
    welcome = Welcome(
        cursor=str(start),
        stamp=standing.stamp,
        position=here.position,
        resumed=known and bool(cursor),
        unread=standing.unread,
        unseen=standing.unseen,
        heartbeat=settings.HEARTBEAT_SECONDS,
        delayed=connection.delayed,
    )
    try:
        await connection.begin(encode(welcome), start.position, complete=known)
    except DatabaseError as error:
        logger.warning("A page could not be caught up, the database does not answer: %r", error)
        await connection.leave(1011, NO_DATABASE)


async def _listen(connection: Connection, hub: Hub, receive: Receive) -> None:
    """Answer the page's frames until it, or we, have had enough."""
    rate, bad_frames = Rate(settings.WS_RATE_LIMIT), 0
    while (event := await receive())["type"] != "websocket.disconnect":
        if event["type"] == DRAIN:
            drain(connection, hub)
        elif rate.exceeded():
            detail = f"more than {settings.WS_RATE_LIMIT} frames a second"
            error = Error(code="too_many_frames", detail=detail)
            return await connection.leave(CloseCode.TOO_MANY_FRAMES, detail, error)
        else:
            try:
                await _answer(connection, hub, event)
            except BadFrame as bad:
                bad_frames += 1
                connection.say(Error(code="bad_frame", detail=str(bad)))
                if bad_frames >= BAD_FRAMES:
                    return await connection.leave(CloseCode.BAD_FRAMES, f"{bad_frames} bad frames")
            except DatabaseError as error:
                logger.warning("A page's frame could not be stored: %s", error)
                connection.say(Error(code="unavailable", detail="nothing was changed; try again"))


async def _answer(connection: Connection, hub: Hub, event: dict[str, Any]) -> None:
    text = event.get("text")
    if text is None:
        raise BadFrame("a binary frame; send JSON as text")
    match frames.decode(text):
        case Alive(position=position):
            connection.answered(position)
        case Seen(ids=ids, through=through):
            hub.sightings.note(connection.user_id, ids, through)
        case Read(ids=ids):
            await _mark(connection, ids)
        case ReadAll(through=through):
            await in_database(_mark_all_read, connection.user_id, through)


async def _mark(connection: Connection, ids: list[int]) -> None:
    """Mark them read. All pages hear of it by the doorbell; if this person sees none of them, this page is told."""
    changes = connection.changes
    while answer := await in_database(_mark_read, connection.user_id, ids, changes):
        if changes == connection.changes:
            return connection.say(answer)
        changes = connection.changes  # the page has heard of another change meanwhile, and must not be told less


def _mark_read(user_id: int, ids: list[int], changes: int) -> Inbox | None:
    user = user_called(user_id)
    return None if deeds.mark_read(user, ids).ids else deeds.nothing_read(user, changes)


def _mark_all_read(user_id: int, through: int) -> None:
    deeds.mark_all_read(user_called(user_id), through)


def drain(connection: Connection, hub: Hub) -> None:
    """Leave at a moment of our own, so that all pages do not come back at the same one."""
    spread = min(settings.DRAIN_SECONDS, len(hub.connections) / LEAVING_PER_SECOND)
    connection.drain(random.uniform(0, spread), random.randint(*RETRY_MS))  # noqa: S311
