"""With the keyboard alone: letters, the keys of a feed, and what stays when the letters are switched off."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_count, expect_live, expect_read, expect_unread_row, row, titles


@pytest.fixture
def page(open_inbox, ada, backstage):
    backstage.send_many("Notice", 4, ada.audience)
    page = open_inbox(ada)
    expect(titles(page)).to_have_count(4)
    return page


def test_j_and_k_walk_through_the_list(page):
    page.keyboard.press("j")
    expect(row(page, "Notice 3")).to_be_focused()
    page.keyboard.press("j")
    expect(row(page, "Notice 2")).to_be_focused()
    page.keyboard.press("k")
    expect(row(page, "Notice 3")).to_be_focused()


def test_e_archives_u_turns_and_z_takes_back(page):
    page.keyboard.press("j")
    page.keyboard.press("u")
    expect_read(page, "Notice 3")
    page.keyboard.press("u")
    expect_unread_row(page, "Notice 3")

    page.keyboard.press("e")

    expect(titles(page)).to_have_text(["Notice 2", "Notice 1", "Notice 0"])
    expect(row(page, "Notice 2")).to_be_focused()
    expect(page.locator("#undo")).to_be_visible()
    page.keyboard.press("z")
    expect(titles(page)).to_have_count(4)
    expect_count(page, "count-archived", 0)


def test_x_selects_shift_x_a_range_and_escape_nothing(page):
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".bulk-words")).to_have_text("1 selected")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.locator(".bulk-words")).to_have_text("3 selected")

    page.keyboard.press("Escape")

    expect(page.locator("#deed-form")).to_be_hidden()
    expect(page.locator("#inbox input:checked")).to_have_count(0)


def test_enter_opens_what_has_no_link_as_its_own_page(page):
    page.keyboard.press("j")
    expect(row(page, "Notice 3")).to_be_focused()

    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"/notices/\d+/$"))
    expect(page.get_by_role("heading", name="Notice 3")).to_be_visible()


def test_slash_goes_to_the_search_where_letters_are_letters(page):
    page.keyboard.press("/")
    search = page.get_by_label("Words in title or text")
    expect(search).to_be_focused()

    page.keyboard.type("jazz?")

    expect(search).to_have_value("jazz?")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_question_mark_lists_all_keys(page):
    page.keyboard.press("?")

    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    for key in ("j", "k", "Enter", "e", "u", "m", "x", "z", "/", "?"):
        expect(dialog.locator("kbd").get_by_text(key, exact=True).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_keys_of_a_feed_lead_through_it_and_out_of_it(page):
    row(page, "Notice 3").get_by_role("checkbox").focus()
    page.keyboard.press("PageDown")
    expect(row(page, "Notice 2")).to_be_focused()
    page.keyboard.press("PageUp")
    expect(row(page, "Notice 3")).to_be_focused()

    page.keyboard.press("Control+Home")

    expect(page.locator("#inbox :focus, #inbox:focus")).to_have_count(0)
    assert page.evaluate("document.activeElement !== document.body")


def test_letters_can_be_switched_off_and_the_rest_stays(visit, ada, backstage):
    backstage.send_many("Notice", 2, ada.audience)
    backstage.prefer(ada.id, shortcuts=False)
    page = visit(ada)
    expect_live(page)

    row(page, "Notice 1").get_by_role("checkbox").focus()
    page.keyboard.press("e")
    page.keyboard.press("j")
    page.keyboard.press("PageDown")

    expect(row(page, "Notice 0")).to_be_focused()
    expect(titles(page)).to_have_count(2)


def test_a_screen_reader_finds_a_feed_of_named_articles(page):
    feed = page.get_by_role("feed", name="Notices, newest first")

    expect(feed.get_by_role("article", name="Unread: Notice 3")).to_have_attribute("aria-posinset", "1")
    expect(feed.get_by_role("article")).to_have_count(4)
    expect(feed.get_by_role("article").first).to_have_attribute("aria-setsize", "4")
    expect(feed).to_have_attribute("aria-busy", "false")
    expect(row(page, "Notice 3").get_by_role("checkbox", name="Select Unread: Notice 3")).to_be_visible()
    expect(row(page, "Notice 3").get_by_role("button", name="Mark read")).to_have_accessible_description(
        "Unread: Notice 3"
    )
