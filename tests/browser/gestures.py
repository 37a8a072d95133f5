"""What people do on the pages, and what they see there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

BACK_WITHIN_MS = 20_000  # the longest wait before a page tries again is 10 s, and the machine may be busy


def speaks_at_once(page: Page) -> None:
    """A page that is about to be opened says at once what it would say at random within some seconds."""
    page.add_init_script("Math.random = () => 0")


# What they see ----------------------------------------------------------------------------------------------


def row(page: Page, title: str) -> Locator:
    """The notice with exactly this title."""
    return page.locator("#inbox > article").filter(has=page.get_by_text(title, exact=True))


def titles(page: Page) -> Locator:
    """The titles in the list, from top to bottom; `to_have_text([…])` compares all of them."""
    return page.locator("#inbox > article .notice-link")


def connection(page: Page) -> Locator:
    """The words about the connection."""
    return page.locator(".connection-words")


def expect_live(page: Page, within_ms: float = BACK_WITHIN_MS) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=within_ms)


def expect_reconnecting(page: Page) -> None:
    expect(connection(page)).to_have_text(re.compile(r"^Reconnecting(…| in \d s)$"))


def expect_offline(page: Page) -> None:
    expect(connection(page)).to_have_text(re.compile(r"^Offline, showing what we had at \d\d:\d\d"))


def expect_unread(page: Page, count: int) -> None:
    """On the tab of the unread ones."""
    expect_count(page, "unread", count)


def expect_unseen(page: Page, count: int) -> None:
    """On the badge, and in the tab's title."""
    expect_count(page, "unseen", count)
    shown = "999+" if count == 1000 else count
    if count:
        expect(page.locator("#unseen")).to_have_text(f"{shown} new")
    expect(page).to_have_title(f"({shown}) Notices" if count else "Notices")


def expect_count(page: Page, name: str, count: int) -> None:
    """`unread`, `unseen`, `count-all` or `count-archived`."""
    place = page.locator(f"#{name}")
    expect(place).to_have_attribute("data-count", str(count))
    if count:
        expect(place).to_contain_text("999+" if count == 1000 else str(count))
    else:
        expect(place).to_be_hidden()


def expect_read(page: Page, title: str) -> None:
    expect(row(page, title)).to_have_attribute("data-read", "true")


def expect_unread_row(page: Page, title: str) -> None:
    expect(row(page, title)).to_have_attribute("data-read", "false")


def expect_announced(page: Page, sentence: str | re.Pattern[str]) -> None:
    """Read out to people who do not see the page."""
    expect(page.locator("#announcer")).to_have_text(sentence)


def until(page: Page, condition: Callable[[], object]) -> None:
    """Let the browser go on until something is so that no locator can wait for. A busy machine has time."""
    for _ in range(750):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not happen within 15 s")


def has_not_reloaded(page: Page) -> bool:
    """Whether it is the document that `remember` has marked."""
    return page.evaluate("window.remembered === true")


def remember(page: Page) -> None:
    page.evaluate("window.remembered = true")


# What they do -----------------------------------------------------------------------------------------------


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def another_tab(page: Page, path: str = "/") -> Page:
    """The inbox in a second tab of the same browser."""
    tab = page.context.new_page()
    tab.goto(path)
    expect_live(tab)
    return tab


def mark_read(page: Page, title: str) -> None:
    row(page, title).get_by_role("button", name="Mark read").click()


def archive(page: Page, title: str) -> None:
    row(page, title).get_by_role("button", name="Archive").click()


def mark_all_read(page: Page) -> None:
    page.get_by_role("button", name="Mark all read").click()


def tab_to(page: Page, target: Locator, most: int = 60) -> None:
    """Press the Tab key until `target` has the focus."""
    for _ in range(most):
        if target.evaluate("element => element === element.getRootNode().activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with the Tab key")
