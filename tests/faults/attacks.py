"""Somebody who means harm, or whose program does. One process, one kind of attack, for some seconds.

python -m tests.faults.attacks PORT KIND SESSION
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvloop

from tests.faults.wire import KEY

SECONDS = 8
SOCKETS = 5000
AT_ONCE = 300
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

    async def socket(self, path: str = "/ws/notices/", *more: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open WebSocket."""
        reader, writer = await self.line()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
            f"Cookie: sessionid={self.session}",
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


def main() -> None:
    port, kind, session = sys.argv[1:]
    uvloop.run(KINDS[kind](Target(int(port), session)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
