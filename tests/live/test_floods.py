"""A stranger who sends as much as the line takes is cut off, and nobody else waits for it."""

from __future__ import annotations

import base64
import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.faults.attacks import frame
from tests.live.page import ECHO, NOTICES

SECONDS = 3  # of each flood
LONGEST_WAIT = 1.5  # of somebody else, for /healthz: without the limits it was 4 to 8 s, with them below 0.2

PIECE = 262_144  # what the server reads at once


def many(part: bytes) -> bytes:
    return part * (PIECE // len(part))


FLOODS = {
    "pongs": (ECHO, b"", many(frame(10, b""))),
    "fragments of one byte": (ECHO, frame(1, b"x", fin=False), many(frame(0, b"x", fin=False))),
    "messages in fragments": (ECHO, b"", many(frame(1, b"x", fin=False) + frame(0, b"x"))),
    "text after the close for too many frames": (ECHO, b"", many(frame(1, b"x"))),
    "text after the close for nobody signed in": (NOTICES, b"", many(frame(1, b"x"))),
    "large frames after the close for nobody signed in": (NOTICES, b"", frame(2, bytes(PIECE))),
}


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(layer="none")


def shake_hands(server, path):
    line = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    key = base64.b64encode(bytes(16)).decode()
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    line.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    assert b" 101 " in line.recv(4096)
    return line


class Flood(threading.Thread):
    """Sends on one socket for as long as it may."""

    def __init__(self, server, path, first, piece):
        super().__init__()
        self._line = shake_hands(server, path)
        self._first, self._piece = first, piece
        self.sent = 0  # bytes that the server's kernel or the server has taken

    def run(self):
        ends = time.monotonic() + SECONDS
        self._line.settimeout(0.2)
        with self._line, suppress(ConnectionError):
            self._line.sendall(self._first)
            while time.monotonic() < ends:
                with suppress(TimeoutError):  # the next one goes on where this one ended, in the middle of a frame
                    self.sent += self._line.send(self._piece[self.sent % len(self._piece) :])


@pytest.mark.parametrize(("path", "first", "piece"), FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_keeps_nobody_else_waiting(server, path, first, piece):
    flood, waits = Flood(server, path, first, piece), []

    flood.start()
    while flood.is_alive() or not waits:
        began = time.monotonic()
        server.get("/healthz")
        waits.append(time.monotonic() - began)
        time.sleep(0.01)

    assert max(waits) < LONGEST_WAIT, sorted(waits)[-5:]
    assert flood.sent < 20_000_000  # most of it in the buffers of two kernels
