"""The tabs of one browser share one socket, and none of them misses or doubles anything by it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress

import pytest
from playwright.sync_api import Error, expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import (
    connection,
    expect_live,
    expect_read,
    expect_unread,
    has_not_reloaded,
    mark_read,
    remember,
    row,
    titles,
)
from tests.machine import ROOT
from tests.servers import run_as

WITHOUT = {
    "Web Locks": "Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})",
    "BroadcastChannel": "delete window.BroadcastChannel",
}

# 35 s, after which a leader is asked whether it is there, are over in 3.5.
QUICK_TIMERS = "const later = setTimeout; window.setTimeout = (call, ms) => later(call, ms / 10)"

# While `isDeaf`, this tab does not hear what the others say.
DEAF = """
    const { set } = Object.getOwnPropertyDescriptor(BroadcastChannel.prototype, "onmessage")
    Object.defineProperty(BroadcastChannel.prototype, "onmessage", {
        set(hear) { set.call(this, (event) => window.isDeaf || hear(event)) },
    })
"""


class Browser:
    """One browser of one person, its tabs, and the notice sockets that they have opened."""

    def __init__(self, first):
        self.first = first
        self.sockets = {}  # of each tab, the oldest first
        self.gone = set()
        self.opened_at = []

    def tab(self, path="/"):
        tab = self.first.context.new_page() if self.sockets else self.first
        self.sockets[tab] = []
        tab.on("websocket", lambda socket: self._opened(tab, socket))
        tab.on("framenavigated", lambda frame: frame.parent_frame or self.sockets[tab].clear())
        if path:
            tab.goto(path)
            expect_live(tab)
        return tab

    def _opened(self, tab, socket):
        if "/ws/notices/" in socket.url:
            self.sockets[tab].append(socket)
            self.opened_at.append(time.monotonic())

    @property
    def leaders(self):
        """The tabs that have a socket now."""
        open_ones = {tab: [each for each in sockets if not each.is_closed()] for tab, sockets in self.sockets.items()}
        return [tab for tab, sockets in open_ones.items() if sockets and tab not in self.gone]

    def leader_after(self, gone, seconds=3):
        """Wait until another tab than `gone` has a socket."""
        self.gone.add(gone)
        tab = next(each for each in self.sockets if each not in self.gone)
        deadline = time.monotonic() + seconds
        while not self.leaders:
            assert time.monotonic() < deadline, f"nobody leads after {seconds} s"
            tab.wait_for_timeout(10)
        return self.leaders[0]


@pytest.fixture
def browser_of(visit):
    """`browser_of(ada)`: a browser without a tab so far. It is not used again, because tabs of it may be dead."""
    return lambda person, **options: Browser(visit(person, None, for_good=True, **options))


@pytest.fixture
def three(browser_of, ada):
    """Ada's browser with three tabs; the first one leads."""
    browser = browser_of(ada)
    browser.tabs = [browser.tab() for _ in range(3)]
    return browser


# Together ---------------------------------------------------------------------------------------------------


def test_three_tabs_have_one_socket_and_each_shows_what_comes(three, ada, send):
    for number in range(5):
        send(f"Notice {number}", ada)

    for tab in three.tabs:
        expect(titles(tab)).to_have_text([f"Notice {number}" for number in range(4, -1, -1)])
        expect_unread(tab, 5)
    assert three.leaders == three.tabs[:1]
    assert sum(map(len, three.sockets.values())) == 1


def test_two_browsers_of_one_person_have_a_socket_each(browser_of, ada, send):
    browsers = [browser_of(ada), browser_of(ada)]
    tabs = [browser.tab() for browser in browsers]

    send("For both", ada)

    for tab in tabs:
        expect(titles(tab)).to_have_text(["For both"])
    assert [len(browser.leaders) for browser in browsers] == [1, 1]


@pytest.mark.parametrize("leads", [True, False], ids=["in the tab that leads", "in another tab"])
def test_what_is_read_in_one_tab_is_read_in_the_others(three, ada, send, leads):
    here, there = (three.tabs[0], three.tabs[1]) if leads else (three.tabs[1], three.tabs[0])
    send("One", ada)
    send("Two", ada)
    expect_unread(there, 2)

    mark_read(here, "One")

    for tab in three.tabs:
        expect_read(tab, "One")
        expect_unread(tab, 1)


@pytest.mark.parametrize("missing", WITHOUT)
def test_where_tabs_cannot_share_each_has_its_own(browser_of, ada, send, missing):
    browser = browser_of(ada)
    browser.first.context.add_init_script(WITHOUT[missing])
    tabs = [browser.tab() for _ in range(2)]

    send("For both", ada)

    for tab in tabs:
        expect(titles(tab)).to_have_text(["For both"])
    assert browser.leaders == tabs


