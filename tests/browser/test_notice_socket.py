"""What the page makes of frames and close codes, whatever the server says and when (docs/protocol.md)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import (
    connection,
    expect_announced,
    expect_live,
    expect_reconnecting,
    expect_unread,
    mark_all_read,
    mark_read,
    titles,
)
from tests.browser.script import Script


@pytest.fixture
def script(visit, ada):
    """The server, on the page of somebody whose inbox is empty."""
    script = Script(visit(ada, None, for_good=True))
    script.open()
    return script


@pytest.fixture
def live(script):
    script.welcome()
    expect_live(script.page)
    return script


def test_of_a_hidden_page_the_count_does_not_wait_for_rows(live):
    live.page.evaluate("Object.defineProperty(document, 'visibilityState', { value: 'hidden' })")

    for number in range(1, 6):
        live.notice(number)

    expect(live.page).to_have_title("(5) Notices")  # while no time passes, and no frame is made
    live.wait(1)
    expect(titles(live.page)).to_have_count(5)


def test_before_the_welcome_the_page_does_not_claim_to_be_live(script):
    expect(connection(script.page)).to_have_text("Connecting…")

    script.welcome()

    expect(connection(script.page)).to_have_text("Live")


# Notices ----------------------------------------------------------------------------------------------------


def test_a_notice_that_comes_twice_is_shown_once(live):
    live.notice(1, title="Once")
    live.notice(1, title="Twice")
    live.notice(2)

    expect(titles(live.page)).to_have_text(["Notice 2", "Once"])
    expect_unread(live.page, 2)


def test_notices_stand_in_the_order_in_which_they_were_published(live):
    for number in (2, 3, 1):
        live.notice(number)

    expect(titles(live.page)).to_have_text(["Notice 3", "Notice 2", "Notice 1"])


def test_a_notice_that_comes_again_changed_stays_in_its_place(live):
    live.notice(1)
    live.notice(2)
    live.notice(3, published=1, title="Notice 1, corrected <i>")

    expect(titles(live.page)).to_have_text(["Notice 2", "Notice 1, corrected <i>"])
    expect_unread(live.page, 2)


def test_a_recalled_notice_goes_and_one_that_was_never_shown_does_not_come(live):
    live.notice(1)
    live.notice(2, published=1, recalled=True)
    live.notice(3, recalled=True)
    live.notice(4, expires_at="2020-01-01T00:00:00Z")
    live.notice(5)

    expect(titles(live.page)).to_have_text(["Notice 5"])
    expect_unread(live.page, 1)


def test_whoever_is_in_a_row_with_the_keyboard_goes_on_in_the_next_when_it_goes(live):
    live.notice(1)
    live.notice(2)
    page = live.page
    page.get_by_role("article", name="Notice 2").focus()

    live.notice(3, published=2, recalled=True)

    expect(page.get_by_role("article", name="Notice 1")).to_be_focused()


def test_only_addresses_that_are_safe_become_links(live):
    for number, url in enumerate(("javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "vbscript:x"), 1):
        live.notice(number, url=url)
    live.notice(5, url="https://example.org/x")

    live.until(lambda: titles(live.page).count() == 5 or live.wait(0.1))  # many at once take more than one frame
    expect(live.page.locator("#inbox .notice-link[href]")).to_have_text(["Notice 5"])


# Counts -----------------------------------------------------------------------------------------------------


def test_a_notice_that_the_servers_count_leaves_out_is_counted(live):
    live.notice(1)
    live.say(type="inbox", unread=5, position=live.position, changes=0, read=[])
    expect_unread(live.page, 6)

    live.say(type="inbox", unread=6, position=live.position + 1, changes=0, read=[])

    expect_unread(live.page, 6)


def test_the_page_comes_back_with_the_stamp_of_the_last_change_it_heard_of(live):
    live.say(type="inbox", unread=0, position=live.position, changes=7, read=[])
    live.close(1012)

    assert live.comes_back(within=1).endswith("&stamp=7-" + live.stamp.split("-")[1])


# Reading ----------------------------------------------------------------------------------------------------


def test_a_read_that_was_not_confirmed_is_said_again(live):
    live.notice(1)
    mark_read(live.page, "Notice 1")
    live.hears(type="read", ids=[1_000_001])
    live.heard.clear()

    live.close(1011)
    live.comes_back(within=1)
    live.welcome(unread=1, position=live.position + 1)

    live.hears(type="read", ids=[1_000_001])
    live.say(type="inbox", unread=0, position=live.position + 1, changes=1, read=[1_000_001])
    expect_unread(live.page, 0)


def test_marking_all_read_says_up_to_where_the_page_has_come(live):
    live.notice(1)
    live.notice(2)
    expect_unread(live.page, 2)
    live.say(type="heartbeat", position=live.position + 9)
    live.hears(type="alive", position=live.position + 9)

    with live.page.expect_request("**/read-all/") as asked:
        mark_all_read(live.page)

    assert f"through={live.position + 9}" in asked.value.post_data


# The connection ---------------------------------------------------------------------------------------------


def test_the_page_comes_back_with_the_place_it_has_reached(live):
    live.notice(1)
    live.say(type="heartbeat", position=live.position + 7)
    live.hears(type="alive", position=live.position + 7)

    live.close(1012)

    address = live.comes_back(within=1)
    assert address.endswith(f"?cursor={live.epoch}%3A{live.position + 7}&stamp={live.stamp}")


def test_after_these_codes_the_page_comes_back(live):
    for code in (1001, 1011, 1012, 4001, 4008, 4012, 4013, 4400, 4444):
        live.wait(6)  # live for so long, and the next wait is a short one again
        live.close(code)
        expect_reconnecting(live.page)

        live.comes_back(within=1)

        live.welcome()
        expect_live(live.page)


@pytest.mark.parametrize(
    ("code", "words", "way_out"),
    [
        (4005, "Your session has ended.", "Sign in again"),
        (4501, "Your session has ended.", "Sign in again"),
        (4503, "Your access was withdrawn.", "Try again"),
        (4504, "Too many pages are open for your account. Close some of them.", "Try again"),
        (4567, "The server refuses this connection.", "Try again"),
    ],
)
def test_after_these_codes_it_stays_away_and_says_why(live, code, words, way_out):
    live.close(code)

    expect(connection(live.page)).to_have_text(words)
    expect(live.page.locator("#connection").get_by_text(way_out)).to_be_visible()
    assert live.stays_away(60)
    expect_announced(live.page, words)


def test_a_person_may_ask_for_another_try(live):
    live.close(4504)

    live.page.get_by_role("button", name="Try again").click()
    live.until(lambda: len(live.sockets) == 2)
    live.welcome()

    expect(connection(live.page)).to_have_text("Live")


def test_the_server_says_when_to_come_back(live):
    live.say(type="bye", code=4001, retry_ms=3000)
    live.close(4001)
    expect_reconnecting(live.page)

    assert live.stays_away(2.9)
    live.comes_back(within=0.2)


def test_each_failed_attempt_waits_longer_up_to_three_seconds(visit, ada):
    script = Script(visit(ada, None, for_good=True))
    script.page.add_init_script("Math.random = () => 0.999")  # the longest wait that chance allows
    script.open()

    for seconds in (0.5, 1, 2, 3, 3, 3):
        script.close(1012)
        expect_reconnecting(script.page)
        assert script.stays_away(seconds - 0.2)
        script.comes_back(within=0.4)


def test_the_page_says_when_notices_come_late_and_when_they_do_no_more(live):
    live.say(type="heartbeat", position=live.position, delayed=True)
    expect(connection(live.page)).to_have_text("Live, up to 2 seconds late")
    live.notice(1)
    expect(connection(live.page)).to_have_text("Live, up to 2 seconds late")
    live.wait(3)
    expect_announced(live.page, re.compile("Live, up to 2 seconds late"))

    live.say(type="heartbeat", position=live.position)

    expect(connection(live.page)).to_have_text("Live")


def test_silence_is_taken_for_a_dead_line(live):
    live.wait(34)
    expect(connection(live.page)).to_have_text("Live")

    live.wait(2)

    expect_reconnecting(live.page)
    live.until(lambda: len(live.sockets) == 2)


def test_heartbeats_keep_the_line(live):
    for beat in range(4):
        live.wait(30)
        live.say(type="heartbeat", position=live.position + beat)
        live.hears(type="alive", position=live.position + beat)

    expect(connection(live.page)).to_have_text("Live")
    assert len(live.sockets) == 1


# The truth about the connection -----------------------------------------------------------------------------


@pytest.fixture
def waiting(visit, ada):
    """A page whose second attempt has just failed; it waits for 2 seconds."""
    script = Script(visit(ada, None, for_good=True))
    script.page.add_init_script("Math.random = () => 0.999")  # the longest wait that chance allows
    script.open()
    script.welcome()
    expect_live(script.page)
    for seconds in (0.6, 1.1):
        script.close(1012)
        expect_reconnecting(script.page)
        script.comes_back(within=seconds)
    script.close(1012)
    return script


def test_the_seconds_to_the_next_attempt_are_counted_down(waiting):
    for words in ("Reconnecting in 2 s", "Reconnecting in 1 s"):
        expect(connection(waiting.page)).to_have_text(words)
        waiting.wait(1)

    expect(connection(waiting.page)).to_have_text("Reconnecting…")
    waiting.until(lambda: len(waiting.sockets) == 4)


def test_that_it_reconnects_is_said_once_however_long_it_takes(waiting):
    page = waiting.page
    page.evaluate("""() => {
        window.said = []
        const announcer = document.getElementById("announcer")
        new MutationObserver(() => announcer.textContent && window.said.push(announcer.textContent))
            .observe(announcer, { childList: true })
    }""")

    for _ in range(6):
        waiting.wait(2)
        waiting.until(lambda: len(waiting.sockets) > 3)
        waiting.close(1012)
        expect_reconnecting(page)
    assert page.evaluate("window.said") == ["Reconnecting…"]

    waiting.comes_back(within=3.1)
    waiting.welcome()
    expect(connection(page)).to_have_text("Live")
    waiting.wait(3.1)
    assert page.evaluate("window.said") == ["Reconnecting…", "Live"]


def test_an_interruption_of_a_second_is_shown_and_not_said(live):
    expect(live.page.get_by_role("button", name="Retry now")).to_be_hidden()
    live.close(1012)
    expect_reconnecting(live.page)
    live.comes_back(within=1)
    live.welcome()
    expect_live(live.page)
    live.wait(5)

    expect_announced(live.page, "")
    expect(live.page.get_by_role("button", name="Retry now")).to_be_hidden()


def test_who_does_not_want_to_wait_need_not(waiting):
    waiting.wait(1.5)  # away for more than two seconds, together with the attempts before
    before = len(waiting.sockets)

    waiting.page.get_by_role("button", name="Retry now").click()

    waiting.until(lambda: len(waiting.sockets) > before)


def test_a_page_that_is_offline_says_of_when_it_is(live, complaints):
    complaints.allow(*LOST_CONNECTION)
    page = live.page
    live.wait(600)  # at some later minute than the page was made
    for _ in range(10):  # the clock has stopped between two attempts, or while one was under way
        live.welcome()
        page.evaluate("0")
        if connection(page).get_attribute("data-state") == "live":
            break
        live.wait(4)
    expect_live(page)
    at = page.evaluate("new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit' }).format(Date.now())")

    page.context.set_offline(True)
    live.wait(300)

    expect(connection(page)).to_have_text(f"Offline, showing what we had at {at}")
    page.context.set_offline(False)
    live.until(lambda: live.sockets)


def test_a_page_from_the_cache_says_of_when_it_is(visit, ada, complaints):
    script = Script(visit(ada, None, for_good=True))

    def kept(route):
        response = route.fetch()
        body = re.sub(r'data-at="[^"]*"', 'data-at="2026-01-02T14:02:00+00:00"', response.text())
        route.fulfill(response=response, body=body)

    complaints.allow(*LOST_CONNECTION)
    script.page.route(re.compile("^http://[^/]+/$"), kept)
    script.open()
    script.page.context.set_offline(True)

    expect(connection(script.page)).to_have_text(re.compile("Offline, showing what we had at Jan 2, 2026"))


def test_a_page_that_is_paused_says_so_while_it_is_live(live):
    live.page.get_by_role("button", name="Pause").click()
    expect(connection(live.page)).to_have_text("Paused")

    live.close(1012)
    expect_reconnecting(live.page)
    live.comes_back(within=1)
    live.welcome()
    expect(connection(live.page)).to_have_text("Paused")

    live.page.get_by_role("button", name="Pause").click()
    expect(connection(live.page)).to_have_text("Live")


def test_a_notice_that_was_missed_is_told_from_one_that_comes_just_now(visit, ada):
    script = Script(visit(ada, None, for_good=True))
    files = []
    script.page.on("request", lambda request: files.append(request.url))
    script.open()
    script.page.evaluate(
        """async (file) => {
            const { NoticeSocket } = await import(file)
            window.replayed = []
            const emit = NoticeSocket.prototype.dispatchEvent
            NoticeSocket.prototype.dispatchEvent = function (event) {
                if (event.type === "notice") window.replayed.push(event.detail.replayed)
                return emit.call(this, event)
            }
        }""",
        next(file for file in files if "/notice_socket" in file),
    )
    script.welcome(position=script.position + 2, cursor=script.position)

    for number in (1, 2, 3):
        script.notice(number)

    expect(titles(script.page)).to_have_count(3)
    assert script.page.evaluate("window.replayed") == [True, True, False]


# Beginning afresh -------------------------------------------------------------------------------------------


def test_a_reset_fetches_the_page_and_goes_on_from_its_cursor(live, ada, send):
    send("Missed", ada)

    with live.page.expect_response(lambda response: response.request.resource_type == "fetch"):
        live.say(type="reset")
    live.until(lambda: len(live.sockets) == 2)

    expect(titles(live.page)).to_have_text(["Missed"])
    assert re.search(r"%3A(\d+)&", live.sockets[-1].url)[1] > str(live.position)


def test_an_error_of_ours_is_said_on_the_console_only(live, complaints):
    complaints.allow("The server refused: bad_frame")

    live.say(type="error", code="bad_frame", detail="not JSON")
    live.notice(1)

    expect(titles(live.page)).to_have_text(["Notice 1"])
    assert complaints.all
