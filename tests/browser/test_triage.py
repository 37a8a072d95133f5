"""What a person does with notices, on every page of theirs: seen, read, archived, selected, undone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import (
    another_tab,
    archive,
    expect_announced,
    expect_count,
    expect_live,
    expect_read,
    expect_unread,
    expect_unread_row,
    expect_unseen,
    mark_all_read,
    mark_read,
    row,
    speaks_at_once,
    titles,
)
from tests.browser.script import Script

# What the page asked before us it is told before us.
NOTICED_ON_THE_SCREEN = "row => new Promise((done) => new IntersectionObserver(done).observe(row))"


def undo_bar(page):
    return page.get_by_role("group", name="Undo")


def tick(page, title, **how):
    row(page, title).get_by_role("checkbox").click(**how)


# Seen -------------------------------------------------------------------------------------------------------


@pytest.fixture
def badge(open_inbox, ada):
    """A page on another device of Ada's, which shows the number of unseen notices and no row to be seen."""
    return open_inbox(ada, "/?tab=archived")


def test_what_was_on_the_screen_is_seen_on_every_page_and_still_unread(badge, ada, send, visit):
    send("Look at me", ada)
    expect_count(badge, "unseen", 1)
    page = visit(ada, None)
    speaks_at_once(page)
    page.goto("/")

    expect_unseen(page, 0)
    expect_count(badge, "unseen", 0)

    expect_unread(page, 1)
    other = visit(ada)
    expect(other.locator("#unseen")).to_be_hidden()
    expect_unread_row(other, "Look at me")


def test_what_was_seen_is_seen_in_every_tab_at_once_and_elsewhere_when_the_page_is_left(badge, ada, send, visit):
    page = visit(ada, None)
    page.add_init_script("Math.random = () => 0.99")  # 9.9 s, else
    page.goto("/")
    tab = another_tab(page, "/?tab=archived")
    send("Look at me", ada)
    expect_count(tab, "unseen", 1)

    expect_unseen(page, 0)
    expect_count(tab, "unseen", 0)
    expect_count(badge, "unseen", 1)  # the server has not been told yet
    page.goto("/healthz")

    expect(badge.locator("#unseen")).to_have_attribute("data-count", "0", timeout=5_000)


@pytest.fixture
def script(visit, ada):
    """Ada's empty inbox, on a server that the test plays and a clock that it moves."""
    script = Script(visit(ada, None, for_good=True))
    script.open()
    script.welcome()
    return script


def sightings(script):
    return [frame for frame in script.heard if frame["type"] == "seen"]


def look_at(script, title):
    row(script.page, title).evaluate(NOTICED_ON_THE_SCREEN)
    script.wait(1.1)
    expect(row(script.page, title)).to_have_attribute("data-seen", "true")


def come_back(script):
    script.close(1012)
    script.comes_back(within=3)
    script.welcome(position=script.position + 1)


def test_what_was_seen_is_said_within_twenty_seconds_and_again_until_the_server_names_it(script):
    script.page.evaluate("Math.random = () => 0.5")
    through = script.position + 1
    everything = {"type": "seen", "ids": [], "through": through}
    script.notice(1)
    look_at(script, "Notice 1")

    script.wait(8)
    assert sightings(script) == []
    script.wait(2)
    script.until(lambda: sightings(script) == [everything])
    come_back(script)
    script.wait(11)
    script.until(lambda: sightings(script) == [everything, everything])
    script.say(type="inbox", unseen=0, position=through, changes=1, seen_through=through)
    come_back(script)
    script.wait(21)

    assert sightings(script) == [everything, everything]


def test_while_something_else_is_unseen_what_was_seen_is_named(script):
    script.page.evaluate("Math.random = () => 0.5")
    script.notice(1)
    expect(row(script.page, "Notice 1")).to_be_visible()
    script.page.get_by_role("button", name="Pause").click()
    script.notice(2)

    look_at(script, "Notice 1")
    script.wait(10)

    script.until(lambda: sightings(script) == [{"type": "seen", "ids": [1_000_001], "through": 0}])
    expect_unseen(script.page, 1)


