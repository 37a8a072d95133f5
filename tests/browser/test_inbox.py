"""The notification page: what arrives, what leaves, and what is read."""

from __future__ import annotations

import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import (
    another_tab,
    archive,
    expect_announced,
    expect_live,
    expect_offline,
    expect_read,
    expect_unread,
    expect_unread_row,
    has_not_reloaded,
    mark_all_read,
    mark_read,
    remember,
    row,
    titles,
    until,
)
from tests.machine import ROOT
from tests.servers import run_as

# Arriving ---------------------------------------------------------------------------------------------------


def test_a_notice_from_the_command_appears_on_the_open_page(open_inbox, ada, server, send):
    send("Sent before", ada)
    page = open_inbox(ada)
    remember(page)

    warning = ["--level", "warning", "--body", "Writes fail since 05:12.", "--url", "/echo/"]
    result = server.manage("send_notice", "Disk is full", "--user", ada.name, *warning)

    assert result.returncode == 0, result.stderr
    expect(titles(page)).to_have_text(["Disk is full", "Sent before"])
    expect(row(page, "Disk is full").locator(".notice-body")).to_have_text("Writes fail since 05:12.")
    expect(row(page, "Disk is full").locator(".notice-facts")).to_contain_text("Warning")
    expect(row(page, "Disk is full").locator("time")).to_have_text("now")
    expect_unread(page, 2)
    expect_announced(page, "1 new notice, 1 warning")
    assert has_not_reloaded(page)


def test_it_appears_within_a_second_of_the_commands_answer(open_inbox, ada, server):
    page = open_inbox(ada)
    command = [*run_as(None), sys.executable, "manage.py", "send_notice", "Backup finished", "--everyone"]

    with subprocess.Popen(command, cwd=ROOT, env=server.environment(), stdout=subprocess.PIPE, text=True) as process:
        answer = process.stdout.readline()
        expect(row(page, "Backup finished")).to_be_visible(timeout=1_000)

    assert "status=published" in answer


def test_several_at_once_are_announced_in_one_sentence(open_inbox, ada, send):
    page = open_inbox(ada)

    for level in ("info", "error", "warning", "error"):
        send(f"One {level}", ada, level=level)

    expect_announced(page, "2 new notices, 1 warning")
    expect(page.locator("#alarm")).to_have_text("2 errors")
    expect_unread(page, 4)


def test_it_appears_only_for_those_it_is_for(open_inbox, ada, brian, send):
    his_page, her_page = open_inbox(brian), open_inbox(ada)

    send("For Ada", ada)
    send("For both", ada, brian)

    expect(titles(her_page)).to_have_text(["For both", "For Ada"])
    expect(titles(his_page)).to_have_text(["For both"])


def test_an_empty_inbox_says_so_until_something_arrives(open_inbox, ada, send):
    page = open_inbox(ada)
    expect(page.get_by_text("No notices yet")).to_be_visible()

    send("The first", ada)

    expect(titles(page)).to_have_text(["The first"])
    expect(page.get_by_text("No notices yet")).to_be_hidden()


def test_a_reload_shows_what_the_open_page_showed(open_inbox, ada, admin, backstage):
    page = open_inbox(ada)
    backstage.send_many("Notice", 3, ada.audience, body="One\nTwo\nThree\nFour\nFive")
    expect(titles(page)).to_have_text(["Notice 2", "Notice 1", "Notice 0"])
    mark_read(page, "Notice 1")
    live = page.locator("#inbox").inner_text()

    page.reload()
    expect_live(page)

    assert page.locator("#inbox").inner_text() == live
    expect_unread(page, 2)


def test_a_long_body_is_folded_until_it_is_asked_for(open_inbox, ada, send):
    page = open_inbox(ada)
    send("Short", ada, body="One line.")
    send("Report", ada, body="\n".join(f"Line {number}" for number in range(20)))
    more = row(page, "Report").get_by_role("button", name="Show all")
    body = row(page, "Report").locator(".notice-body")
    folded = body.bounding_box()["height"]

    more.click()

    expect(row(page, "Report").get_by_role("button", name="Show less")).to_have_attribute("aria-expanded", "true")
    assert body.bounding_box()["height"] > 3 * folded
    expect(row(page, "Short").get_by_role("button", name="Show all")).to_have_count(0)


