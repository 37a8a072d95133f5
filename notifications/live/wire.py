"""What a server writes to a WebSocket, or to a stream of events, as bytes. No I/O."""

from __future__ import annotations

import base64
import binascii
import functools
import re
import struct
from collections.abc import Callable, Iterable

from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.utils import accept_key

Pack = Callable[[Iterable[str]], bytes]  # frames as JSON → what is written

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


def frame(payload: bytes, opcode: int = Opcode.TEXT) -> bytes:
    """One whole frame. A server's frames are not masked, so it is the same for everybody (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def text_frames(texts: Iterable[str]) -> bytes:
    return b"".join(frame(text.encode()) for text in texts)


@functools.lru_cache(maxsize=2)  # connections share what was packed by the same function
def events_of(epoch: str) -> Pack:
    """Packs frames as server-sent events; the id of each is the cursor that it leads to in the log of ``epoch``."""

    def pack(texts: Iterable[str]) -> bytes:
        return "".join(_event(text, epoch) for text in texts).encode()

    return pack


# The beginning of a frame that moves the cursor, as `frames.encode` writes it: nobody has to parse the rest.
_MOVES = re.compile(
    r'\{"type":"(?:welcome","cursor":"(?P<cursor>[^"]+)"|(?:notice|heartbeat)","position":(?P<position>\d+))'
)


@functools.lru_cache(maxsize=64)  # a frame is the same for everybody who is sent it
def _event(text: str, epoch: str) -> str:
    if not (move := _MOVES.match(text)):
        return f"data: {text}\n\n"
    return f"id: {move['cursor'] or epoch + ':' + move['position']}\ndata: {text}\n\n"


def answer_to(path: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bool, bytes]:
    """Whether the handshake with these headers is in order; and the head of the answer, or all of the refusal.

    What browsers send is answered here, in 7 µs; whatever looks otherwise is left to `websockets`, in 110 µs.
    """
    given = dict(headers)
    key = given.get(b"sec-websocket-key", b"")
    if given.get(b"sec-websocket-version") == b"13" and given.get(b"upgrade") == b"websocket" and _is_key(key):
        return True, ACCEPTED + accept_key(key.decode()).encode() + b"\r\n"
    as_text = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    response = ServerProtocol().accept(Request(path, Headers(as_text)))
    answer = response.serialize()
    return response.status_code == 101, answer.removesuffix(b"\r\n") if response.status_code == 101 else answer


def _is_key(key: bytes) -> bool:
    """16 bytes in base64."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False
