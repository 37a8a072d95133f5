"""Parts of the inbox: tabs, filters, days, and what is said when nothing is there."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.gestures import (
    archive,
    expect_live,
    expect_unread,
    mark_all_read,
    mark_read,
    row,
    titles,
    until,
)


def tab(page, name):
    return page.get_by_role("navigation", name="Parts of the inbox").get_by_role("link", name=re.compile(f"^{name}"))


def test_the_tabs_are_links_and_say_where_somebody_is(open_inbox, ada, send):
    send("Read", ada)
    send("Unread", ada)
    page = open_inbox(ada)
    mark_read(page, "Read")
    expect_unread(page, 1)

    tab(page, "Unread").click()

    expect_live(page)
    expect(page).to_have_url(re.compile(r"\?tab=unread$"))
    expect(tab(page, "Unread")).to_have_attribute("aria-current", "page")
    expect(titles(page)).to_have_text(["Unread"])


def test_what_is_read_stays_on_the_page_of_unread_ones_until_it_is_renewed(open_inbox, ada, send):
    send("Read me", ada)
    page = open_inbox(ada, "/?tab=unread")

    mark_read(page, "Read me")

    expect_unread(page, 0)
    expect(titles(page)).to_have_text(["Read me"])
    page.reload()
    expect(page.get_by_text("All caught up")).to_be_visible()


def test_words_and_a_level_stand_in_the_address_and_nothing_that_was_not_chosen(open_inbox, ada, send):
    send("Disk is full", ada, level="error", body="on backup-2")
    send("Disk is fine", ada, level="info")
    page = open_inbox(ada)

    page.get_by_label("Words in title or text").fill("disk backup")
    page.get_by_label("Level").select_option("error")
    page.get_by_role("button", name="Filter").click()

    expect(page).to_have_url(re.compile(r"\?q=disk\+backup&level=error$"))
    expect(titles(page)).to_have_text(["Disk is full"])
    page.get_by_role("link", name="Clear the filter").click()
    expect(titles(page)).to_have_text(["Disk is fine", "Disk is full"])


def test_a_filtered_page_shows_of_what_arrives_only_what_matches(open_inbox, ada, send):
    page = open_inbox(ada, "/?level=error")
    expect(page.get_by_text("No notice matches")).to_be_visible()

    send("A note", ada, level="info")
    send("A fire", ada, level="error")

    expect(titles(page)).to_have_text(["A fire"])
    expect_unread(page, 2)


def test_marking_all_read_keeps_to_the_filter(open_inbox, ada, send):
    send("A note", ada, level="info")
    send("A fire", ada, level="error")
    page = open_inbox(ada, "/?level=error")

    mark_all_read(page)

    expect_unread(page, 1)
    tab(page, "All").click()
    page.get_by_role("link", name="Clear the filter").click()
    expect(row(page, "A note")).to_have_attribute("data-read", "false")
    expect(row(page, "A fire")).to_have_attribute("data-read", "true")


def test_the_first_empty_inbox_offers_a_test_notice(open_inbox, ada):
    page = open_inbox(ada)

    expect(page.get_by_text("No notices yet")).to_be_visible()
    expect(page.get_by_role("button", name="Send me a test notice")).to_be_visible()
    expect(page.get_by_text("All caught up")).to_be_hidden()


def test_the_first_of_each_day_says_which_day_it_is(open_inbox, ada, send, backstage):
    backstage.send_in_the_past("Long ago", ada.audience, days=1)
    page = open_inbox(ada)

    send("First", ada)
    send("Second", ada)

    expect(titles(page)).to_have_text(["Second", "First", "Long ago"])
    expect(page.locator(".notice-day:visible")).to_have_text(["Today", "Yesterday"])
    expect(row(page, "First").locator(".notice-day")).to_be_hidden()
    archive(page, "Second")
    expect(row(page, "First").locator(".notice-day")).to_have_text("Today")
    expect(row(page, "First").locator(".notice-day")).to_be_visible()


def test_older_notices_come_below_while_somebody_scrolls(open_inbox, ada, backstage):
    backstage.send_many("Notice", 120, ada.audience)
    page = open_inbox(ada)
    expect(titles(page)).to_have_count(50)

    row(page, "Notice 70").scroll_into_view_if_needed()
    expect(titles(page)).to_have_count(100)
    row(page, "Notice 20").scroll_into_view_if_needed()

    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(119, -1, -1)])
    expect(page.get_by_role("link", name="Older notices")).to_be_hidden()


def test_a_thousand_rows_are_enough_then_the_link_leads_on(open_inbox, ada, backstage, send):
    backstage.send_many("Notice", 1060, ada.audience)
    page = open_inbox(ada, "/?rows=500", reduced_motion="reduce")
    older = page.get_by_role("link", name="Older notices")

    def has_them_all():
        older.scroll_into_view_if_needed()
        return titles(page).count() >= 1000

    until(page, has_them_all)
    older.scroll_into_view_if_needed()
    send("Above", ada)
    expect(page.locator("#new-notices")).to_have_text("1 new notice")

    expect(titles(page)).to_have_count(1000)
    older.click()
    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(59, 9, -1)])
