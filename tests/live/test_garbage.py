"""Garbage in the head of a request is refused or passed over, with no traceback, and nobody else notices."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.live.backstage import Backstage

NULS = rb'"' + rb"\000" * 10 + b'"'  # Django makes ten NULs of it
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n"
COOKIES = {
    "NULs": b"sessionid=" + NULS,
    "bytes": b"sessionid=" + bytes(range(128, 256)),
    "control characters": b"sessionid=\x01\x02\x7f",
    "long": b"sessionid=" + b"a" * 10_000,
    "many": b"; ".join(b"sessionid=%d" % n for n in range(1000)),
    "no pairs": b";;;=;==;\xff",
    "all names": b"; ".join(
        name + b"=" + NULS for name in (b"sessionid", b"csrftoken", b"django_language", b"messages")
    ),
}
IDS = {
    "a NUL": b"\x00",
    "a NUL in digits": b"1:1\x00",
    "2^63": b"x:%d" % 2**63,
    "2^63 alone": b"%d" % 2**63,
    "negative": b"x:-1",
    "text": b"next, please",
    "10 KB": b"9" * 10_240,
    "bytes": b"\xff\xfe:\x80",
    "colons": b":" * 100,
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request, serve_module):
    return serve_module(database=request.param, layer="none")


@pytest.fixture(scope="module")
def backstage(server):
    with Backstage(server) as backstage:
        yield backstage


@pytest.fixture
async def somebody_else(server, backstage, open_page):
    """A page that is open meanwhile, and in the end still gets its notices."""
    page = await open_page(server, server.sessions["brian"])
    yield page
    backstage.send("After all that")
    await page.receives("After all that")


def status_of(server, path, lines):
    """The status of an answer; 400 stands also for a connection that is closed without one."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%b\r\n" % (path, server.port, lines))
        answer = line.recv(4096)
    return int(answer.split(b" ", 2)[1]) if answer else 400


def is_fine(status):
    return status in (101, 200, 302) or 400 <= status < 500


@pytest.mark.parametrize("cookie", COOKIES.values(), ids=COOKIES.keys())
@pytest.mark.parametrize(
    "path", [b"/", b"/accounts/login/", b"/nothing/", b"/events/?once=1", b"/ws/notices/", b"/ws/echo/"]
)
async def test_a_cookie_of_garbage_is_none(server, somebody_else, path, cookie):
    lines = b"Cookie: " + cookie + b"\r\n"
    lines += b"Connection: Upgrade\r\n" + UPGRADE if path.startswith(b"/ws/") else b"Connection: close\r\n"

    assert is_fine(status_of(server, path, lines))
    assert is_fine(status_of(server, path, lines)), "once more, when its first question is answered"


@pytest.mark.parametrize("last_id", IDS.values(), ids=IDS.keys())
async def test_an_event_id_of_garbage_means_nothing_here(server, somebody_else, last_id):
    session = server.sessions["ada"].encode()

    status = status_of(
        server,
        b"/events/?once=1",
        b"Connection: close\r\nCookie: sessionid=%b\r\nLast-Event-ID: %b\r\n" % (session, last_id),
    )

    assert status == (400 if b"\0" in last_id else 200)


def knock_with_nuls(server, over):
    knock = b"GET /events/?once=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nCookie: sessionid=%b\r\n\r\n"
    while not over.is_set():
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
            line.sendall(knock % (server.port, NULS))
            while line.recv(4096):
                pass


async def test_strangers_with_garbage_disturb_nobody_who_knocks_at_the_same_time(server, somebody_else):
    """Who knocks at the same moment is looked up in one query: one refused value refused them all."""
    over, lines = threading.Event(), b"Connection: close\r\nCookie: sessionid=%b\r\n" % server.sessions["ada"].encode()
    strangers = [threading.Thread(target=knock_with_nuls, args=(server, over)) for _ in range(6)]
    for stranger in strangers:
        stranger.start()
    try:
        answers = [status_of(server, b"/events/?once=1", lines) for _ in range(60)]
    finally:
        over.set()
        for stranger in strangers:
            stranger.join()

    assert set(answers) == {200}
