"""The send form: a person with the permission writes a notice, and others see it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.gestures import row, titles


def send_form(page):
    page.get_by_role("button", name="Send notice").click()


def test_what_is_written_appears_on_the_pages_of_the_chosen_people(visit, open_inbox, admin, ada, brian):
    her_page, his_page = open_inbox(ada), open_inbox(brian)
    page = visit(admin, "/send/")

    page.get_by_label("Title").fill("Lunch is ready")
    page.get_by_label("Body").fill("In the kitchen.\n<b>Hurry</b>")
    page.get_by_label("Level").select_option("Success")
    page.get_by_label("Link").fill("/echo/")
    page.get_by_label("People").fill(ada.name)
    send_form(page)

    expect(page.get_by_role("status").first).to_contain_text("Sent “Lunch is ready” to 1 p")
    arrived = row(her_page, "Lunch is ready")
    expect(arrived).to_have_attribute("data-level", "success")
    expect(arrived.locator(".notice-body")).to_have_text("In the kitchen. <b>Hurry</b>")
    expect(arrived.locator(".notice-sender")).to_have_text("Grace")
    expect(arrived.get_by_role("link", name="Lunch is ready")).to_have_attribute("href", "/echo/")
    expect(titles(his_page)).to_have_count(0)


def test_everyone_gets_what_is_for_everyone(visit, open_inbox, admin, ada, brian):
    her_page, his_page = open_inbox(ada), open_inbox(brian)
    page = visit(admin, "/send/")

    page.get_by_label("Title").fill("Fire drill at noon")
    page.get_by_label("Everyone").check()
    send_form(page)

    for each in (her_page, his_page):
        expect(titles(each)).to_have_text(["Fire drill at noon"])


REFUSED = [
    ("Title", "", "This field is required."),
    ("Title", "   ", "This field is required."),
    ("Link", "javascript:alert(1)", "use http://…, https://… or a path that begins with /"),
    ("Body", "ü" * 4097, "8192 is the most"),
    ("People", "nobody-at-all", "no user called"),
]


def test_a_value_that_is_refused_is_marked_and_nothing_is_sent(visit, admin, complaints):
    complaints.allow("status of 422")
    page = visit(admin, "/send/")

    for field, value, complaint in REFUSED:
        page.goto("/send/")
        page.get_by_label("Title").fill("Refused")
        page.get_by_label("Everyone").check()
        page.get_by_label(field).fill(value)
        send_form(page)

        expect(page.get_by_role("alert")).to_contain_text(field)
        expect(page.get_by_label(field)).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label(field)).to_have_accessible_description(re.compile(re.escape(complaint)))
        expect(page).to_have_title("Error: Send a notice · Notices")

    page.goto("/")
    expect(titles(page)).to_have_count(0)


def test_a_notice_for_nobody_is_refused(visit, admin, complaints):
    complaints.allow("status of 422")
    page = visit(admin, "/send/")

    page.get_by_label("Title").fill("For whom?")
    send_form(page)

    expect(page.get_by_role("alert")).to_contain_text("Choose at least one audience.")
    expect(page.get_by_label("Title")).to_have_value("For whom?")


def test_who_may_not_send_is_told_so(visit, ada, complaints):
    complaints.allow("status of 403")

    page = visit(ada, "/send/")

    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
