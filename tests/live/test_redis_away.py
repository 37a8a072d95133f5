"""Redis only rings the bell: when it is killed, frozen or cuts its lines, notices are slower, and none is lost."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request

import pytest
import redis

from tests.live.backstage import Backstage
from tests.live.processes import soon


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(LOG_LOOK_SECONDS=2)


@pytest.fixture(scope="module")
def backstage(server):
    with Backstage(server) as backstage:
        yield backstage


@pytest.fixture
async def valkey(server, backstage):
    """The server's own Valkey. Afterwards it is there again, and the server has noticed."""
    assert await soon(lambda: readyz(server)["layer"] == "ok")
    yield server.valkey
    server.valkey.thaw() if server.valkey.running else server.valkey.start()
    assert await soon(lambda: readyz(server)["layer"] == "ok")


def readyz(server):
    with urllib.request.urlopen(f"{server.url}/readyz", timeout=5) as response:
        assert response.status == 200
        return json.load(response)


async def test_pages_stay_open_while_redis_is_away_and_get_every_notice_once(server, valkey, backstage, open_page):
    pages = [await open_page(server, server.sessions[name]) for name in ("ada", "brian")]

    before = backstage.send_many("Before", 3, at_once=1)
    valkey.kill()
    meanwhile = backstage.send_many("Meanwhile", 3, at_once=1)
    for page in pages:
        await page.receives(meanwhile[-1], seconds=4)
    assert await soon(lambda: readyz(server)["layer"] == "away")
    assert readyz(server)["ready"], "it still serves"
    valkey.start()
    assert await soon(lambda: readyz(server)["layer"] == "ok")
    sent = backstage.send("Afterwards")

    assert sent["heard_by"] == 1
    for page in pages:
        await page.receives("Afterwards", seconds=0.5)
        assert page.titles == [*before, *meanwhile, "Afterwards"]
        assert len(page.all("welcome")) == 1, "it was never closed"


async def test_a_redis_that_hangs_delays_the_sender_by_a_second_at_most(server, valkey, backstage, open_page):
    page = await open_page(server, server.sessions["ada"])
    started = time.monotonic()
    assert server.manage("send_notice", "As usual", "--everyone").stderr == ""
    usual = time.monotonic() - started

    valkey.freeze()
    started = time.monotonic()
    result = await asyncio.to_thread(server.manage, "send_notice", "Redis hangs", "--everyone")
    took = time.monotonic() - started

    assert result.returncode == 0
    assert result.stderr.startswith("warning: stored")
    assert "Traceback" not in result.stderr
    assert took < usual + 1
    await page.receives("Redis hangs", seconds=3)
    assert await soon(lambda: readyz(server)["layer"] == "away")
    assert readyz(server)["ready"]


async def test_a_redis_that_is_gone_delays_the_sender_hardly_at_all(server, valkey, backstage, open_page):
    page = await open_page(server, server.sessions["ada"])
    valkey.kill()

    sent = backstage.send("Redis is gone")

    assert sent["heard_by"] is None
    assert sent["took"] < 0.5
    await page.receives("Redis is gone", seconds=4)


async def test_no_notice_is_missing_or_doubled_when_redis_cuts_the_subscription(server, valkey, backstage, open_page):
    pages = [await open_page(server, server.sessions[name]) for name in ("ada", "brian")]
    sending = asyncio.create_task(asyncio.to_thread(backstage.send_many, "Notice", 300, at_once=1, pause=0.007))

    cuts = 0
    with redis.Redis.from_url(valkey.url) as client:
        while not sending.done():
            cuts += client.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.4)

    sent = await sending
    assert cuts >= 3
    for page in pages:
        await page.receives(sent[-1])
        assert page.titles == sent
        assert not page.doubled


async def test_no_notice_is_missing_or_doubled_when_redis_comes_and_goes(server, valkey, backstage, open_page):
    page = await open_page(server, server.sessions["ada"])
    sending = asyncio.create_task(asyncio.to_thread(backstage.send_many, "Notice", 80, at_once=1, pause=0.02))

    while not sending.done():
        valkey.kill()
        await asyncio.sleep(0.1)
        valkey.start()
        await asyncio.sleep(0.4)

    sent = await sending
    await page.receives(sent[-1])
    assert page.titles == sent


async def test_what_is_read_while_redis_is_away_is_read_on_the_pages_of_this_server(
    server, valkey, backstage, open_page
):
    ada = backstage.newcomer()
    desk, phone = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    sent = backstage.send("Read me", f"user:{ada['id']}")
    await desk.receives("Read me")
    valkey.kill()

    await desk.say({"type": "read", "ids": [sent["id"]]})

    for page in (desk, phone):
        assert (await page.frame("inbox"))["read"] == [sent["id"]]
