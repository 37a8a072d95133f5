"""How far a notice goes to get somebody's attention: as far as they have said, and once in their browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import another_tab, expect_announced, expect_live, mark_read, row
from tests.browser.test_for_everyone import expect_accessible, expect_narrow

ENOUGH_TO_SCROLL = 30
# Each sound and each desktop alert is counted as it is asked for.
COUNTING = """
window.sounds = window.alerts = 0
const resume = AudioContext.prototype.resume
AudioContext.prototype.resume = function () { window.sounds += 1; return resume.call(this) }
const show = ServiceWorkerRegistration.prototype.showNotification
ServiceWorkerRegistration.prototype.showNotification = function (...all) {
  window.alerts += 1
  return show.apply(this, all)
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


def until(page, condition):
    """Let the browser go on until something is so."""
    for _ in range(250):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not happen within 5 s")


def until_alerts(page, *titles):
    until(page, lambda: sorted(alert["title"] for alert in alerts(page)) == sorted(titles))


def counted(page, what):
    return page.evaluate(f"window.{what}")


# The rungs --------------------------------------------------------------------------------------------------


def test_a_level_that_is_a_row_only_comes_without_a_word(away_from_the_top, prefer, ada, send):
    prefer(ada, info="row", success="nothing")
    page = away_from_the_top(ada)

    send("Only a row", ada)
    send("Less than a row", ada, level="success")
    send("Announced, and a toast", ada, level="warning")

    expect_announced(page, "1 new notice, 1 warning")
    expect(toasts(page)).to_have_count(1)
    expect(row(page, "Only a row")).to_have_count(1)


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

    expect(toasts(page)).to_have_count(0)


def test_a_toast_says_level_and_title_and_leads_to_the_notice(away_from_the_top, ada, send):
    page = away_from_the_top(ada)

    sent = send("<b>Disk</b> nearly full", ada, level="warning", body="93 %")

    found = toast(page, "<b>Disk</b> nearly full")
    expect(found).to_contain_text("Warning")
    expect(found).to_contain_text("93 %")
    expect(found.get_by_role("link")).to_have_attribute("href", f"/notices/{sent['id']}/")
    expect_accessible(page)
    expect_narrow(page)


def test_a_sound_is_played_once_a_second_at_the_most(open_inbox, prefer, ada, send):
    prefer(ada, info="sound")
    page = open_inbox(ada, for_good=True)
    page.add_init_script(COUNTING)
    page.reload()
    expect_live(page)
    click_somewhere(page)

    send("One", ada)
    send("Another at once", ada)
    expect_announced(page, "2 new notices")
    assert counted(page, "sounds") == 1

    # Announced a second after they came: by now there may be a sound again.
    send("A second later", ada)
    until(page, lambda: counted(page, "sounds") == 2)


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
    page = away_from_the_top(ada, service_workers="allow", permissions=["notifications"])
    page.add_init_script(COUNTING)
    page.reload()
    expect_live(page)
    scroll_down(page)
    return page


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


def test_clicking_an_alert_opens_the_notice_in_the_page_that_is_open(with_alerts, ada, send):
    sent = send("Backup finished", ada)
    until_alerts(with_alerts, "Backup finished")

    with with_alerts.expect_navigation(url=f"**/notices/{sent['id']}/"):
        click_the_alert(with_alerts)


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
            await done.catch(() => {})
            return opened
        }"""
    )


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
