"""Starting, stopping and losing server processes. A page must not notice more than a short silence."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import sqlite3
import time
from contextlib import closing

import pytest

from tests.live.backstage import Backstage
from tests.live.page import ECHO, dial
from tests.live.processes import family, soon


@pytest.fixture(scope="module")
def home(serve_module):
    return serve_module(layer="embedded", DRAIN_SECONDS=0.5, SHUTDOWN_SECONDS=2, WS_MAX_BYTES=100_000)


@pytest.fixture
def server(home):
    """One server for all these tests: whoever stops it leaves it to the next test to start it again."""
    return home if home.running else home.start()


@pytest.fixture(scope="module")
def backstage(home):
    with Backstage(home) as backstage:
        yield backstage


def valkeys(server):
    return [pid for pid, command in family(server).items() if "valkey" in command]


# Coming back after a crash --------------------------------------------------------------------------------


async def test_a_page_gets_what_it_missed_while_the_server_was_killed(server, backstage, open_page):
    page = await open_page(server, server.sessions["ada"])
    backstage.send("Before")
    await page.receives("Before")

    server.kill()
    assert await page.closes() == 1006
    missed = backstage.send_many("Missed", 3, at_once=1)
    backstage.store_unpublished("Stored, but published by nobody")
    server.start()
    await page.come_back()
    await page.receives("Stored, but published by nobody")
    backstage.send("Afterwards")

    await page.receives("Afterwards")
    assert page.titles == ["Before", *missed, "Stored, but published by nobody", "Afterwards"]


async def test_a_daphne_that_is_stopped_or_killed_cuts_its_pages_and_they_miss_nothing(serve, behind, open_page):
    server = serve("daphne")
    backstage = behind(server)
    page = await open_page(server, server.sessions["ada"])

    server.process.terminate()
    assert await page.closes() == 1006
    assert await asyncio.to_thread(server.process.wait, 15) == 0
    backstage.send("Missed while it was stopped")
    server.start()
    await page.come_back()
    await page.receives("Missed while it was stopped")
    server.kill()
    assert await page.closes() == 1006
    backstage.send("Missed while it was dead")
    server.start()
    await page.come_back()

    await page.receives("Missed while it was dead")
    assert page.titles == ["Missed while it was stopped", "Missed while it was dead"]


async def test_a_server_that_starts_replays_300_notices_and_resets_for_301(server, backstage, open_page):
    missed_301 = await open_page(server, server.sessions["ada"])
    await missed_301.leave()
    backstage.send("One")
    missed_300 = await open_page(server, server.sessions["brian"])
    server.kill()
    missed = backstage.send_many("Missed", 300)
    server.start()

    await missed_300.come_back()
    await missed_301.come_back()

    await missed_300.receives(missed[-1])
    await missed_301.frame("reset")
    backstage.send("Afterwards")
    for page in (missed_300, missed_301):
        await page.receives("Afterwards")
    assert missed_300.titles == [*missed, "Afterwards"]
    assert missed_301.titles == ["Afterwards"]


async def test_pages_miss_nothing_while_the_server_is_killed_again_and_again(server, backstage, open_page):
    pages = [await open_page(server, server.sessions[name]) for name in ("ada", "brian", "cleo")]
    sending = asyncio.create_task(asyncio.to_thread(backstage.send_many, "Notice", 100, at_once=1, pause=0.03))

    for enough in (10, 50):
        await pages[0].until(lambda enough=enough: len(pages[0].titles) >= enough)
        server.kill()
        server.start()
        await asyncio.gather(*(page.come_back() for page in pages))

    sent = await sending
    for page in pages:
        await page.receives(sent[-1])
        assert page.titles == sent


# Stopping -------------------------------------------------------------------------------------------------


async def test_a_server_that_stops_says_goodbye_and_when_to_come_back(server, open_page):
    names = ["admin", "staff", "ada", "brian", "cleo"]
    pages = [await open_page(server, server.sessions[name]) for name in names for _ in range(20)]
    started = time.monotonic()

    async with dial(server, ECHO) as echo:
        server.process.terminate()
        left = await asyncio.gather(*(left_at(page) for page in pages))
        await echo.wait_closed()

    assert await asyncio.to_thread(server.process.wait, 5) == 0
    assert time.monotonic() - started < 5
    assert await soon(lambda: not family(server)), family(server)
    byes = [page.frames[-1] for page in pages]
    assert {(bye["type"], bye["code"]) for bye in byes} == {("bye", 4001)}
    assert all(500 <= bye["retry_ms"] <= 2000 for bye in byes)
    assert {page.closed[1] for page in pages} == {"the server is restarting"}
    assert echo.close_code == 1012
    # They neither leave nor come back at one moment: 100 pages, 500 a second.
    assert 0.1 < max(left) - min(left) < 1
    assert len({bye["retry_ms"] for bye in byes}) > 50


async def test_listeners_are_asked_to_leave_too_and_hold_up_no_restart(server, listen):
    listeners = [await listen(server, server.sessions[name]) for name in ("ada", "brian") for _ in range(10)]
    started = time.monotonic()

    server.process.terminate()
    for listener in listeners:
        assert await listener.closes() == 4001

    assert await asyncio.to_thread(server.process.wait, 5) == 0
    assert time.monotonic() - started < 3
    byes = [listener.frames[-1] for listener in listeners]
    assert {(bye["type"], bye["code"]) for bye in byes} == {("bye", 4001)}


async def test_a_server_that_is_about_to_stop_takes_no_listeners(server, open_page, listen):
    page = await open_page(server, server.sessions["ada"])
    with silent_socket(server):  # it does not answer a close, so the server waits for it
        server.process.terminate()
        await page.until(lambda: server.get("/readyz") == 503)

        refused = await listen(server, server.sessions["brian"])

    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert refused.status == 503
    assert "restarting" in refused.words


def silent_socket(server):
    """A WebSocket whose other end says nothing after the handshake."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    key = base64.b64encode(bytes(16)).decode()
    head = f"GET /ws/echo/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    assert b" 101 " in connection.recv(4096)
    return connection


