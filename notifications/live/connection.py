"""One open page, as the hub sees it: frames go in without waiting, and reach the socket in order."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.db import Error as DatabaseError

from notifications.frames import Bye, CloseCode, Heartbeat, Reset, ServerFrame, encode
from notifications.live.outbox import Outbox
from notifications.live.wire import Pack, text_frames

if TYPE_CHECKING:
    from notifications.entries import Entry
    from notifications.live.access import Reader
    from notifications.live.hub import Hub

logger = logging.getLogger(__name__)

STUCK_SECONDS = 30  # a socket that takes nothing for so long is closed
PIECE_BYTES = 65_536  # written at once; so much a transport holds before it asks for a pause
CLOSE_SECONDS = 5  # for the last frames, then the transport is cut

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class Direct(Protocol):
    """What our own server has beside `send`."""

    def write(self, data: bytes) -> bool:
        """Write whole frames at once. False: not now, or not any more; `send` knows which."""

    def abort(self) -> None:
        """Cut the connection at once, whatever is still to be written."""


@dataclass(frozen=True, slots=True)
class Run:
    """Entries that follow one another and are for the same people, and their frames as one piece."""

    entries: Sequence[Entry]
    first: int
    last: int
    _packed: dict[Pack, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Run:
        return cls(entries, entries[0].position, entries[-1].position)

    def packed(self, pack: Pack) -> bytes:
        """All frames as bytes; put together once for all connections of a kind."""
        if pack not in self._packed:
            self._packed[pack] = pack(entry.text for entry in self.entries)
        return self._packed[pack]


class Connection:
    """Writes to one socket.

    On our own server, and while nothing blocks, frames are written at once: no task, no queue, no await. When the
    socket takes no more, frames wait in the outbox and one task goes on writing; when the outbox collapses, that task
    repairs it from the log. On other servers that task writes everything: what wraps their ASGI `send`, say with
    `asyncio.timeout()`, may cancel the task that calls it, which must not be the hub's.
    """

    __slots__ = (
        "_blocked_since",
        "_direct",
        "_expects_answers",
        "_flowing",
        "_heartbeat_at",
        "_hub",
        "_in_flight",
        "_outbox",
        "_pack",
        "_send",
        "_tasks",
        "_unanswered_since",
        "_written",
        "changes",
        "closing",
        "delayed",
        "displayed",
        "reader",
    )

    def __init__(
        self,
        reader: Reader,
        hub: Hub,
        send: Send,
        direct: Direct | None,
        changes: int = 0,
        *,
        pack: Pack = text_frames,
        expects_answers: bool = True,
    ) -> None:
        self.reader = reader
        self.changes = changes  # of read state: the page knows of so many
        self.displayed = 0  # the position that the page says it has reached
        self.closing = False
        self.delayed = hub.is_delayed  # what the page was told last
        self._hub = hub
        self._send = send
        self._direct = direct  # the socket itself, where the server is our own
        self._pack = pack  # what frames look like there
        self._expects_answers = expects_answers  # to heartbeats; else it is enough that they could be written
        self._outbox = Outbox()
        self._flowing = False  # nothing waits to be written; while something does, frames wait in the outbox behind it
        self._in_flight: dict[str, Any] | None = None  # a frame that the server was given and has not written yet
        self._written = 0  # everything up to this position was written, if it was for this reader
        self._blocked_since: float | None = None  # since then one frame is being written; None: none has been tried
        self._heartbeat_at = time.monotonic()
        self._unanswered_since: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def audiences(self) -> frozenset[str]:
        return self.reader.audiences

    @property
    def user_id(self) -> int:
        return self.reader.user_id

    # From the hub -----------------------------------------------------------------------------------------

    def offer_run(self, run: Run) -> None:
        """Write these entries, in one piece where that is possible, or queue them."""
        if (
            self._flowing
            and self._written < run.first
            and self._direct is not None
            and self._direct.write(run.packed(self._pack))
        ):
            self._written = run.last
            return
        for entry in run.entries:
            self.offer(entry.text, entry.position)

    def offer(self, text: str, position: int | None) -> None:
        """Write one frame, or queue it. ``position`` is its place in the log; None for one without."""
        if position is not None and position <= self._written:
            return  # the page was rendered with it, by a process that was ahead of this one
        if not self._flowing:
            if not self.closing:
                self._outbox.put(text, position, bounded=self._blocked_since is not None)
            return
        if self._direct is not None and self._direct.write(self._pack((text,))):
            if position is not None:
                self._written = position
            return
        self._flowing = False
        self._blocked_since = time.monotonic() if self._direct else None  # it has just taken nothing
        self._outbox.put(text, position, bounded=False)
        self._do(self._empty_outbox())

    def hear_of_reading(self, change: int, text: str | None) -> None:
        """Tell the page of the ``change``-th change of this person's read state; of an earlier one it knows.

        Without ``text``, what the change was is not known.
        """
        if change <= self.changes:
            return
        missed_some = change > self.changes + 1
        self.changes = change
        if text is None or missed_some:
            self.reset()
        else:
            self.offer(text, None)

    def visit(self, now: float, position: int, *, delayed: bool = False) -> None:
        """Look after this socket: heartbeat, its answer, a stuck write, the end of the session.

        Called ten times in a heartbeat. So the last of them is at most 0.9 heartbeats old, its answer is missed after
        another 10 s + 0.1 heartbeats, and a page that is cut off is noticed within 35 s.
        """
        if self.closing:
            return
        if self._blocked_since is not None:
            if now - self._blocked_since > STUCK_SECONDS:
                self.close(CloseCode.TOO_SLOW, "too slow: the page reads nothing")
        elif self._unanswered_since is not None and (now - self._unanswered_since > settings.HEARTBEAT_ANSWER_SECONDS):
            self.close(CloseCode.NO_ANSWER, "no answer to heartbeats")
        elif self.reader.session_ends <= time.time():
            self.close(CloseCode.SESSION_EXPIRED, "the session has expired: sign in again")
        elif self._flowing and (delayed != self.delayed or now - self._heartbeat_at > settings.HEARTBEAT_SECONDS * 0.8):
            self.delayed = delayed
            self._heartbeat_at = now
            if self._expects_answers:
                self._unanswered_since = self._unanswered_since or now
            self.offer(_heartbeat(position, delayed), None)

    def begin_again(self, position: int) -> None:
        """Another log begins at ``position``, perhaps below what was written here.

        A page that is not up to date just now is closed, and comes back: what it is being sent is of the old log.
        """
        if not self._flowing:
            self.close(CloseCode.DRAINING, "the log was rebuilt: come back")
            return
        self._written = position
        self.reset()

    def reset(self) -> None:
        """What this page holds means nothing any more: it fetches its inbox afresh."""
        if self._flowing:
            self.offer(encode(Reset()), None)
        else:
            self._take_back()
            self._outbox.collapse(lost_state=True)

    # From the consumer ------------------------------------------------------------------------------------

    async def begin(self, welcome: str, after: int, *, complete: bool) -> None:
        """Join the hub, and write ``welcome``, what was missed since ``after``, and what came meanwhile.

        Not ``complete``: what was missed is not known, and a reset is written in its place.
        """
        self._written = after
        self._blocked_since = time.monotonic()
        through = self._hub.join(self)  # in this same step of the loop: from here on, entries wait in the outbox
        await self._send({"type": "websocket.send", "text": welcome})
        await self._replay(after if complete else None, through)
        await self._empty_outbox()

    def answered(self, position: int) -> None:
        """The page has answered a heartbeat, and shows everything up to ``position``."""
        self._unanswered_since = None
        self.displayed = max(self.displayed, position)

    def say(self, frame: ServerFrame) -> None:
        self.offer(encode(frame), None)

    def close(self, code: CloseCode, reason: str, *frames: ServerFrame) -> None:
        """Leave soon: see `leave`. From now on nothing else is written."""
        if not self.closing:
            self._stop_writing()
            self._do(self.leave(code, reason, *frames))

    async def leave(self, code: int, reason: str, *frames: ServerFrame) -> None:
        """Say the last ``frames`` and close with ``code``.

        What waits for a socket that takes no more is left to the next connection.
        """
        self._stop_writing()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while waiting := self._outbox.take():
                    await self._send({"type": "websocket.send", "text": waiting[0]})
                for frame in frames:
                    await self._send({"type": "websocket.send", "text": encode(frame)})
                await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
        except TimeoutError:
            if self._direct:
                self._direct.abort()

    def drain(self, seconds: float, retry_ms: int) -> None:
        """The server stops: leave within ``seconds``, and tell the page when to come back."""
        self._do(self._leave_later(seconds, retry_ms))

    def end(self) -> None:
        """The socket is gone: nothing is written any more."""
        self._stop_writing()
        for task in list(self._tasks):
            task.cancel()

    # Writing ----------------------------------------------------------------------------------------------

    async def _write(self, text: str) -> None:
        self._blocked_since = time.monotonic()
        self._in_flight = event = {"type": "websocket.send", "text": text}
        await self._send(event)
        self._in_flight = None

    def _take_back(self) -> None:
        """Make nothing of a frame that the server still holds, because the socket takes no more.

        It looks at the frame again when it can write.
        """
        if self._in_flight:
            self._in_flight["text"] = None

    def _stop_writing(self) -> None:
        self.closing = True
        self._flowing = False
        self._take_back()
        if self._blocked_since is not None:
            self._outbox.collapse(lost_state=False)

    async def _empty_outbox(self) -> None:
        """Write what waits, repair what collapsed, and let frames flow again."""
        while not self.closing:
            while frame := self._outbox.take():
                text, position = frame
                await self._write(text)
                if position is not None:
                    self._written = position
            if not self._outbox.collapsed:
                self._blocked_since = None
                self._flowing = True
                return
            lost_state = self._outbox.lost_state
            self._outbox.reopen()
            await self._replay(None if lost_state else self._written, self._hub.position)

    async def _replay(self, after: int | None, through: int) -> None:
        """Write what was missed in (``after``, ``through``]. Newer entries are in the outbox by then."""
        entries = None if after is None else await self._hub.missed(self, after, through)
        if self._is_closing():
            return  # perhaps because another log has begun, of which these are not
        if entries is None:
            self._written = max(self._written, through)
            await self._write(encode(Reset()))
            return
        if not self._write_at_once(entries):
            for entry in entries:
                if self.closing or self._outbox.lost_state:
                    return  # a reset, or the end, comes instead of the rest
                await self._write(entry.text)
                self._written = entry.position
        self._written = max(self._written, through)

    def _is_closing(self) -> bool:
        """It may have begun while we waited, which a type checker does not know of an attribute."""
        return self.closing

    def _write_at_once(self, entries: Sequence[Entry]) -> bool:
        """All of them in one piece, unless that is too large for a slow reader."""
        if self._direct is None or sum(len(entry.text) for entry in entries) > PIECE_BYTES:
            return False
        return self._direct.write(self._pack(entry.text for entry in entries))

    async def _leave_later(self, seconds: float, retry_ms: int) -> None:
        await asyncio.sleep(seconds)
        if self.closing:
            return
        bye = Bye(code=CloseCode.DRAINING, retry_ms=retry_ms)
        await self.leave(CloseCode.DRAINING, "the server is restarting", bye)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, DatabaseError):
            # The repair needs the log. The page comes back with its cursor, by then perhaps to a better server.
            logger.warning("A slow page could not be caught up: %s", error)
            self.close(CloseCode.TOO_SLOW, "the log cannot be read now")
        else:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        """The socket is gone, and its consumer is about to hear of it. Anything else is a fault of ours: said."""
        self._flowing = False
        if not isinstance(error, OSError | RuntimeError):  # the words of servers for a socket that is gone
            logger.error("Writing to a socket failed", exc_info=error)


@functools.lru_cache(maxsize=2)  # thousands are told the same
def _heartbeat(position: int, delayed: bool) -> str:
    return encode(Heartbeat(position=position, delayed=delayed))
