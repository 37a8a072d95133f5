"""One page that stops reading delays nobody, costs a bounded amount of memory, and is whole again in the end."""

from __future__ import annotations

import asyncio

from tests.live.processes import memory_of

COUNT = 2000  # notices of 8 KiB: 16 MiB for each page
BODY = "x" * 8192
SLOW, QUICK = 8, 20
MAX_MORE_MIB = 64  # the slow pages alone would pile up 128


async def test_pages_that_do_not_read_delay_nobody_and_are_whole_in_the_end(serve, behind, open_page):
    server = serve(layer="embedded")
    backstage = behind(server)
    ada, brian = backstage.newcomer(), backstage.newcomer()
    slow = [await open_page(server, brian["session"], reads=False) for _ in range(SLOW)]
    quick = [await open_page(server, ada["session"]) for _ in range(QUICK)]
    before = most = memory_of(server.process.pid)

    sending = asyncio.create_task(asyncio.to_thread(backstage.send_many, "Big", COUNT, at_once=10, body=BODY))
    while not sending.done():
        most = max(most, memory_of(server.process.pid))
        await asyncio.sleep(0.05)
    sent = await sending

    for page in quick:
        await page.receives(sent[-1], seconds=2)
        assert page.titles == sent
    assert most - before < MAX_MORE_MIB
    for page in slow:
        page.read_on()
    for page in slow:
        await becomes_whole(page, sent, backstage, brian)
    backstage.send("Afterwards")
    for page in slow:
        await page.receives("Afterwards", seconds=2)
        assert page.titles[-1] == "Afterwards"
        assert not page.doubled


async def becomes_whole(page, sent, backstage, person):
    """It gets everything, or up to some notice everything and then the advice to fetch its inbox afresh."""
    await page.until(lambda: page.titles == sent or bool(page.all("reset")))
    assert page.titles == sent[: len(page.titles)]
    if page.all("reset"):
        inbox = backstage.inbox_of(person["id"])
        assert inbox["titles"] == sent[::-1]
        page.cursor = inbox["cursor"]