def test_a_tab_that_was_long_in_opening_gets_what_came_meanwhile_from_the_others(three, ada, send):
    send("Before", ada)
    expect(titles(three.tabs[0])).to_have_text(["Before"])
    late = three.tab(None)
    held = []
    late.route("**/main*.js", lambda route: held.append(route))
    late.goto("/", wait_until="commit")
    expect(titles(late)).to_have_text(["Before"])
    for number in range(3):
        send(f"Meanwhile {number}", ada)
    expect(titles(three.tabs[0])).to_have_count(4)
    mark_read(three.tabs[0], "Meanwhile 1")
    expect_read(three.tabs[1], "Meanwhile 1")
    fetched = []
    late.on("request", lambda request: fetched.append(request) if request.resource_type == "fetch" else None)

    held[0].continue_()

    expect_live(late)
    expect(titles(late)).to_have_text(["Meanwhile 2", "Meanwhile 1", "Meanwhile 0", "Before"])
    expect_read(late, "Meanwhile 1")
    expect_unread(late, 3)
    send("Afterwards", ada)
    expect(titles(late)).to_have_count(5)
    assert not [request for request in fetched if request.url == late.url], "it did not have to begin afresh"
    assert not three.sockets[late]


def test_a_tab_that_missed_something_notices_and_gets_it_from_the_one_that_leads(browser_of, ada, send):
    browser = browser_of(ada)
    first = browser.tab()
    second = browser.tab(None)
    second.add_init_script(DEAF)
    second.goto("/")
    expect_live(second)
    send("Heard", ada)
    expect(titles(second)).to_have_text(["Heard"])
    second.evaluate("window.isDeaf = true")
    for number in range(3):
        send(f"Not heard {number}", ada)
    expect(titles(first)).to_have_count(4)
    second.evaluate("window.isDeaf = false")
    fetched = []
    second.on("request", lambda request: fetched.append(request) if request.resource_type == "fetch" else None)

    send("Heard again", ada)

    in_order = ["Heard again", "Not heard 2", "Not heard 1", "Not heard 0", "Heard"]
    expect(titles(second)).to_have_text(in_order)
    expect_unread(second, 5)
    assert not [request for request in fetched if request.url == second.url], "it did not have to begin afresh"


def test_all_tabs_begin_afresh_when_access_changes(three, ada, meet, backstage):
    meet(groups=["tabs"])
    audience = f"group:{backstage.group_id('tabs')}"
    backstage.send("From before", audience)
    for tab in three.tabs:
        remember(tab)

    backstage.do("User.objects.get(pk=pk).groups.add(Group.objects.get(name='tabs'))", pk=ada.id)

    for tab in three.tabs:
        expect(titles(tab)).to_have_text(["From before"])
    backstage.send("From now on", audience)
    for tab in three.tabs:
        expect(titles(tab)).to_have_text(["From now on", "From before"])
        assert has_not_reloaded(tab)


# The leader goes --------------------------------------------------------------------------------------------


def close(page):
    page.close()


def crash(page):
    with suppress(Error):  # nobody is left to answer
        page.goto("chrome://crash", timeout=1000)


def go_elsewhere(page):
    page.goto("/accounts/login/?next=/preferences/")


@pytest.mark.parametrize("goes", [close, crash, go_elsewhere])
def test_when_the_tab_that_leads_goes_another_one_leads_within_a_second(three, ada, send, goes, complaints):
    complaints.allow(*LOST_CONNECTION)
    first, *others = three.tabs
    send("Before", ada)
    expect(titles(others[1])).to_have_text(["Before"])

    started = time.monotonic()
    goes(first)
    leader = three.leader_after(first)

    assert three.opened_at[-1] - started < 1
    assert leader in others
    assert three.leaders == [leader]
    send("Afterwards", ada)
    for tab in others:
        expect(titles(tab)).to_have_text(["Afterwards", "Before"])


@pytest.mark.parametrize("goes", [close, crash])
def test_nothing_is_lost_or_doubled_when_leaders_go_while_much_is_sent(browser_of, ada, server, goes, complaints):
    complaints.allow(*LOST_CONNECTION)
    browser = browser_of(ada)
    *going, last = [browser.tab() for _ in range(4)]
    seen = watch(last)
    sent = [f"Notice {number}" for number in range(60)]
    sender = sending(server, ada, "Notice", len(sent), pause=0.03)

    for number, tab in enumerate(going, 1):
        expect(titles(last).nth(10 * number)).to_be_attached(timeout=10_000)
        goes(tab)
        browser.gone.add(tab)

    assert sender.wait(timeout=30) == 0
    expect(titles(last).first).to_have_text(sent[-1])
    shown = titles(last).all_text_contents()
    assert shown == sent[::-1][: len(shown)]  # a page that is fetched afresh meanwhile may have fewer rows
    assert sorted(seen()) == sorted(sent), "each once"
    assert browser.leaders == [last]


