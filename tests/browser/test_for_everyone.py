"""Every page and state can be used with a keyboard, with a screen reader, on a narrow screen, in light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.gestures import connection, expect_live, expect_read, expect_unread, row, sign_in, tab_to, titles
from tests.browser.script import Script
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE = {"width": 1100, "height": 800}
NARROW = {"width": 320, "height": 700}
LONG = "https://example.org/" + "a-long-address-without-a-space" * 5


def expect_accessible(page: Page) -> None:
    """No complaint of axe, in light and dark. Only colours differ in the dark, so only they are looked at again."""
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # Without preload: to look at our stylesheets, axe would apply one that our policy forbids.
        found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False, **rules})
        assert not found.response["violations"], f"{scheme}: {found.generate_report()}"


def expect_accessible_admin(page: Page) -> None:
    """The same for our part of a page of the admin; its frame, its colours and its pickers are Django's."""
    part = {"include": [["#content"]], "exclude": [[".select2-container"]]}
    options = {"resultTypes": ["violations"], "preload": False, "rules": {"color-contrast": {"enabled": False}}}
    found = Axe().run(page, context=part, options=options)
    assert not found.response["violations"], found.generate_report()


def expect_narrow(page: Page) -> None:
    """On the narrowest phone, nothing is out of sight to the right (WCAG 1.4.10)."""
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.fixture
def look_at():
    """Checks each page that is given to it, as it stands."""

    def look_at(page: Page) -> None:
        page.set_viewport_size(WIDE)
        expect_accessible(page)
        expect_narrow(page)

    return look_at


# Every page, every state ------------------------------------------------------------------------------------


def test_signing_in(visit, look_at):
    page = visit(None, "/accounts/login/")
    look_at(page)

    sign_in(page, "ada", "wrong")

    expect(page.get_by_role("alert")).to_be_visible()
    look_at(page)


def test_an_inbox_with_everything_in_it(open_inbox, ada, send, look_at):
    for level in ("info", "success", "warning", "error"):
        send(f"A notice that is {level}", ada, level=level, body="Body", url="/echo/")
    send(LONG, ada, body=f"{LONG}\n" * 6)
    page = open_inbox(ada)
    row(page, "A notice that is warning").get_by_role("button", name="Mark read").click()
    row(page, LONG).get_by_role("button", name="Show all").click()
    expect_unread(page, 4)

    look_at(page)


def test_an_empty_inbox(open_inbox, ada, look_at):
    look_at(open_inbox(ada))


def test_what_a_person_does_in_the_inbox(open_inbox, ada, send, look_at):
    for number in range(3):
        send(f"Notice {number}", ada, body="See https://example.org/" + "long/" * 20)
    page = open_inbox(ada)
    page.locator(".notice-check input").first.check()
    expect(page.locator(".bulk-words")).to_have_text("1 selected")
    look_at(page)

    page.locator("#deed-form").get_by_role("button", name="Archive").click()
    expect(page.locator("#undo")).to_be_visible()
    page.locator("#undo button").focus()  # it stays as long
    look_at(page)

    page.locator("#help-button").click()
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    look_at(page)
    page.keyboard.press("Escape")
    row(page, "Notice 1").get_by_role("link", name="Why did I get this?").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Why did I get this?")).to_be_visible()
    look_at(page)
    page.goto("/?tab=archived")
    expect_live(page)
    look_at(page)
    page.goto("/?q=nowhere")
    expect(page.get_by_text("No notice matches")).to_be_visible()
    look_at(page)


def test_older_notices_and_those_that_wait(open_inbox, ada, backstage, send, look_at):
    backstage.send_many("Notice", 51, ada.audience)
    page = open_inbox(ada)
    page.get_by_role("button", name="Pause").click()
    send("Waits", ada)
    expect(page.locator("#new-notices")).to_be_visible()
    look_at(page)

    page.get_by_role("link", name="Older notices").click()

    expect_live(page)
    look_at(page)


@pytest.mark.parametrize("code", [1012, 4005, 4503, 4504])
def test_a_page_without_its_connection(visit, ada, send, look_at, code):
    send("A notice", ada)
    script = Script(visit(ada, None, for_good=True))
    script.open()
    script.welcome(unread=1)
    expect_live(script.page)

    script.close(code)

    expect(connection(script.page)).not_to_have_text("Live")
    script.page.clock.resume()
    look_at(script.page)


def test_the_send_form(visit, admin, complaints, look_at):
    complaints.allow("status of 422")
    page = visit(admin, "/send/")
    look_at(page)

    page.get_by_label("Link").fill("javascript:alert(1)")
    page.get_by_role("button", name="Send notice").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look_at(page)

    page.get_by_label("Title").fill("A notice")
    page.get_by_label("Link").fill("")
    page.get_by_label("People").fill(admin.name)
    page.get_by_role("button", name="Send notice").click()
    expect(page.get_by_text("Sent “A notice”")).to_be_visible()
    look_at(page)


def test_the_echo_page(visit, look_at):
    page = visit(None, "/echo/")
    expect_live(page)

    page.get_by_label("Text to send").fill(LONG)
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("button", name="Send 256 bytes").click()

    expect(page.locator("#binary-answer")).not_to_be_empty()
    expect(page.locator("#answer")).to_contain_text("Server:")
    look_at(page)


def test_pages_about_a_mistake(visit, ada, complaints, look_at):
    complaints.allow("status of 403", "status of 404")
    page = visit(ada, "/nothing/here/")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    look_at(page)

    page.goto("/send/")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    look_at(page)

    page = visit(None, "/accounts/login/")
    page.context.clear_cookies()
    sign_in(page, "ada", "wrong")
    expect(page.get_by_role("heading", name="Please try again")).to_be_visible()
    look_at(page)


