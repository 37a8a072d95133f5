"""How far a notice goes to get somebody's attention: as far as they have said, and once in their browser."""

from __future__ import annotations

import re
from datetime import datetime, time

import pytest
from playwright.sync_api import expect

from notifications.attention import QuietHours
from tests.browser.gestures import (
    another_tab,
    expect_announced,
    expect_live,
    expect_unread,
    expect_unseen,
    mark_read,
    row,
    until,
)
from tests.browser.script import Script
from tests.browser.test_for_everyone import expect_accessible, expect_narrow

ENOUGH_TO_SCROLL = 30
# Each sound and each desktop alert is counted as it is asked for.
COUNTING = """
window.sounds = window.alerts = window.alertsShown = 0
const resume = AudioContext.prototype.resume
AudioContext.prototype.resume = function () { window.sounds += 1; return resume.call(this) }
const show = ServiceWorkerRegistration.prototype.showNotification
ServiceWorkerRegistration.prototype.showNotification = async function (...all) {
  window.alerts += 1
  await show.apply(this, all)
  window.alertsShown += 1
}
"""
ALERTS = """async () => {
    const registration = await navigator.serviceWorker.ready
    return (await registration.getNotifications()).map(({ title, body, tag }) => ({ title, body, tag }))
}"""


@pytest.fixture
def prefer(backstage):
    """`prefer(ada, info="toast")`: what ada has chosen; the other levels are as they are for everybody."""
    return lambda person, **choices: backstage.prefer(person.id, **choices)


@pytest.fixture
def away_from_the_top(open_inbox, visit, backstage):
    """`away_from_the_top(ada)`: her inbox, scrolled to where no new row is seen."""

    def away_from_the_top(person, **options):
        backstage.send_many("Earlier", ENOUGH_TO_SCROLL, person.audience)
        page = open_inbox(person, **options)
        scroll_down(page)
        return page

    return away_from_the_top


def scroll_down(page):
    page.evaluate("scrollTo({ top: 1e6, behavior: 'instant' })")
    page.wait_for_function("scrollY > 200")


def toasts(page):
    return page.locator(".toast")


def toast(page, title):
    return toasts(page).filter(has=page.get_by_text(title, exact=True))


def click_somewhere(page):
    """Browsers let a page sound only after this."""
    page.locator("h1").click()


def alerts(page):
    return page.evaluate(ALERTS)


def until_alerts(page, *titles):
    # Chrome loses an alert when it is asked for them before this one stands.
    until(page, lambda: sum(counted(tab, "alertsShown ?? 0") for tab in page.context.pages) >= len(titles))
    until(page, lambda: sorted(alert["title"] for alert in alerts(page)) == sorted(titles))


def counted(page, what):
    return page.evaluate(f"window.{what}")


# The rungs --------------------------------------------------------------------------------------------------


def test_a_level_that_is_a_row_only_comes_without_a_word(away_from_the_top, prefer, ada, send):
    prefer(ada, info="row")
    page = away_from_the_top(ada)

    send("Only a row", ada)
    send("Announced, and a toast", ada, level="warning")

    expect_announced(page, "1 new notice, 1 warning")
    expect(toasts(page)).to_have_count(1)
    page.get_by_role("button", name="2 new notices").click()
    expect(row(page, "Only a row")).to_be_visible()


def test_a_level_that_wants_nothing_counts_as_seen_at_once(open_inbox, prefer, ada, send):
    prefer(ada, info="nothing", success="row")
    page = open_inbox(ada)
    page.get_by_role("button", name="Pause").click()

    send("Wants nothing", ada)
    send("Wants to be counted", ada, level="success")

    expect_unread(page, 2)
    expect_unseen(page, 1)


def test_a_level_that_is_announced_is_no_toast(away_from_the_top, ada, send):
    page = away_from_the_top(ada)

    send("Announced", ada)
    expect_announced(page, "1 new notice")
    send("A toast", ada, level="warning")

    expect(toast(page, "A toast")).to_be_visible()
    expect(toasts(page)).to_have_count(1)


