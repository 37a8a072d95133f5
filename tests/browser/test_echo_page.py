"""The echo page: does the whole path work, and how fast is it?"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_live


@pytest.fixture
def page(visit):
    page = visit(None, "/echo/")
    expect_live(page)
    return page


def say(page, text):
    page.get_by_label("Text to send").fill(text)
    page.get_by_label("Text to send").press("Enter")


def test_the_server_answers_what_it_was_told(page):
    expect(page.locator(".connection-words")).to_have_text("Live")

    say(page, "Hello, WebSocket")

    expect(page.locator("#answer")).to_have_text("Server: Hello, WebSocket")
    expect(page.locator("#rtt")).to_have_text(re.compile(r"^\d+\.\d ms$"))


def test_every_text_comes_back_as_it_is(page):
    texts = ["", "<img src=x onerror=alert(1)>", "  two  spaces  ", "你好 👩‍👩‍👧", "👩" * 1_024]
    for number, text in enumerate(texts, 1):
        say(page, text)

        expect(page.locator("#echo-log > li")).to_have_count(2 * number)
        assert page.locator("#answer").text_content() == f"Server: {text}"


def test_bytes_come_back_byte_for_byte(page):
    page.get_by_role("button", name="Send 256 bytes").click()

    expect(page.locator("#binary-answer")).to_have_text("The same 256 bytes came back.")


def test_the_log_shows_the_last_twenty_frames_newest_first(page):
    for number in range(11):
        say(page, f"Frame {number}")
        expect(page.locator("#answer")).to_have_text(f"Server: Frame {number}")

    said = page.locator("#echo-log .echo-text")
    expect(said).to_have_count(20)
    expect(said.nth(0)).to_have_text("Server: Frame 10")
    expect(said.nth(1)).to_have_text("Frame 10")
    expect(said.last).to_have_text("Frame 1")
