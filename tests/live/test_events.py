"""What a page is told that listens to `/events/`: the same as on a socket (kinds.py has how servers differ)."""

from __future__ import annotations

import asyncio
import http.client

import pytest

from tests.live.listener import EVENTS

SETTINGS = {"HEARTBEAT_SECONDS": 1, "WS_CONNECTIONS_PER_USER": 5}
MANY = 300  # as many as are replayed; one more, and the page fetches its inbox afresh


# What is told -----------------------------------------------------------------------------------------------


async def test_a_listener_hears_what_a_socket_hears(server, backstage, open_page, listen):
    page = await open_page(server, server.sessions["ada"])
    listener = await listen(server, server.sessions["ada"])

    brian = backstage.newcomer()
    sent = backstage.send_many("First", 30, at_once=1) + backstage.send_many("Then", 100)
    backstage.send("Not for her", f"user:{brian['id']}")
    await page.receives(sent[-1])
    await page.say({"type": "read_all", "through": page.position})
    await page.frame("inbox")

    await listener.frame("inbox")
    told = ("notice", "inbox")
    assert [f for f in listener.frames if f["type"] in told] == [f for f in page.frames if f["type"] in told]
    assert listener.titles == sent


async def test_its_head_asks_proxies_to_keep_nothing_and_hold_nothing_back(server, listen):
    listener = await listen(server, server.sessions["ada"])

    assert listener.status == 200
    assert listener.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert listener.headers["cache-control"] == "no-store"
    assert listener.headers["x-accel-buffering"] == "no"
    assert listener.retry_ms == 2000


async def test_each_event_has_the_place_it_leads_to_as_its_id(server, backstage, listen):
    listener = await listen(server, server.sessions["ada"])
    assert listener.last_id == listener.cursor

    backstage.send("One")
    await listener.receives("One")
    assert listener.last_id == listener.cursor

    before = listener.position
    backstage.send("For somebody else", f"user:{backstage.newcomer()['id']}")
    await listener.until(lambda: listener.position > before)  # a heartbeat says so
    assert listener.last_id == listener.cursor


async def test_it_need_not_answer_heartbeats(server, listen):
    listener = await listen(server, server.sessions["ada"], answers=False)

    await listener.until(lambda: len(listener.all("heartbeat")) >= 3)

    assert listener.is_listening


# Coming back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by its cursor", "by Last-Event-ID", "by both, of which the browser's is newer"])
async def test_who_comes_back_gets_what_was_missed(server, backstage, listen, how):
    listener = await listen(server, server.sessions["ada"])
    first = listener.cursor
    backstage.send("Heard")
    await listener.receives("Heard")
    await listener.leave()
    missed = backstage.send_many("Missed", 20)

    if how != "by its cursor":
        listener.more_headers = {"Last-Event-ID": listener.last_id}
        listener.cursor = first if "both" in how else ""
    await listener.open()

    await listener.receives(missed[-1])
    assert listener.titles == ["Heard", *missed]
    assert listener.frames[-1 - len(missed)]["resumed"] is True


async def test_300_missed_notices_are_replayed_and_301_are_a_reset(server, backstage, listen):
    missed_301, missed_300 = [await listen(server, server.sessions[name]) for name in ("ada", "brian")]
    await missed_301.leave()
    backstage.send("One")
    await missed_300.receives("One")
    await missed_300.leave()
    missed = backstage.send_many("Missed", MANY)

    witness = await listen(server, server.sessions["cleo"], cursor=missed_300.cursor)
    await witness.receives(missed[-1])  # so far is the server
    await missed_301.open()
    await missed_300.open()

    await missed_301.frame("reset")
    await missed_300.receives(missed[-1])
    assert missed_300.titles == ["One", *missed]
    assert missed_301.titles == []


async def test_with_once_the_answer_ends_when_the_page_is_caught_up(server, backstage, listen):
    ada = backstage.newcomer()
    poller = await listen(server, ada["session"], once=True)
    await poller.ends()
    assert [frame["type"] for frame in poller.frames] == ["welcome", "heartbeat"]
    expected = []

    for number in range(3):
        expected += backstage.send_many(f"Round {number}", 30, f"user:{ada['id']}")
        await poller.open()
        await poller.ends()
        assert poller.titles == expected


async def test_a_poller_is_not_told_to_go_past_what_its_server_has_not_read_yet(kind, serve, behind, listen):
    server = serve(kind.name, layer="none", LOG_LOOK_SECONDS=4, LOG_POLL_SECONDS=4)
    poller = await listen(server, server.sessions["ada"], once=True)
    await poller.ends()

    backstage, sent = behind(server), []
    while poller.all("welcome")[-1]["position"] == poller.all("heartbeat")[-1]["position"]:
        sent.append(f"In the database, and no bell has rung: {len(sent)}")
        backstage.send(sent[-1])
        await poller.open()
        await poller.ends()
    assert sent[-1] not in poller.titles
    while sent[-1] not in poller.titles:
        await poller.open()
        await poller.ends()

    assert poller.titles == sent


