"""The page stays quick: while two hundred notices arrive at once, and after five thousand have come and gone.

These hold promises to the clock, and have the machine to themselves (bin/test).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import expect_count, titles

if TYPE_CHECKING:
    from playwright.sync_api import Page

BURST = 200
PAINTED_WITHIN_MS = 300
LONGEST_TASK_MS = 50
PACE_MS = 45
MOST_ROWS = 100  # inbox.js
SLOWER = 4  # a middling phone, of a machine that is not busy
ATTEMPTS, ENOUGH = 12, 1  # somebody else's work on this machine lengthens tasks, and is no fault of the page

# From the first change of the list: when the screen shows the newest ones for good, when every row is there, and how
# long the longest task was that the browser saw meanwhile.
WATCH = """
(newest) => {
  window.burst = { first: 0, screen: 0, whole: 0, tasks: [] }
  new PerformanceObserver((found) => {
    for (const { startTime, duration } of found.getEntries()) burst.tasks.push([startTime, duration])
  }).observe({ type: "longtask" })
  const list = document.getElementById("inbox")
  const onScreen = () => [...list.children].slice(0, 8).map((row) => row.querySelector(".notice-link").textContent)
  const isThere = () => onScreen().every((title, place) => title === `${newest} ${199 - place}`)
  let timer = 0
  window.burstDone = new Promise((done) => {
    new MutationObserver(() => {
      burst.first ||= performance.now()
      clearTimeout(timer)
      timer = setTimeout(done, 500)
      // After the next frame's paint: a message that is sent while the frame is made is read behind it.
      requestAnimationFrame(() => {
        const behind = new MessageChannel()
        behind.port1.onmessage = () => {
          burst.whole = performance.now()
          if (!burst.screen && isThere()) burst.screen = performance.now()
        }
        behind.port2.postMessage("")
      })
    }).observe(list, { childList: true })
  })
}
"""


# How fast the machine is at this moment, in ms: the median of nine.
LOOP = """
() => {
  const times = []
  for (let time = 0; time < 9; time += 1) {
    const began = performance.now()
    let sum = 0
    for (let number = 0; number < 2e6; number += 1) sum += Math.sqrt(number) % 7
    times.push(performance.now() - began)
  }
  return times.sort((one, other) => one - other)[4]
}
"""


def measure(page: Page, send: Callable[[str], None], name: str) -> dict[str, float]:
    """In ms: until the screen stands, until all rows are there, the longest task meanwhile; and `LOOP` just before."""
    pace = page.evaluate(LOOP)
    page.evaluate(WATCH, name)
    send(name)
    page.evaluate("burstDone")
    found = page.evaluate("burst")
    longest = max((duration for start, duration in found["tasks"] if start >= found["first"] - 100), default=0)
    return {
        "screen": found["screen"] - found["first"],
        "whole": found["whole"] - found["first"],
        "longest": longest,
        "pace": pace,
    }


def slow_down(page: Page, times: float) -> None:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": times})


@pytest.fixture
def burst_for(backstage):
    """`burst_for(ada)("Burst")`: two hundred notices, in one bell."""
    return lambda reader: lambda name: backstage.send_many(name, BURST, reader.audience, body="Again and again. " * 8)


@pytest.mark.timeout(240)
def test_a_burst_of_200_is_painted_within_300_ms_and_without_a_long_task(meet, open_inbox, backstage, burst_for):
    found = []
    for _ in range(ATTEMPTS):
        reader = meet()
        backstage.send_many("Before", 50, reader.audience, body="A line that says a little more than its title does.")
        page = open_inbox(reader)
        expect(titles(page)).to_have_count(50)
        slow_down(page, SLOWER)
        page.wait_for_timeout(500)  # what opening the page has left to do is not the burst's

        found.append(measure(page, burst_for(reader), "Burst"))
        expect(titles(page)).to_have_count(MOST_ROWS)
        page.close()
        if sum(map(is_quick, found)) == ENOUGH:
            return
    raise AssertionError(found)


def is_quick(burst: dict[str, float]) -> bool:
    """The limits are for a machine that does `LOOP` in `PACE_MS`; a slower one has as much more time."""
    slower = max(1, burst["pace"] / PACE_MS)
    return burst["screen"] <= PAINTED_WITHIN_MS * slower and burst["longest"] <= LONGEST_TASK_MS * slower


@pytest.mark.timeout(240)
def test_after_5000_notices_the_page_is_as_quick_as_at_the_start(ada, open_inbox, burst_for):
    page = open_inbox(ada)
    waves = [measure(page, burst_for(ada), f"Wave {number}")["whole"] for number in range(25)]

    expect(titles(page)).to_have_count(MOST_ROWS)
    expect_count(page, "unread", 1000)
    assert min(waves[-5:]) <= min(waves[1:6]) * 1.5 + 20, waves
