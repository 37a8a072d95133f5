"""`/ws/echo/`: the smallest proof that the whole path works. The differences of the servers are in kinds.py."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from tests.live.page import ECHO, dial

SETTINGS = {"WS_RATE_LIMIT": 0}

# Around every length at which a frame's header changes (RFC 6455 §5.2), and the longest message.
SIZES = [1, 2, 125, 126, 127, 65_535, 65_536, 65_537, 1_048_575, 1_048_576]
TEXTS = ["hello", " ", "é", "✓ 你好 👩‍👩‍👧", "\x00\x01\x7f", "\r\n\t", "\u202eabc", '{"type":"welcome"}', "x" * 70_000]


async def echo_of(server, *messages, query=""):
    async with asyncio.timeout(10), dial(server, ECHO + query, server.sessions["ada"]) as socket:
        for message in messages:
            await socket.send(message)
        return [await socket.recv() for _ in messages]


async def test_a_text_comes_back_with_the_servers_name_before_it(server):
    assert await echo_of(server, *TEXTS) == [f"Server: {text}" for text in TEXTS]


async def test_a_text_comes_back_as_it_is_when_asked_for(server):
    assert await echo_of(server, *TEXTS, query="?verbatim=1") == TEXTS


@pytest.mark.parametrize("query", ["?verbatim=0", "?verbatim=", "?verbatim", "?verbatim=%ff&x=%00"])
async def test_only_verbatim_1_means_verbatim(server, query):
    assert await echo_of(server, "hello", query=query) == ["Server: hello"]


async def test_an_empty_text_comes_back_as_the_servers_name(server):
    assert await echo_of(server, "") == ["Server: "]


@pytest.mark.parametrize(("empty", "query"), [(b"", ""), (b"", "?verbatim=1"), ("", "?verbatim=1")])
async def test_nothing_comes_back_as_nothing(server, kind, empty, query):
    if kind.sends_empty_messages:
        assert await echo_of(server, empty, b"next", query=query) == [empty, b"next"]
    else:
        async with dial(server, ECHO + query, server.sessions["ada"]) as socket:
            await socket.send(empty)
            await socket.send(b"next")
            assert await socket.recv() == b"next"


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_back_as_they_are(server, size):
    sent = random.Random(size).randbytes(size)

    assert await echo_of(server, sent) == [sent]


async def test_every_byte_comes_back_as_it_is(server):
    sent = [bytes(range(256)), *(bytes([byte]) for byte in range(256)), b"\xff\xfe", b"hello"]

    assert await echo_of(server, *sent) == sent


async def test_messages_come_back_in_order_whatever_their_size(server):
    dice = random.Random(1)
    sent = [dice.randbytes(int(10 ** dice.uniform(0, 4.5))) for _ in range(300)]

    async with dial(server, ECHO, server.sessions["ada"]) as socket:

        async def send():
            for message in sent:
                await socket.send(message)

        sending = asyncio.create_task(send())
        received = [await socket.recv() for _ in sent]
        await sending

    assert received == sent


async def test_a_message_in_fragments_comes_back_whole(server):
    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        await socket.send(["One mess", "", "age in ", "frag✓ments"])
        assert await socket.recv() == "Server: One message in frag✓ments"

        await socket.send([b"\x00", b"", b"\xff" * 70_000, b"\x01"])
        assert await socket.recv() == b"\x00" + b"\xff" * 70_000 + b"\x01"


async def test_a_character_cut_in_two_by_fragments_comes_back_whole(server):
    first, second = "✓".encode()[:1], "✓".encode()[1:]

    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        async with socket.send_context():
            socket.protocol.send_text(first, fin=False)
        async with socket.send_context():
            socket.protocol.send_continuation(second, fin=True)

        assert await socket.recv() == "Server: ✓"


async def test_a_ping_is_answered_with_what_it_carries_even_within_a_message(server):
    async with asyncio.timeout(10), dial(server, ECHO, server.sessions["ada"]) as socket:
        await (await socket.ping(b"are you there?"))
        await (await socket.ping(b""))
        async with socket.send_context():
            socket.protocol.send_text(b"Half a ", fin=False)
        await (await socket.ping(os.urandom(125)))
        async with socket.send_context():
            socket.protocol.send_continuation(b"message", fin=True)

        assert await socket.recv() == "Server: Half a message"


async def test_a_pong_that_nobody_asked_for_is_passed_over(server):
    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        await socket.pong(b"by the way")
        await socket.send("still here?")

        assert await socket.recv() == "Server: still here?"


async def test_a_close_is_answered(server, kind):
    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        await socket.close(3001, "I have seen enough")

    assert socket.protocol.close_rcvd.code == (kind.answers_close_by or 3001)


async def test_a_frame_of_an_unknown_kind_ends_the_socket(server):
    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        socket.transport.write(bytes([0x80 | 0x03, 0x80, 0, 0, 0, 0]))  # opcode 3 is reserved
        await socket.wait_closed()

    assert socket.close_code in (1002, 1006)


async def test_no_limit_means_no_limit(server):
    assert len(await echo_of(server, *["again"] * 500)) == 500


async def test_a_message_beyond_the_limit_ends_the_socket(server, kind):
    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        await socket.send(bytes(1_048_577))
        await socket.wait_closed()

    assert socket.close_code == kind.too_long


async def test_the_limit_counts_all_fragments_of_a_message(server, kind):
    async with dial(server, ECHO, server.sessions["ada"]) as socket:
        await socket.send([bytes(600_000), bytes(600_000)])
        await socket.wait_closed()

    # What was still on its way meets a closed socket, and the reset may overtake the close frame.
    assert socket.close_code in (kind.too_long, 1006)
