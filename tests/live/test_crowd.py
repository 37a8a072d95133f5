"""As many pages as one person may have are so many on all server processes together."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.live.backstage import Backstage
from tests.live.processes import family

MOST = 6
SETTINGS = {"WS_CONNECTIONS_PER_USER": MOST, "workers": 4}


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(**SETTINGS)


@pytest.fixture(scope="module")
def backstage(server):
    with Backstage(server) as backstage:
        yield backstage


async def still_open(pages):
    """Those that are open once the processes have told each other."""
    await asyncio.sleep(2.5)
    return [page for page in pages if page.is_open]


async def test_pages_that_come_one_after_the_other_are_let_in_up_to_the_limit(server, backstage, open_page):
    ada = backstage.newcomer()
    pages = []
    for _ in range(MOST + 3):
        pages.append(await open_page(server, ada["session"]))
        await asyncio.sleep(0.5)

    assert len(await still_open(pages)) == MOST
    for page in pages[MOST:]:
        assert await page.closes() == 4504
        assert page.frames[0]["code"] == "too_many_connections"


async def test_pages_that_come_all_at_once_are_cut_down_to_the_limit(server, backstage, open_page):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    brians = await open_page(server, brian["session"])

    pages = await asyncio.gather(*(open_page(server, ada["session"]) for _ in range(4 * MOST)))

    assert len(await still_open(pages)) == MOST
    assert {page.closed[0] for page in pages if page.closed} == {4504}
    backstage.send("For those who stayed")
    await brians.receives("For those who stayed")


async def test_pages_of_a_process_that_was_killed_do_not_count(server, backstage, open_page):
    ada = backstage.newcomer()
    pages = [await open_page(server, ada["session"]) for _ in range(MOST)]
    workers = [pid for pid, command in family(server).items() if "spawn_main" in command]

    for _ in range(2):
        os.kill(workers.pop(), signal.SIGKILL)
        await asyncio.sleep(0.2)
        await asyncio.gather(*(page.come_back() for page in pages if page.closed))

    assert len(await still_open(pages)) == MOST