def test_who_looks_away_has_said_at_once_what_they_saw(script):
    script.page.evaluate("Math.random = () => 0.9")
    script.notice(1)
    look_at(script, "Notice 1")

    script.page.evaluate(
        """() => {
            Object.defineProperty(document, "visibilityState", { value: "hidden" })
            document.dispatchEvent(new Event("visibilitychange"))
        }"""
    )

    script.until(lambda: len(sightings(script)) == 1)


def test_what_another_device_has_seen_is_seen_here_and_not_said_again(script):
    script.page.evaluate("Math.random = () => 0.9")
    script.page.get_by_role("button", name="Pause").click()
    script.notice(1)
    script.notice(2)
    expect_unseen(script.page, 2)

    script.say(type="inbox", unseen=0, position=script.position + 1, changes=1, seen_through=script.position + 1)

    expect_unseen(script.page, 1)
    script.wait(11)
    assert sightings(script) == []


def test_what_was_on_the_screen_for_less_than_a_second_is_not_seen(script):
    script.notice(1)
    arrived = row(script.page, "Notice 1")
    arrived.evaluate(NOTICED_ON_THE_SCREEN)

    script.wait(0.9)
    expect(arrived).to_have_attribute("data-seen", "false")

    script.wait(0.2)
    expect(arrived).to_have_attribute("data-seen", "true")


def test_what_only_peeps_in_at_the_lower_edge_is_not_seen(script):
    script.notice(1)
    arrived = row(script.page, "Notice 1")
    box = arrived.bounding_box()
    script.page.set_viewport_size({"width": 1280, "height": int(box["y"] + box["height"] * 0.3)})
    arrived.evaluate(NOTICED_ON_THE_SCREEN)

    script.wait(3)
    expect(arrived).to_have_attribute("data-seen", "false")

    script.page.set_viewport_size({"width": 1280, "height": 720})
    arrived.evaluate(NOTICED_ON_THE_SCREEN)
    script.wait(1.1)
    expect(arrived).to_have_attribute("data-seen", "true")


def test_what_is_further_down_is_seen_when_somebody_scrolls_there(open_inbox, ada, backstage):
    backstage.send_many("Notice", 30, ada.audience)
    page = open_inbox(ada, viewport={"width": 1000, "height": 600})
    expect(page.locator("#inbox > article[data-seen=true]")).not_to_have_count(0)
    expect(row(page, "Notice 2")).to_have_attribute("data-seen", "false")

    row(page, "Notice 2").scroll_into_view_if_needed()

    expect(row(page, "Notice 2")).to_have_attribute("data-seen", "true")


# Archiving, and taking it back ------------------------------------------------------------------------------


def test_what_is_archived_leaves_every_page_and_can_be_found_again(open_inbox, ada, brian, send):
    page, his_page = open_inbox(ada), open_inbox(brian)
    tab = another_tab(page)
    send("Stays", ada, brian)
    send("Goes", ada, brian)
    expect_unread(page, 2)

    archive(page, "Goes")

    for each in (page, tab):
        expect(titles(each)).to_have_text(["Stays"])
        expect_unread(each, 1)
        expect_count(each, "count-archived", 1)
    expect_announced(page, re.compile("1 notice is archived"))
    expect(titles(his_page)).to_have_text(["Goes", "Stays"])
    tab.get_by_role("link", name=re.compile("^Archived")).click()
    expect_live(tab)
    expect(titles(tab)).to_have_text(["Goes"])
    row(tab, "Goes").get_by_role("button", name="Move to the inbox").click()
    expect(titles(tab)).to_have_count(0)
    expect(tab.get_by_text("Nothing is archived")).to_be_visible()
    expect(titles(page)).to_have_text(["Goes", "Stays"])


def test_archiving_can_be_undone(open_inbox, ada, send):
    page = open_inbox(ada)
    tab = another_tab(page)
    send("Oops", ada)
    archive(page, "Oops")
    expect(titles(tab)).to_have_count(0)

    undo_bar(page).get_by_role("button", name="Undo").click()

    for each in (page, tab):
        expect(titles(each)).to_have_text(["Oops"])
        expect_unread_row(each, "Oops")
        expect_unread(each, 1)
    expect(undo_bar(page)).to_be_hidden()