def test_only_errors_interrupt_what_a_screen_reader_says(open_inbox, ada, send):
    page = open_inbox(ada)
    alarm = page.get_by_role("alert")

    send("A warning", ada, level="warning")
    expect_announced(page, "1 new notice, 1 warning")
    expect(alarm).to_have_text("")
    send("Disk full", ada, level="error")

    expect(alarm).to_have_text("Error: Disk full")
    expect_announced(page, "1 new notice, 1 warning")


def test_no_toast_repeats_a_row_that_is_on_the_screen(away_from_the_top, open_inbox, ada, send):
    page = open_inbox(ada)

    send("Seen as a row", ada, level="warning")
    expect(row(page, "Seen as a row")).to_be_in_viewport()
    expect_announced(page, "1 new notice, 1 warning")

    assert toasts(page).count() == 0  # now: later it would have gone by itself


def test_a_toast_says_level_and_title_and_leads_to_the_notice(away_from_the_top, ada, send):
    page = away_from_the_top(ada)

    sent = send("<b>Disk</b> nearly full", ada, level="warning", body="93 %")

    found = toast(page, "<b>Disk</b> nearly full")
    expect(found).to_contain_text("Warning")
    expect(found).to_contain_text("93 %")
    expect(found.get_by_role("link")).to_have_attribute("href", f"/notices/{sent['id']}/")
    expect_accessible(page)
    expect_narrow(page)


def test_a_sound_is_played_once_a_second_at_the_most(visit, prefer, ada, send):
    prefer(ada, info="sound")
    page = visit(ada, None, for_good=True)
    page.add_init_script(COUNTING)
    page.clock.install()
    page.goto("/")
    expect_live(page)
    click_somewhere(page)
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))

    def sounds_after(seconds):
        for _ in range(int(seconds * 50)):
            page.clock.run_for(20)
        return counted(page, "sounds")

    send("One", ada)
    until(page, lambda: sounds_after(0.02) == 1)
    send("Another at once", ada)
    expect(row(page, "Another at once")).to_be_visible()
    assert sounds_after(0.5) == 1

    sounds_after(0.5)
    send("A second later", ada)
    until(page, lambda: sounds_after(0.02) == 2)


def test_a_page_that_nobody_has_touched_makes_no_sound(open_inbox, prefer, ada, send):
    prefer(ada, info="sound")
    page = open_inbox(ada, for_good=True)
    page.add_init_script(COUNTING)
    page.add_init_script("Object.defineProperty(navigator, 'userActivation', { value: { hasBeenActive: false } })")
    page.reload()
    expect_live(page)

    send("One", ada)

    expect_announced(page, "1 new notice")
    assert counted(page, "sounds") == 0


# Desktop alerts ---------------------------------------------------------------------------------------------