async def left_at(page):
    assert await page.closes() == 4001
    return time.monotonic()


@pytest.mark.parametrize("way", ["socket", "events"])
async def test_a_page_that_does_not_read_cannot_keep_a_server_from_stopping(server, backstage, open_page, listen, way):
    ada = backstage.newcomer()
    await (open_page if way == "socket" else listen)(server, ada["session"], reads=False)
    backstage.send_many("Filling the line", 900, f"user:{ada['id']}", at_once=100, body="x" * 8000)

    started = time.monotonic()
    code = server.stop(seconds=15)

    assert code == 0
    assert 1.5 < time.monotonic() - started < 2 + 3, "SHUTDOWN_SECONDS, and a little for the rest"


@pytest.mark.parametrize(
    ("how", "workers"), [("Ctrl-C", 1), ("SIGKILL", 1), ("Ctrl-C", 2), ("SIGTERM", 2), ("SIGKILL", 2)]
)
async def test_whichever_way_a_server_ends_no_process_stays_behind(request, serve, open_page, how, workers):
    server = request.getfixturevalue("server") if workers == 1 else serve(layer="embedded", workers=workers)
    page = await open_page(server, server.sessions["ada"])
    assert len(valkeys(server)) == 1
    assert len(family(server)) > workers

    if how == "Ctrl-C":
        os.killpg(server.process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    elif how == "SIGTERM":
        server.process.terminate()
    else:
        server.process.kill()  # only this one; the others have to notice by themselves

    assert await page.closes() in ([4001, 1006] if how == "SIGKILL" else [4001])
    code = await asyncio.to_thread(server.process.wait, 10)
    assert code == (-signal.SIGKILL if how == "SIGKILL" else 0)
    assert await soon(lambda: not family(server)), family(server)


# Several server processes ---------------------------------------------------------------------------------


async def test_both_processes_of_a_server_deliver(server, serve, backstage, open_page):
    others = {name for name, _ in backstage.processes()}  # also those that other tests have killed
    both = serve(beside=server, workers=2, LOG_LOOK_SECONDS=0.5)
    people = [backstage.newcomer() for _ in range(4)]
    pages = []

    def are_at_both():
        counts = [count for name, count in backstage.processes() if count and name not in others]
        return sum(counts) == len(pages) and len(counts) == 2

    for person in people:  # the kernel chooses the process: open some more until both have some
        pages += [await open_page(both, person["session"]) for _ in range(5)]
        if await soon(are_at_both, seconds=3):
            break
    assert are_at_both(), backstage.processes()

    sent = backstage.send_many("For all", 20, at_once=1)
    await pages[0].say({"type": "read_all", "through": pages[0].position})

    for page in pages:
        await page.receives(sent[-1], seconds=1)
        assert page.titles == sent
    for page in pages[:5]:
        await page.frame("inbox", seconds=1)


async def test_two_servers_on_one_data_folder_share_one_valkey(server, serve, backstage, open_page):
    second = serve(beside=server)
    pages = [await open_page(which, server.sessions["ada"]) for which in (server, second)]

    sent = backstage.send("For both")

    assert sent["heard_by"] == 2
    for page in pages:
        await page.receives("For both", seconds=1)
    assert len(valkeys(server)) == 1
    assert not valkeys(second)


async def test_a_second_server_takes_over_when_the_first_is_killed(server, serve, backstage, open_page):
    second = serve(beside=server)
    page = await open_page(second, second.sessions["ada"])
    assert not valkeys(second)

    server.process.kill()
    backstage.send("Meanwhile")

    await page.receives("Meanwhile", seconds=6)
    assert await soon(lambda: len(valkeys(second)) == 1)
    assert await soon(lambda: backstage.send("Asking")["heard_by"] == 1, seconds=5)
    backstage.send("Live again")
    await page.receives("Live again", seconds=0.5)
    assert page.is_open


async def test_an_embedded_valkey_that_dies_is_started_again(server, backstage, open_page):
    page = await open_page(server, server.sessions["ada"])
    (before,) = valkeys(server)

    os.kill(before, signal.SIGKILL)

    assert await soon(lambda: valkeys(server) not in ([], [before]))
    assert await soon(lambda: backstage.send("Asking")["heard_by"] == 1)
    backstage.send("Live again")
    await page.receives("Live again", seconds=0.5)
    assert page.is_open


# Starting -------------------------------------------------------------------------------------------------


def test_a_server_says_what_it_uses(server):
    said = server.log.splitlines()

    assert said[:3] == [
        f"database: sqlite {server.folder}/db.sqlite3",
        "layer: embedded Valkey",
        f"address: {server.url}/ (1 process)",
    ]


def test_a_port_in_use_is_said_in_one_line(server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = server.manage("serve", "--port", str(port))

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"CommandError: cannot listen on 127.0.0.1:{port}: Address already in use; set HOST or PORT"
    ]


@pytest.mark.parametrize(
    ("option", "value", "words"), [("--workers", "0", "1 is the least"), ("--port", "65536", "65535")]
)
def test_an_option_that_makes_no_sense_is_refused(server, option, value, words):
    result = server.manage("serve", option, value)

    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


async def test_the_longest_message_can_be_set(server):
    async with dial(server, ECHO, server.sessions["ada"]) as echo:
        await echo.send(bytes(100_000))
        assert await echo.recv() == bytes(100_000)

        await echo.send(bytes(100_001))
        await echo.wait_closed()

    assert echo.close_code == 1009


# A fault of our own ---------------------------------------------------------------------------------------


async def test_a_server_that_cannot_follow_the_log_any_more_ends_instead_of_saying_live(serve, open_page, logs):
    server = serve(LOG_LOOK_SECONDS=0.2)
    page = await open_page(server, server.sessions["ada"])
    assert server.manage("send_notice", "Backup finished", "--everyone").returncode == 0
    await page.receives("Backup finished")

    with closing(sqlite3.connect(server.folder / "db.sqlite3", isolation_level=None)) as database:
        # A row that no code of ours writes: SQLite takes words where a number belongs.
        database.execute("UPDATE notifications_log SET head = 'nowhere'")

    assert await page.closes() == 4001
    await asyncio.to_thread(server.process.wait, 10)
    said = logs.news()  # and with that no other test takes it for a fault
    assert "restart this server" in said
    assert "Traceback" in said, "a fault of ours is told whole"
