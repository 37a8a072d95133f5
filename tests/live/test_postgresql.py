"""The main story once more, on PostgreSQL with its pool of connections."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.live.backstage import Backstage
from tests.live.processes import soon


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(database="postgresql", LOG_LOOK_SECONDS=1)


@pytest.fixture(scope="module")
def backstage(server):
    with Backstage(server) as backstage:
        yield backstage


async def test_from_the_command_to_the_page_through_a_crash_to_the_receipt(server, backstage, open_page):
    desk, phone = [await open_page(server, server.sessions["ada"]) for _ in range(2)]
    assert "database: postgresql" in server.log

    result = server.manage("send_notice", "Backup finished", "--everyone")
    assert (result.returncode, result.stderr) == (0, "")
    notice = (await desk.receives("Backup finished"))["notice"]

    server.kill()
    assert await desk.closes() == 1006
    missed = backstage.send_many("Missed", 3, at_once=1)
    server.start()
    await asyncio.gather(desk.come_back(), phone.come_back())
    for page in (desk, phone):
        await page.receives(missed[-1])
        assert page.titles == ["Backup finished", *missed]

    backstage.recall(notice["id"])
    gone = await desk.frame("notice")
    await desk.until(lambda: desk.frames[-1].get("notice", {}).get("recalled", False))
    assert gone["notice"]["id"] == desk.frames[-1]["notice"]["id"] == notice["id"]

    await phone.say({"type": "read_all", "through": desk.position})
    assert (await desk.frame("inbox"))["unread"] == 0


async def test_a_notice_that_nobody_published_is_published_by_the_server(server, backstage, open_page):
    page = await open_page(server, server.sessions["brian"])

    backstage.store_unpublished("The sender died")
    backstage.send("Scheduled", at_in=1)

    await page.receives("Scheduled")
    assert page.titles == ["The sender died", "Scheduled"]


async def test_two_senders_at_once_make_one_order(server, backstage, behind, open_page):
    pages = [await open_page(server, server.sessions[name]) for name in ("ada", "brian", "cleo")]
    other = behind(server)

    ours, theirs = await asyncio.gather(
        asyncio.to_thread(backstage.send_many, "Ours", 60, at_once=1),
        asyncio.to_thread(other.send_many, "Theirs", 60, at_once=1),
    )

    for page in pages:
        await page.until(lambda page=page: len(page.titles) == 120)
        assert page.titles == pages[0].titles
        assert [title for title in page.titles if title in ours] == ours
        assert [title for title in page.titles if title in theirs] == theirs
        assert [frame["position"] for frame in page.all("notice")] == sorted(
            frame["position"] for frame in page.all("notice")
        )


async def test_twenty_pages_that_come_at_once_are_all_welcome(server, backstage, open_page):
    people = [backstage.newcomer() for _ in range(4)]
    backstage.send("For the newcomers")

    pages = await asyncio.gather(*(open_page(server, person["session"]) for person in people for _ in range(20)))

    assert [page.all("welcome")[0]["unread"] for page in pages] == [1] * 80


def break_the_connections_that_wait(database):
    """What a database does that is restarted."""
    with psycopg.connect(database) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )


@pytest.mark.parametrize("way", ["socket", "events"])
async def test_a_page_that_cannot_be_caught_up_is_told_to_come_back(
    server, backstage, postgresql, open_page, listen, way
):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    page = await (open_page if way == "socket" else listen)(server, ada["session"])
    await page.leave()
    backstage.send_many("Missed", 3, f"user:{ada['id']}", at_once=1)
    backstage.send_many("More than the memory holds", 1000, f"user:{brian['id']}", at_once=100)
    lines = server.log.count("could not be caught up")

    database = postgresql.url(server.database)
    with psycopg.connect(database) as owner:
        owner.execute("LOCK TABLE notifications_posting IN ACCESS EXCLUSIVE MODE")
        await page.come_back()
        assert await soon(lambda: break_the_connections_that_wait(database) or page.closed)

    assert page.closed == (1011, "the database does not answer; come back")
    # Once a minute; the server may be another process than the one that wrote the lines of before.
    assert max(1, lines) <= server.log.count("could not be caught up") <= lines + 1
    await page.come_back()
    await page.receives("Missed 2")
