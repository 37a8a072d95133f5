"""The self-help part of the echo page: each step works, or says what failed and what to check."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.crooked_proxy import Proxy, asking_for, without
from tests.browser.gestures import expect_announced, tab_to, titles
from tests.browser.test_for_everyone import expect_accessible, expect_narrow

STEPS = ["page", "socket", "text", "binary", "session", "clock", "fallback", "notice"]
BLOCKED = "WebSocket connection to"


def step(page, name):
    return page.locator(f'[data-step="{name}"]')


def expect_step(page, name, state, says=""):
    """How a step stands, in a word, and what is said about it."""
    words = {
        "worked": "Works",
        "late": "Works, but slowly",
        "failed": "Failed",
        "skipped": "Not tested",
        "waiting": "Waiting",
        "running": "Testing…",
    }
    expect(step(page, name)).to_have_attribute("data-state", state, timeout=20_000)
    expect(step(page, name).locator(".step-state")).to_have_text(words[state])
    if says:
        expect(step(page, name).locator("[data-holds]")).to_contain_text(says)


def expect_done(page, finding, sentence=""):
    summary = page.locator("#self-help-summary")
    expect(summary).to_have_attribute("data-finding", finding, timeout=30_000)
    if sentence:
        expect(summary).to_have_text(sentence)


def run_again(page):
    page.get_by_role("button", name="Run again").click()


# Everything works -------------------------------------------------------------------------------------------


def test_by_itself_each_step_is_tried_and_works(visit, ada):
    page = visit(ada, "/echo/")

    expect_done(page, "worked", "Everything works")
    for name in STEPS:
        expect_step(page, name, "worked")
        expect(step(page, name).locator(".step-time")).to_have_text(re.compile(r"^[\d,]+ ms$"))
    expect_announced(page, "Everything works")


def test_the_test_notice_is_in_the_inbox(visit, open_inbox, ada, brian):
    expect_done(visit(ada, "/echo/"), "worked")

    expect(titles(open_inbox(ada))).to_have_text(["This is a test notice"])
    expect(titles(open_inbox(brian))).to_have_count(0)


def test_who_is_not_signed_in_is_asked_to_for_the_last_steps(visit):
    page = visit(None, "/echo/")

    expect_done(page, "tested", "Everything that could be tested works")
    for name in ("page", "socket", "text", "binary", "clock"):
        expect_step(page, name, "worked")
    for name in ("session", "fallback", "notice"):
        expect_step(page, name, "skipped", "Sign in to test this.")
    page.get_by_role("link", name="Sign in to test this.").first.click()
    page.wait_for_url(re.compile(r"/accounts/login/\?next=(/|%2F)echo(/|%2F)$"))


def test_it_can_be_run_again(visit, ada):
    page = visit(ada, "/echo/")
    expect_done(page, "worked")

    run_again(page)

    expect(page.locator("#self-help-summary")).to_have_text("The test is running…")
    expect_done(page, "worked")


def test_it_is_run_and_copied_with_the_keyboard_alone(visit, ada):
    page = visit(ada, "/echo/")
    expect_done(page, "worked")

    tab_to(page, page.get_by_role("button", name="Run again"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Run again")).to_be_focused()
    expect_done(page, "worked")
    tab_to(page, page.get_by_role("button", name="Copy the report"))


# What failed, for real --------------------------------------------------------------------------------------


@pytest.fixture
def behind(server, visit):
    """`behind(without("upgrade"), ada)`: the page as somebody sees it through a proxy that is set up badly."""
    proxies = []

    def behind(spoil, person):
        proxy = Proxy(server.port, spoil)
        proxies.append(proxy)
        proxy.__enter__()
        return visit(person, f"{proxy.url}/echo/")

    yield behind
    for proxy in proxies:
        proxy.__exit__()


def test_a_proxy_without_upgrade_headers_is_found(behind, ada, complaints):
    complaints.allow(BLOCKED, "status of 426")

    page = behind(without("upgrade", "connection"), ada)

    expect_done(page, "failed", "1 step failed")
    expect_step(page, "socket", "failed", "passes on the headers Upgrade and Connection")
    for name in ("text", "binary"):
        expect_step(page, name, "skipped", "a WebSocket must open")
    expect_step(page, "fallback", "worked")
    expect_step(page, "notice", "worked")  # by events
    expect_announced(page, "1 step failed")


def test_a_proxy_that_asks_by_another_name_is_found(behind, server, ada, complaints):
    complaints.allow(BLOCKED, "status of 426", "status of 403", "EventSource")

    page = behind(asking_for(f"127.0.0.1:{server.port}"), ada)

    expect_step(page, "socket", "failed", f"the server is asked as {server.url}.")
    expect(step(page, "socket").locator("[data-holds]")).to_contain_text("WS_ALLOWED_ORIGINS")


def test_a_proxy_that_keeps_cookies_from_the_socket_is_found(behind, ada, complaints):
    complaints.allow(BLOCKED, "not_signed_in")

    page = behind(without("cookie", under="/ws/"), ada)

    expect_step(page, "session", "failed", "Pages know you, but the WebSocket does not")
    expect_step(page, "notice", "skipped")


def test_a_session_that_has_ended_is_found(visit, ada, complaints):
    page = visit(ada, "/echo/")
    expect_done(page, "worked")
    page.context.clear_cookies()

    run_again(page)

    expect_step(page, "session", "failed", "Your session has ended. Sign in again.")
    expect_step(page, "notice", "skipped")


@pytest.mark.parametrize(("minutes", "words"), [(10, "It is 10 minutes ahead"), (-180, "It is 3 hours behind")])
def test_a_wrong_clock_is_found(visit, minutes, words):
    page = visit(None, None, for_good=True)
    page.clock.install(time=datetime.now(UTC) + timedelta(minutes=minutes))

    page.goto("/echo/")

    expect_step(page, "clock", "failed", words)
    expect_done(page, "failed", "1 step failed")


def test_without_redis_the_notice_comes_but_late(serve, browse):
    server = serve()
    page = browse(server, "ada", "/echo/")
    expect_done(page, "worked")
    server.valkey.stop()

    run_again(page)

    expect_done(page, "late", "Everything works, but notices come late")
    expect_step(page, "notice", "late", "Redis is away or slow")


def test_a_server_that_is_gone_is_found(serve, browse):
    server = serve()
    page = browse(server, "ada", "/echo/")
    expect_done(page, "worked")
    server.stop()

    run_again(page)

    expect_step(page, "socket", "failed", "The server does not answer any more.")
    expect_step(page, "session", "failed", "The server does not answer any more.")
    expect_step(page, "clock", "skipped", "did not say what time it is")


def test_a_computer_that_is_offline_is_told_so(visit, ada, complaints):
    page = visit(ada, "/echo/")
    expect_done(page, "worked")
    complaints.allow(BLOCKED, "ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)

    run_again(page)

    expect_step(page, "socket", "failed", "This computer is offline.")


def test_whoever_has_sent_five_is_asked_to_wait(visit, ada, complaints):
    complaints.allow("status of 429")
    page = visit(ada, "/echo/")
    expect_done(page, "worked")
    for _ in range(4):
        run_again(page)
        expect_done(page, "worked")

    run_again(page)

    expect_step(page, "notice", "skipped", "You have just sent five of them.")


# What failed, played by the test ----------------------------------------------------------------------------


def test_a_socket_that_something_blocks_is_found(visit, ada, complaints):
    """As an extension or an antivirus program would."""
    complaints.allow(BLOCKED, "status of 426")
    page = visit(ada, None, for_good=True)
    page.add_init_script("""
        window.WebSocket = class extends EventTarget {
            constructor() { super(); setTimeout(() => this.onclose?.({ code: 1006 })) }
            close() {}
        }
    """)

    page.goto("/echo/")

    expect_step(page, "socket", "failed", "an antivirus program or a browser extension may block it")
    expect_step(page, "notice", "worked")


def test_an_echo_that_is_changed_on_its_way_is_found(visit):
    page = visit(None, None, for_good=True)

    def change(socket):
        server = socket.connect_to_server()
        server.on_message(lambda message: socket.send(message[:-1]))

    page.route_web_socket("**/ws/echo/", change)

    page.goto("/echo/")

    for name in ("text", "binary"):
        expect_step(page, name, "failed", "A proxy or an antivirus program changes what is sent")


def test_events_that_are_held_back_are_found(visit, ada):
    page = visit(ada, None, for_good=True)
    page.route("**/events/", lambda route: route.fulfill(body="", content_type="text/event-stream"))

    page.goto("/echo/")

    expect_step(page, "fallback", "failed", "switches off buffering under /events/")


def test_a_database_that_is_away_is_found(visit, ada, complaints):
    complaints.allow("status of 503")
    page = visit(ada, None, for_good=True)
    page.route("**/test/", lambda route: route.fulfill(status=503, body="{}", content_type="application/json"))

    page.goto("/echo/")

    expect_step(page, "notice", "failed", "status 503")


def test_a_notice_that_does_not_come_is_found(visit, ada):
    page = visit(ada, None, for_good=True)
    body = json.dumps({"id": 1, "position": 1, "heard_by": 1})
    page.route("**/test/", lambda route: route.fulfill(body=body, content_type="application/json"))

    page.goto("/echo/")

    expect_step(page, "notice", "failed", "It is stored, but did not come within 5 seconds.")


# The report -------------------------------------------------------------------------------------------------


def test_the_report_is_copied_as_plain_text(visit, ada):
    page = visit(ada, "/echo/", permissions=["clipboard-read", "clipboard-write"])
    expect_done(page, "worked")
    expect_announced(page, "Everything works")

    page.get_by_role("button", name="Copy the report").click()

    expect_announced(page, "The report is copied")
    report = page.evaluate("navigator.clipboard.readText()")
    assert report.startswith(f"Connection test of {page.url}\nTime: 20")
    assert "Browser: Mozilla" in report
    assert re.search(r"Works: A WebSocket opens \(\d+ ms\)\n    The server takes it\.\n", report)
    assert report.endswith("\n\nEverything works")
    assert ada.session not in report


def test_where_the_browser_does_not_copy_the_text_is_marked(visit, ada):
    page = visit(ada, None, for_good=True)
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as over plain http
    page.goto("/echo/")
    expect_done(page, "worked")
    expect_announced(page, "Everything works")

    page.get_by_role("button", name="Copy the report").click()

    expect(page.get_by_label("Report", exact=True)).to_be_focused()
    assert page.evaluate("getSelection().toString()").startswith("Connection test of")
    expect_announced(page, "Copy the marked text")


# Everybody --------------------------------------------------------------------------------------------------


def test_it_is_accessible_when_it_works_and_when_it_does_not(visit, ada, complaints):
    page = visit(ada, "/echo/")
    expect_done(page, "worked")
    expect_accessible(page)

    page.context.clear_cookies()
    run_again(page)
    expect_done(page, "failed")
    page.locator(".report summary").click()

    expect_accessible(page)
    expect_narrow(page)


def test_without_javascript_it_says_that_it_needs_it(visit):
    page = visit(None, "/echo/", java_script_enabled=False)

    expect(page.locator("noscript p")).to_have_text("This page needs JavaScript.")
    expect(page.locator("#self-help")).to_be_hidden()