@pytest.fixture
def with_alerts(away_from_the_top, prefer, ada):
    """Ada's inbox, scrolled down, where each notice may become a desktop alert."""
    prefer(ada, info="desktop")
    page = away_from_the_top(ada, whole=True, service_workers="allow", permissions=["notifications"])
    page.add_init_script(COUNTING)
    page.reload()
    expect_live(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    scroll_down(page)
    return page


SHOW_AND_CLOSE = """async () => {
    const done = []
    ServiceWorkerRegistration.prototype.showNotification = async () => {
        await new Promise((resolve) => setTimeout(resolve, 200))
        done.push("shown")
    }
    ServiceWorkerRegistration.prototype.getNotifications = async () => {
        done.push("asked for")
        return []
    }
    const { show, close } = await import("/static/notifications/desktop.js")
    show({ id: 7, level: "info", title: "Backup finished", body: "" })
    await close([7])
    return done
}"""


def test_a_desktop_alert_is_really_shown(with_alerts, ada, send):
    sent = send("Backup finished", ada, body="42 GB")

    until_alerts(with_alerts, "Backup finished")
    assert alerts(with_alerts) == [{"title": "Backup finished", "body": "Info · 42 GB", "tag": f"notice-{sent['id']}"}]


def test_no_desktop_alert_repeats_a_row_that_is_on_the_screen(with_alerts, ada, send):
    with_alerts.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    send("Seen as a row", ada)
    expect(row(with_alerts, "Seen as a row")).to_be_in_viewport()
    expect_announced(with_alerts, "1 new notice")

    scroll_down(with_alerts)
    send("Not seen", ada)

    until_alerts(with_alerts, "Not seen")


def test_an_alert_goes_when_its_notice_is_read_elsewhere_or_recalled(with_alerts, ada, open_inbox, backstage, send):
    elsewhere = open_inbox(ada)
    send("To be read", ada)
    recalled = send("To be recalled", ada)
    until_alerts(with_alerts, "To be read", "To be recalled")

    mark_read(elsewhere, "To be read")
    until_alerts(with_alerts, "To be recalled")
    backstage.recall(recalled["id"])

    until_alerts(with_alerts)


def test_no_alert_is_asked_for_while_one_is_about_to_be_shown(with_alerts):
    """Chrome would forget the one that is on its way, and nobody could close it any more."""
    assert with_alerts.evaluate(SHOW_AND_CLOSE) == ["shown", "asked for"]


def test_clicking_an_alert_opens_the_notice_in_the_page_that_is_open(with_alerts, ada, send):
    sent = send("Backup finished", ada)
    until_alerts(with_alerts, "Backup finished")

    click_the_alert(with_alerts)

    expect(with_alerts).to_have_url(re.compile(f"/notices/{sent['id']}/$"))


def test_clicking_an_alert_leaves_a_page_alone_in_which_somebody_may_be_writing(with_alerts, ada, send):
    send("Backup finished", ada)
    until_alerts(with_alerts, "Backup finished")
    with_alerts.goto("/preferences/")

    opened = click_the_alert(with_alerts)

    assert opened.startswith("/notices/")
    expect(with_alerts).to_have_url("/preferences/")


def click_the_alert(page):
    """As the system does it. Returns the address of the window that would be opened, if one would."""
    worker = page.context.service_workers[0]
    return worker.evaluate(
        """async () => {
            let opened = ""
            self.clients.openWindow = async (path) => { opened = path }
            const [notification] = await self.registration.getNotifications()
            const event = new NotificationEvent("notificationclick", { notification })
            let done
            event.waitUntil = (promise) => { done = promise }
            self.dispatchEvent(event)
            await done
            return opened
        }"""
    )


# Toasts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def script(visit, backstage, ada):
    """Ada's inbox, scrolled down, on a server that the test plays and a clock that it moves."""
    backstage.send_many("Earlier", ENOUGH_TO_SCROLL, ada.audience)
    script = Script(visit(ada, None, for_good=True))
    script.open()
    script.welcome()
    expect_live(script.page)
    scroll_down(script.page)
    script.position_told = 0
    return script


def arrive(script, *levels):
    """Notices of these levels arrive, and as much time passes as their toasts need to be there."""
    for level in levels:
        script.position_told += 1
        script.notice(script.position_told, level=level)
    script.until(lambda: script.page.locator("#alarm").count())  # what decides has come
    for _ in range(5):
        script.wait(0.1)


def test_a_toast_goes_by_itself_but_an_error_waits_until_it_is_dismissed(script):
    arrive(script, "warning", "error")
    expect(toasts(script.page)).to_have_count(2)

    script.wait(9)

    expect(toasts(script.page)).to_have_count(1)
    expect(toast(script.page, "Notice 2")).to_be_visible()
    script.wait(20)
    toast(script.page, "Notice 2").get_by_role("button", name="Dismiss").click()
    expect(toasts(script.page)).to_have_count(0)


def test_no_toast_goes_while_somebody_points_at_it_or_is_in_it_with_the_keyboard(script):
    arrive(script, "warning")
    found = toast(script.page, "Notice 1")

    found.hover()
    script.wait(10)
    expect(found).to_be_visible()

    found.get_by_role("link").focus()
    script.page.mouse.move(0, 0)
    script.wait(10)
    expect(found).to_be_visible()

    script.page.locator(".brand").focus()
    script.wait(9)
    expect(found).to_have_count(0)


def test_more_than_three_are_a_number_and_no_error_is_among_those_nobody_sees(script):
    arrive(script, "warning", "warning", "warning", "warning", "error")

    expect(toasts(script.page).locator(".toast-title")).to_have_text(["Notice 2", "Notice 3", "Notice 5"])
    expect(script.page.locator(".toasts-more")).to_have_text("2 more")

    arrive(script, "error", "error", "error")
    expect(toasts(script.page).locator(".toast-title")).to_have_text(["Notice 5", "Notice 6", "Notice 7"])
    toast(script.page, "Notice 5").get_by_role("button", name="Dismiss").click()
    expect(toasts(script.page).locator(".toast-title")).to_have_text(["Notice 6", "Notice 7", "Notice 8"])


def test_no_toast_takes_the_focus_and_a_dismissed_one_gives_it_back(script):
    page = script.page
    field = page.get_by_role("searchbox")
    field.evaluate("field => field.focus({ preventScroll: true })")  # or the row would be seen
    arrive(script, "error")
    expect(field).to_be_focused()

    dismiss = toast(page, "Notice 1").get_by_role("button", name="Dismiss")
    dismiss.focus()
    page.keyboard.press("Enter")

    expect(toasts(page)).to_have_count(0)
    expect(field).to_be_focused()


def test_going_back_to_where_the_row_is_seen_takes_its_toast_away(away_from_the_top, ada, send):
    page = away_from_the_top(ada)
    send("A warning", ada, level="warning")
    expect(toast(page, "A warning")).to_be_visible()

    page.get_by_role("button", name="1 new notice").click()

    expect(row(page, "A warning")).to_be_in_viewport()
    expect(toasts(page)).to_have_count(0)


# What was missed --------------------------------------------------------------------------------------------


def test_what_comes_after_an_interruption_is_one_sentence_and_no_more(script):
    script.close(1012)
    script.comes_back(within=15)
    script.welcome(unread=ENOUGH_TO_SCROLL + 3, position=script.position + 3)
    for position in (1, 2, 3):
        script.notice(position, level="error")
    script.until(lambda: script.page.locator("#alarm").count())
    for _ in range(30):
        script.wait(0.1)

    expect(script.page.locator("#announcer")).to_contain_text("3 new notices while you were away")
    expect(script.page.locator("#alarm")).to_have_text("")
    expect(toasts(script.page)).to_have_count(0)

    script.notice(4, level="error")
    for _ in range(30):
        script.wait(0.1)
    expect(toast(script.page, "Notice 4")).to_be_visible()
    expect(script.page.locator("#alarm")).to_have_text("Error: Notice 4")


# Quiet hours, and what is muted -----------------------------------------------------------------------------


def test_in_quiet_hours_nothing_goes_further_than_its_row(away_from_the_top, prefer, ada, brian, send):
    prefer(ada, quiet_from="00:00", quiet_until="23:59:59", time_zone="Asia/Tokyo")
    quiet, loud = away_from_the_top(ada), away_from_the_top(brian)

    send("Disk full", ada, brian, level="error")

    expect(toast(loud, "Disk full")).to_be_visible()
    expect(loud.locator("#alarm")).to_have_text("Error: Disk full")
    expect(quiet.get_by_role("button", name="1 new notice")).to_be_visible()
    expect(toasts(quiet)).to_have_count(0)
    expect(quiet.locator("#alarm")).to_have_text("")
    expect_announced(quiet, "")


@pytest.mark.parametrize(
    ("quiet", "moment", "holds"),
    [
        ("13:00 14:00 UTC", "2026-11-23T12:59:59Z", False),
        ("13:00 14:00 UTC", "2026-11-23T13:00:00Z", True),
        ("13:00 14:00 UTC", "2026-11-23T14:00:00Z", False),
        ("22:00 07:00 Asia/Tokyo", "2026-11-23T13:30:00Z", True),  # 22:30 there
        ("22:00 07:00 Asia/Tokyo", "2026-11-23T15:00:00Z", True),  # midnight
        ("22:00 07:00 Asia/Tokyo", "2026-11-23T23:30:00Z", False),
        ("22:00 07:00 Europe/Berlin", "2026-03-28T05:30:00Z", True),  # winter
        ("22:00 07:00 Europe/Berlin", "2026-03-29T05:30:00Z", False),  # since this morning it is summer
    ],
)
def test_the_browser_reckons_quiet_hours_as_the_server_does(visit, quiet, moment, holds):
    page = visit(None, "/accounts/login/", timezone_id="America/New_York")
    start, until, zone = quiet.split()

    reckoned = page.evaluate(
        """async ([quiet, moment]) => {
            const { isQuiet } = await import("/static/notifications/attention.js")
            return isQuiet(quiet, Date.parse(moment))
        }""",
        [{"from": start, "until": until, "zone": zone}, moment],
    )

    hours = QuietHours(time.fromisoformat(start), time.fromisoformat(until), zone)
    assert reckoned is hours.hold_at(datetime.fromisoformat(moment)) is holds


def test_a_muted_topic_comes_without_a_word(away_from_the_top, meet, backstage, send):
    ada = meet(topics=["weather", "deploys"])
    page = away_from_the_top(ada)
    backstage.mute(ada.id, "weather")
    expect(page.locator("#inbox")).to_have_attribute("data-attention", re.compile('"muted": true'))
    expect_live(page)  # what comes before that was missed, and is told in one sentence

    backstage.send("Rain", "topic:weather", level="error")
    backstage.send("Version 7 is live", "topic:deploys", level="warning")
    backstage.send("Rain, and for you", "topic:weather", ada.audience, level="warning")

    expect(toast(page, "Version 7 is live")).to_be_visible()
    expect(toast(page, "Rain, and for you")).to_be_visible()
    expect_announced(page, "2 new notices, 2 warnings")
    expect(toasts(page)).to_have_count(2)
    expect(page.locator("#alarm")).to_have_text("")


# Once for each person ---------------------------------------------------------------------------------------


def test_three_tabs_of_one_browser_show_one_toast_and_one_alert_and_make_one_sound(with_alerts, prefer, ada, send):
    tabs = [with_alerts, another_tab(with_alerts), another_tab(with_alerts)]
    for tab in tabs[1:]:
        tab.add_init_script(COUNTING)
        tab.reload()
        expect_live(tab)
        scroll_down(tab)

    for number in range(3):
        send(f"Notice {number}", ada)
        for tab in tabs:
            expect_announced(tab, "1 new notice")  # a second later: each may make a sound, and has decided
            tab.evaluate("document.getElementById('announcer').textContent = ''")

    until_alerts(with_alerts, "Notice 0", "Notice 1", "Notice 2")
    shown = [title for tab in tabs for title in toasts(tab).locator(".toast-title").all_text_contents()]
    assert sorted(shown) == ["Notice 0", "Notice 1", "Notice 2"]
    assert sum(counted(tab, "alerts") for tab in tabs) == 3
    assert sum(counted(tab, "sounds") for tab in tabs) == 3


@pytest.mark.parametrize("ahead", ["in front", "visible"])
def test_the_tab_in_front_of_the_person_is_the_one_to_do_it(visit, ahead):
    first = visit(None, "/accounts/login/", for_good=True)
    other = first.context.new_page()
    other.goto("/accounts/login/")
    pretend(first, "hidden" if ahead == "visible" else "visible", focus=False)
    pretend(other, "visible", focus=ahead == "in front")
    clock = first.context.clock  # of both
    clock.install()
    clock.pause_at(first.evaluate("Date.now() / 1000 + 1"))

    start_to_claim(first)
    start_to_claim(other)
    for _ in range(40):
        clock.run_for(10)

    assert other.evaluate("window.claimed") is True
    assert first.evaluate("window.claimed") is False


def test_without_locks_each_tab_does_it_itself(visit):
    page = visit(None, "/accounts/login/")
    page.evaluate("Object.defineProperty(navigator, 'locks', { value: undefined })")

    start_to_claim(page)

    assert page.evaluate("window.claimed") is True


def pretend(page, visibility, *, focus):
    page.evaluate(
        """([visibility, focus]) => {
            Object.defineProperty(document, "visibilityState", { value: visibility })
            document.hasFocus = () => focus
        }""",
        [visibility, focus],
    )


def start_to_claim(page):
    page.evaluate(
        """async () => {
            const { claim } = await import("/static/notifications/attention.js")
            window.claimed = claim("something")
        }"""
    )