@pytest.mark.parametrize("template", ["400.html", "500.html"])
def test_pages_about_a_fault(visit, server, look_at, template):
    html = server.python(f"from django.template.loader import get_template; print(get_template('{template}').render())")
    page = visit(None, None)
    page.route("**/fault/", lambda route: route.fulfill(body=html, content_type="text/html"))

    page.goto("/fault/")

    look_at(page)


def test_the_admin(visit, admin, send):
    sent = send("A notice", admin)

    page = visit(admin, "/admin/notifications/notice/")
    expect_accessible_admin(page)
    page.goto(f"/admin/notifications/notice/{sent['id']}/change/")
    expect_accessible_admin(page)
    page.goto("/admin/notifications/notice/add/")
    expect(page.locator(".field-users .select2-selection")).to_be_visible()
    expect_accessible_admin(page)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Nothing was sent.")).to_be_visible()
    expect_accessible_admin(page)
    page.goto(f"/admin/auth/user/?q={admin.name}")
    page.locator(".action-select").check()
    page.get_by_label("Action:").select_option("Send a notice to the selected people")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("For:")).to_be_visible()
    expect_accessible_admin(page)


# In the other language, in other colours, on other screens ---------------------------------------------------

PATHS = [
    "/",
    "/?tab=unread",
    "/?tab=archived",
    "/?q=nothing",
    "/send/",
    "/echo/",
    "/preferences/",
    "/accounts/password/",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_page_in_chinese(visit, admin, send, look_at, path):
    for level in ("info", "error"):
        send(f"磁盘已满 {level}", admin, level=level, body="写入失败。 https://example.org/")
    page = visit(admin, path, locale="zh-CN")
    if path not in ("/preferences/", "/send/", "/accounts/password/"):
        expect_live(page)

    assert page.locator("html").get_attribute("lang") == "zh-hans"
    look_at(page)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_one_notice_and_why(visit, ada, send, look_at, language):
    sent = send("Disk is full", ada, level="error", body="Writes fail.")

    look_at(visit(ada, f"/notices/{sent['id']}/", locale=language))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_every_picture_is_there(visit, ada, send, scheme):
    """Pictures are drawn by masks over a ground, and grounds are what such a system takes away."""
    send("Unread", ada, level="warning")
    page = visit(ada, "/", forced_colors="active", color_scheme=scheme)
    expect_live(page)
    row(page, "Unread").hover()

    def ground(selector: str, pseudo: str = "") -> str:
        return row(page, "Unread").evaluate(
            "(row, [selector, pseudo]) =>"
            " getComputedStyle(selector ? row.querySelector(selector) : row, pseudo || null).backgroundColor",
            [selector, pseudo],
        )

    canvas = ground("")
    pictures = [(".notice-icon", ""), (".notice-title", "::before")]
    pictures += [(f".notice-{name}", "::before") for name in ("mark", "archive", "why")]
    assert [each for each in pictures if ground(*each) in (canvas, "rgba(0, 0, 0, 0)")] == []


@pytest.mark.parametrize("path", PATHS)
def test_on_the_widest_screen_lines_stay_short_enough_to_read(visit, admin, send, path):
    send("A notice", admin, body="A long body. " * 40)
    page = visit(admin, path, viewport={"width": 2560, "height": 1300})

    assert page.evaluate("document.documentElement.scrollWidth") == 2560
    widest = "Math.max(...[...document.querySelectorAll('main p')].map((p) => p.getBoundingClientRect().width))"
    assert page.evaluate(widest) < 1000


# With the keyboard alone ------------------------------------------------------------------------------------


def test_signing_in_reading_and_marking_read_with_the_keyboard_alone(visit, server):
    server.manage("send_notice", "First", "--user", "cleo")
    server.manage("send_notice", "Second", "--user", "cleo")
    page = visit(None)

    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("cleo")
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect_live(page)
    expect(titles(page)).to_contain_text(["Second", "First"])

    tab_to(page, row(page, "Second").get_by_role("button", name="Mark read"))
    page.keyboard.press("Enter")
    expect_read(page, "Second")
    expect(row(page, "Second").get_by_role("button", name="Mark unread")).to_be_focused()
    page.keyboard.press("j")
    expect(row(page, "First")).to_be_focused()
    page.keyboard.press("r")
    expect_read(page, "First")
    page.keyboard.press("k")
    expect(row(page, "Second")).to_be_focused()


def test_marking_all_read_with_the_keyboard_alone(open_inbox, ada, backstage):
    page = open_inbox(ada)
    backstage.send_many("Notice", 2, ada.audience)
    expect_unread(page, 2)

    tab_to(page, page.get_by_role("button", name="Mark all read"))
    page.keyboard.press("Space")

    expect_unread(page, 0)


def test_opening_a_notices_link_with_the_keyboard_alone(open_inbox, ada, send):
    page = open_inbox(ada)
    send("The report", ada, url="/healthz")

    tab_to(page, page.get_by_role("link", name="The report"))
    page.keyboard.press("o")

    page.wait_for_url("**/healthz")


def test_the_first_tab_skips_to_the_content(open_inbox, ada):
    page = open_inbox(ada)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("#main")).to_be_focused()


# In the dark ------------------------------------------------------------------------------------------------


def test_the_page_follows_the_systems_light_and_dark(open_inbox, ada):
    page = open_inbox(ada, color_scheme="dark")
    brightness = "parseInt(getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/)[0])"

    assert page.evaluate(brightness) < 40
    page.emulate_media(color_scheme="light")
    assert page.evaluate(brightness) > 215
