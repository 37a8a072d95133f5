"""Ready-made frames, written to bare sockets: python -m … PORT CONTROL_PORT

It knows as much of WebSocket as a client needs that only listens, and ignores all that comes after the handshake,
also the frame that says good-bye: clients just hang up.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import struct
import sys

import uvloop

from bench.peers.servers.control import serve_control

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
KEY = re.compile(rb"\r\nsec-websocket-key: *(\S+)", re.IGNORECASE)

clients: set[asyncio.Transport] = set()


class Client(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.request = b""
        self.open = False

    def data_received(self, data: bytes) -> None:
        if self.open:
            return
        self.request += data
        if self.request.endswith(b"\r\n\r\n"):
            self.shake_hands()

    def shake_hands(self) -> None:
        key = KEY.search(self.request)
        if key is None:
            self.transport.close()
            return
        self.transport.write(switching_protocols(key[1]))
        self.open = True
        self.request = b""
        clients.add(self.transport)

    def connection_lost(self, reason: Exception | None) -> None:
        clients.discard(self.transport)


def switching_protocols(key: bytes) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def text_frame(text: str) -> bytes:
    """An unmasked, final text frame, RFC 6455 §5.2."""
    payload = text.encode()
    if len(payload) < 126:
        return struct.pack("!BB", 0x81, len(payload)) + payload
    if len(payload) < 65_536:
        return struct.pack("!BBH", 0x81, 126, len(payload)) + payload
    return struct.pack("!BBQ", 0x81, 127, len(payload)) + payload


async def publish(texts: list[str]) -> None:
    for text in texts:
        frame = text_frame(text)
        for client in clients:
            client.write(frame)


async def main(port: int, control_port: int) -> None:
    loop = asyncio.get_running_loop()
    # 4,096: more clients come at once than the usual 100 places in the queue hold.
    async with await loop.create_server(Client, "127.0.0.1", port, backlog=4096):
        await serve_control(control_port, publish)


uvloop.run(main(*map(int, sys.argv[1:])))
