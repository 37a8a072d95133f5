"""The same frames as on a socket, as server-sent events: for pages whose network lets no WebSocket through.

`GET /events/?cursor=…&stamp=…` is a response that does not end; with `&once=1` it ends when the page is caught up, for
networks that hold a response back until it has ended. What a page says goes by requests of its own.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any

from notifications.frames import CloseCode, Heartbeat, encode
from notifications.live.access import Receive, Scope, Send, header, is_welcome
from notifications.live.connection import Connection
from notifications.live.consumers import Refused, arrive, begin, drain, parameter
from notifications.live.http import PromptHttpProtocol
from notifications.live.hub import Hub
from notifications.live.websocket import DIRECT
from notifications.live.wire import Pack, events_of

Header = tuple[bytes, bytes]

RETRY_MS = 2000  # a browser that comes back by itself waits so long
RETRY_SECONDS = 5  # said to whoever is refused for now
STREAM: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events until it has 4 KiB of them
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"Cookie, Origin"),
    (b"connection", b"close"),  # nothing can follow on this line when the server stops
]
STATUS_OF: dict[int, HTTPStatus] = {
    CloseCode.NOT_SIGNED_IN: HTTPStatus.UNAUTHORIZED,
    CloseCode.TOO_MANY_CONNECTIONS: HTTPStatus.TOO_MANY_REQUESTS,
}  # every other refusal: the server cannot serve anybody now


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    hub: Hub = scope["hub"]
    if scope["method"] != "GET":
        await _refuse(send, HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered here", (b"allow", b"GET"))
        return
    if not is_welcome(scope):
        await _refuse(send, HTTPStatus.FORBIDDEN, "a page of another site may not listen here")
        return
    asked = time.monotonic()
    try:
        arrival = None if hub.draining else await arrive(hub, scope)
    except Refused as refusal:
        status = STATUS_OF.get(refusal.code, HTTPStatus.SERVICE_UNAVAILABLE)
        await _refuse(send, status, refusal.frame.detail)
        return
    if arrival is None or hub.draining:
        await _refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, "the server is restarting; come back in a moment")
        return
    stream = EventStream(send, _direct(scope), events_of(hub.place.epoch))
    connection = Connection(
        arrival.reader,
        hub,
        stream.send,
        stream.direct,
        arrival.standing.changes,
        pack=stream.pack,
        expects_answers=False,
    )
    if stream.direct:
        stream.direct.hold_page(when_leaving=lambda: drain(connection, hub))
    hub.warden.meet(connection.user_id, since=asked)
    cursor = header(scope, b"last-event-id") or parameter(scope, "cursor")
    once = parameter(scope, "once") == "1"
    try:
        await stream.open(origin=header(scope, b"origin"))
        await begin(connection, hub, arrival.standing, cursor, parameter(scope, "stamp"))
        if once and not connection.closing:
            # How far it was really brought: the welcome tells of the database, which may be ahead of this process.
            reached = Heartbeat(position=hub.position, delayed=hub.is_delayed)
            await stream.send({"type": "websocket.send", "text": encode(reached)})
            await stream.end()
        del arrival
        while (await receive())["type"] != "http.disconnect":
            pass
    except OSError:
        pass  # the page went away while we wrote to it
    finally:
        hub.leave(connection)
        connection.end()
        if stream.direct:
            stream.direct.when_leaving = None


class EventStream:
    """A response that does not end, and looks to a `Connection` like a socket."""

    def __init__(self, send: Send, direct: PromptHttpProtocol | None, pack: Pack) -> None:
        self.direct = direct
        self.pack = pack
        self._send = send
        self._ended = False

    async def open(self, origin: str | None) -> None:
        """``origin``: the page's, if it said any; it was let in, so it may read, too."""
        headers = [*STREAM]
        if origin:
            headers += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-credentials", b"true"),
            ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._write(b"retry: %d\n\n" % RETRY_MS)

    async def send(self, event: dict[str, Any]) -> None:
        """Take what a socket's `send` takes."""
        if self.direct:
            await self.direct.flow.drain()
        if event["type"] == "websocket.close":
            reason = json.dumps({"code": event["code"], "reason": event["reason"]})
            await self.end(f"event: close\ndata: {reason}\n\n".encode())
        elif (text := event["text"]) is not None:  # None: taken back while the page read nothing
            await self._write(self.pack((text,)))

    async def end(self, last: bytes = b"") -> None:
        if not self._ended:
            self._ended = True
            await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def _write(self, data: bytes) -> None:
        if not self._ended:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})


def _direct(scope: Scope) -> PromptHttpProtocol | None:
    """The response's own line; other servers than our own have none to give."""
    found: PromptHttpProtocol | None = (scope.get("extensions") or {}).get(DIRECT)
    return found


async def _refuse(send: Send, status: HTTPStatus, sentence: str, *more: Header) -> None:
    body = f"{sentence}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *more,
    ]
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
