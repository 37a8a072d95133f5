"""The page where somebody says how much they want to hear, and allows desktop alerts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_announced, tab_to, until
from tests.browser.test_attention import ALERTS, COUNTING
from tests.browser.test_for_everyone import expect_accessible, expect_narrow

DESKTOP = "#desktop p:not([hidden])"


def save(page):
    page.get_by_role("button", name="Save").click()


def test_what_is_saved_holds_at_once_on_the_pages_that_are_open(open_inbox, visit, ada, send):
    inbox = open_inbox(ada)
    page = visit(ada, "/preferences/")

    page.get_by_label("Info").select_option("Row only")
    save(page)
    expect(page.get_by_text("Your preferences are saved.")).to_be_visible()
    expect(page.get_by_label("Info")).to_have_value("row")
    inbox.wait_for_function("JSON.parse(document.getElementById('inbox').dataset.attention).levels.info === 'row'")

    send("Without a word", ada)
    send("Aloud", ada, level="success")
    expect_announced(inbox, "1 new notice")


def test_the_page_can_be_used_with_the_keyboard_alone_and_without_javascript(visit, ada):
    page = visit(ada, "/preferences/", java_script_enabled=False)

    tab_to(page, page.get_by_label("Info"))
    page.keyboard.type("Desk")
    tab_to(page, page.get_by_role("button", name="Save"))
    page.keyboard.press("Enter")

    expect(page.get_by_label("Info")).to_have_value("desktop")
    expect(page.locator("noscript p")).to_have_text("Desktop alerts need JavaScript.")
    expect(page.get_by_role("button", name="Play")).to_be_hidden()


def test_mistakes_are_named_and_lead_to_their_fields(visit, ada, complaints):
    complaints.allow("status of 422")
    page = visit(ada, "/preferences/")
    page.get_by_label("Quiet from").fill("22:00")

    save(page)

    expect(page.get_by_role("alert")).to_contain_text("Quiet until")
    page.get_by_role("alert").get_by_role("link", name="Quiet until").click()
    expect(page.get_by_label("Quiet until")).to_be_focused()
    expect_accessible(page)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_everybody_can_use_it(visit, meet, backstage, language):
    person = meet(topics=["weather"])
    backstage.mute(person.id, "weather")

    page = visit(person, "/preferences/", locale=language, permissions=["notifications"])

    expect(page.locator(DESKTOP)).to_have_count(1)
    expect_accessible(page)
    expect_narrow(page)


def test_the_time_zone_of_the_browser_is_offered(visit, ada):
    page = visit(ada, "/preferences/", timezone_id="America/New_York")

    page.get_by_role("button", name="Use the time zone of this browser: America/New_York").click()

    expect(page.get_by_label("Time zone")).to_have_value("America/New_York")
    expect(page.get_by_label("Time zone")).to_be_focused()
    expect(page.locator("#use-zone")).to_be_hidden()


def test_the_sound_can_be_heard_before_it_is_chosen(visit, ada):
    page = visit(ada, None, for_good=True)
    page.add_init_script(COUNTING)
    page.goto("/preferences/")

    page.get_by_role("button", name="Play").click()

    page.wait_for_function("window.sounds === 1")


def test_a_muted_topic_can_be_turned_on_again(visit, meet, backstage):
    person = meet(topics=["weather"])
    backstage.mute(person.id, "weather")
    page = visit(person, "/preferences/")
    muted = page.get_by_role("region", name="Muted topics")
    expect(muted).to_contain_text("weather")

    muted.get_by_role("button", name="Turn on again").click()

    expect(page).to_have_url("/preferences/")
    expect(muted).to_contain_text("None.")


# Desktop alerts ---------------------------------------------------------------------------------------------


def as_if(page, **values):
    """The page meets a browser in which these are so."""
    script = "".join(
        f"Object.defineProperty({target}, '{name}', {{ value: {value}, configurable: true, writable: true }});"
        for (target, name), value in values["so"].items()
    )
    page.add_init_script(script)
    page.goto("/preferences/")


@pytest.mark.parametrize(
    ("so", "says"),
    [
        ({("Notification", "permission"): "'default'"}, "You have not been asked yet."),
        ({("Notification", "permission"): "'granted'"}, "Allowed."),
        ({("Notification", "permission"): "'denied'"}, "Your browser was told not to allow them"),
        ({("window", "isSecureContext"): "false"}, "only on pages that come over HTTPS"),
        ({("navigator", "serviceWorker"): "undefined", ("navigator", "standalone"): "false"}, "Add to Home Screen"),
        ({("navigator", "serviceWorker"): "undefined"}, "This browser cannot show them."),
    ],
)
def test_each_state_of_the_permission_is_explained(visit, ada, so, says):
    page = visit(ada, None, for_good=True)

    as_if(page, so=so)

    expect(page.locator(DESKTOP)).to_have_count(1)
    expect(page.locator(DESKTOP)).to_contain_text(says)
    expect(page.get_by_role("button", name="Allow desktop alerts")).to_have_count(1 if "not been asked" in says else 0)
    expect(page.get_by_role("button", name="Show a test alert")).to_have_count(1 if says == "Allowed." else 0)


def test_nobody_is_asked_before_they_click_and_then_an_alert_can_be_tried(visit, ada):
    page = visit(ada, None, whole=True, service_workers="allow")
    page.add_init_script(
        """
        window.asked = 0
        let permission = "default"
        Object.defineProperty(Notification, "permission", { get: () => permission })
        Notification.requestPermission = async () => { window.asked += 1; return (permission = "granted") }
        """
    )
    page.context.grant_permissions(["notifications"])
    page.goto("/preferences/")
    ask = page.get_by_role("button", name="Allow desktop alerts")
    expect(ask).to_be_visible()
    assert page.evaluate("window.asked") == 0

    ask.focus()
    page.keyboard.press("Enter")
    test = page.get_by_role("button", name="Show a test alert")
    expect(test).to_be_focused()
    page.keyboard.press("Enter")

    until(page, lambda: page.evaluate(ALERTS))
    assert [alert["title"] for alert in page.evaluate(ALERTS)] == ["This is a test alert"]
    assert page.evaluate("window.asked") == 1