def sending(server, person, prefix, count, pause):
    """Somebody else sends so many, one after the other."""
    code = (
        "import django; django.setup(); from tests.live.stagehand import send_many; "
        f"send_many({prefix!r}, {count}, {person.audience!r}, at_once=1, pause={pause})"
    )
    return subprocess.Popen(
        [*run_as(None), sys.executable, "-c", code],
        cwd=ROOT,
        env=server.environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
    )


def watch(page):
    """Note each row that comes from now on; calling it gives their titles."""
    page.evaluate("""() => {
        window.arrived = []
        new MutationObserver((changes) => {
            for (const { addedNodes } of changes) {
                for (const node of addedNodes) {
                    const link = node.querySelector?.('.notice-link')
                    if (link) window.arrived.push(link.textContent)
                }
            }
        }).observe(document.getElementById('inbox'), { childList: true })
    }""")
    return lambda: page.evaluate("window.arrived")


def test_a_page_that_is_kept_for_the_back_button_leads_no_more_and_is_up_to_date_when_it_is_shown(three, ada, send):
    first, second, _ = three.tabs

    first.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert three.leader_after(first) is second
    send("Meanwhile", ada)
    expect(titles(second)).to_have_text(["Meanwhile"])
    expect(titles(first)).to_have_count(0)
    first.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")

    expect(titles(first)).to_have_text(["Meanwhile"])
    expect_live(first)
    assert three.leaders == [second]


def test_a_leader_that_says_nothing_any_more_is_deposed(browser_of, ada, send):
    browser = browser_of(ada)
    first = browser.tab()
    second = browser.tab(None)
    second.add_init_script(QUICK_TIMERS)
    second.goto("/")
    expect_live(second)
    debugger = first.context.new_cdp_session(first)
    debugger.send("Debugger.enable")
    debugger.send("Debugger.pause")  # it holds its lock, and does nothing
    send("Meanwhile", ada)
    second.wait_for_timeout(300)
    expect(titles(second)).to_have_count(0)
    assert browser.leaders == [first]

    expect(titles(second)).to_have_text(["Meanwhile"], timeout=10_000)
    debugger.send("Debugger.resume")
    expect(titles(first)).to_have_text(["Meanwhile"])
    send("Afterwards", ada)
    for tab in (first, second):
        expect(titles(tab)).to_have_text(["Afterwards", "Meanwhile"])
    assert browser.leaders == [second]


# Signing out, giving up, trying again -----------------------------------------------------------------------


def test_a_session_that_ends_is_said_in_every_tab_and_a_new_one_brings_them_back(three, ada, backstage, complaints):
    complaints.allow("not_signed_in", "401")
    backstage.do("Session.objects.filter(pk=key).delete(); User.objects.get(pk=pk).save()", key=ada.session, pk=ada.id)
    for tab in three.tabs:
        expect(connection(tab)).to_have_text("Your session has ended.")

    session = backstage.sign_in_again(ada.id)
    url = three.first.url
    three.first.context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
    another = three.tab()

    expect_live(another)
    for tab in three.tabs:
        expect_live(tab)
    assert len(three.leaders) == 1


def test_any_tab_can_ask_for_another_try(three, complaints, ada, backstage):
    complaints.allow("not_signed_in", "401", "403")
    backstage.do("user = User.objects.get(pk=pk); user.is_active = False; user.save()", pk=ada.id)
    for tab in three.tabs:
        expect(connection(tab)).to_have_text("Your access was withdrawn.")
    backstage.do("user = User.objects.get(pk=pk); user.is_active = True; user.save()", pk=ada.id)

    three.tabs[2].get_by_role("button", name="Try again").click()

    for tab in three.tabs:
        expect_live(tab)


def test_two_people_in_one_browser_get_each_their_own(browser_of, ada, brian, send, complaints, backstage):
    complaints.allow("not_signed_in", "401")
    browser = browser_of(ada)
    adas = browser.tab()
    send("For Ada", ada)
    expect(titles(adas)).to_have_text(["For Ada"])

    browser.first.context.add_cookies([{"name": "sessionid", "value": brian.session, "url": adas.url}])
    brians = browser.tab()
    send("For Ada again", ada)
    send("For Brian", brian)

    expect(titles(brians)).to_have_text(["For Brian"])
    expect(row(adas, "For Brian")).to_have_count(0)
    assert len(browser.leaders) == 2