# Leaving ----------------------------------------------------------------------------------------------------


def test_an_expired_notice_leaves_the_page_by_itself(open_inbox, ada, send):
    page = open_inbox(ada)
    send("Stays", ada)
    send("Ends soon", ada, expires_in=2)
    expect(titles(page)).to_have_text(["Ends soon", "Stays"])
    expect_unread(page, 2)

    expect(titles(page)).to_have_text(["Stays"])
    expect_unread(page, 1)


def test_a_recalled_notice_leaves_every_page_read_or_not(open_inbox, ada, brian, backstage, send):
    her_page, his_page = open_inbox(ada), open_inbox(brian)
    mistake = send("A mistake", ada, brian)
    send("Stays", ada, brian)
    mark_read(her_page, "A mistake")
    expect_unread(her_page, 1)
    expect_unread(his_page, 2)

    backstage.recall(mistake["id"])

    for page in (her_page, his_page):
        expect(titles(page)).to_have_text(["Stays"])
        expect_unread(page, 1)


# Reading ----------------------------------------------------------------------------------------------------


def test_two_tabs_share_what_is_read_and_another_person_does_not(open_inbox, ada, brian, backstage):
    page, his_page = open_inbox(ada), open_inbox(brian)
    tab = another_tab(page)
    backstage.send_many("Notice", 3, ada.audience, brian.audience)
    for each in (page, tab, his_page):
        expect_unread(each, 3)
        expect_announced(each, "3 new notices")

    mark_read(page, "Notice 1")

    expect_read(tab, "Notice 1")
    expect_unread_row(tab, "Notice 2")
    expect_unread(tab, 2)
    expect_unread(page, 2)

    mark_all_read(tab)

    for each in (page, tab):
        for number in range(3):
            expect_read(each, f"Notice {number}")
        expect_unread(each, 0)
        expect(each.get_by_role("button", name="Mark all read")).to_be_hidden()
    expect_announced(tab, "2 notices are marked as read")
    expect_unread(his_page, 3)
    expect_unread_row(his_page, "Notice 1")


def test_clicking_a_notice_marks_it_read_on_another_device_too(open_inbox, ada, send):
    desktop, phone = open_inbox(ada), open_inbox(ada, viewport={"width": 390, "height": 800})
    send("Read me", ada, body="At the desk.")

    row(desktop, "Read me").locator(".notice-body").click()

    expect_read(phone, "Read me")
    expect_unread(phone, 0)


def test_following_a_link_marks_the_notice_read(open_inbox, ada, send):
    page = open_inbox(ada)
    send("The report", ada, url="/healthz")

    page.get_by_role("link", name="The report").click()
    expect(page).to_have_url(re.compile("/healthz$"))
    page.goto("/")

    expect_read(page, "The report")
    expect_unread(page, 0)


def test_after_going_back_the_page_is_live_and_complete(open_inbox, ada, send):
    page = open_inbox(ada)
    send("The report", ada, url="/healthz")
    page.get_by_role("link", name="The report").click()
    expect(page).to_have_url(re.compile("/healthz$"))
    send("Meanwhile", ada)

    page.go_back()

    expect_live(page)
    expect(titles(page)).to_have_text(["Meanwhile", "The report"])
    expect_unread(page, 1)


# Text is text, links are links ------------------------------------------------------------------------------

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "{{ constructor }} {% now 'Y' %} ${1+1} &amp; &lt;",
    "'\"><svg onload=alert(3)>",
    "\u200bzero \u200fwidth",
    "مرحبا بالعالم 你好 👩‍👩‍👧",
]


@pytest.mark.parametrize("shown_by", ["the open page", "the server"])
def test_whatever_a_notice_says_is_shown_as_text(open_inbox, ada, send, shown_by):
    page = open_inbox(ada)
    for text in HOSTILE:
        send(text, ada, body=text)
    expect(titles(page)).to_have_count(len(HOSTILE))

    if shown_by == "the server":
        page.reload()
        expect_live(page)

    newest_first = HOSTILE[::-1]
    assert titles(page).evaluate_all("links => links.map((link) => link.textContent)") == newest_first
    assert page.locator(".notice-body").evaluate_all("parts => parts.map((p) => p.textContent)") == newest_first
    expect(page.locator("#inbox").locator("img, script, svg[onload]")).to_have_count(0)


