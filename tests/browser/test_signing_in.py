"""Signing in and out, and what an open page says when its session is gone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.gestures import another_tab, connection, expect_live, row, sign_in, titles
from tests.conftest import PASSWORD


def test_somebody_who_is_not_signed_in_is_asked_to(visit):
    page = visit(None, "/")

    expect(page).to_have_url(re.compile(r"/accounts/login/\?next=/$"))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_password_is_said(visit):
    page = visit(None, "/accounts/login/")

    sign_in(page, "ada", "wrong")

    expect(page.get_by_role("alert")).to_contain_text("Please enter a correct username and password")
    expect(page).to_have_title("Error: Sign in · Notices")
    expect(page.get_by_label("Username")).to_have_value("ada")


def test_after_signing_in_people_are_where_they_wanted_to_be(visit):
    page = visit(None, "/send/?from=bookmark")

    sign_in(page, "admin", PASSWORD)

    expect(page).to_have_url(re.compile(r"/send/\?from=bookmark$"))
    expect(page.locator("#account-name")).to_have_text("admin")


def test_after_signing_in_nobody_is_led_to_another_site(visit):
    page = visit(None, "/accounts/login/?next=//elsewhere.example/")

    sign_in(page, "ada", PASSWORD)

    expect_live(page)


def test_signing_out_leads_to_the_sign_in_page(open_inbox, ada):
    page = open_inbox(ada)

    page.get_by_role("button", name="Sign out").click()

    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_after_signing_out_in_one_tab_the_other_is_told_at_once(open_inbox, ada, send):
    page = open_inbox(ada)
    other = another_tab(page)

    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()

    expect(connection(page)).to_have_text("Your session has ended.")
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    send("After signing out", ada)
    expect(row(page, "After signing out")).to_have_count(0)


def test_when_the_session_ends_the_page_leads_to_signing_in_and_back(open_inbox, meet):
    page = open_inbox(meet(seconds=6))

    expect(connection(page)).to_have_text("Your session has ended.", timeout=25_000)
    page.get_by_role("link", name="Sign in again").click()
    sign_in(page, "brian", PASSWORD)

    expect_live(page)
    expect(page.locator("#account-name")).to_have_text("brian")


def test_who_has_signed_in_again_in_another_tab_sees_the_first_one_come_back(open_inbox, meet, ada, send, server):
    page = open_inbox(meet(seconds=6))
    expect(connection(page)).to_have_text("Your session has ended.", timeout=25_000)
    send("For Ada", ada)

    page.context.add_cookies([{"name": "sessionid", "value": ada.session, "url": server.url}])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(titles(page)).to_have_text(["For Ada"])
    expect(page.locator("#account-name")).to_have_text("Ada Lovelace")


def test_what_somebody_may_not_do_is_not_offered(open_inbox, ada, admin):
    hers, admins = open_inbox(ada), open_inbox(admin)

    expect(admins.get_by_role("navigation", name="Main").get_by_role("link")).to_have_text(
        ["Inbox", "Send", "Echo", "Admin"]
    )
    expect(hers.get_by_role("navigation", name="Main").get_by_role("link")).to_have_text(["Inbox", "Echo"])
