"""Uvicorn's HTTP, with what it lacks: patience that ends, and responses that do not."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from notifications.live.websocket import DIRECT, NoticeProtocol

REQUEST_SECONDS = 20  # for a whole request with its body, of which most have a few KiB
MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 4 * 1_048_576  # 10,000 selected people in the admin are 0.3 MB
REFUSAL_SECONDS = 2  # in which a client that still sends may read why it was refused
TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
)
STALLED_SECONDS = 30  # in which nobody takes the 48 KiB that would make room for more: the response is cut
DEAF_MS = 35_000  # a client that does not acknowledge what a stream writes is gone


class PromptHttpProtocol(HttpToolsProtocol):
    """`uvicorn --http …`: a request that is not complete in time, or has no end of headers, is given up.

    Stock Uvicorn waits for ever, so that a few thousand slow clients would take all descriptors.

    A response that goes on and on (`events.py`) finds it in its scope as `notices.direct`.
    """

    when_leaving: Callable[[], None] | None = None  # asks the response to end, because the server stops

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes: int | None = 0  # so far; None: the head is complete
    _piece_bytes = 0  # of what is being parsed
    _body_bytes = 0
    _stalled: asyncio.TimerHandle | None = None  # runs while the client takes nothing
    _served: RequestResponseCycle | None = None  # the request that is being answered; others may wait behind it
    _refused = False  # what else it sends is not parsed

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hurry()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._piece_bytes = len(data)
        super().data_received(data)
        if self._head_bytes is not None:  # still: what came with the end of a head may be its body
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:  # not the first one, which should be on its way since there is a connection
            self._hurry()

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = {DIRECT: self}  # type: ignore[dict-item]
        self._head_bytes, self._body_bytes = None, 0
        if self._announced_bytes() > MAX_BODY_BYTES:
            self._refuse()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES and not self._refused:  # in chunks, whose sum nobody announced
            self._refused = True
            self.transport.abort()
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        super().on_message_complete()
        self._relax()

    def handle_websocket_upgrade(self) -> None:
        # Stock Uvicorn writes the request anew for another parser.
        self._relax()
        self.connections.discard(self)
        protocol = NoticeProtocol(self.config, self.server_state)
        protocol.begin(self.transport, self.url, dict(self.scope))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Stock Uvicorn tells only the last of several pipelined requests that its client is gone. The one that was
        # being answered wrote on, failed, and left its file open until the garbage collector came.
        self._served = cycle
        # It also starts a pipelined request in the context of the one before. Django takes the thread that is named
        # there for its own, and nobody ends it: `ThreadSensitiveContext` ends only what it has begun itself.
        contextvars.Context().run(super()._start_asgi_task, cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self.is_page:  # a stream of events is looked after by its `Connection`
            self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._flow_again()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        self._flow_again()
        self.pipeline.clear()  # nobody is there to be answered
        super().connection_lost(exc)
        if self._served and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()

    # For a response that goes on and on ---------------------------------------------------------------------

    @property
    def is_page(self) -> bool:
        """Whether a page listens here, which is to be asked to leave."""
        return self.when_leaving is not None

    def hold_page(self, when_leaving: Callable[[], None]) -> None:
        self.when_leaving = when_leaving
        if self.transport.is_closing():
            return  # it went away while we looked who it is; `receive` says so
        line = self.transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and line.family in (socket.AF_INET, socket.AF_INET6):
            # It never says anything, so nothing else tells soon that the network between us is gone.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAF_MS)

    def write(self, data: bytes) -> bool:
        """Write a piece of the response at once. False: not now, or not any more."""
        if self.flow.write_paused or self.cycle.disconnected or self.cycle.response_complete:
            return False
        if data:  # an empty piece would end it
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def abort(self) -> None:
        """Cut the connection at once, whatever is still to be written."""
        self.transport.abort()

    def shutdown(self) -> None:
        if self.when_leaving:
            self.when_leaving()
        else:
            super().shutdown()

    def _announced_bytes(self) -> int:
        """The body's length as the head says it; the parser has refused what is no number."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def _refuse(self) -> None:
        """Answer 413 before anything of the body is kept, unless another answer is still being written."""
        self._refused = True
        if not getattr(self.cycle, "response_complete", True):  # None before the first request
            self.transport.abort()
            return
        sentence = b"The request has more than %d bytes, which is the most.\n" % MAX_BODY_BYTES
        self.transport.write(TOO_LARGE % (len(sentence), sentence))
        self._relax()
        # To close at once would reset the connection under a client that still sends, and lose the answer.
        self._deadline = self.loop.call_later(REFUSAL_SECONDS, self.transport.abort)

    def _flow_again(self) -> None:
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def _hurry(self) -> None:
        self._head_bytes = -self._piece_bytes  # a head that begins in the middle of a piece: none of that piece counts
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _relax(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
