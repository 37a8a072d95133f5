"""What Uvicorn's protocols lack, on a real server with real sockets in this process."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from notifications.live import http
from tests.faults.attacks import Target, frame
from tests.servers import free_port

OURS = "notifications.live.http:PromptHttpProtocol"


async def app(scope, receive, send):
    """Answers requests with their length, and sends back what a socket says."""
    if scope["type"] == "http":
        size = 0
        while (event := await receive()).get("more_body"):
            size += len(event["body"])
        size += len(event.get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event.get("text") or ""})


@asynccontextmanager
async def serving():
    config = uvicorn.Config(app, port=free_port(), lifespan="off", log_level="error", http=OURS)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield Target(config.port, "")
    server.should_exit = True
    await running


async def rest_of(reader, seconds=5):
    """Everything until the server closes; fails when it does not."""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            return await reader.read()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.3)


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    ],
    ids=["nothing", "half a head", "half a body", "half of a second one"],
)
async def test_a_request_that_is_never_finished_is_given_up(begin):
    async with serving() as target:
        reader, writer = await target.line()
        writer.write(begin)

        await rest_of(reader)

        writer.close()


async def test_a_slow_request_that_is_finished_in_time_is_answered():
    async with serving() as target:
        reader, writer = await target.line()
        for piece in (b"POST / HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 4\r\n\r\nbo", b"dy"):
            writer.write(piece)
            await asyncio.sleep(0.05)

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_head_without_end_is_cut_off():
    async with serving() as target:
        reader, writer = await target.line()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-More: and more\r\n" * 10_000)

        await rest_of(reader)

        writer.close()


async def test_an_open_socket_is_not_taken_for_a_slow_request():
    async with serving() as target:
        reader, writer = await target.socket()
        await asyncio.sleep(0.5)

        writer.write(frame(1, b"still here"))

        async with asyncio.timeout(2):
            assert await reader.readexactly(12) == b"\x81\x0astill here"
        writer.close()


async def test_a_message_in_endless_fragments_of_nothing_is_cut_off():
    async with serving() as target:
        reader, writer = await target.socket()
        writer.write(frame(1, b"", fin=False) + frame(0, b"", fin=False) * 2000)

        assert (1009).to_bytes(2, "big") in await rest_of(reader)
        writer.close()


async def test_a_message_in_a_thousand_fragments_is_put_together():
    async with serving() as target:
        reader, writer = await target.socket()
        writer.write(frame(1, b"a", fin=False) + frame(0, b"b", fin=False) * 1000 + frame(0, b"c"))

        async with asyncio.timeout(2):
            assert await reader.readexactly(4 + 1002) == b"\x81\x7e\x03\xea" + b"a" + b"b" * 1000 + b"c"
        writer.close()


async def test_pings_are_answered_until_they_are_too_many():
    async with serving() as target:
        reader, writer = await target.socket()
        writer.write(frame(9, b"ping"))
        async with asyncio.timeout(2):
            assert await reader.readexactly(6) == b"\x8a\x04ping"

        started = time.monotonic()
        writer.write(frame(9, b"ping") * 1000)
        await rest_of(reader)

        assert time.monotonic() - started < 2
        writer.close()
