"""The server's end of a WebSocket, between Uvicorn and our consumers.

It does what Uvicorn's own does, with `websockets` for reading frames, and differs where thousands of pages stay open:

- Frames that are bytes already are written at once, with neither a coroutine nor a copy for each socket.
- An idle socket keeps 12 KiB instead of 29: no headers, no queues, no handshake that is over.
- A stuck socket can be cut, a stopping server asks its pages to leave, and what a client may cost has limits.
"""

from __future__ import annotations

import asyncio
import logging
import random
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from django.conf import settings
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from notifications.live import wire
from notifications.live.rate import Rate

if TYPE_CHECKING:
    from notifications.live.access import Scope  # at run time, a new worker imports this file before Django is set up

logger = logging.getLogger("uvicorn.error")

DIRECT = "notices.direct"  # the scope extension: this protocol itself, for `write`, `abort` and `ask_for_life`
DRAIN = "notices.drain"  # the event that tells a consumer to say goodbye

MAX_EMPTY_FRAGMENTS = 1024  # of one message: they have no bytes to be limited by
MAX_WAITING = 16  # messages that the consumer has not taken yet; then the client has to wait
PINGS_PER_SECOND = 10
CLOSE_SECONDS = 10  # for the client to answer a close
# A frame costs about 7 µs whatever it is and holds: a pong, a fragment of one byte, or text after our close. A flood of
# any of them held everybody else up for 4 to 8 s.
FRAMES_PER_SECOND = 1000  # of any kind; WS_RATE_LIMIT=0 lifts this, too
COUNTED_AT_ONCE = 100
SLICE_BYTES = 16_384  # parsed before its frames are counted: 2,730 of the smallest
MESSAGE_SECONDS = 20  # from the first byte of a message to its last one, as for a whole request (http.py)

_quiet = logging.getLogger("notifications.live.frames")  # `websockets` tells of each connection that closes
_quiet.setLevel(logging.ERROR)


