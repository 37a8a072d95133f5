"""Everything that matters works without a script: reading, marking read, sending."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_read, expect_unread_row, mark_all_read, mark_read, row, sign_in, titles
from tests.conftest import PASSWORD


@pytest.fixture
def visit_plainly(visit):
    return lambda person, path="/": visit(person, path, java_script_enabled=False)


def test_the_inbox_is_readable_and_does_not_claim_to_be_live(visit_plainly, ada, send):
    send("Backup finished", ada, body="\n".join(f"Line {number}" for number in range(20)))

    page = visit_plainly(ada)

    expect(titles(page)).to_have_text(["Backup finished"])
    expect(page.get_by_text("Line 19")).to_be_in_viewport()
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator("noscript p")).to_contain_text("this page does not change by itself")
    for alive in ("#connection", "#pause", "#help-button", ".notice-more", ".select-all"):
        expect(page.locator(alive).first).to_be_hidden()


def test_one_is_marked_read_then_all(visit_plainly, ada, backstage):
    backstage.send_many("Notice", 3, ada.audience)
    page = visit_plainly(ada)

    mark_read(page, "Notice 1")

    expect_read(page, "Notice 1")
    expect_unread_row(page, "Notice 2")
    expect(page.locator("#unread")).to_have_text("2")
    expect(page).to_have_title("(2) Notices")

    mark_all_read(page)

    expect(page.locator("#inbox > article[data-read=false]")).to_have_count(0)
    expect(page.locator("#unread")).to_be_hidden()


def test_marking_all_read_spares_what_came_after_the_page(visit_plainly, ada, send):
    send("Shown", ada)
    page = visit_plainly(ada)
    send("Not shown yet", ada)

    mark_all_read(page)

    expect_read(page, "Shown")
    expect_unread_row(page, "Not shown yet")


def test_older_notices_can_be_read_and_marked(visit_plainly, ada, backstage):
    backstage.send_many("Notice", 51, ada.audience)
    page = visit_plainly(ada)

    page.get_by_role("link", name="Older notices").click()
    expect(titles(page)).to_have_text(["Notice 0"])
    mark_read(page, "Notice 0")

    expect(page.get_by_role("heading", name="Older notices")).to_be_visible()
    expect_read(page, "Notice 0")


def test_several_are_archived_and_found_again(visit_plainly, ada, backstage):
    backstage.send_many("Notice", 3, ada.audience)
    page = visit_plainly(ada)

    for title in ("Notice 0", "Notice 2"):
        row(page, title).get_by_role("checkbox").check()
    page.locator("#deed-form").get_by_role("button", name="Archive").click()

    expect(titles(page)).to_have_text(["Notice 1"])
    page.get_by_role("navigation", name="Parts of the inbox").get_by_role("link", name="Archived 2").click()
    expect(titles(page)).to_have_text(["Notice 2", "Notice 0"])
    row(page, "Notice 2").get_by_role("button", name="Move to the inbox").click()
    expect(titles(page)).to_have_text(["Notice 0"])


def test_what_was_archived_can_be_taken_back(visit_plainly, ada, backstage):
    backstage.send_many("Notice", 2, ada.audience)
    page = visit_plainly(ada)
    row(page, "Notice 1").get_by_role("button", name="Archive").click()
    expect(page.locator("#messages")).to_contain_text("1 notice is archived.")

    page.locator("#messages").get_by_role("button", name="Undo").click()

    expect(titles(page)).to_have_text(["Notice 1", "Notice 0"])
    expect(page.locator("#messages")).to_contain_text("It is undone.")
    expect(page.locator("#messages").get_by_role("button")).to_have_count(0)


def test_the_inbox_is_searched_and_explained(visit_plainly, ada, send):
    send("Disk is full", ada)
    send("Backup finished", ada)
    page = visit_plainly(ada)

    page.get_by_label("Words in title or text").fill("disk")
    page.get_by_role("button", name="Filter").click()
    expect(titles(page)).to_have_text(["Disk is full"])
    row(page, "Disk is full").get_by_role("link", name="Why did I get this?").click()

    expect(page.get_by_role("heading", name="Disk is full")).to_be_visible()


def test_a_notice_can_be_sent(visit_plainly, admin, open_inbox, ada):
    her_page = open_inbox(ada)
    page = visit_plainly(admin, "/send/")

    page.get_by_label("Title").fill("Sent by hand")
    page.get_by_label("People").fill(ada.name)
    page.get_by_role("button", name="Send notice").click()

    expect(page.get_by_text("Sent “Sent by hand” to 1 p")).to_be_visible()
    expect(row(her_page, "Sent by hand")).to_be_visible()


def test_signing_in_and_out(visit_plainly):
    page = visit_plainly(None)

    sign_in(page, "cleo", PASSWORD)
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