def test_undo_is_offered_for_ten_seconds_and_for_as_long_as_somebody_points_at_it(visit, ada, send):
    send("Oops", ada)
    page = visit(ada, None, for_good=True)
    page.clock.install()
    page.goto("/")
    expect_live(page)
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))
    archive(page, "Oops")
    expect(undo_bar(page)).to_be_visible()

    undo_bar(page).hover()
    page.clock.run_for(15_000)
    expect(undo_bar(page)).to_be_visible()

    page.mouse.move(0, 0)
    page.clock.run_for(9_900)
    expect(undo_bar(page)).to_be_visible()
    page.clock.run_for(200)
    expect(undo_bar(page)).to_be_hidden()


def test_marking_all_read_says_how_many_and_can_be_undone(open_inbox, ada, backstage):
    page = open_inbox(ada)
    backstage.send_many("Notice", 3, ada.audience)
    mark_read(page, "Notice 1")
    expect_unread(page, 2)

    mark_all_read(page)
    expect(undo_bar(page)).to_contain_text("2 notices are marked as read")
    expect_unread(page, 0)
    undo_bar(page).get_by_role("button", name="Undo").click()

    expect_unread(page, 2)
    expect_read(page, "Notice 1")
    expect_unread_row(page, "Notice 2")


def test_a_read_notice_can_be_marked_unread(open_inbox, ada, send):
    page = open_inbox(ada)
    tab = another_tab(page)
    send("Again", ada)
    mark_read(page, "Again")
    expect_read(tab, "Again")

    row(page, "Again").get_by_role("button", name="Mark unread").click()

    for each in (page, tab):
        expect_unread_row(each, "Again")
        expect_unread(each, 1)


def test_what_is_done_while_the_network_is_away_is_done_when_it_is_back(open_inbox, ada, send, complaints):
    complaints.allow(*LOST_CONNECTION)
    page, phone = open_inbox(ada), open_inbox(ada)
    send("Archive me", ada)
    send("Read me", ada)
    expect_unread(page, 2)

    page.context.set_offline(True)
    archive(page, "Archive me")
    mark_read(page, "Read me")
    expect(titles(page)).to_have_text(["Read me"])
    page.context.set_offline(False)

    expect(titles(phone)).to_have_text(["Read me"], timeout=20_000)
    expect_read(phone, "Read me")
    expect_unread(page, 0)


def test_what_is_taken_back_elsewhere_comes_back_to_its_place_and_is_not_new(open_inbox, ada, send):
    send("Below", ada)
    send("Comes back", ada)
    phone = open_inbox(ada)
    page = open_inbox(ada)
    row(page, "Below").focus()
    page.keyboard.press("Shift")  # the keyboard is in the list: what is new waits
    archive(phone, "Comes back")
    expect(titles(page)).to_have_text(["Below"])

    undo_bar(phone).get_by_role("button", name="Undo").click()

    expect(titles(page)).to_have_text(["Comes back", "Below"])
    expect(page.locator("#new-notices")).to_be_hidden()
    expect(row(page, "Below")).to_be_focused()


def test_what_is_taken_back_before_the_server_tells_of_it_stays(script):
    page = script.page
    for position in (1, 2):
        script.notice(position)
        script.wait(0.5)
    archiving, undoing = [], []
    page.route("**/archive/", lambda route: archiving.append(route))
    page.route("**/undo/", lambda route: undoing.append(route))

    archive(page, "Notice 2")
    expect(titles(page)).to_have_text(["Notice 1"])
    script.until(lambda: archiving)
    undo_bar(page).get_by_role("button", name="Undo").click()
    expect(titles(page)).to_have_text(["Notice 2", "Notice 1"])
    told = {"position": script.position + 2, "changes": 1, "archived": [1_000_002]}
    script.say(type="inbox", unread=7, unseen=7, **told)
    expect_unread(page, 7)
    archiving[0].fulfill(json={"count": 1, "change": 1})

    script.until(lambda: undoing)
    assert "change=1" in undoing[0].request.post_data
    expect(titles(page)).to_have_text(["Notice 2", "Notice 1"])


# Several at once --------------------------------------------------------------------------------------------


