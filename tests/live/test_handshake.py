"""Who may open a socket, and what is said to those who may not. The differences of the servers are in kinds.py."""

from __future__ import annotations

import asyncio
import http.client
import socket
import uuid
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.page import ECHO, NOTICES, dial

PATHS = pytest.mark.parametrize("path", [NOTICES, ECHO])
OTHER_SITES = {
    "another site": "https://evil.example",
    "another port": "http://127.0.0.1:1",
    "another name for this machine": "http://localhost:{port}",
    "our name as the beginning of another": "http://127.0.0.1.evil.example:{port}",
    "our name as its user": "http://127.0.0.1:{port}@evil.example",
    "a page without an address": "null",
    "a file": "file:///tmp/page.html",
}
BROKEN_ORIGINS = {
    "half an IPv6 address": "http://[::1",
    "a port that is no number": "http://127.0.0.1:http",
    "nothing": "",
}


@pytest.fixture(scope="module")
def changed_server(kind, server, serve_module):
    """The same server, after its secret key was replaced in order, and friendly sites were named."""
    return serve_module(
        kind.name,
        beside=server,
        SECRET_KEY="a-new-secret",
        SECRET_KEY_FALLBACKS=server.settings["SECRET_KEY"],
        WS_ALLOWED_ORIGINS="https://friend.example,https://other.example",
    )


@pytest.fixture(scope="module")
def reset_server(kind, server, serve_module):
    """The same server, after its secret key was lost."""
    return serve_module(kind.name, beside=server, SECRET_KEY="a-new-secret")


