"""How soon a notice from a second process is on an open page: the figures that were promised."""

from __future__ import annotations

import statistics

import pytest

from tests.live.backstage import Backstage
from tests.live.processes import soon


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(layer="embedded")


@pytest.fixture(scope="module")
def backstage(server):
    with Backstage(server) as backstage:
        yield backstage


async def delays(page, backstage, count):
    """Seconds from just before the call to the frame on the page, one notice at a time."""
    found = []
    for number in range(count):
        sent = backstage.send(f"Notice {number}")
        await page.receives(f"Notice {number}")
        found.append(page.arrived[f"Notice {number}"] - sent["at"])
    return found


async def test_a_notice_is_there_within_50_ms(server, backstage, open_page):
    page = await open_page(server, server.sessions["ada"])
    assert await soon(lambda: backstage.send("Asking")["heard_by"] == 1)

    found = await delays(page, backstage, 30)

    assert statistics.median(found) < 0.050, found
    assert max(found) < 0.500, found


async def test_a_hundred_notices_in_a_row_keep_their_order_and_their_pace(server, backstage, open_page):
    pages = [await open_page(server, server.sessions[name]) for name in ("ada", "brian", "cleo")]
    assert await soon(lambda: backstage.send("Asking")["heard_by"] == 1)

    sent = backstage.send_many("Quick", 100, at_once=1)
    last = backstage.send("Last")

    for page in pages:
        await page.receives("Last")
        assert page.arrived["Last"] - last["at"] < 0.5
        assert [title for title in page.titles if title != "Asking"] == [*sent, "Last"]


async def test_without_any_layer_a_notice_is_there_within_a_second(serve, behind, open_page):
    server = serve(layer="none")
    page = await open_page(server, server.sessions["ada"])

    found = await delays(page, behind(server), 5)

    assert max(found) < 1, found
    assert page.is_open
