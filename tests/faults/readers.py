"""Readers: as many open pages as are asked for, which behave as the browser's client does. One process.

    python -m tests.faults.readers FOLDER FIRST-NUMBER ADDRESS…

They keep cursor and stamp, answer heartbeats, come back as the page does, fetch the inbox after a reset; and they
throw nothing away: what comes twice is written down twice. The first `marking` of all also mark seen or read what they
were sent. The first `slow` of them read about 1 KiB a second, the next `stuck` stop reading for good. A JSON object on
the first line of standard input says how many, and whose sessions they use; lines after it are orders: `state`,
`swallow up|down|both|none`, `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
import sys
import urllib.parse
from collections.abc import Callable, Coroutine
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec import Struct

from tests.faults.history import Record, Seen, now
from tests.faults.wire import Wire

# As in lasting_socket.js.
FIRST_SECONDS, LONGEST_SECONDS, STEADY_SECONDS, OPEN_WITHIN_SECONDS = 0.5, 3.0, 5.0, 15.0
GRACE_SECONDS = 10
FETCHES_AT_ONCE = 20
SLOW_SECONDS = 4.0  # between two reads of up to 4 KiB
FOR_GOOD_SECONDS = 1e6
MARK_WITHIN_SECONDS = 5.0  # the page gathers for up to 10 s, at random
MARKED_AT_ONCE = 100  # a frame takes 500
CSRF_TOKEN = "x" * 32  # the cookie and the form must have the same


class Body(Struct):
    id: int
    body: str = ""
    recalled: bool = False


class Frame(Struct):
    """What a reader needs of any frame of the server."""

    type: str
    position: int = 0
    cursor: str = ""
    stamp: str = ""
    resumed: bool = False
    heartbeat: float = 25
    retry_ms: int = 0
    changes: int = 0
    notice: Body | None = None


decode = msgspec.json.Decoder(Frame).decode
ROW = re.compile(r'<li id="notice-(\d+)"[^>]*data-position="(\d+)"')


class Reader:
    """One page that is open for the whole run."""

    def __init__(
        self, number: int, session: str, address: tuple[str, int], crowd: Crowd, *, pause_seconds: float = 0
    ) -> None:
        self.number = number
        self._pause_seconds = pause_seconds  # between two reads of a slow reader
        self.address = address
        self._crowd = crowd
        self._headers = {"Cookie": f"sessionid={session}", "Origin": f"http://{address[0]}:{address[1]}"}
        self._epoch = self._stamp = ""
        self.position = 0
        self._wire: Wire | None = None
        self._attempt = 0
        self._come_back_seconds: float | None = None
        self._live_since: float | None = None
        self._heard_at = 0.0
        self._silence = 35.0
        self.is_live = False
        self.stopped = False
        self._on_screen: list[int] = []  # and not yet marked

    @property
    def is_stuck(self) -> bool:
        return self._pause_seconds == FOR_GOOD_SECONDS

    def connect(self) -> None:
        if self.stopped:
            return
        cursor = f"?cursor={self._epoch}:{self.position}&stamp={self._stamp}" if self._epoch else ""
        host, port = self.address
        self._heard_at = now()
        self._live_since = None
        self._note("open", self.position)
        wire: Wire | None = None

        def lost(code: int) -> None:
            if wire is self._wire:
                self._lost(code)

        wire = Wire(lambda: None, self._received, lost)
        self._wire = wire
        self._crowd.begin(self._dial(wire, host, port, cursor))

    async def _dial(self, wire: Wire, host: str, port: int, cursor: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_WITHIN_SECONDS):
                if self._pause_seconds:
                    line = await narrow_line(host, port)
                    await loop.create_connection(lambda: wire, sock=line)
                else:
                    await loop.create_connection(lambda: wire, *self._crowd.way_to(host, port))
        except (OSError, TimeoutError):
            if wire is self._wire:
                self._lost(1006)
            return
        wire.handshake(f"{host}:{port}", f"/ws/notices/{cursor}", self._headers)
        while self._pause_seconds and wire is self._wire:
            if self.is_live:
                wire.pause()
                await asyncio.sleep(self._pause_seconds)
                wire.resume()
            await asyncio.sleep(0.01)

    def watch(self) -> None:
        """Called now and then: silence is taken for a dead line."""
        if self._wire and now() - self._heard_at > (self._silence if self.is_live else OPEN_WITHIN_SECONDS):
            wire, self._wire = self._wire, None
            wire.abort()
            self._lost(1006)

    def leave(self) -> None:
        self.stopped = True
        if self._wire:
            self._wire.abort()

    def _received(self, text: bytes) -> None:
        self._heard_at = now()
        frame = decode(text)
        match frame.type:
            case "notice":
                assert frame.notice
                sent = float(frame.notice.body.partition(" ")[0] or 0)
                self._note("notice", frame.position, frame.notice.id, frame.notice.recalled, sent)
                self.position = max(self.position, frame.position)
                if self.number < self._crowd.marking and not frame.notice.recalled:
                    self._show(frame.notice.id)
            case "inbox":
                self._stamp = f"{frame.changes}-{self._stamp.rpartition('-')[2]}"
            case "heartbeat":
                self._note("beat", frame.position)
                self.position = max(self.position, frame.position)
                assert self._wire
                self._wire.say(b'{"type":"alive","position":%d}' % self.position)
            case "welcome":
                self._epoch, _, position = frame.cursor.rpartition(":")
                self.position, self._stamp = int(position), frame.stamp
                self._silence = frame.heartbeat + GRACE_SECONDS
                self._live_since, self.is_live = now(), True
                self._note("welcome", self.position, flag=frame.resumed)
            case "reset":
                self._note("reset")
                wire, self._wire = self._wire, None
                self.is_live = False
                assert wire
                wire.abort()
                self._crowd.begin(self._fetch())
            case "bye":
                self._come_back_seconds = frame.retry_ms / 1000

    def _show(self, notice: int) -> None:
        """It is on the screen, and is marked with what else comes within some seconds."""
        if not self._on_screen:
            wait = random.random() * MARK_WITHIN_SECONDS
            asyncio.get_running_loop().call_later(wait, lambda: self._crowd.begin(self._mark()))
        self._on_screen.append(notice)

    async def _mark(self) -> None:
        """Seen, or read. What cannot be marked now is given up: it is not what is judged."""
        ids, self._on_screen = self._on_screen[:MARKED_AT_ONCE], []
        if random.random() < 0.5:
            if self._wire and self.is_live:
                self._wire.say(json.dumps({"type": "seen", "ids": ids}).encode())
            return
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, IndexError):
            async with asyncio.timeout(OPEN_WITHIN_SECONDS):
                host, port = self.address
                await post(*self._crowd.way_to(host, port), "/read/", self._headers, [("id", id_) for id_ in ids])

    def _lost(self, code: int) -> None:
        self._wire = None
        self.is_live = False
        self._note("closed", code)
        if self._live_since and now() - self._live_since > STEADY_SECONDS:
            self._attempt = 0
        if self.stopped or code in (4005, 4501, 4503, 4504):
            return
        self._retry(self.connect)

    def _retry(self, again: Callable[[], None]) -> None:
        wait = self._come_back_seconds
        if wait is None:
            wait = random.random() * min(LONGEST_SECONDS, FIRST_SECONDS * 2**self._attempt)
        self._come_back_seconds = None
        self._attempt += 1
        asyncio.get_running_loop().call_later(wait, again)

    async def _fetch(self) -> None:
        """The inbox afresh, as the page does after a reset."""
        try:
            async with self._crowd.fetching, asyncio.timeout(15):
                page = await get(*self.address, "/", self._headers)
            place, stamp = re.search(r'data-cursor="([^"]+)" data-stamp="([^"]+)"', page).groups()  # type: ignore[union-attr]
        except (OSError, TimeoutError, AttributeError, asyncio.IncompleteReadError):
            if not self.stopped:
                self._retry(lambda: self._crowd.begin(self._fetch()))
            return
        self._epoch, _, position = unescape(place).rpartition(":")
        self.position, self._stamp = int(position), stamp
        rows = [(int(notice), int(position)) for notice, position in ROW.findall(page)]
        self._crowd.record.add(Seen("page", now(), self.number, self.position, rows=rows))
        self.connect()

    def _note(self, kind: str, position: int = 0, notice: int = 0, flag: bool = False, sent: float = 0) -> None:
        if not self.stopped:
            self._crowd.record.add(Seen(kind, now(), self.number, position, notice, flag, sent))


async def narrow_line(host: str, port: int) -> socket.socket:
    """A connection on which little is under way: the kernel keeps at most about 4 KiB for whoever does not read."""
    line = socket.socket()
    line.setblocking(False)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await asyncio.get_running_loop().sock_connect(line, (host, port))
    return line


async def get(host: str, port: int, path: str, headers: dict[str, str]) -> str:
    """The body of a page; an empty one for anything but 200."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Accept: text/html"]
    return await request(host, port, lines, headers)


