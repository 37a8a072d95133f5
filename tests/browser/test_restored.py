"""A backup is put back under a running server: whatever is open shows, by itself, just what is in it.

Afterwards other notices have the ids and positions of those that are gone.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import connection, titles, until
from tests.browser.proxy import Proxy
from tests.browser.test_app import KEPT, until_kept
from tests.browser.test_bell import button, expect_bell, open_bell, shown
from tests.browser.test_tabs import Browser
from tests.browser.test_transports import EVENTS
from tests.live.backstage import Backstage

LOST = 3


@pytest.fixture(scope="module")
def server(serve_module):
    """One whose database may be replaced."""
    return serve_module(layer="embedded", LOG_LOOK_SECONDS=0.3)


@pytest.fixture(scope="module")
def backstage(server):
    with Backstage(server) as backstage:
        yield backstage


@pytest.fixture(params=[0, 1, LOST + 2], ids=["nothing since", "fewer since", "more since"])
def restore(request, server, send, ada, complaints):
    """`restore(shows)`: a backup, three notices more, and the backup again; and then some are sent.

    `shows(titles)` waits until that is what is shown, newest first.
    """
    # What is asked while the database is being replaced may fail; it is asked again.
    complaints.allow(*LOST_CONNECTION, "could not be fetched afresh", "status of 500", "status of 503")

    def restore(shows):
        send("Kept", ada)
        shows(["Kept"])
        backup = server.back_up()
        lost = [f"Lost {number}" for number in range(LOST)]
        for title in lost:
            send(title, ada)
        shows([*reversed(lost), "Kept"])
        server.restore(backup)
        since = [f"Since {number}" for number in range(request.param)]
        for title in since:
            send(title, ada)
        shows([*reversed(since), "Kept"])

    return restore


def test_an_open_inbox(open_inbox, ada, restore):
    page = open_inbox(ada)

    restore(lambda expected: expect(titles(page)).to_have_text(expected))


def test_a_bell(visit, ada, restore):
    page = visit(ada, "/preferences/")
    expect(button(page)).to_be_visible()

    restore(lambda expected: expect_bell(page, len(expected)))


def test_a_bell_that_is_open(visit, ada, restore):
    page = visit(ada, "/preferences/")
    open_bell(page)

    restore(lambda expected: expect(shown(page)).to_have_text(expected))


def test_several_tabs_of_one_browser(visit, ada, restore):
    browser = Browser(visit(ada, None, for_good=True))
    tabs = [browser.tab() for _ in range(3)]

    def shows(expected):
        for tab in tabs:
            expect(titles(tab)).to_have_text(expected)

    restore(shows)


def test_a_page_that_listens_to_events(visit, server, ada, restore, complaints):
    complaints.allow(*LOST_CONNECTION, "status of 426")
    with Proxy(server) as proxy:
        proxy.blocks_sockets = True
        page = visit(ada, None, for_good=True)
        page.goto(proxy.url)
        expect(connection(page)).to_have_text(EVENTS, timeout=20_000)

        restore(lambda expected: expect(titles(page)).to_have_text(expected))


def test_what_is_kept_for_when_there_is_no_network(visit, ada, restore, complaints):
    complaints.allow("Failed to fetch")
    page = visit(ada, "/", service_workers="allow")
    until_kept(page)
    last = []

    def shows(expected):
        last[:] = expected
        expect(titles(page)).to_have_text(expected)

    restore(shows)
    until(page, lambda: "Lost" not in page.evaluate(KEPT) and all(title in page.evaluate(KEPT) for title in last))
    page.context.set_offline(True)
    page.reload()

    expect(titles(page)).to_have_text(last)