async def test_a_poller_begins_afresh_when_something_was_read_elsewhere(server, backstage, open_page, listen):
    ada = backstage.newcomer()
    page = await open_page(server, ada["session"])
    poller = await listen(server, ada["session"], once=True)
    await page.say({"type": "read_all", "through": page.position})
    await page.frame("inbox")

    await poller.open()

    await poller.frame("reset")


# Refusals ---------------------------------------------------------------------------------------------------


async def test_who_is_not_signed_in_is_told_so(server, listen):
    for session in (None, "nobody's"):
        listener = await listen(server, session)

        assert (listener.status, listener.words) == (401, "sign in to receive notices\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
    ],
    ids=lambda headers: str(headers),
)
async def test_a_page_of_another_site_may_not_listen(server, listen, headers):
    listener = await listen(server, server.sessions["ada"], headers=headers)

    assert (listener.status, listener.words) == (403, "a page of another site may not listen here\n")


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_a_page_of_this_site_may(server, listen, site):
    assert (await listen(server, server.sessions["ada"], headers={"Sec-Fetch-Site": site})).status == 200


async def test_a_person_may_have_so_many_pages_open_sockets_and_listeners_together(
    server, backstage, open_page, listen
):
    ada = backstage.newcomer()
    pages = [await open_page(server, ada["session"]) for _ in range(2)]
    listeners = [await listen(server, ada["session"]) for _ in range(3)]
    assert {listener.status for listener in listeners} == {200}

    one_too_many = await listen(server, ada["session"])

    assert one_too_many.status == 429
    assert int(one_too_many.headers["retry-after"]) > 0
    assert one_too_many.words == "5 pages are open already; close one of them\n"
    await pages[0].leave()
    await listeners[0].leave()
    assert (await listen(server, ada["session"])).status == 200


def test_only_get_is_answered(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for method in ("POST", "PUT", "HEAD", "OPTIONS"):
        connection.request(method, EVENTS)
        response = connection.getresponse()
        response.read()

        assert (response.status, response.getheader("Allow")) == (405, "GET")
    connection.close()


# Access that changes ----------------------------------------------------------------------------------------


async def test_a_session_that_ends_ends_the_stream(server, backstage, listen):
    ada = backstage.newcomer()
    listener = await listen(server, ada["session"])

    backstage.do(
        "Session.objects.filter(pk=key).delete(); User.objects.get(pk=pk).save()", key=ada["session"], pk=ada["id"]
    )

    assert await listener.closes() == 4005
    assert "sign in again" in listener.closed[1]


async def test_an_account_that_is_closed_ends_the_stream(server, backstage, listen):
    ada = backstage.newcomer()
    listener = await listen(server, ada["session"])

    backstage.do("user = User.objects.get(pk=pk); user.is_active = False; user.save()", pk=ada["id"])

    assert await listener.closes() == 4503


async def test_who_joins_a_group_begins_afresh_and_hears_its_notices(server, backstage, listen):
    backstage.newcomer(groups=["listening"])
    ada = backstage.newcomer()
    listener = await listen(server, ada["session"])

    backstage.do("User.objects.get(pk=pk).groups.add(Group.objects.get(name='listening'))", pk=ada["id"])
    await listener.frame("reset")
    backstage.send("For the group", f"group:{backstage.group_id('listening')}")

    await listener.receives("For the group")


# A slow reader, a server that stops --------------------------------------------------------------------------


async def test_who_reads_late_still_gets_each_notice_once_and_in_order(server, backstage, listen):
    ada = backstage.newcomer()
    listener = await listen(server, ada["session"], reads=False)
    quick = await listen(server, ada["session"])

    sent = []
    for _ in range(3):
        sent += backstage.send_many(f"Long {len(sent)}", 95, f"user:{ada['id']}", at_once=5, body="x" * 8000)
    await quick.receives(sent[-1])
    listener.read_on()

    await listener.receives(sent[-1], seconds=30)
    assert listener.titles == sent


async def test_a_listener_gets_each_notice_once_while_the_server_is_killed_again_and_again(kind, serve, behind, listen):
    server = serve(kind.name)
    backstage = behind(server)
    listeners = [await listen(server, server.sessions[name]) for name in ("ada", "brian")]
    sending = asyncio.create_task(asyncio.to_thread(backstage.send_many, "Notice", 100, at_once=1, pause=0.03))

    for enough in (10, 50):
        await listeners[0].until(lambda enough=enough: len(listeners[0].titles) >= enough)
        server.kill()
        server.start()
        await asyncio.gather(*(listener.come_back() for listener in listeners))

    sent = await sending
    for listener in listeners:
        await listener.receives(sent[-1])
        assert listener.titles == sent
