"""The admin in a browser: compose, recall, "Send a notice to the selected…", with what others see of it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.gestures import expect_announced, expect_unread, row, tab_to, titles

COMPOSE = "/admin/notifications/notice/add/"
NOTICES = "/admin/notifications/notice/"


def submit(page, button="Send"):
    page.get_by_role("button", name=button, exact=True).click()


def choose_action(page, path, title, action):
    """Tick the row of the list at `path` that is called `title`, and run an action on it."""
    page.goto(path)
    page.get_by_role("row").filter(has_text=title).locator(".action-select").check()
    page.get_by_label("Action:").select_option(action)
    page.get_by_role("button", name="Go").click()


def pick(page, field, *names):
    """Choose from one of the admin's pickers, with the keyboard alone."""
    search = page.locator(f".field-{field} .select2-search__field")
    for name in names:
        tab_to(page, search)
        page.keyboard.type(name)
        expect(page.locator(".select2-results__option--highlighted")).to_have_text(name)
        page.keyboard.press("Enter")
        expect(page.locator(f".field-{field} .select2-selection__choice").filter(has_text=name)).to_be_visible()


def test_a_notice_for_everyone_appears_on_an_open_page_of_another_person(visit, open_inbox, admin, ada):
    her_page, page = open_inbox(ada), visit(admin, COMPOSE)

    page.get_by_label("Title").fill("Maintenance tonight")
    page.get_by_label("Body").fill("From 22:00 to 23:00.")
    page.get_by_label("Level").select_option("Warning")
    page.get_by_label("Everyone").check()
    submit(page)

    expect(page.locator(".messagelist")).to_contain_text("“Maintenance tonight” was sent to")
    expect(titles(her_page)).to_have_text(["Maintenance tonight"])
    expect(row(her_page, "Maintenance tonight").locator(".notice-sender")).to_have_text("Grace")
    expect_announced(her_page, "1 new notice, 1 warning")
    expect(page.get_by_role("row").filter(has_text="Maintenance tonight")).to_contain_text("Live")


def test_people_and_groups_are_picked_with_the_keyboard(visit, open_inbox, admin, ada, brian, meet):
    crew = f"crew-{ada.id}"
    cleo = meet(groups=[crew])
    pages = {person: open_inbox(person) for person in (ada, brian, cleo)}
    page = visit(admin, COMPOSE)
    tab_to(page, page.get_by_label("Title"))
    page.keyboard.type("For Ada and the crew")

    pick(page, "users", ada.name)
    pick(page, "groups", crew)
    tab_to(page, page.get_by_role("button", name="Send", exact=True))
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist")).to_contain_text("was sent to 2 people")
    for person in (ada, cleo):
        expect(titles(pages[person])).to_have_text(["For Ada and the crew"])
    expect(titles(pages[brian])).to_have_count(0)


def test_calendar_and_clock_fill_in_when_a_notice_appears(visit, open_inbox, admin, ada):
    her_page, page = open_inbox(ada), visit(admin, COMPOSE)
    page.get_by_label("Title").fill("Tomorrow's news")
    page.get_by_label("Everyone").check()

    when = page.locator(".field-publish_at")
    when.get_by_role("link", name="Choose a Date").click()
    page.locator("#calendarbox0").get_by_role("link", name="Tomorrow").click()
    when.get_by_role("link", name="Choose a Time").click()
    page.locator("#clockbox0").get_by_role("link", name="Noon").click()
    submit(page)

    expect(page.get_by_role("row").filter(has_text="Tomorrow's news")).to_contain_text("Scheduled")
    expect(titles(her_page)).to_have_count(0)


REFUSED = [
    ("Title", "", "This field is required."),
    ("Link", "javascript:alert(1)", "use http://…, https://… or a path that begins with /"),
    ("Body", "a\x07bell", "control character"),
]


def test_a_value_that_is_refused_is_marked_and_nothing_is_sent(visit, admin):
    page = visit(admin, COMPOSE)

    for field, value, complaint in REFUSED:
        page.goto(COMPOSE)
        page.get_by_label("Title").fill("Refused")
        page.get_by_label("Everyone").check()
        page.get_by_label(field).fill(value)
        submit(page)

        expect(page.get_by_text("Nothing was sent.")).to_be_visible()
        expect(page.locator(".errorlist")).to_contain_text(complaint)

    page.goto("/")
    expect(titles(page)).to_have_count(0)


def test_a_notice_for_nobody_is_refused(visit, admin):
    page = visit(admin, COMPOSE)

    page.get_by_label("Title").fill("For whom?")
    submit(page)

    expect(page.get_by_text("Choose at least one audience.")).to_be_visible()


def test_a_recalled_notice_leaves_the_open_page(visit, open_inbox, admin, ada, send):
    her_page, page = open_inbox(ada), visit(admin, NOTICES)
    mistake = f"A mistake {ada.id}"
    send("Stays", ada)
    send(mistake, ada)
    expect_unread(her_page, 2)

    choose_action(page, NOTICES, mistake, "Recall the selected notices")

    expect(page.locator(".messagelist")).to_contain_text("1 notice recalled.")
    expect(titles(her_page)).to_have_text(["Stays"])
    expect_unread(her_page, 1)
    expect(page.get_by_role("row").filter(has_text=mistake)).to_contain_text("Recalled")


def test_a_notice_is_sent_again(visit, open_inbox, admin, ada, send):
    her_page, page = open_inbox(ada), visit(admin, NOTICES)
    title = f"Worth repeating {ada.id}"
    send(title, ada)
    expect(titles(her_page)).to_have_text([title])

    choose_action(page, NOTICES, title, "Send the selected notices again")

    expect(page.locator(".messagelist")).to_contain_text("1 notice sent again.")
    expect(titles(her_page)).to_have_text([title, title])


def test_a_notice_is_sent_to_the_people_selected_in_the_list(visit, open_inbox, admin, ada, brian):
    her_page, his_page, page = open_inbox(ada), open_inbox(brian), visit(admin, "/admin/")

    choose_action(page, f"/admin/auth/user/?q={ada.name}", ada.name, "Send a notice to the selected people")
    expect(page.get_by_text("For:")).to_contain_text(ada.name)
    page.get_by_label("Title").fill("Just for you")
    page.get_by_label("Link").fill("javascript:alert(1)")
    submit(page)
    expect(page.locator(".errorlist")).to_contain_text("use http://…, https://… or a path that begins with /")
    page.get_by_label("Link").fill("")
    submit(page)

    expect(page.locator(".messagelist")).to_contain_text("“Just for you” was sent to 1 person.")
    expect(titles(her_page)).to_have_text(["Just for you"])
    expect(titles(his_page)).to_have_count(0)


def test_a_sent_notice_can_be_looked_at_but_not_changed(visit, admin, ada, send):
    sent = send("<b>Carved in stone</b>", ada, body="<script>alert(1)</script>")

    page = visit(admin, f"{NOTICES}{sent['id']}/change/")

    expect(page.locator(".field-title .readonly")).to_have_text("<b>Carved in stone</b>")
    expect(page.locator(".field-body .readonly")).to_have_text("<script>alert(1)</script>")
    expect(page.locator("#content form").get_by_role("textbox")).to_have_count(0)
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_the_list_says_how_many_pages_are_open(visit, open_inbox, admin, ada):
    open_inbox(ada)

    page = visit(admin, NOTICES)

    expect(page.locator("#open-now")).to_have_text(re.compile(r"^\d+ pages? (is|are) open now\.$"))
