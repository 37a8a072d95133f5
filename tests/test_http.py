"""What Uvicorn's HTTP lacks, on a real server with real sockets in this process."""

from __future__ import annotations

import asyncio

import pytest

from notifications.live import http
from notifications.live.websocket import DIRECT
from tests.faults.attacks import frame
from tests.uvicorns import echo, rest_of, serving


async def app(scope, receive, send):
    """Answers requests with their length, and sends back what a socket says."""
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
        return
    size = 0
    while (event := await receive()).get("more_body"):
        size += len(event["body"])
    size += len(event.get("body", b""))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


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
    async with serving(app) as target:
        reader, writer = await target.line()
        writer.write(begin)

        await rest_of(reader)

        writer.close()


async def test_a_slow_request_that_is_finished_in_time_is_answered():
    async with serving(app) as target:
        reader, writer = await target.line()
        for piece in (b"POST / HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 4\r\n\r\nbo", b"dy"):
            writer.write(piece)
            await asyncio.sleep(0.05)

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_head_without_end_is_cut_off():
    async with serving(app) as target:
        reader, writer = await target.line()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-More: and more\r\n" * 10_000)

        await rest_of(reader)

        writer.close()


async def test_an_open_socket_is_not_taken_for_a_slow_request():
    async with serving(app) as target:
        reader, writer = await target.socket()
        await asyncio.sleep(0.5)

        writer.write(frame(1, b"still here"))

        async with asyncio.timeout(2):
            assert await reader.readexactly(12) == b"\x81\x0astill here"
        writer.close()


async def test_a_page_that_goes_away_before_it_is_held_is_no_fault():
    held = asyncio.get_running_loop().create_future()

    async def slow_to_hold(scope, receive, send):
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            held.set_result(scope["extensions"][DIRECT].hold_page(lambda: None))
        except Exception as error:
            held.set_exception(error)

    async with serving(slow_to_hold) as target:
        _reader, writer = await target.line()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        writer.close()

        assert await asyncio.wait_for(held, 5) is None


# The size of a request ------------------------------------------------------------------------------------


async def test_a_body_that_arrives_together_with_its_head_does_not_count_as_head():
    async with serving(app) as target:
        for _ in range(5):  # how much of it comes in one piece with the head is chance
            reader, writer = await target.line()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)

            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert (await reader.read(100)).endswith(b"100000\r\n0\r\n\r\n")
            writer.close()


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(monkeypatch):
    seen = []

    async def never(scope, receive, send):
        seen.append(scope)

    async with serving(never) as target:
        reader, writer = await target.line()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000\r\n\r\n" + b"x" * 1_000_000)

        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"4194304 bytes" in await reader.readline()
        await rest_of(reader)

        assert seen == []
        writer.close()


async def test_a_body_in_chunks_is_cut_off_where_it_is_too_large(monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 100_000)
    async with serving(app) as target:
        reader, writer = await target.line()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.writelines([b"%x\r\n%b\r\n" % (10_000, b"x" * 10_000)] * 11)

        assert await rest_of(reader) in (b"", None)
        writer.close()


async def test_the_largest_body_is_read(monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 100_000)
    async with serving(app) as target:
        reader, writer = await target.line()
        for _ in range(2):  # each request on a line has its own measure
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)

            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"6\r\n100000")
        writer.close()


async def test_a_head_that_begins_behind_a_long_body_is_not_taken_for_a_long_one():
    async with serving(app) as target:
        reader, writer = await target.line()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")  # the rest of it comes later
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"0\r\n\r\n")

        writer.write(b"\r\n")

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


def test_a_request_that_is_let_in_is_small_enough_to_be_kept_in_memory(settings):
    assert http.MAX_BODY_BYTES <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE


BEGIN = b"POST / HTTP/1.1\r\nHost: x\r\n"
NO_REQUESTS = {
    "two kinds of length": BEGIN + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": BEGIN + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbodyy",
    "a length below nothing": BEGIN + b"Content-Length: -1\r\n\r\n",
    "line ends without a return": b"GET / HTTP/1.1\nHost: x\nX-One: 1\n\n",
    "a NUL in a value": b"GET / HTTP/1.1\r\nHost: x\r\nX-One: 1\0\r\n\r\n",
    "a NUL in a name": b"GET / HTTP/1.1\r\nHost: x\r\nX\0: 1\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
async def test_what_two_programs_could_read_differently_is_refused(request_):
    """A proxy in front of us that reads it in another way could be made to take one client's request for another's."""
    async with serving(app) as target:
        reader, writer = await target.line()
        writer.write(request_)

        answer = await rest_of(reader)

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        writer.close()