def test_the_name_of_a_sender_is_shown_as_text(open_inbox, ada, backstage, server):
    page = open_inbox(ada)

    server.python(f"""
from django.contrib.auth.models import User
from notifications.sending import send_notice
sender = User.objects.create(username="mallory-{ada.id}", first_name="<b>Mallory</b>")
send_notice(title="Hello", audiences=["{ada.audience}"], sender=sender)
""")

    expect(row(page, "Hello").locator(".notice-sender")).to_have_text("<b>Mallory</b>")


@pytest.mark.parametrize("shown_by", ["the open page", "the server"])
def test_a_script_never_becomes_a_link(open_inbox, ada, server, shown_by):
    page = open_inbox(ada)
    # send_notice refuses such a link; a page should not have to trust whoever wrote into the database.
    server.python(f"""
from notifications.log import publish_pending
from notifications.models import Notice, Posting
for url in ("javascript:alert(1)", " JavaScript:alert(2)", "data:text/html,<script>alert(3)</script>"):
    Posting.objects.create(notice=Notice.objects.create(title="Click me", url=url), audience="{ada.audience}")
publish_pending()
""")
    expect(titles(page)).to_have_count(3)

    if shown_by == "the server":
        page.reload()
        expect_live(page)

    expect(titles(page)).to_have_count(3)
    expect(page.locator("#inbox .notice-link[href]")).to_have_count(0)


def test_a_page_that_a_notice_leads_to_learns_nothing_of_ours(open_inbox, ada, send):
    page = open_inbox(ada)
    send("Elsewhere", ada, url="/healthz")

    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Elsewhere").click(modifiers=["ControlOrMeta"])

    elsewhere = opened.value
    elsewhere.wait_for_url("**/healthz")
    assert elsewhere.evaluate("[window.opener, document.referrer]") == [None, ""]
    assert page.get_by_role("link", name="Elsewhere").get_attribute("rel") == "noopener noreferrer"
    expect_read(page, "Elsewhere")


# While somebody reads ---------------------------------------------------------------------------------------


def test_while_paused_new_notices_wait_behind_a_button(open_inbox, ada, send):
    page = open_inbox(ada)
    page.get_by_role("button", name="Pause").click()

    send("Patience", ada)

    expect(page.locator("#new-notices")).to_have_text("1 new notice")
    expect(row(page, "Patience")).to_be_hidden()
    expect_unread(page, 1)
    page.locator("#new-notices").click()
    expect(row(page, "Patience")).to_be_visible()
    expect(page.locator("#new-notices")).to_be_hidden()


def test_marking_all_read_spares_what_nobody_has_been_shown(open_inbox, ada, send):
    page = open_inbox(ada)
    tab = another_tab(page)
    send("Shown", ada)
    expect_unread(page, 1)
    page.get_by_role("button", name="Pause").click()
    send("Waiting", ada)
    expect_unread(page, 2)

    mark_all_read(page)

    expect_read(tab, "Shown")
    expect_unread(tab, 1)
    expect_unread_row(tab, "Waiting")
    expect_unread(page, 1)


def test_what_somebody_reads_further_down_stays_where_it_is(open_inbox, ada, backstage, send):
    backstage.send_many("Notice", 40, ada.audience)
    page = open_inbox(ada, reduced_motion="reduce")
    page.evaluate("scrollTo(0, 800)")
    before = row(page, "Notice 25").bounding_box()

    send("Above", ada)

    expect(page.locator("#new-notices")).to_have_text("1 new notice")
    assert row(page, "Notice 25").bounding_box() == before
    page.locator("#new-notices").click()
    expect(row(page, "Above")).to_be_in_viewport()
    expect(row(page, "Above")).to_be_focused()


def test_more_than_two_hundred_that_wait_are_shown_by_one_press(open_inbox, ada, backstage):
    backstage.send_many("Before", 40, ada.audience)
    page = open_inbox(ada, reduced_motion="reduce")
    page.get_by_role("button", name="Pause").click()

    backstage.send_many("Notice", 205, ada.audience)
    expect(page.locator("#new-notices")).to_have_text("99+ new notices")
    page.locator("#new-notices").click()

    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(204, 154, -1)])
    expect(row(page, "Notice 204")).to_be_focused()
    expect(page.locator("#new-notices")).to_be_hidden()
    expect_unread(page, 245)