class NoticeProtocol(asyncio.Protocol):
    """One socket from its accepted handshake on; `begin` is called once, right after `__init__`."""

    __slots__ = (
        "_accepts",
        "_answer",
        "_app",
        "_begun",
        "_close_sent",
        "_close_timer",
        "_config",
        "_connections",
        "_denial",
        "_empty_fragments",
        "_events",
        "_frames",
        "_is_text",
        "_late_bytes",
        "_loop",
        "_lost",
        "_message_timer",
        "_ping_timer",
        "_pings",
        "_pong_due",
        "_rate",
        "_reading",
        "_spare_frames",
        "_takes",
        "_tasks",
        "_transport",
        "_waiter",
        "_writable",
    )

    is_page = True  # see PromptHttpProtocol

    def __init__(self, config: Config, server_state: ServerState) -> None:
        self._config = config
        self._app = config.loaded_app
        self._loop = asyncio.get_running_loop()
        self._connections = server_state.connections
        self._tasks = server_state.tasks
        self._frames = Protocol(SERVER, state=OPEN, max_size=config.ws_max_size, logger=_quiet)
        self._events: list[dict[str, Any]] = []  # for the consumer
        self._waiter: asyncio.Future[None] | None = None  # the consumer, while it waits for one
        self._reading = True
        self._begun: bytearray | None = None  # a message whose end is still to come
        self._empty_fragments = 0
        self._is_text = False
        self._message_timer: asyncio.TimerHandle | None = None  # runs while a message is incomplete
        self._spare_frames = COUNTED_AT_ONCE  # that may come before `_rate` is asked
        self._rate: Rate | None = None  # of frames of any kind
        self._late_bytes = 0  # that came after our own close
        self._accepts = False  # the consumer has accepted: frames may be written
        self._takes = False  # … and the transport takes them
        self._close_sent = False
        self._lost = False  # nobody is there any more to write to
        self._writable: asyncio.Event | None = None  # set when the transport takes more; none while it does
        self._denial: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None  # a refusal under way
        self._close_timer: asyncio.TimerHandle | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._pong_due: bytes | None = None  # what was asked for
        self._pings: Rate | None = None  # the client's

    def begin(self, transport: asyncio.Transport, url: bytes, request: Scope) -> None:
        """Answer this handshake: refuse it when it is none, else ask the application.

        ``request`` is what an HTTP scope has before its address is taken apart.
        """
        self._transport = transport
        self._connections.add(cast(Any, self))
        transport.set_protocol(self)
        is_one, self._answer = wire.answer_to(url.decode("latin-1"), request["headers"])
        if not is_one:
            self._lost = True
            transport.write(self._answer)
            transport.close()
            return
        self._put({"type": "websocket.connect"})
        task = self._loop.create_task(self._run(self._scope_of(url, request)))
        task.add_done_callback(self._tasks.discard)
        self._tasks.add(task)

    def _scope_of(self, url: bytes, request: Scope) -> Scope:
        path, _, query_string = url.partition(b"?")
        root = request["root_path"]
        asked = dict(request["headers"]).get(b"sec-websocket-protocol", b"").decode("latin-1")
        return request | {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "scheme": "wss" if request["scheme"] == "https" else "ws",
            "path": root + unquote(path.decode("latin-1")),
            "raw_path": root.encode("ascii") + path,
            "query_string": query_string,
            "subprotocols": [name.strip() for name in asked.split(",")] if asked else [],
            "extensions": {"websocket.http.response": {}, DIRECT: self},
        }

    async def _run(self, scope: Scope) -> None:
        try:
            await self._app(cast(Any, scope), cast(Any, self.receive), cast(Any, self.send))
        except ClientDisconnected:
            pass
        except BaseException:
            logger.exception("Exception in ASGI application\n")
            self._fail_handshake()
        else:
            if not (self._accepts or self._lost):
                logger.error("ASGI callable returned without completing handshake.")
                self._fail_handshake()
        if self._close_timer is None:
            self._transport.close()

    def _fail_handshake(self) -> None:
        if not (self._accepts or self._lost or self._denial):
            self._deny(500, [], b"Internal Server Error")

    # For the consumer -------------------------------------------------------------------------------------

    def write(self, frames: bytes) -> bool:
        """Write whole frames at once. False: not now, or not any more; `send` knows which."""
        if not self._takes:
            return False
        self._transport.write(frames)
        return True

    def abort(self) -> None:
        """Cut the connection at once, whatever is still to be written."""
        self._transport.abort()

    def limit_messages(self, most: int) -> None:
        """From now on, a message may have so many bytes."""
        self._frames.max_message_size = most

    def ask_for_life(self) -> None:
        """Ping this client now and then, and cut it when it does not answer: for consumers without a heartbeat."""
        if self._config.ws_ping_interval and not self._close_sent:
            self._ping_timer = self._loop.call_later(self._config.ws_ping_interval, self._ping)

    async def receive(self) -> dict[str, Any]:
        while not self._events:
            self._waiter = self._loop.create_future()
            await self._waiter
        event = self._events.pop(0)
        if not (self._reading or self._events):
            self._reading = True
            self._transport.resume_reading()
            if self._message_timer:  # so far it was we who made the client wait
                self._relax()
                self._hurry()
        return event

    async def send(self, event: dict[str, Any]) -> None:
        while self._writable:
            await self._writable.wait()
        if self._lost:
            raise ClientDisconnected
        kind = event["type"]
        if self._denial:
            self._go_on_denying(event)
        elif not self._accepts:
            self._answer_handshake(event)
        elif self._close_sent:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        elif kind == "websocket.send":
            if (data := event.get("bytes")) is not None:
                self._transport.write(wire.frame(data, Opcode.BINARY))
            elif (text := event.get("text")) is not None:
                self._transport.write(wire.frame(text.encode()))
        elif kind == "websocket.close":
            self._close(event.get("code", 1000), event.get("reason") or "")
        else:
            raise RuntimeError(f"Expected 'websocket.send' or 'websocket.close', but got '{kind}'.")

    # The handshake ----------------------------------------------------------------------------------------

    def _answer_handshake(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "websocket.accept":
                self._accept(event)
            case "websocket.close":
                self._deny(403, [], b"")
            case "websocket.http.response.start":
                self._denial = event["status"], list(event.get("headers", [])), b""
            case kind:
                raise RuntimeError(f"Expected 'websocket.accept' or 'websocket.close', but got '{kind}'.")

    def _accept(self, event: dict[str, Any]) -> None:
        extra = list(event.get("headers", []))
        if name := event.get("subprotocol"):
            extra.append((b"sec-websocket-protocol", name.encode("latin-1")))
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in extra)
        self._transport.write(self._answer + lines + b"\r\n")
        self._answer = b""
        self._accepts = True
        self._takes = not self._transport.is_closing()

    def _go_on_denying(self, event: dict[str, Any]) -> None:
        if event["type"] != "websocket.http.response.body":
            raise RuntimeError(f"Expected 'websocket.http.response.body', but got '{event['type']}'.")
        assert self._denial
        status, headers, body = self._denial
        body += event.get("body", b"")
        self._denial = status, headers, body
        if not event.get("more_body"):
            self._deny(status, headers, body)

    def _deny(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        names = {name.lower() for name, _ in headers}
        if b"content-length" not in names:
            headers = [*headers, (b"content-length", str(len(body)).encode())]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in [*headers, (b"connection", b"close")])
        phrase = HTTPStatus(status).phrase.encode()
        self._transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, phrase, lines, body))
        self._lose(1006)
        self._transport.close()

    # Frames that come -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._close_sent and not self._may_still_send(len(data)):
            return
        if len(data) <= SLICE_BYTES:
            may_go_on = self._take_slice(data)
        else:
            view = memoryview(data)
            may_go_on = all(
                self._take_slice(view[start : start + SLICE_BYTES]) for start in range(0, len(data), SLICE_BYTES)
            )
        if not may_go_on:
            self._stop_flood()
        elif self._frames.parser_exc is not None:
            self._transport.close() if self._close_sent else self._hang_up()
        elif self._begun is not None or self._frames.reader.buffer:
            self._hurry()
        elif self._message_timer:
            self._relax()

    def _take_slice(self, data: bytes | memoryview) -> bool:
        """Whether the client may go on: False when it has sent more frames than it may, and none of these is taken."""
        self._frames.receive_data(data)  # type: ignore[arg-type]  # it is only added to a bytearray
        frames = self._frames.events_received()
        self._spare_frames -= len(frames)
        if self._spare_frames < 0 and self._is_flood():
            return False
        for frame in frames:
            self._take(cast(Frame, frame))
        return True

    def _is_flood(self) -> bool:
        """Whether these were too many frames; asked once for many, because honest ones should not pay for it."""
        if self._rate is None:
            self._rate = Rate(FRAMES_PER_SECOND if settings.WS_RATE_LIMIT else 0)
        used = COUNTED_AT_ONCE - self._spare_frames
        self._spare_frames = COUNTED_AT_ONCE
        return self._rate.exceeded(used)

    def _hurry(self) -> None:
        """A message is begun, or a frame of which a part is here: the memory for it is not lent for ever."""
        if self._message_timer is None:
            self._message_timer = self._loop.call_later(MESSAGE_SECONDS, self._give_up_message)

    def _relax(self) -> None:
        if self._message_timer:
            self._message_timer.cancel()
            self._message_timer = None

    def _give_up_message(self) -> None:
        self._message_timer = None
        if self._reading:
            self._transport.abort()
        else:
            self._hurry()

    def _may_still_send(self, count: int) -> bool:
        """After our close we read on for the client's answer to it, but no more than one message under way."""
        self._late_bytes += count
        if self._late_bytes <= (self._frames.max_message_size or 0):
            return True
        self._stop_flood()
        return False

    def _stop_flood(self) -> None:
        """Read nothing more. A client that has been sent a close has some time to find it, and is cut then."""
        if self._close_timer is None:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.pause_reading()

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._take_part(frame)
            case Opcode.PING:
                self._answer_ping()
            case Opcode.PONG:
                if self._pong_due is not None and bytes(frame.data) == self._pong_due:
                    self._pong_due = None
            case Opcode.CLOSE:
                self._answer_close()

    def _take_part(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                self._take_message(bytes(frame.data))
                return
            self._begun, self._empty_fragments = bytearray(), 0
        assert self._begun is not None  # `websockets` refuses a continuation of nothing
        self._begun += frame.data
        self._empty_fragments += not frame.data
        if frame.fin:
            whole, self._begun = bytes(self._begun), None
            self._take_message(whole)
        elif self._empty_fragments > MAX_EMPTY_FRAGMENTS:
            self._fail(1009, f"more than {MAX_EMPTY_FRAGMENTS} empty fragments")

    def _take_message(self, data: bytes) -> None:
        self._relax()
        if self._close_sent:
            return  # the consumer is past its close; reading goes on for the client's answer to it
        if not self._is_text:
            self._put({"type": "websocket.receive", "bytes": data})
        else:
            try:
                self._put({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError:
                self._fail(1007, "text that is not UTF-8")
                return  # a transport that closes cannot be paused
        if self._reading and (len(self._events) >= MAX_WAITING or len(data) > 4096):
            self._reading = False
            self._transport.pause_reading()

    def _put(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _answer_ping(self) -> None:
        # The answer waits in `_frames`; a client that asks ten times a second is none that wants to know.
        self._pings = self._pings or Rate(PINGS_PER_SECOND)
        if self._pings.exceeded():
            self._transport.abort()
        else:
            self._flush()

    # The end ----------------------------------------------------------------------------------------------

    def _answer_close(self) -> None:
        received = self._frames.close_rcvd
        if not self._close_sent and received:
            self._flush()
            self._lose(received.code, received.reason)
        self._transport.close()

    def _fail(self, code: int, reason: str) -> None:
        self._frames.fail(code, reason)
        self._hang_up()

    def _hang_up(self) -> None:
        """The client has broken the protocol; `_frames` knows what to tell it."""
        sent = self._frames.close_sent or Close(1006, "")
        self._flush()
        self._lose(sent.code, sent.reason)
        self._transport.close()

    def _close(self, code: int, reason: str) -> None:
        """The consumer closes: the client has some time to answer."""
        if not self._transport.is_closing():
            self._frames.send_close(code, reason)
            self._flush()
            self._end(code, reason)
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
            self._close_timer = self._loop.call_later(CLOSE_SECONDS, self._transport.close)

    def _lose(self, code: int, reason: str = "") -> None:
        """The consumer is not the one who ends it: whatever it still writes goes nowhere, and is no fault."""
        self._lost = True
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        """Nothing is written any more; the consumer hears of it."""
        if self._ping_timer:
            self._ping_timer.cancel()
        self._takes = False
        self._close_sent = True
        self._put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _flush(self) -> None:
        self._transport.write(b"".join(self._frames.data_to_send()))

    # From the transport and the server --------------------------------------------------------------------

    def pause_writing(self) -> None:
        self._takes = False
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        self._takes = self._accepts and not (self._close_sent or self._lost)
        if self._writable:
            self._writable.set()
            self._writable = None

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(cast(Any, self))
        if self._close_timer:
            self._close_timer.cancel()
        self._relax()
        if not self._close_sent:
            self._lose(1005 if self._accepts else 1006)
        self._lost = True
        self.resume_writing()  # nobody has to wait any more

    def shutdown(self) -> None:
        """The server stops. Stock Uvicorn closes every socket at the same moment, and they all come back together."""
        if not self._accepts and not self._lost:
            self._fail_handshake()
        elif self._close_sent:
            self._transport.close()
        else:
            self._put({"type": DRAIN})

    # Pings ------------------------------------------------------------------------------------------------

    def _ping(self) -> None:
        self._pong_due = random.randbytes(4)  # noqa: S311  # to be recognised, not to be secret
        self._frames.send_ping(self._pong_due)
        self._flush()
        self._ping_timer = self._loop.call_later(self._config.ws_ping_timeout or 20, self._look_for_answer)

    def _look_for_answer(self) -> None:
        if self._pong_due is None:
            self.ask_for_life()
            return
        self._fail(1011, "keepalive ping timeout")
        self._transport.abort()  # `close` would wait for ever for the dead peer to take what is written
