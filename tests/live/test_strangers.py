"""The sockets of people who have not signed in are few and small, and leave room for the others."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.page import ECHO, NOTICES, dial
from tests.live.processes import soon

FILES = 256


def with_few_files(server):
    """It runs under `ulimit -n 256`, and cannot raise that."""
    command = server.command()
    server.command = lambda: ["sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh", *command]
    return server.start()


async def open_some(stack, server, count, path=ECHO, **options):
    """Returns how many were let in; all refusals are 429."""
    refused = []
    for _ in range(count):
        try:
            await stack.enter_async_context(dial(server, path, **options))
        except InvalidStatus as refusal:
            refused.append(refusal.response)
    assert {(each.status_code, bytes(each.body[:21])) for each in refused} <= {(429, b"Too many echo sockets")}
    return count - len(refused)


async def test_one_address_may_open_a_few_and_again_when_they_are_closed(serve):
    server = serve(layer="none", WS_ANONYMOUS_PER_ADDRESS=5)

    async with AsyncExitStack() as stack:
        assert await open_some(stack, server, 12) == 5
        # Another client, told by a proxy on this machine; and somebody who has signed in.
        assert await open_some(stack, server, 7, additional_headers={"X-Forwarded-For": "203.0.113.7"}) == 5
        assert await open_some(stack, server, 7, session=server.sessions["ada"]) == 7

    async with AsyncExitStack() as stack:
        assert await open_some(stack, server, 3) == 3
    assert server.log.count("Refused an echo socket") == 1


async def test_one_person_may_open_as_many_as_pages(serve):
    server = serve(layer="none", WS_CONNECTIONS_PER_USER=4)

    async with AsyncExitStack() as stack:
        assert await open_some(stack, server, 6, session=server.sessions["ada"]) == 4
        assert await open_some(stack, server, 6, session=server.sessions["brian"]) == 4


async def test_strangers_cannot_take_the_descriptors_of_the_others(serve, open_page):
    server = with_few_files(serve(layer="none", start=False, WS_ANONYMOUS_PER_ADDRESS=0, WS_ANONYMOUS_CONNECTIONS=0))

    async with AsyncExitStack() as stack:
        assert await open_some(stack, server, 280) == FILES // 4

        page = await open_page(server, server.sessions["ada"])
        assert server.get("/healthz") == server.get("/readyz") == 200
        assert page.is_open
    assert f"Only {FILES} files may be open at once" in server.log


async def test_a_stranger_says_little_and_somebody_signed_in_as_much_as_before(serve):
    server = serve(layer="none")

    async with dial(server, ECHO) as stranger:
        await stranger.send(bytes(8192))
        assert await stranger.recv() == bytes(8192)
        await stranger.send(bytes(8193))
        await stranger.wait_closed()
    async with dial(server, ECHO, server.sessions["ada"]) as ada:
        await ada.send(bytes(1_048_576))
        assert await ada.recv() == bytes(1_048_576)

    assert stranger.close_code == 1009


@pytest.mark.parametrize("session", [None, "x" * 32])
async def test_a_notice_socket_of_nobody_says_little_too(serve, session):
    server = serve(layer="none")

    async with dial(server, NOTICES, session) as socket:
        await socket.send(bytes(8193))
        await socket.wait_closed()

    assert socket.close_code in (1009, 4501)


async def test_the_echo_can_be_kept_for_people_who_have_signed_in(serve):
    server = serve(layer="none", WS_ECHO_SIGN_IN="true")

    async with dial(server, ECHO) as stranger:
        await stranger.wait_closed()
    async with dial(server, ECHO, server.sessions["ada"]) as ada:
        await ada.send("hello")
        assert await ada.recv() == "Server: hello"

    assert (stranger.close_code, stranger.close_reason) == (4501, "sign in to use the echo")
    assert await soon(lambda: server.get("/healthz") == 200)