def test_what_is_done_meanwhile_does_not_keep_back_what_a_press_has_asked_for(open_inbox, ada, backstage):
    backstage.send_many("Before", 3, ada.audience)
    page = open_inbox(ada, reduced_motion="reduce")
    page.get_by_role("button", name="Pause").click()
    backstage.send_many("Notice", 205, ada.audience)
    expect(page.locator("#new-notices")).to_have_text("99+ new notices")
    asked = []
    page.route(
        lambda address: urlsplit(address).path == "/",
        lambda route: route.continue_() if asked else asked.append(route),
    )

    page.locator("#new-notices").click()
    until(page, lambda: asked)
    archive(page, "Before 1")
    asked[0].continue_()

    expect(row(page, "Notice 204")).to_be_focused()
    expect(page.locator("#new-notices")).to_be_hidden()


def test_rows_leave_at_the_end_but_not_while_somebody_reads_there(open_inbox, ada, backstage, send):
    backstage.send_many("Notice", 120, ada.audience)
    page = open_inbox(ada, "/?rows=120", reduced_motion="reduce")
    row(page, "Notice 3").scroll_into_view_if_needed()
    row(page, "Notice 0").evaluate("row => (row.dataset.still = 'here')")  # one that left would soon be loaded again

    archive(page, "Notice 5")
    expect(titles(page)).to_have_count(119)
    page.get_by_role("group", name="Undo").get_by_role("button").click()

    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(119, -1, -1)])
    expect(row(page, "Notice 0")).to_have_attribute("data-still", "here")
    page.evaluate("scrollTo(0, 0)")
    send("Above", ada)
    expect(titles(page)).to_have_text(["Above", *(f"Notice {number}" for number in range(119, 20, -1))])


def test_a_thousand_unread_notices_are_999_and_more(open_inbox, ada, backstage):
    backstage.send_many("Notice", 1001, ada.audience)
    page = open_inbox(ada)
    expect_unread(page, 1000)

    mark_read(page, "Notice 1000")
    expect_read(page, "Notice 1000")
    expect_unread(page, 1000)
    mark_read(page, "Notice 999")

    expect_unread(page, 999)


# Older notices ----------------------------------------------------------------------------------------------


def follow(link):
    """Without scrolling to it, at which the page would bring what it leads to by itself."""
    link.evaluate("link => link.click()")


def test_older_notices_are_behind_a_link_and_an_older_page_takes_no_new_ones(open_inbox, ada, backstage, send):
    backstage.send_many("Notice", 103, ada.audience)
    page = open_inbox(ada)
    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(102, 52, -1)])

    follow(page.get_by_role("link", name="Older notices"))
    expect_live(page)

    expect(page.get_by_role("heading", name="Older notices")).to_be_visible()
    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(52, 2, -1)])
    send("Brand new", ada)
    expect_unread(page, 104)
    expect(titles(page)).to_have_count(50)
    follow(page.get_by_role("link", name="Older notices"))
    expect(titles(page)).to_have_text(["Notice 2", "Notice 1", "Notice 0"])
    page.get_by_role("link", name="Newest notices").click()
    expect(titles(page).first).to_have_text("Brand new")


# Offline ----------------------------------------------------------------------------------------------------


def test_offline_is_said_and_what_was_missed_follows_once(open_inbox, ada, send, complaints):
    complaints.allow("ERR_INTERNET_DISCONNECTED", "WebSocket connection to")
    page = open_inbox(ada)
    send("Before", ada)
    expect(titles(page)).to_have_text(["Before"])

    page.context.set_offline(True)
    expect_offline(page)
    send("Meanwhile", ada)
    page.context.set_offline(False)

    expect_live(page)
    send("After", ada)
    expect(titles(page)).to_have_text(["After", "Meanwhile", "Before"])


def test_the_address_of_the_socket_is_that_of_the_page(visit, ada, server):
    page = visit(ada, None)

    with page.expect_websocket() as opened:
        page.goto("/")

    expect_live(page)
    assert urlsplit(opened.value.url).netloc == urlsplit(server.url).netloc