async def post(host: str, port: int, path: str, headers: dict[str, str], form: list[tuple[str, object]]) -> str:
    """Fill in a form, as a script of the page does."""
    body = urllib.parse.urlencode([("csrfmiddlewaretoken", CSRF_TOKEN), *form])
    lines = [f"POST {path} HTTP/1.1", f"Host: {headers['Origin'].removeprefix('http://')}", "Accept: application/json"]
    lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    cookies = {"Cookie": f"{headers['Cookie']}; csrftoken={CSRF_TOKEN}"}
    return await request(host, port, lines, headers | cookies, body)


async def request(host: str, port: int, lines: list[str], headers: dict[str, str], body: str = "") -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        lines = [*lines, "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode() if b" 200 " in head.splitlines()[0] else ""


class Swallower:
    """A line in between that can swallow what passes, one way or both, without closing anything."""

    def __init__(self) -> None:
        self.swallows: str = "none"
        self.port = 0

    async def listen(self, host: str, port: int) -> None:
        self._to = (host, port)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.swallows == "both":
            await asyncio.sleep(0.1)  # the handshake's packets are lost, too
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass("up", reader, far_writer), self._pass("down", far_reader, writer))

    async def _pass(self, way: str, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                while self.swallows in (way, "both"):
                    await asyncio.sleep(0.1)
                    if target.is_closing():
                        return
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            while self.swallows in (way, "both"):
                await asyncio.sleep(0.1)  # nor does the end get through
            target.close()


class Crowd:
    """All readers, and what they share."""

    def __init__(self, folder: Path, first: int) -> None:
        self._first = first
        self.record = Record(folder / f"readers-{first}.jsonl")
        self.marking = 0
        self.fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self.swallower: Swallower | None = None
        self.readers: list[Reader] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def way_to(self, host: str, port: int) -> tuple[str, int]:
        return ("127.0.0.1", self.swallower.port) if self.swallower else (host, port)

    async def run(
        self,
        addresses: list[tuple[str, int]],
        sessions: list[str],
        *,
        swallow: bool,
        slow: int,
        stuck: int,
        marking: int,
    ) -> None:
        self.marking = marking
        if swallow:
            self.swallower = Swallower()
            await self.swallower.listen(*addresses[0])
        for number, session in enumerate(sessions):
            pause = SLOW_SECONDS if number < slow else FOR_GOOD_SECONDS if number < slow + stuck else 0
            reader = Reader(
                self._first + number, session, addresses[number % len(addresses)], self, pause_seconds=pause
            )
            self.readers.append(reader)
            reader.connect()
            if number % 20 == 19:
                await asyncio.sleep(0.05)  # they do not all come at the same moment
        watching = asyncio.create_task(self._watch())
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(self._obey(*line.split())), flush=True)
            if line.startswith("stop"):
                break
        watching.cancel()
        self.record.close()

    def _obey(self, command: str, *values: str) -> object:
        match command, values:
            case "state", ():
                self.record.flush()
                places = [reader.position for reader in self.readers if not reader.is_stuck]
                return {"live": sum(reader.is_live for reader in self.readers), "lowest": min(places, default=1 << 62)}
            case "swallow", (way,):
                assert self.swallower
                self.swallower.swallows = way
            case "stop", ():
                for reader in self.readers:
                    reader.leave()
        return None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            for reader in self.readers:
                reader.watch()


def main() -> None:
    folder, first, *addresses = sys.argv[1:]
    given = json.loads(sys.stdin.readline())
    places = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in addresses)]
    uvloop.run(Crowd(Path(folder), int(first)).run(places, **given))


if __name__ == "__main__":
    main()
