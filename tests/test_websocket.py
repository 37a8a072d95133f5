"""The server's end of a WebSocket, on a real server with real sockets in this process."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from notifications.live import websocket, wire
from notifications.live.websocket import DIRECT, DRAIN, MAX_WAITING
from tests.faults.attacks import frame
from tests.uvicorns import echo, rest_of, serving

PIECE = b"x" * 65_536


def dial(target, **options):
    return connect(f"ws://127.0.0.1:{target.port}/", compression=None, ping_interval=None, **options)


async def answer(target, *lines):
    """What the server says to a handshake with these header lines, up to the end of its head."""
    reader, writer = await target.line()
    writer.write("\r\n".join(["GET / HTTP/1.1", "Host: x", *lines, "", ""]).encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.decode()


# The handshake --------------------------------------------------------------------------------------------

GOOD = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3
OTHERWISE = {
    "in other letters": {"Upgrade": "WebSocket"},
    "as Firefox says it": {"Connection": "keep-alive, Upgrade"},
}
NONE_AT_ALL = {
    "without a key": ({"Sec-WebSocket-Key": None}, 400),
    "a short key": ({"Sec-WebSocket-Key": "dGhl"}, 400),
    "a key that is no base64": ({"Sec-WebSocket-Key": "!" * 24}, 400),
    "an old version": ({"Sec-WebSocket-Version": "8"}, 400),
    "no version": ({"Sec-WebSocket-Version": None}, 400),
}


def lines(changes):
    return [f"{name}: {value}" for name, value in (GOOD | changes).items() if value is not None]


@pytest.mark.parametrize("changes", [{}, *OTHERWISE.values()], ids=["as most say it", *OTHERWISE])
async def test_a_handshake_in_order_is_answered(changes):
    async with serving(echo) as target:
        head = await answer(target, *lines(changes))

        assert head.startswith("HTTP/1.1 101")
        assert ACCEPT in head


@pytest.mark.parametrize(("changes", "status"), NONE_AT_ALL.values(), ids=NONE_AT_ALL.keys())
async def test_a_handshake_that_is_none_is_refused(changes, status):
    async with serving(echo) as target:
        head = await answer(target, *lines(changes))

        assert head.startswith(f"HTTP/1.1 {status}")


@pytest.mark.parametrize("path", ["/caf\u00e9", "/%ff", "/a%20b?x=%00"])
async def test_an_odd_address_is_no_reason_to_fail(path, caplog):
    async with serving(echo) as target:
        reader, writer = await target.line()
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines({}), "", ""])
        writer.write(head.encode("latin-1"))
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\r\n")
        writer.close()

    assert answer.split()[1] in (b"101", b"400")
    assert "Traceback" not in caplog.text


async def test_an_application_may_choose_a_subprotocol_and_add_headers():
    async def app(scope, receive, send):
        await receive()
        assert scope["subprotocols"] == ["one", "two"]
        await send({"type": "websocket.accept", "subprotocol": "two", "headers": [(b"x-more", b"yes")]})
        await receive()

    async with serving(app) as target, dial(target, subprotocols=["one", "two"]) as client:
        assert client.subprotocol == "two"
        assert client.response.headers["x-more"] == "yes"


async def test_an_application_may_refuse_with_a_status_and_words():
    async def app(scope, receive, send):
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-why", b"tea")]})
        await send({"type": "websocket.http.response.body", "body": b"a ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"teapot"})

    async with serving(app) as target:
        with pytest.raises(InvalidStatus) as refused:
            await dial(target)

    response = refused.value.response
    assert (response.status_code, response.body, response.headers["x-why"]) == (418, b"a teapot", "tea")


@pytest.mark.parametrize(("way", "status"), [("close", 403), ("fail", 500), ("return", 500)])
async def test_an_application_that_does_not_accept_means_no(way, status, caplog):
    async def app(scope, receive, send):
        if way == "fail":
            raise ZeroDivisionError
        if way == "close":
            await send({"type": "websocket.close"})

    async with serving(app) as target:
        with pytest.raises(InvalidStatus) as refused:
            await dial(target)

    assert refused.value.response.status_code == status


# Frames ---------------------------------------------------------------------------------------------------


async def test_whole_frames_are_written_at_once_as_they_are():
    async def app(scope, receive, send):
        await receive()
        direct = scope["extensions"][DIRECT]
        assert not direct.write(b"before the handshake is answered")
        await send({"type": "websocket.accept"})
        assert direct.write(wire.text_frames(["one", "zwei", "三" * 100]))
        await send({"type": "websocket.send", "bytes": PIECE})
        await receive()

    async with serving(app) as target, dial(target) as client:
        assert [await client.recv() for _ in range(4)] == ["one", "zwei", "三" * 100, PIECE]


async def test_who_reads_nothing_is_written_nothing_more_and_gets_all_of_it_later():
    written = asyncio.Queue()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        direct, count = scope["extensions"][DIRECT], 0
        while direct.write(wire.frame(PIECE)):
            count += 1
        written.put_nowait(count)
        await send({"type": "websocket.send", "text": "the last one"})  # waits
        written.put_nowait(None)
        assert direct.write(wire.frame(b"and one more"))
        await receive()

    async with serving(app) as target, dial(target, max_queue=1) as client:
        async with asyncio.timeout(5):
            count = await written.get()
        await asyncio.sleep(0.1)
        assert written.empty()

        received = [await client.recv(decode=False) for _ in range(count + 2)]

        assert received == [*[PIECE] * count, b"the last one", b"and one more"]


async def test_messages_that_nobody_takes_are_left_in_the_network():
    """Else a client that sends quicker than it is answered would fill the memory."""
    waiting = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(0.5)
        waiting.append(len(scope["extensions"][DIRECT]._events))
        for _ in range(500):
            await send({"type": "websocket.send", "text": (await receive())["text"]})
        await receive()

    async with serving(app) as target, dial(target) as client:
        for number in range(500):
            await client.send(str(number) + "." * 4000)
            await asyncio.sleep(0)
        received = [(await client.recv()).rstrip(".") for _ in range(500)]

    assert received == [str(number) for number in range(500)]
    assert waiting[0] < MAX_WAITING + 65  # what one read of 256 KiB brings beside


@pytest.mark.parametrize("size", [2, 5000], ids=["short", "so long that reading would pause"])
async def test_text_that_is_none_is_refused(size, caplog):
    async with serving(echo) as target:
        reader, writer = await target.socket()
        writer.write(frame(1, b"\xff" * size))

        assert (1007).to_bytes(2, "big") in await rest_of(reader)
        writer.close()


async def test_a_message_in_endless_fragments_of_nothing_is_cut_off():
    async with serving(echo) as target:
        reader, writer = await target.socket()
        writer.write(frame(1, b"", fin=False) + frame(0, b"", fin=False) * 2000)

        assert (1009).to_bytes(2, "big") in await rest_of(reader)
        writer.close()


async def test_a_message_in_a_thousand_fragments_is_put_together():
    async with serving(echo) as target:
        reader, writer = await target.socket()
        writer.write(frame(1, b"a", fin=False) + frame(0, b"b", fin=False) * 1000 + frame(0, b"c"))

        async with asyncio.timeout(2):
            assert await reader.readexactly(4 + 1002) == b"\x81\x7e\x03\xea" + b"a" + b"b" * 1000 + b"c"
        writer.close()


PARTS = {
    "fragments that go on": (frame(1, b"x", fin=False), frame(0, b"x", fin=False)),
    "one frame that does not end": (frame(1, b"x" * 1000)[:500], b"x"),
    "fragments, and pongs between them": (frame(1, b"x", fin=False), frame(10, b"")),
}


@pytest.mark.parametrize(("first", "more"), PARTS.values(), ids=PARTS.keys())
async def test_a_message_that_does_not_end_is_given_up(first, more, monkeypatch):
    monkeypatch.setattr(websocket, "MESSAGE_SECONDS", 0.3)
    async with serving(echo) as target:
        reader, writer = await target.socket()
        closed = asyncio.create_task(rest_of(reader))
        writer.write(first)
        for _ in range(20):
            await asyncio.sleep(0.05)
            writer.write(more)

        assert closed.done()
        await closed
        writer.close()


async def test_messages_may_follow_each_other_for_ever_however_they_are_cut(monkeypatch):
    monkeypatch.setattr(websocket, "MESSAGE_SECONDS", 0.4)
    stream = frame(1, b"a" * 100) * 20 + frame(10, b"") * 20
    async with serving(echo) as target:
        reader, writer = await target.socket()
        for start in range(0, len(stream), 51):  # never at the end of a frame until all of it has been said
            writer.write(stream[start : start + 51])
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.6)  # a pong in two pieces is no message

        async with asyncio.timeout(2):
            assert await reader.readexactly(20 * 102) == (b"\x81\x64" + b"a" * 100) * 20
        writer.write(frame(1, b"still here"))
        async with asyncio.timeout(2):
            assert await reader.readexactly(12) == b"\x81\x0astill here"
        writer.close()


async def test_a_client_that_we_keep_waiting_is_not_taken_for_a_slow_one(monkeypatch):
    monkeypatch.setattr(websocket, "MESSAGE_SECONDS", 0.5)
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        for _ in range(2):
            await send({"type": "websocket.send", "text": str(len((await receive())["text"]))})
        await receive()

    async with serving(app) as target:
        reader, writer = await target.socket()
        writer.write(frame(1, b"x" * 5000) + frame(1, b"y" * 600)[:300])  # reading pauses after the first one
        await asyncio.sleep(1.2)
        go_on.set()
        await asyncio.sleep(0.05)
        writer.write(frame(1, b"y" * 600)[300:])

        async with asyncio.timeout(2):
            assert await reader.readexactly(11) == b"\x81\x045000\x81\x03600"
        writer.close()


async def test_a_burst_of_large_messages_is_no_flood():
    async with serving(echo) as target, dial(target, max_size=None) as client:
        sending = asyncio.create_task(send_all(client, [b"x" * 1_048_576] * 12))

        assert [len(await client.recv()) for _ in range(12)] == [1_048_576] * 12
        await sending


async def send_all(client, messages):
    for message in messages:
        await client.send(message)


@pytest.mark.parametrize("rate_limit", [10, 0])
async def test_frames_of_any_kind_are_counted_unless_that_is_switched_off(rate_limit, settings):
    settings.WS_RATE_LIMIT = rate_limit
    async with serving(echo) as target:
        reader, writer = await target.socket()
        writer.write(frame(10, b"") * 10_000 + frame(1, b"still here"))

        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read(12) == (b"" if rate_limit else b"\x81\x0astill here")
        writer.close()


async def test_a_close_is_still_read_by_a_client_that_floods():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4013, "reason": "too many"})

    async with serving(app) as target:
        reader, writer = await target.socket()
        await asyncio.sleep(0.1)
        writer.write(frame(10, b"") * 10_000)

        async with asyncio.timeout(2):
            assert await reader.readexactly(12) == b"\x88\x0a" + (4013).to_bytes(2, "big") + b"too many"
        writer.close()


async def test_pings_are_answered_until_they_are_too_many():
    async with serving(echo) as target:
        reader, writer = await target.socket()
        writer.write(frame(9, b"ping"))
        async with asyncio.timeout(2):
            assert await reader.readexactly(6) == b"\x8a\x04ping"

        started = time.monotonic()
        writer.write(frame(9, b"ping") * 1000)
        await rest_of(reader)

        assert time.monotonic() - started < 2
        writer.close()


# The end --------------------------------------------------------------------------------------------------


async def test_the_application_hears_why_a_client_leaves():
    heard = asyncio.Queue()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        heard.put_nowait(await receive())
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "too late"})
        heard.put_nowait(scope["extensions"][DIRECT].write(b"too late"))

    async with serving(app) as target:
        client = await dial(target)
        await client.close(4321, "enough")

        assert await heard.get() == {"type": "websocket.disconnect", "code": 4321, "reason": "enough"}
        assert await heard.get() is False


async def test_a_client_hears_why_the_application_leaves():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4008, "reason": "too slow"})
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(RuntimeError, match="after sending"):
            await send({"type": "websocket.close"})

    async with serving(app) as target, dial(target) as client:
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert (client.close_code, client.close_reason) == (4008, "too slow")


async def test_an_application_that_fails_is_no_reason_for_words(caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError

    async with serving(app) as target, dial(target) as client:
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert client.close_code == 1006


async def test_a_stopping_server_asks_the_application_to_leave():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == DRAIN
        await send({"type": "websocket.close", "code": 4001})

    async with serving(app) as target:
        client = await dial(target)
    with pytest.raises(ConnectionClosed):
        await client.recv()

    assert client.close_code == 4001


# Pings ----------------------------------------------------------------------------------------------------


async def patient(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    scope["extensions"][DIRECT].ask_for_life()
    await receive()


async def test_a_client_that_answers_pings_stays():
    async with serving(patient, ws_ping_interval=0.05, ws_ping_timeout=0.05) as target, dial(target) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.recv()


async def test_a_client_that_does_not_answer_pings_is_cut():
    async with serving(patient, ws_ping_interval=0.05, ws_ping_timeout=0.05) as target:
        reader, writer = await target.socket()

        assert b"\x89\x04" in await rest_of(reader)
        writer.close()


BAD_FRAMES = {
    "compressed, which nobody has agreed on": frame(1, b"x", rsv=0x40),
    "another reserved bit": frame(1, b"x", rsv=0x10),
    "an unknown kind": frame(3, b"x"),
    "no mask": b"\x81\x01x",
    "2^63 bytes": b"\x82\xff" + (2**63).to_bytes(8, "big") + bytes(4),
    "2^62 bytes": b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4),
    "a ping in fragments": frame(9, b"x", fin=False),
    "a ping of 126 bytes": frame(9, b"x" * 126),
    "the middle of no message": frame(0, b"x"),
}


@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
async def test_a_frame_that_is_none_ends_the_socket(bad):
    async with serving(echo) as target:
        reader, writer = await target.socket()
        writer.write(bad)

        said = await rest_of(reader)

        assert said == b"" or (said[0] == 0x88 and int.from_bytes(said[2:4], "big") in (1002, 1009))
        writer.close()
