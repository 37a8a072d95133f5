"""What a server does by itself as time goes by: heartbeats, the end of a session, scheduled notices."""

from __future__ import annotations

import time

SETTINGS = {"HEARTBEAT_SECONDS": 0.5, "HEARTBEAT_ANSWER_SECONDS": 3, "LOG_LOOK_SECONDS": 0.5}


async def test_an_open_page_hears_a_heartbeat_that_says_where_the_log_stands(server, open_page, backstage):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    page = await open_page(server, ada["session"])
    assert page.all("welcome")[0]["heartbeat"] == 0.5
    before = page.position
    brians = await open_page(server, brian["session"])
    backstage.send("For somebody else", f"user:{brian['id']}")
    await brians.receives("For somebody else")

    await page.until(lambda: page.position > before, seconds=4)

    assert page.frames[-1] == {"type": "heartbeat", "position": before + 1}
    assert not page.titles, "the place moves on although nothing was for this page"


async def test_a_page_that_answers_stays_open(server, open_page, backstage):
    page = await open_page(server, backstage.newcomer()["session"])

    for _ in range(8):  # longer than an answer may take
        await page.frame("heartbeat", seconds=4)

    assert page.is_open


async def test_a_page_that_does_not_answer_is_closed(server, kind, open_page, backstage):
    page = await open_page(server, backstage.newcomer()["session"], answers=False)

    assert await page.closes(seconds=15) == 4012

    assert page.all("heartbeat"), "it was asked"
    assert not kind.says_why or "heartbeat" in page.closed[1]


async def test_a_page_is_closed_when_the_session_ends(server, kind, open_page, backstage):
    ada, brian = backstage.newcomer(seconds=1), backstage.newcomer()
    ends = time.monotonic() + 1
    page, other = await open_page(server, ada["session"]), await open_page(server, brian["session"])
    assert page.all("welcome")

    assert await page.closes(seconds=6) == 4005

    assert ends - 0.5 < time.monotonic() < ends + 2
    assert not kind.says_why or "sign in" in page.closed[1]
    assert other.is_open


async def test_a_scheduled_notice_arrives_by_itself_when_it_is_due(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])

    sent = backstage.send("Maintenance begins", at_in=1)
    backstage.send("Before it")

    await page.receives("Before it")
    await page.receives("Maintenance begins")
    assert page.titles == ["Before it", "Maintenance begins"]
    assert 1 <= page.arrived["Maintenance begins"] - sent["at"] < 3


async def test_a_scheduled_notice_that_is_recalled_before_is_never_seen(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])
    sent = backstage.send("Changed my mind", at_in=0.8)
    backstage.send("The next one", at_in=1)

    backstage.recall(sent["id"])

    await page.receives("The next one")
    assert page.titles == ["The next one"]


async def test_a_notice_whose_sender_died_before_publishing_it_arrives_all_the_same(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])

    backstage.store_unpublished("The sender died")

    await page.receives("The sender died")