async def refusal(server, path, **options):
    """The status and the words that a handshake is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        async with dial(server, path, server.sessions["ada"], **options):
            pass
    return refused.value.response.status_code, (refused.value.response.body or b"").decode()


async def is_let_in(server, path, **options):
    async with dial(server, path, server.sessions["ada"], **options) as socket:
        await socket.send("anything")
        return bool(await socket.recv())


# Before a socket is open ----------------------------------------------------------------------------------


@PATHS
def test_a_plain_request_to_a_socket_address_is_told_what_it_is(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)

    connection.request("GET", path)
    response = connection.getresponse()

    assert response.status == 426
    assert response.getheader("Upgrade") == "websocket"
    assert "ws://" in response.read().decode()
    connection.close()


@PATHS
async def test_a_page_of_this_site_is_let_in(server, path):
    assert await is_let_in(server, path)


@PATHS
async def test_a_client_that_is_no_browser_is_let_in(server, path):
    assert await is_let_in(server, path, origin=None)


@PATHS
@pytest.mark.parametrize("origin", OTHER_SITES.values(), ids=OTHER_SITES.keys())
async def test_a_page_of_another_site_is_refused(server, kind, path, origin):
    status, words = await refusal(server, path, origin=origin.format(port=server.port))

    assert status == 403
    assert not kind.says_why or "origin" in words


@PATHS
@pytest.mark.parametrize("origin", BROKEN_ORIGINS.values(), ids=BROKEN_ORIGINS.keys())
async def test_a_page_whose_address_is_none_is_refused(server, kind, path, origin):
    status, _ = await refusal(server, path, origin=origin)

    assert status == kind.broken_origin


@PATHS
async def test_a_page_of_another_scheme_is_refused(server, kind, path):
    origin = server.url.replace("http:", "https:")

    if kind.knows_scheme:
        assert (await refusal(server, path, origin=origin))[0] == 403
    else:
        assert await is_let_in(server, path, origin=origin)


@PATHS
async def test_a_page_of_a_friendly_site_is_let_in(server, changed_server, path):
    stranger, friend = "https://stranger.example", "https://friend.example"
    assert (await refusal(server, path, origin=friend))[0] == 403, "it is let in only because of the setting"

    assert await is_let_in(changed_server, path, origin=friend)
    assert await is_let_in(changed_server, path)
    assert (await refusal(changed_server, path, origin=stranger))[0] == 403


@PATHS
async def test_a_handshake_for_another_host_is_refused(server, path):
    class Elsewhere:
        """The same machine under a name that is not ours, as a rebound DNS name would have it."""

        ws_url, url, port = f"ws://evil.example:{server.port}", f"http://evil.example:{server.port}", server.port
        sessions = server.sessions

    status, _ = await refusal(Elsewhere, path, host="127.0.0.1", port=server.port)

    assert status == 403


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/nothing/", "/ws/notices", "/ws/notices/more/", "/%00"])
async def test_an_unknown_address_is_refused(server, kind, path):
    status, words = await refusal(server, path)

    assert status == kind.unknown_path
    assert not kind.says_why or "/ws/notices/" in words


# Who is at the door ---------------------------------------------------------------------------------------


async def assert_told_to_sign_in(page, kind):
    assert await page.closes() == 4501
    assert [frame["type"] for frame in page.frames] == ["error"]
    assert page.frames[0]["code"] == "not_signed_in"
    assert "sign in" in page.frames[0]["detail"]
    assert not kind.says_why or "sign in" in page.closed[1]


@pytest.mark.parametrize("session", [None, "unknown0unknown0unknown0unknown0", "no key at all", "' OR 1=1", "a" * 4000])
async def test_a_stranger_is_told_to_sign_in(server, kind, open_page, session):
    page = await open_page(server, session)

    await assert_told_to_sign_in(page, kind)


async def test_somebody_whose_session_is_over_is_told_to_sign_in(server, kind, open_page, backstage):
    ada = backstage.newcomer(seconds=-1)

    page = await open_page(server, ada["session"])

    await assert_told_to_sign_in(page, kind)


async def test_somebody_who_changed_the_password_elsewhere_is_told_to_sign_in(server, kind, open_page, backstage):
    ada = backstage.newcomer()
    assert (await open_page(server, ada["session"])).all("welcome"), "the session was good before"
    backstage.change_password(ada["id"])

    page = await open_page(server, ada["session"])

    await assert_told_to_sign_in(page, kind)


async def test_somebody_who_may_not_sign_in_any_more_is_told_so(server, kind, open_page, backstage):
    gone = backstage.newcomer(is_active=False)

    page = await open_page(server, gone["session"])

    await assert_told_to_sign_in(page, kind)


async def test_a_session_signed_with_a_secret_that_is_lost_is_no_session(reset_server, kind, open_page, backstage):
    ada = backstage.newcomer()

    page = await open_page(reset_server, ada["session"])

    await assert_told_to_sign_in(page, kind)


async def test_a_session_signed_with_the_secret_before_is_still_welcome(changed_server, open_page, backstage):
    ada = backstage.newcomer()

    page = await open_page(changed_server, ada["session"])

    assert page.all("welcome")


async def test_a_handshake_leaves_every_session_as_it_is(server, changed_server, reset_server, open_page, backstage):
    good, over = backstage.newcomer(), backstage.newcomer(seconds=-1)
    inactive, changed = backstage.newcomer(is_active=False), backstage.newcomer()
    backstage.change_password(changed["id"])
    keys = [person["session"] for person in (good, over, inactive, changed)]
    before = [backstage.session_row(key) for key in keys]
    assert None not in before

    for which in (server, changed_server, reset_server):
        for key in keys:
            await open_page(which, key)

    assert [backstage.session_row(key) for key in keys] == before


async def test_the_welcome_says_where_the_page_stands(server, open_page, backstage):
    ada = backstage.newcomer()
    backstage.send("Unread", f"user:{ada['id']}")
    place = backstage.inbox_of(ada["id"])["cursor"]

    page = await open_page(server, ada["session"])

    welcome = await page.frame("welcome")
    epoch, position = place.split(":")
    assert uuid.UUID(epoch)
    assert welcome == {
        "type": "welcome",
        "cursor": place,
        "stamp": welcome["stamp"],
        "position": int(position),
        "resumed": False,
        "unread": 1,
        "unseen": 1,
        "heartbeat": 25.0,
    }


async def test_one_person_has_twenty_pages_open_and_no_more(server, kind, open_page, backstage):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    pages = [await open_page(server, ada["session"]) for _ in range(20)]
    assert all(page.all("welcome") for page in pages)

    one_more = await open_page(server, ada["session"])
    brians = await open_page(server, brian["session"])

    assert await one_more.closes() == 4504
    assert one_more.frames[0]["code"] == "too_many_connections"
    assert "20" in one_more.frames[0]["detail"]
    assert brians.all("welcome"), "others are not affected"
    await pages[0].leave()
    assert (await one_more.come_back()).is_open


async def test_pages_that_come_at_the_same_moment_are_counted_too(server, open_page, backstage):
    ada = backstage.newcomer()

    async with asyncio.TaskGroup() as crowd:
        arriving = [crowd.create_task(open_page(server, ada["session"])) for _ in range(30)]

    pages = [task.result() for task in arriving]
    assert sum(bool(page.all("welcome")) for page in pages) == 20


async def test_a_handshake_that_is_given_up_half_way_leaves_nothing_behind(server, open_page, backstage):
    ada = backstage.newcomer()
    with ExitStack() as stack:
        for _ in range(30):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half.sendall(
                f"GET {NOTICES} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
                f"Cookie: sessionid={ada['session']}\r\n\r\n".encode()
            )

    page = await open_page(server, ada["session"])

    assert await page.come_back() if page.closed else page.all("welcome")


def test_strangers_cannot_fill_the_log(serve):
    server = serve()
    before = len(server.log)
    requests = [
        ("GET", "/accounts/login/?" + "a&" * 1102, {}),
        ("POST", "/accounts/login/", {"Origin": "https://" + "evil" * 10_000}),
        ("POST", "/language/", {}),
        ("GET", "/", {"Host": "evil.example"}),
        ("GET", "/", {"Upgrade": "h2c", "Connection": "upgrade"}),
        ("GET", "/\x01", {}),
    ]
    for _ in range(20):
        for method, path, headers in requests:
            head = {"Host": f"127.0.0.1:{server.port}", "Connection": "close"} | headers
            lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
                line.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
                line.settimeout(5)
                assert line.recv(100).startswith(b"HTTP/1.1 "), path

    said = server.log[before:]
    assert len(said.splitlines()) <= len(requests), said
    assert len(said) < 300 * len(requests)
