"""What an open page does while the server is gone, and when it is back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import (
    BACK_WITHIN_MS,
    another_tab,
    connection,
    expect_announced,
    expect_live,
    expect_offline,
    expect_read,
    expect_reconnecting,
    expect_unread,
    has_not_reloaded,
    mark_all_read,
    mark_read,
    remember,
    titles,
    until,
)
from tests.conftest import Serve
from tests.live.backstage import Backstage
from tests.servers import NoticeServer


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> NoticeServer:
    """One that these tests may stop and kill; each finds it running."""
    return serve_module(layer="embedded")


@pytest.fixture(scope="module")
def backstage(server: NoticeServer) -> Iterator[Backstage]:
    with Backstage(server) as backstage:
        yield backstage


@pytest.fixture(autouse=True)
def running(server: NoticeServer, complaints) -> None:
    if not server.running:
        server.start()
    complaints.allow(*LOST_CONNECTION)


@pytest.mark.parametrize("end", [NoticeServer.stop, NoticeServer.kill], ids=["stopped", "killed"])
def test_when_the_server_is_back_the_page_shows_what_was_sent_meanwhile_once(open_inbox, ada, send, server, end):
    page = open_inbox(ada)
    remember(page)
    send("Before", ada)
    expect(titles(page)).to_have_text(["Before"])

    end(server)
    expect_reconnecting(page)
    sent = server.manage("send_notice", "Meanwhile, from cron", "--user", ada.name)
    send("Meanwhile, from another service", ada)
    server.start()

    assert sent.returncode == 0, sent.stderr
    expect_live(page)
    send("Afterwards", ada)  # behind it, nothing of the past can follow
    in_order = ["Afterwards", "Meanwhile, from another service", "Meanwhile, from cron", "Before"]
    expect(titles(page)).to_have_text(in_order)
    expect_unread(page, 4)
    assert has_not_reloaded(page)


def test_a_module_that_is_wanted_while_the_server_is_away_comes_when_it_is_back(open_inbox, ada, send):
    page = open_inbox(ada)
    remember(page)
    asked = []
    page.route("**/attention*.js", lambda route: (asked.append(1), route.abort()))
    page.route("**/readyz", lambda route: route.abort())
    send("The first one", ada)
    until(page, lambda: len(asked) > 1)

    page.unroute("**/attention*.js")
    page.unroute("**/readyz")

    expect_announced(page, "1 new notice")
    assert has_not_reloaded(page)


def test_a_page_whose_module_is_no_more_begins_again(open_inbox, ada, send, complaints):
    complaints.allow("status of 404")
    page = open_inbox(ada)
    page.route("**/attention*.js", lambda route: route.fulfill(status=404))

    with page.expect_navigation():
        send("The first one", ada)

    expect(titles(page)).to_have_text(["The first one"])


def test_a_filtered_page_that_could_not_ask_for_what_came_asks_when_it_is_live_again(open_inbox, ada, send, server):
    page = open_inbox(ada, "/?level=error")
    asked = []
    page.route("**/?level=error*", lambda route: (asked.append(1), route.abort()))
    send("A fire", ada, level="error")
    until(page, lambda: asked)
    page.unroute("**/?level=error*")
    expect(titles(page)).to_have_count(0)

    server.kill()
    expect_reconnecting(page)
    server.start()

    expect_live(page)
    expect(titles(page)).to_have_text(["A fire"])


def test_every_tab_recovers_also_after_the_server_has_gone_again_and_again(open_inbox, ada, send, server):
    page = open_inbox(ada)
    tab = another_tab(page)
    expected = []

    for time in ("first", "second"):
        server.kill()
        expect_reconnecting(page)
        send(f"While away for the {time} time", ada)
        server.start()
        expected.insert(0, f"While away for the {time} time")

        for each in (page, tab):
            expect(titles(each)).to_have_text(expected, timeout=BACK_WITHIN_MS)
            expect_live(each)


def test_what_is_read_while_the_server_is_away_is_read_when_it_is_back(open_inbox, ada, send, server):
    page, phone = open_inbox(ada), open_inbox(ada)
    for number in range(3):
        send(f"Notice {number}", ada)
    expect_unread(page, 3)

    server.stop()
    expect_reconnecting(page)
    mark_read(page, "Notice 1")
    expect_unread(page, 2)
    server.start()

    expect_live(page)  # only now can the server hear of it
    expect_live(phone)
    expect_read(phone, "Notice 1")
    for each in (page, phone):
        expect_unread(each, 2)


def test_what_was_read_elsewhere_while_a_page_was_away_is_read_there_too(open_inbox, ada, send, server):
    page, phone = open_inbox(ada), open_inbox(ada)
    for number in range(3):
        send(f"Notice {number}", ada)
    expect_unread(page, 3)

    phone.context.set_offline(True)
    expect_offline(phone)
    server.kill()  # the phone's socket is gone for good
    server.start()
    expect_live(page)
    mark_all_read(page)
    expect_unread(page, 0)
    phone.context.set_offline(False)

    expect_live(phone)
    for number in range(3):
        expect_read(phone, f"Notice {number}")
    expect_unread(phone, 0)


def test_after_more_than_can_be_replayed_the_page_begins_afresh(open_inbox, ada, send, server, backstage):
    page = open_inbox(ada)
    remember(page)
    send("Long ago", ada)
    expect(titles(page)).to_have_text(["Long ago"])

    server.stop()
    expect_reconnecting(page)
    backstage.send_many("Missed", 301, ada.audience)
    server.start()

    expect(titles(page).first).to_have_text("Missed 300", timeout=BACK_WITHIN_MS)
    expect_live(page)
    send("Afterwards", ada)
    expect(titles(page).first).to_have_text("Afterwards")
    shown = titles(page).all_text_contents()
    # A page that is fetched once more meanwhile brings as many rows as are here: then the last one is left out.
    assert shown == ["Afterwards", *(f"Missed {number}" for number in range(300, 300 - len(shown) + 1, -1))]
    assert len(shown) >= 50
    expect_unread(page, 303)
    assert has_not_reloaded(page)


def test_300_missed_notices_are_replayed_and_the_newest_100_shown(open_inbox, ada, server, backstage):
    page = open_inbox(ada)

    server.stop()
    expect_reconnecting(page)
    backstage.send_many("Missed", 300, ada.audience)
    server.start()

    expect(titles(page)).to_have_text([f"Missed {number}" for number in range(299, 199, -1)], timeout=BACK_WITHIN_MS)
    expect(page.get_by_role("link", name="Older notices")).to_be_visible()
    expect_unread(page, 300)


def test_a_session_that_ends_while_the_server_is_away_is_said(open_inbox, meet, server, complaints):
    complaints.allow("not_signed_in")
    page = open_inbox(meet(seconds=3))

    server.stop()
    expect_reconnecting(page)
    server.python("from django.contrib.sessions.models import Session; Session.objects.all().delete()")
    server.start()

    expect(connection(page)).to_have_text("Your session has ended.", timeout=BACK_WITHIN_MS)


def test_the_echo_page_recovers_too(visit, server):
    page = visit(None, "/echo/")
    expect_live(page)

    server.stop()
    expect_reconnecting(page)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    server.start()

    expect_live(page)
    page.get_by_label("Text to send").fill("Are you back?")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answer")).to_have_text("Server: Are you back?")