def test_a_range_is_selected_archived_and_brought_back(open_inbox, ada, backstage):
    backstage.send_many("Notice", 6, ada.audience)
    page = open_inbox(ada)

    tick(page, "Notice 4")
    tick(page, "Notice 2", modifiers=["Shift"])
    expect(page.locator(".bulk-words")).to_have_text("3 selected")
    page.locator("#deed-form").get_by_role("button", name="Archive").click()

    expect(titles(page)).to_have_text(["Notice 5", "Notice 1", "Notice 0"])
    expect(undo_bar(page)).to_contain_text("3 notices are archived")
    expect(page.locator("#deed-form")).to_be_hidden()
    undo_bar(page).get_by_role("button", name="Undo").click()
    expect(titles(page)).to_have_text([f"Notice {number}" for number in range(5, -1, -1)])


def test_everything_that_matches_can_be_selected_also_what_is_not_on_the_page(open_inbox, ada, backstage, send):
    backstage.send_many("Deploy", 60, ada.audience, level="success")
    send("Disk is full", ada, level="error")
    page = open_inbox(ada, "/?level=success")

    page.get_by_label("Select all").check()
    page.get_by_role("button", name="Select everything that matches").click()
    expect(page.locator(".bulk-words")).to_have_text("Everything that matches is selected")
    page.locator("#deed-form").get_by_role("button", name="Archive").click()

    expect(undo_bar(page)).to_contain_text("60 notices are archived")
    expect(page.get_by_text("No notice matches")).to_be_visible()
    page.get_by_role("link", name="Clear the filter").first.click()
    expect(titles(page)).to_have_text(["Disk is full"])


# Why, and less of it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["pointer", "keyboard"])
def test_a_topic_can_be_muted_from_the_row(open_inbox, meet, send, backstage, by):
    dana = meet(topics=["deploys"])
    title = f"Muted by {by}"
    backstage.send(title, "topic:deploys")
    page = open_inbox(dana)

    if by == "pointer":
        row(page, title).get_by_role("link", name="Mute").click()
    else:
        row(page, title).focus()
        page.keyboard.press("m")
    dialog = page.get_by_role("dialog", name="Why did I get this?")
    expect(dialog).to_contain_text("deploys")
    dialog.get_by_role("button", name="for 8 hours").click()

    expect(dialog.get_by_role("button", name="Turn it on again")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_where_nothing_can_be_muted_the_dialog_leads_to_the_preferences(open_inbox, ada, send):
    send("For you alone", ada)
    page = open_inbox(ada)

    row(page, "For you alone").get_by_role("link", name="Mute").click()
    dialog = page.get_by_role("dialog", name="Why did I get this?")
    expect(dialog).to_contain_text("Only topics can be muted")
    dialog.get_by_role("link", name="preferences").click()

    expect(page.get_by_role("heading", name="Preferences")).to_be_visible()


# Text and links ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown_by", ["the open page", "the server"])
def test_addresses_in_a_text_become_links_and_nothing_else_does(open_inbox, ada, send, shown_by):
    page = open_inbox(ada)
    text = "See https://example.org/a_(b), (http://example.org/x). Not javascript://alert(1) nor ftp://example.org"
    send("Links", ada, body=text)
    expect(titles(page)).to_have_count(1)
    if shown_by == "the server":
        page.reload()
        expect_live(page)

    links = row(page, "Links").locator(".notice-body a")
    expect(links).to_have_text(["https://example.org/a_(b)", "http://example.org/x"])
    expect(links.first).to_have_attribute("rel", "noopener noreferrer nofollow")
    assert row(page, "Links").locator(".notice-body").text_content() == text


def test_the_exact_time_shows_where_somebody_points_or_goes_with_the_keyboard(open_inbox, ada, send):
    send("When", ada)
    page = open_inbox(ada)
    exact = row(page, "When").locator(".notice-moment")
    expect(exact).to_be_hidden()

    row(page, "When").locator(".notice-when").hover()
    expect(exact).to_be_visible()
    page.mouse.move(0, 0)
    expect(exact).to_be_hidden()
    row(page, "When").locator(".notice-when").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")

    expect(exact).to_be_visible()
    expect(exact).to_contain_text(re.compile(r"\d{4}"))
