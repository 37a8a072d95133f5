"""The bell on pages that are not the inbox: in our bar, in the admin's header, on a page of somebody else."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_read, expect_unread, expect_unseen, speaks_at_once, tab_to, titles, until
from tests.browser.test_for_everyone import NARROW, expect_accessible


def button(page):
    return page.locator("notice-bell .bell-button")


def panel(page):
    return page.locator("notice-bell .panel")


def shown(page):
    """The titles in the panel, from top to bottom."""
    return page.locator("notice-bell .notice-title")


def expect_bell(page, count):
    """How many are unseen, for the eye and for a screen reader."""
    names = {0: "Notices, none unseen", 1: "1 unseen notice"}
    expect(button(page)).to_have_accessible_name(names.get(count, f"{count} unseen notices"))
    number = page.locator("notice-bell .bell-count")
    expect(number).to_have_text(str(count)) if count else expect(number).to_be_hidden()


def open_bell(page):
    button(page).click()
    expect(panel(page)).to_be_visible()
    expect(page.locator("notice-bell .notices ul, notice-bell .empty")).to_be_visible()


@pytest.fixture
def bell(visit, ada):
    """`bell()`: a page of Ada's with a bell in its bar, which her browser has made work.

    `soon`: it says at once what was seen.
    """

    def bell(path="/preferences/", person=ada, *, soon=False, **options):
        page = visit(person, None, **options)
        if soon:
            speaks_at_once(page)
        page.goto(path)
        expect(button(page)).to_be_visible()
        return page

    return bell


# The number -------------------------------------------------------------------------------------------------


def test_it_says_how_many_are_unseen_and_keeps_up(bell, ada, send):
    send("One", ada)
    page = bell()
    expect_bell(page, 1)

    send("Two", ada)
    send("Three", ada)

    expect_bell(page, 3)


def test_it_begins_with_none(bell):
    expect_bell(bell(), 0)


def test_what_is_recalled_is_not_counted_any_more(bell, ada, send, backstage):
    page = bell()
    sent = send("A mistake", ada)
    expect_bell(page, 1)

    backstage.recall(sent["id"])

    expect_bell(page, 0)


def test_what_is_read_in_the_inbox_leaves_the_bell_of_another_device(bell, open_inbox, ada, send):
    send("One", ada)
    page = bell()
    expect_bell(page, 1)

    open_inbox(ada)  # where it is on the screen, which is said within 20 s

    expect(button(page)).to_have_accessible_name("Notices, none unseen", timeout=30_000)
    expect_bell(page, 0)


def test_an_arrival_is_said_in_words_without_taking_the_focus(bell, ada, send):
    page = bell()
    tab_to(page, page.get_by_role("link", name="Inbox"))

    send("One", ada)

    expect(page.locator("notice-bell [role=status]")).to_have_text("1 new notice")
    expect(page.get_by_role("link", name="Inbox")).to_be_focused()


def test_other_peoples_notices_do_not_ring_it(bell, ada, brian, send):
    page = bell()

    send("For Brian", brian)
    send("For Ada", ada)

    expect_bell(page, 1)


def test_after_too_long_an_absence_it_begins_again_from_what_the_server_says(visit, ada, send):
    sockets = []

    def serve(socket):
        sockets.append(socket)
        if len(sockets) == 1:
            socket.send(json.dumps({"type": "reset"}))

    page = visit(ada, None, for_good=True)
    page.route_web_socket("**/ws/notices/**", serve)
    page.route("**/bell/", lambda route: (send("Missed", ada), route.continue_()))

    page.goto("/preferences/")

    expect_bell(page, 1)
    until(page, lambda: len(sockets) > 1)
    cursor = re.search(r"cursor=[^&]*%3A(\d+)", sockets[1].url)[1]
    assert int(cursor) >= 1


# The panel --------------------------------------------------------------------------------------------------


def test_it_shows_the_newest_ten(bell, ada, backstage):
    backstage.send_many("Notice", 12, ada.audience)
    page = bell()

    open_bell(page)

    expect(shown(page)).to_have_text([f"Notice {number}" for number in range(11, 1, -1)])


def test_what_a_notice_says_is_text(bell, ada, send):
    send("<img src=x onerror=alert(1)>", ada, body="<b>bold</b>")
    page = bell()

    open_bell(page)

    expect(shown(page)).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.locator("notice-bell .notice-body")).to_have_text("<b>bold</b>")


def test_with_nothing_in_it_it_says_so(bell):
    page = bell()

    open_bell(page)

    expect(panel(page)).to_contain_text("No notices here")
    expect(page.get_by_role("button", name="Mark all read")).to_be_hidden()


def test_opening_it_makes_what_it_shows_seen_everywhere_but_not_read(bell, open_inbox, ada, send):
    send("One", ada)
    page, elsewhere = bell(soon=True), bell()
    expect_bell(elsewhere, 1)

    open_bell(page)

    expect_bell(page, 0)
    expect_bell(elsewhere, 0)
    inbox = open_inbox(ada)
    expect_unseen(inbox, 0)
    expect_unread(inbox, 1)


def test_what_arrives_while_it_is_open_is_shown_and_seen(bell, ada, send):
    page, elsewhere = bell(soon=True), bell()
    open_bell(page)

    send("Just now", ada)

    expect(shown(page)).to_have_text(["Just now"])
    expect_bell(elsewhere, 0)


def test_what_is_recalled_leaves_it_while_it_is_open(bell, ada, send, backstage):
    sent = send("A mistake", ada)
    page = bell()
    open_bell(page)
    expect(shown(page)).to_have_text(["A mistake"])

    backstage.recall(sent["id"])

    expect(shown(page)).to_have_count(0)


def test_a_notice_opens_its_link_and_is_read_then(bell, open_inbox, ada, send):
    send("The report", ada, url="/healthz")
    page = bell()
    open_bell(page)

    page.get_by_role("link", name="The report").click()

    page.wait_for_url("**/healthz")
    expect_read(open_inbox(ada), "The report")


def test_a_notice_without_a_link_opens_itself(bell, open_inbox, ada, send):
    sent = send("Read me", ada)
    page = bell()
    open_bell(page)

    page.get_by_role("link", name="Read me").click()

    page.wait_for_url(f"**/notices/{sent['id']}/")
    expect_read(open_inbox(ada), "Read me")


def test_all_can_be_marked_read(bell, open_inbox, ada, backstage):
    backstage.send_many("Notice", 3, ada.audience)
    inbox, page = open_inbox(ada), bell()
    open_bell(page)

    panel(page).get_by_role("button", name="Mark all read").click()

    expect_unread(inbox, 0)
    expect(page.locator('notice-bell .notice[data-read="false"]')).to_have_count(0)
    expect(panel(page).get_by_role("button", name="Mark all read")).to_be_hidden()


def test_what_was_asked_before_all_were_read_is_asked_again(bell, ada, backstage):
    backstage.send_many("Notice", 3, ada.audience)
    page = bell(soon=True)
    asked, held = [], []

    def hold_the_second(route):  # the first one's rows are seen by being shown, and so asked for again
        asked.append(route)
        if len(asked) == 2:
            held.append(route.fetch())
        else:
            route.continue_()

    page.route("**/bell/", hold_the_second)
    open_bell(page)
    until(page, lambda: held)

    with page.expect_response("**/read-all/"):
        panel(page).get_by_role("button", name="Mark all read").click()
    page.wait_for_timeout(1_200)  # it wants to ask again, while that answer is still on its way
    asked[1].fulfill(response=held[0])

    expect(page.locator('notice-bell .notice[data-read="false"]')).to_have_count(0)


def test_all_notices_are_one_press_away(bell, ada, send):
    send("One", ada)
    page = bell()
    open_bell(page)

    page.get_by_role("link", name="All notices").click()

    expect(titles(page)).to_have_text(["One"])


def test_what_could_not_be_loaded_can_be_tried_again(bell, ada, send, complaints):
    complaints.allow("ERR_FAILED")
    send("One", ada)
    page = bell()
    page.route("**/bell/", lambda route: route.abort())
    button(page).click()
    expect(panel(page)).to_contain_text("The notices could not be loaded.")

    page.unroute("**/bell/")
    panel(page).get_by_role("button", name="Try again").click()

    expect(shown(page)).to_have_text(["One"])


# How it opens and closes ------------------------------------------------------------------------------------


def test_it_works_with_the_keyboard_alone(bell, ada, send):
    send("The report", ada, url="/healthz")
    page = bell()

    tab_to(page, button(page))
    expect(button(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(button(page)).to_have_attribute("aria-expanded", "true")
    expect(button(page)).to_be_focused()
    expect(shown(page)).to_have_text(["The report"])
    tab_to(page, page.get_by_role("link", name="The report"))
    page.keyboard.press("Escape")

    expect(panel(page)).to_be_hidden()
    expect(button(page)).to_be_focused()


def test_a_press_elsewhere_closes_it(bell):
    page = bell()
    open_bell(page)

    page.mouse.click(20, 600)

    expect(panel(page)).to_be_hidden()


def test_a_press_inside_does_not(bell):
    page = bell()
    open_bell(page)

    panel(page).get_by_role("heading").click()

    expect(panel(page)).to_be_visible()


def test_it_closes_when_the_focus_goes_on(bell):
    page = bell()
    open_bell(page)
    page.get_by_role("link", name="All notices").focus()

    page.keyboard.press("Tab")

    expect(panel(page)).to_be_hidden()


def test_whoever_is_in_a_row_stays_there_when_another_notice_comes(bell, ada, send):
    send("The report", ada)
    page = bell()
    open_bell(page)
    tab_to(page, page.get_by_role("link", name="The report"))

    send("Another", ada)

    expect(shown(page)).to_have_text(["Another", "The report"])
    expect(page.get_by_role("link", name="The report")).to_be_focused()


# Everybody, everywhere --------------------------------------------------------------------------------------


def test_closed_and_open_it_is_accessible(bell, ada, send):
    for level in ("info", "success", "warning", "error"):
        send(f"A notice that is {level}", ada, level=level, body="Body")
    page = bell()
    expect_accessible(page)

    open_bell(page)

    expect(shown(page)).to_have_count(4)
    expect_accessible(page)


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_its_panel_is_within_the_narrowest_window(bell, ada, send, direction):
    send("a-long-title-without-a-space" * 5, ada)
    page = bell()
    page.set_viewport_size(NARROW)
    page.evaluate(f"document.documentElement.dir = '{direction}'")

    open_bell(page)

    box = panel(page).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= NARROW["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_it_is_mirrored_where_people_read_from_right_to_left(bell, ada, send):
    send("One", ada)
    page = bell()
    page.evaluate("document.documentElement.dir = 'rtl'")

    open_bell(page)

    icon = page.locator("notice-bell .notice-icon").bounding_box()
    assert icon["x"] > shown(page).bounding_box()["x"]
    assert button(page).bounding_box()["x"] < page.locator(".brand").bounding_box()["x"]


def test_its_button_is_large_enough_for_a_finger(bell):
    box = button(bell()).bounding_box()

    assert min(box["width"], box["height"]) >= 44


@pytest.mark.parametrize("options", [{"java_script_enabled": False}], ids=["no JavaScript"])
def test_without_javascript_it_is_a_link_to_the_inbox(visit, ada, send, options):
    send("One", ada)
    page = visit(ada, "/preferences/", **options)

    page.get_by_role("link", name="Notices (1)").click()

    expect(titles(page)).to_have_text(["One"])


@pytest.mark.parametrize("missing", ["bell*.css", "bell*.js"])
def test_should_its_files_not_come_the_link_stays(visit, ada, send, complaints, missing):
    complaints.allow("ERR_FAILED")
    send("One", ada)
    page = visit(ada, None)
    page.route(f"**/notifications/{missing}", lambda route: route.abort())

    page.goto("/preferences/")

    expect(page.get_by_role("link", name="Notices (1)")).to_be_visible()
    expect(button(page)).to_be_hidden()


def test_nobody_who_is_not_signed_in_has_one(visit):
    expect(visit(None, "/echo/").locator("notice-bell")).to_have_count(0)


def test_the_inbox_has_none_because_it_is_one(open_inbox, ada):
    expect(open_inbox(ada).locator("notice-bell")).to_have_count(0)


def test_in_chinese_it_speaks_chinese(visit, ada, send):
    send("One", ada)

    page = visit(ada, "/preferences/", locale="zh-CN")

    expect(button(page)).to_have_accessible_name(re.compile(r"^1 [\u4e00-\u9fff]|^[\u4e00-\u9fff]"))
    open_bell(page)
    expect(panel(page).get_by_role("heading")).to_have_text(re.compile(r"[\u4e00-\u9fff]"))


# On pages of others -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_the_admins_header_it_follows_the_admins_theme(visit, admin, send, theme):
    send("One", admin)
    page = visit(admin, None)
    # The other way round on the system: what the person has chosen in the admin counts.
    page.emulate_media(color_scheme="dark" if theme == "light" else "light")
    page.goto("/admin/")
    page.evaluate(f"localStorage.setItem('theme', '{theme}')")
    page.reload()
    expect_bell(page, 1)

    open_bell(page)

    ground = panel(page).evaluate("element => getComputedStyle(element).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")
    page.evaluate("localStorage.removeItem('theme')")


def test_the_admin_can_write_while_the_bell_counts(visit, admin, send):
    page = visit(admin, "/admin/notifications/notice/add/")
    page.get_by_label("Title").fill("Half a sen")

    send("One", admin)

    expect_bell(page, 1)
    expect(page.get_by_label("Title")).to_be_focused()
    expect(page.get_by_label("Title")).to_have_value("Half a sen")


FOREIGN = """<!doctype html><html><head><title>Another page of the site</title></head>
<body><h1>Another page</h1><p>{bell}</p></body></html>"""


def test_one_line_is_enough_on_any_page_with_the_strictest_policy(bell, ada, send, complaints):
    """A page with a policy, no stylesheet, no phrases and no language of its own; `complaints` hears of each breach."""
    # The browser takes a page that Playwright serves for one from outside, which may open no socket to this machine.
    complaints.allow("ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS")
    send("One", ada)
    page = bell()
    markup = page.evaluate("""async () => {
        const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html")
        const bell = page.querySelector("notice-bell")
        return bell.outerHTML + page.querySelector('script[src*="bell"]').outerHTML
    }""")
    headers = {"Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'"}
    body = FOREIGN.format(bell=markup)
    page.route("**/foreign/", lambda route: route.fulfill(body=body, content_type="text/html", headers=headers))

    page.goto("/foreign/")
    expect_bell(page, 1)
    send("Two", ada)
    expect_bell(page, 2)
    open_bell(page)

    expect(shown(page)).to_have_text(["Two", "One"])
    expect_bell(page, 0)


def test_all_tabs_of_a_browser_agree_over_one_socket(bell, open_inbox, ada, send):
    page = bell()
    sockets = []
    page.context.on("page", lambda tab: tab.on("websocket", lambda socket: sockets.append(socket.url)))
    tabs = [page, *(page.context.new_page() for _ in range(2))]
    for tab in tabs[1:]:
        tab.goto("/preferences/")
        expect(button(tab)).to_be_visible()

    send("One", ada)

    for tab in tabs:
        expect_bell(tab, 1)
    open_bell(tabs[2])
    for tab in tabs:
        expect_bell(tab, 0)
    assert sockets == [], "the first tab has the one that all of them use"
