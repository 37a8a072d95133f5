"""Somebody who means harm, or whose program does. One process, one kind of attack, for some seconds.

python -m tests.faults.attacks PORT KIND SESSION
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvloop

from tests.faults.wire import KEY

SECONDS = 8
SOCKETS = 5000
AT_ONCE = 300
PIECE = 262_144  # what the server reads at once
TOKEN = "x" * 32
A_LARGE_FILE = "/static/admin/js/vendor/xregexp/xregexp.js"  # 325 KB
TRIED_BYTES = 32 * 1_048_576  # of a body of which 4 MiB are allowed
SEARCH_SECONDS = 5  # at the most; a search may take 0.25 s, on a quiet machine
CUT_OFF = (OSError, RuntimeError, asyncio.IncompleteReadError)  # by the server; uvloop says it by a RuntimeError

Attack = Callable[["Target"], Awaitable[None]]
KINDS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    KINDS[function.__name__] = function
    return function


class Target:
    def __init__(self, port: int, session: str) -> None:
        self.port, self.session = port, session

    async def line(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def request(self, method: str, path: str, *more: str, cookies: str = "", body: str = "") -> bytes:
        """A whole request, after which the server closes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        lines += [f"Cookie: {cookies}"] if cookies else []
        lines += ["Content-Type: application/x-www-form-urlencoded"] if method == "POST" else []
        if method == "POST" and not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in more):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, *more, "", body]).encode()

    def form(self, path: str, fields: str, cookies: str = "") -> bytes:
        """A form with the token that Django wants. A stranger chooses it: only the cookie has to be the same."""
        return self.request(
            "POST", path, cookies=f"csrftoken={TOKEN}; {cookies}", body=f"csrfmiddlewaretoken={TOKEN}&{fields}"
        )

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await self.line()
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()

    async def socket(
        self, path: str = "/ws/notices/", *more: str, signed_in: bool = True
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open WebSocket, or one that was refused."""
        reader, writer = await self.line()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
            *([f"Cookie: sessionid={self.session}"] if signed_in else []),
            *more,
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
    first = (0x80 if fin else 0) | rsv | opcode
    size = len(payload)
    if size < 126:
        return bytes([first, 0x80 | size]) + bytes(4) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 0xFE, size) + bytes(4) + payload
    return struct.pack("!BBQ", first, 0xFF, size) + bytes(4) + payload


async def until_closed(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65536):
            pass


async def again_and_again(once: Callable[[], Awaitable[None]], at_once: int) -> None:
    """So many at the same time, until the time is over; a line that the server cuts is begun anew."""
    ends = asyncio.get_running_loop().time() + SECONDS

    async def one() -> None:
        while asyncio.get_running_loop().time() < ends:
            with suppress(*CUT_OFF, TimeoutError):
                async with asyncio.timeout_at(ends):
                    await once()

    await asyncio.gather(*(one() for _ in range(at_once)))


@attack
async def crowd(target: Target) -> None:
    """5,000 sockets of one user, 300 at a time, as fast as they are answered."""
    held, left = [], SOCKETS

    async def open_some() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            with suppress(*CUT_OFF):
                reader, writer = await target.socket()
                held.append(writer)
                await reader.read(1000)

    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            opening = []
            for _ in range(AT_ONCE):
                opening.append(asyncio.create_task(open_some()))
                await asyncio.sleep(0.003)  # not all in one packet's time: what counts is what it costs to go on
            await asyncio.gather(*opening)
    for writer in held:
        writer.close()


@attack
async def slow_handshakes(target: Target) -> None:
    """300 requests that come a byte at a time and are never finished."""

    async def once() -> None:
        _, writer = await target.line()
        for byte in b"GET /ws/notices/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.2)

    await again_and_again(once, 300)


@attack
async def flood(target: Target) -> None:
    """10,000 frames a second from one socket, which comes back when it is closed."""

    async def once() -> None:
        reader, writer = await target.socket()
        closed = asyncio.create_task(until_closed(reader))
        while not closed.done():
            writer.write(frame(1, b'{"type":"alive","position":1}') * 100)
            await asyncio.sleep(0.01)
        writer.close()
        await asyncio.sleep(0.5)  # as a client does that waits before it comes back

    await again_and_again(once, 1)


@attack
async def pings(target: Target) -> None:
    """10,000 pings a second."""

    async def once() -> None:
        reader, writer = await target.socket("/ws/echo/")
        closed = asyncio.create_task(until_closed(reader))
        while not closed.done():
            writer.write(frame(9, b"ping") * 100)
            await asyncio.sleep(0.01)
        writer.close()
        await asyncio.sleep(0.5)

    await again_and_again(once, 1)


@attack
async def bombs(target: Target) -> None:
    """Frames that say they are compressed, which nobody has agreed on."""

    async def once() -> None:
        reader, writer = await target.socket("/ws/echo/", "Sec-WebSocket-Extensions: permessage-deflate")
        writer.write(frame(1, os.urandom(60_000), rsv=0x40))
        await until_closed(reader)
        writer.close()
        await asyncio.sleep(0.1)

    await again_and_again(once, 10)


@attack
async def giants(target: Target) -> None:
    """Messages in fragments without end: of 64 KiB, and of nothing."""

    async def once() -> None:
        for piece in (b"x" * 65_000, b""):
            reader, writer = await target.socket("/ws/echo/")
            closed = asyncio.create_task(until_closed(reader))
            writer.write(frame(1, piece, fin=False))
            while not closed.done():
                writer.write(frame(0, piece, fin=False) * (1 if piece else 200))
                await asyncio.sleep(0.002)
            writer.close()
        await asyncio.sleep(0.2)

    await again_and_again(once, 3)


# As much as the line takes ----------------------------------------------------------------------------------


async def pour(target: Target, path: str, first: bytes, part: bytes, *, signed_in: bool = False) -> None:
    """One part again and again on one socket, also after it was closed by the server, until it is cut."""
    reader, writer = await target.socket(path, signed_in=signed_in)
    reading = asyncio.create_task(until_closed(reader))
    try:
        writer.write(first)
        while not reading.done() or not writer.is_closing():
            writer.write(part * (PIECE // len(part)))
            await writer.drain()
            await asyncio.sleep(0)
    finally:
        reading.cancel()
        writer.close()
    await asyncio.sleep(0.5)


@attack
async def pongs(target: Target) -> None:
    """Pongs that nobody asked for."""
    await again_and_again(lambda: pour(target, "/ws/echo/", b"", frame(10, b"")), 1)


@attack
async def crumbs(target: Target) -> None:
    """A message in fragments of one byte."""
    await again_and_again(lambda: pour(target, "/ws/echo/", frame(1, b"x", fin=False), frame(0, b"x", fin=False)), 1)


@attack
async def words_after_the_close(target: Target) -> None:
    """Text on a socket that the server has closed already, because nobody is signed in there."""
    await again_and_again(lambda: pour(target, "/ws/notices/", b"", frame(1, b"x")), 1)


# Strangers --------------------------------------------------------------------------------------------------


@attack
async def cookies(target: Target) -> None:
    """Six strangers whose session is ten NULs, which PostgreSQL takes in no text."""
    nuls = 'sessionid="' + r"\000" * 10 + '"'

    async def once() -> None:
        for path in ("/events/?once=1", "/", "/accounts/login/"):
            await target.ask(target.request("GET", path, cookies=nuls))
        await asyncio.sleep(0.1)

    await again_and_again(once, 6)


@attack
async def unfinished(target: Target) -> None:
    """300 echo sockets of nobody, from one address, each with most of a megabyte that never ends."""

    async def once() -> None:
        reader, writer = await target.socket("/ws/echo/", signed_in=False)
        writer.write(frame(1, b"x" * 1_000_000, fin=False))
        await until_closed(reader)
        writer.close()
        await asyncio.sleep(1)

    await again_and_again(once, AT_ONCE)


@attack
async def guesses(target: Target) -> None:
    """40 wrong passwords at once, and eight a second after them."""

    async def guess(number: int) -> None:
        with suppress(*CUT_OFF):
            await target.ask(target.form("/accounts/login/", f"username=person{number % 3}&password=wrong{number}"))

    guessing = [asyncio.create_task(guess(number)) for number in range(40)]
    for number in range(8 * SECONDS):
        await asyncio.sleep(1 / 8)
        guessing.append(asyncio.create_task(guess(number)))
    await asyncio.wait(guessing, timeout=5)


@attack
async def deaf_clients(target: Target) -> None:
    """60 clients ask for 13 MB each, and read nothing. (The kernel takes several files of each, which is work.)"""
    lines = []
    for _ in range(60):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.connect(("127.0.0.1", target.port))
        line.sendall(f"GET {A_LARGE_FILE} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\n".encode() * 40)
        lines.append(line)
        await asyncio.sleep(0.1)
    await asyncio.sleep(SECONDS - 3)
    for line in lines:
        line.close()


@attack
async def bodies(target: Target) -> None:
    """Bodies of 300 MB, announced and in chunks."""
    length, chunked = f"Content-Length: {300 * 1_048_576}", "Transfer-Encoding: chunked"
    chunk = b"%x\r\n%b\r\n" % (PIECE, bytes(PIECE))

    async def once(path: str, kind: str) -> None:
        reader, writer = await target.line()
        answer = b""
        try:
            with suppress(*CUT_OFF):
                writer.write(target.request("POST", path, kind))
                for _ in range(TRIED_BYTES // PIECE):
                    writer.write(chunk if kind == chunked else bytes(PIECE))
                    await writer.drain()
                answer = await asyncio.wait_for(reader.read(), 5)
        except TimeoutError:
            sys.exit(f"{path} took {TRIED_BYTES} bytes and waits for more")
        finally:
            writer.close()
        if answer and b" 413 " not in answer:
            sys.exit(f"{path} took {TRIED_BYTES} bytes and said {answer[:40]!r}")

    async def all_kinds() -> None:
        for path in ("/language/", "/healthz", A_LARGE_FILE):
            for kind in (length, chunked):
                await once(path, kind)
                await asyncio.sleep(0.5)  # what counts is what is kept, not that two processes share the cores

    await again_and_again(all_kinds, 1)


@attack
async def log_lines(target: Target) -> None:
    """Whatever the server has something to say about."""
    requests = [
        target.request("GET", "/accounts/login/?" + "a&" * 1102),
        target.request("POST", "/language/"),
        target.request("POST", "/language/", "Origin: https://" + "evil." * 10_000 + "example"),
        target.request("GET", "/", "Upgrade: h2c"),
        b"\x16\x03\x01" + bytes(range(256)) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ]

    async def once() -> None:
        for request in requests:
            with suppress(*CUT_OFF):
                await target.ask(request)
        await asyncio.sleep(0.1)

    await again_and_again(once, 3)


# Somebody who has signed in ---------------------------------------------------------------------------------


@attack
async def searches(target: Target) -> None:
    """Words that a search compares for as long as it can with what `FULL_OF_UMLAUTS` has stored, two at a time."""
    almost = "%C3%A4"  # ä

    async def ask(request: bytes) -> None:
        began = time.monotonic()
        await target.ask(request)
        if (took := time.monotonic() - began) > SEARCH_SECONDS:
            sys.exit(f"a search took {took:.1f} s")

    async def once() -> None:
        for words in (almost * 190 + "b", "+".join([almost * 48 + "b"] * 4)):
            await ask(target.request("GET", f"/?q={words}", cookies=f"sessionid={target.session}"))
            matching = f"q={words}".replace("%", "%25").replace("+", "%2B").replace("=", "%3D")
            await ask(target.form("/read/", f"matching={matching}&through={10**9}", f"sessionid={target.session}"))

    await again_and_again(once, 2)


def main() -> None:
    os.nice(10)  # a stranger's machine is another one: what the attack costs here is not the server's
    port, kind, session = sys.argv[1:]
    uvloop.run(KINDS[kind](Target(int(port), session)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
