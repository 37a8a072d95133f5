"""Choosing a language, and pages for people who read from right to left."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_live, tab_to
from tests.browser.test_for_everyone import NARROW, WIDE

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def choose(page, language):
    page.get_by_role("button", name=language, exact=True).click()


def expect_language(page, code):
    expect(page.locator("html")).to_have_attribute("lang", code)


# Choosing ---------------------------------------------------------------------------------------------------


def test_a_language_is_chosen_under_its_own_name_and_stays_chosen(visit, ada):
    page = visit(ada, "/preferences/", for_good=True)

    choose(page, "简体中文")

    expect_language(page, "zh-hans")
    expect(page).to_have_url(re.compile("/preferences/$"))
    expect(page.get_by_role("button", name="简体中文")).to_have_attribute("aria-current", "true")
    page.goto("/")
    expect_live(page)
    expect_language(page, "zh-hans")
    expect(page.get_by_role("heading", level=1)).to_have_text(CHINESE)


def test_it_is_chosen_with_the_keyboard_alone(visit):
    page = visit(None, "/accounts/login/", for_good=True)

    tab_to(page, page.get_by_role("button", name="简体中文"))
    page.keyboard.press("Enter")

    expect_language(page, "zh-hans")


def test_it_is_chosen_without_javascript(visit):
    page = visit(None, "/accounts/login/", java_script_enabled=False)

    choose(page, "简体中文")

    expect_language(page, "zh-hans")
    choose(page, "English")
    expect_language(page, "en")


def test_the_choice_holds_in_the_admin_too(visit, admin):
    page = visit(admin, "/admin/", for_good=True)

    choose(page, "简体中文")

    expect_language(page, "zh-hans")
    expect(page.locator("#user-tools")).to_contain_text(CHINESE)


def test_a_screen_reader_says_each_name_in_its_language(visit):
    page = visit(None, "/accounts/login/")

    expect(page.get_by_role("button", name="简体中文")).to_have_attribute("lang", "zh-hans")
    expect(page.get_by_role("button", name="English")).to_have_attribute("lang", "en")


def test_the_browsers_language_counts_until_one_is_chosen(visit):
    page = visit(None, "/accounts/login/", locale="zh-CN")
    expect_language(page, "zh-hans")

    choose(page, "English")

    expect_language(page, "en")


def test_scripts_speak_the_language_of_the_page(visit, ada):
    """Not that of the browser: numbers and times are told as the words around them are."""
    page = visit(ada, "/echo/", locale="zh-CN")

    expect(page.locator("#self-help-summary")).to_have_attribute("data-finding", "worked", timeout=30_000)

    expect(page.locator("#self-help-summary")).to_have_text(CHINESE)
    expect(page.locator('[data-step="socket"] .step-state')).to_have_text(CHINESE)
    expect(page.locator('[data-step="socket"] .step-time')).to_have_text(re.compile(r"\d+ ?毫秒"))


# From right to left -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/echo/", "/preferences/", "/send/", "/accounts/login/", "/nothing/here/"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_from_right_to_left_pages_are_mirrored_and_nothing_is_out_of_sight(visit, admin, send, complaints, path, size):
    complaints.allow("status of 404")
    send("a-long-title-without-a-space" * 5, admin, body="Body " * 50)
    page = visit(None if "login" in path else admin, path)
    page.set_viewport_size(size)
    left = page.locator(".brand-icon").bounding_box()["x"]

    page.evaluate("document.documentElement.dir = 'rtl'")

    right = page.locator(".brand-icon").bounding_box()["x"]
    assert left < size["width"] / 2 < right
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    # To the left nothing can be scrolled to, so what stands out there would be lost.
    assert page.evaluate(OUTSIDE) == []


OUTSIDE = """(() => {
const scrolls = (element) =>
  element && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement))
return [...document.querySelectorAll("body *")].filter((element) => {
    if (!element.checkVisibility() || scrolls(element.parentElement)) return false
    if (element.closest(".visually-hidden, .skip, noscript, svg")) return false
    const { left, right, width } = element.getBoundingClientRect()
    return width > 1 && (left < -1 || right > innerWidth + 1)
}).map((element) => element.outerHTML.slice(0, 200))
})()"""


def test_from_right_to_left_a_notice_has_its_icon_on_the_right(open_inbox, ada, send):
    send("A notice", ada)
    page = open_inbox(ada)

    page.evaluate("document.documentElement.dir = 'rtl'")

    icon, title = page.locator("#inbox .notice-icon").first, page.locator("#inbox .notice-title").first
    assert icon.bounding_box()["x"] > title.bounding_box()["x"]
