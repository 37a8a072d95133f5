"""Where a network lets no WebSocket through, the page takes another line, says so, and nothing is lost or doubled."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import (
    connection,
    expect_read,
    expect_reconnecting,
    expect_unread,
    has_not_reloaded,
    mark_read,
    remember,
    titles,
    until,
)
from tests.browser.proxy import Proxy
from tests.browser.test_tabs import sending, watch

EVENTS = "Live, by server-sent events"
POLLING = "Checking every few seconds"


@pytest.fixture
def proxy(server, complaints):
    complaints.allow(*LOST_CONNECTION, "status of 426")
    with Proxy(server) as proxy:
        yield proxy


@pytest.fixture
def open_behind(visit, proxy):
    """`open_behind(ada)`: her inbox, through the proxy."""

    def open_behind(person, words=EVENTS, *, script=""):
        page = visit(person, None, for_good=True)
        if script:
            page.add_init_script(script)
        page.goto(proxy.url)
        expect(connection(page)).to_have_text(words, timeout=20_000)
        return page

    return open_behind


def quick(factor):
    """Timers run so much faster, for those who wait for minutes."""
    return f"const later = setTimeout; window.setTimeout = (call, ms) => later(call, ms / {factor})"


def cursors_asked_for(proxy):
    """By a page that asks every few seconds."""
    return {re.search(r"cursor=[^&]*", path)[0] for path in proxy.requests if "once=1" in path}


def test_a_proxy_that_blocks_nothing_changes_nothing(open_behind, proxy, ada, send):
    page = open_behind(ada, "Live")

    send("By socket", ada)

    expect(titles(page)).to_have_text(["By socket"])
    assert not [path for path in proxy.requests if path.startswith("/events/")]


def test_where_sockets_are_blocked_the_page_listens_to_events_and_says_so(open_behind, proxy, ada, send):
    proxy.blocks_sockets = True
    page = open_behind(ada)
    remember(page)

    send("One", ada)
    send("Two", ada)

    expect(titles(page)).to_have_text(["Two", "One"])
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.get_by_role("link", name="Why?")).to_have_attribute("href", "/echo/")
    assert has_not_reloaded(page)


def test_what_is_read_on_a_page_that_listens_is_read_everywhere(open_behind, open_inbox, proxy, ada, send):
    proxy.blocks_sockets = True
    page, elsewhere = open_behind(ada), open_inbox(ada)
    send("One", ada)
    send("Two", ada)
    expect_unread(page, 2)

    mark_read(page, "One")
    expect_read(elsewhere, "One")
    mark_read(elsewhere, "Two")

    expect_read(page, "Two")
    for each in (page, elsewhere):
        expect_unread(each, 0)


def test_where_streams_are_held_back_the_page_asks_every_few_seconds_and_says_so(open_behind, proxy, ada, send):
    proxy.blocks_sockets = proxy.holds_back = True
    page = open_behind(ada, POLLING)
    remember(page)

    for number in range(3):
        send(f"Notice {number}", ada)

    expect(titles(page)).to_have_text(["Notice 2", "Notice 1", "Notice 0"], timeout=10_000)
    expect_unread(page, 3)
    send("Later", ada)
    expect(titles(page).first).to_have_text("Later", timeout=10_000)
    expect(titles(page)).to_have_count(4)
    send("Last", ada)
    expect(titles(page)).to_have_count(5, timeout=10_000)
    assert has_not_reloaded(page)
    assert len(cursors_asked_for(proxy)) >= 3, "it asks for what is new, and not for everything again and again"


def test_who_asks_every_few_seconds_moves_on_also_past_what_is_for_others(open_behind, proxy, ada, brian, send):
    proxy.blocks_sockets = proxy.holds_back = True
    page = open_behind(ada, POLLING)
    known = cursors_asked_for(proxy)

    send("Not for Ada", brian)

    until(page, lambda: cursors_asked_for(proxy) - known)


def test_when_sockets_are_let_through_again_the_page_goes_back_to_them(open_behind, proxy, ada, send):
    proxy.blocks_sockets = True
    page = open_behind(ada, script=quick(20))
    send("By events", ada)
    expect(titles(page)).to_have_text(["By events"])

    proxy.blocks_sockets = False

    expect(connection(page)).to_have_text("Live", timeout=20_000)
    send("By socket", ada)
    expect(titles(page)).to_have_text(["By socket", "By events"])


def test_it_tries_at_once_when_the_network_has_changed(open_behind, proxy, ada):
    proxy.blocks_sockets = True
    page = open_behind(ada)
    proxy.blocks_sockets = False

    page.evaluate("window.dispatchEvent(new Event('online'))")

    expect(connection(page)).to_have_text("Live")


def test_nothing_is_lost_or_doubled_while_the_page_changes_lines(open_behind, proxy, ada, server):
    page = open_behind(ada, "Live", script=quick(8))
    remember(page)
    seen = watch(page)
    sent = [f"Notice {number}" for number in range(200)]
    sender = sending(server, ada, "Notice", len(sent), pause=0.04)

    expect(titles(page).nth(10)).to_be_attached()
    proxy.blocks_sockets = True
    proxy.cut()
    expect(connection(page)).to_have_text(EVENTS, timeout=20_000)
    proxy.holds_back = True
    proxy.cut()
    expect(connection(page)).to_have_text(POLLING, timeout=20_000)
    proxy.blocks_sockets = proxy.holds_back = False
    expect(connection(page)).to_have_text("Live", timeout=20_000)

    assert sender.wait(timeout=60) == 0
    expect(titles(page)).to_have_text(sent[:-101:-1], timeout=10_000)  # as many rows as a page keeps
    assert sorted(seen()) == sorted(sent), "each once"
    assert has_not_reloaded(page)


def test_a_server_that_restarts_pushes_no_page_off_its_socket(visit, serve, complaints):
    """Attempts fail while it is away; but then it answers no requests either."""
    complaints.allow(*LOST_CONNECTION, "status of 426")
    server = serve(layer="embedded")
    page = visit(None, None, for_good=True)
    page.context.add_cookies([server.cookie("ada")])
    with Proxy(server) as proxy:
        proxy.blocks_sockets = True
        page.goto(proxy.url)
        expect(connection(page)).to_have_text(EVENTS)  # so it has all it needs for another line
        proxy.blocks_sockets = False
        page.evaluate("window.dispatchEvent(new Event('online'))")
        expect(connection(page)).to_have_text("Live")

        server.stop()
        expect_reconnecting(page)
        asked = len(proxy.requests)
        page.wait_for_timeout(4_000)  # for several attempts
        proxy.cut()
        server.start()

        expect(connection(page)).to_have_text("Live", timeout=20_000)
        assert not [path for path in proxy.requests[asked:] if path.startswith("/events/")]


def test_tabs_share_a_stream_as_they_share_a_socket(open_behind, proxy, ada, send):
    proxy.blocks_sockets = True
    page = open_behind(ada)
    tab = page.context.new_page()
    tab.goto(proxy.url)
    expect(connection(tab)).to_have_text(EVENTS)
    streams = [path for path in proxy.requests if path.startswith("/events/")]
    assert len(streams) == 1

    page.close()
    expect(connection(tab)).to_have_text(EVENTS)
    send("For the one that is left", ada)

    expect(titles(tab)).to_have_text(["For the one that is left"])
    expect(connection(tab)).to_have_text(EVENTS)


def test_a_session_that_ends_is_said_on_every_line(open_behind, proxy, ada, backstage, complaints):
    complaints.allow("status of 401")
    proxy.blocks_sockets = True
    page = open_behind(ada)

    backstage.do("Session.objects.filter(pk=key).delete(); User.objects.get(pk=pk).save()", key=ada.session, pk=ada.id)

    expect(connection(page)).to_have_text("Your session has ended.")
    page.get_by_role("link", name=re.compile("Sign in")).first.wait_for()
