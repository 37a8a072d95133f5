"""A WebSocket client small enough that thousands of them fit on one core. RFC 6455 §5, the client's half."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast

KEY = "x3JJHMbDL1EzLkh9GBhXDw=="  # any 16 bytes; nobody between us and the server caches
NO_MASK = b"\0\0\0\0"  # a mask is required; this one changes nothing


class Wire(asyncio.Protocol):
    """One socket. Calls ``on_open()``, ``on_text(bytes)`` for each message, and ``on_close(code)`` once.

    1006 is a socket that went away without a word; 0 - status is a handshake answered with that HTTP status.
    """

    def __init__(
        self, on_open: Callable[[], None], on_text: Callable[[bytes], None], on_close: Callable[[int], None]
    ) -> None:
        self._on_open, self._on_text, self._on_close = on_open, on_text, on_close
        self._unread = b""
        self._is_open = False
        self._code = 1006
        self._closed = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def handshake(self, host: str, path: str, headers: dict[str, str]) -> None:
        assert self.transport
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def say(self, text: bytes) -> None:
        self._write(0x1, text)

    def close(self) -> None:
        """Leave politely."""
        self._write(0x8, struct.pack("!H", 1000))
        if self.transport:
            self.transport.close()

    def pause(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._unread + data if self._unread else data
        if not self._is_open:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._unread = head
                return
            status = int(head.split(None, 2)[1])
            if status != 101:
                self._code = -status
                self.abort()
                return
            self._is_open = True
            self._on_open()
        self._unread = self._read_frames(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(self._code)

    def _read_frames(self, data: bytes) -> bytes:
        """Handle each whole frame; returns what is left over. The server masks nothing and splits nothing."""
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                if end - at < 4:
                    break
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                if end - at < 10:
                    break
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if end - start < size:
                break
            self._handle(data[at] & 0xF, data[start : start + size])
            at = start + size
        return data[at:]

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == 0x1:
            self._on_text(payload)
        elif opcode == 0x9:
            self._write(0xA, payload)
        elif opcode == 0x8:
            self._code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.close()

    def _write(self, opcode: int, payload: bytes) -> None:
        if not self.transport or self.transport.is_closing():
            return
        size = len(payload)
        head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
        self.transport.write(head + NO_MASK + payload)
