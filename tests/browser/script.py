"""The server's part on a page's sockets, spoken by the test: for what a real server says rarely or late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, WebSocketRoute

HEARTBEAT_SECONDS = 25


class Script:
    """Takes the place of `/ws/notices/` on a page that is about to be opened, and stops the page's clock.

    Time passes only in `wait`, so each test takes as long as its frames do.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sockets: list[WebSocketRoute] = []
        self.heard: list[dict[str, Any]] = []
        page.route_web_socket("**/ws/notices/**", self._opened)
        page.clock.install()

    def open(self, path: str = "/") -> None:
        self.page.goto(path)
        self.page.clock.pause_at(self.page.evaluate("Date.now() / 1000 + 1"))
        self.until(lambda: self.sockets)
        cursor = self.page.locator("#inbox").get_attribute("data-cursor")
        self.stamp = self.page.locator("#inbox").get_attribute("data-stamp")
        self.epoch, _, position = cursor.rpartition(":")
        self.position = int(position)

    # What the server says

    def say(self, **frame: Any) -> None:
        self.sockets[-1].send(json.dumps(frame))

    def welcome(self, unread: int = 0, position: int | None = None, cursor: int | None = None) -> None:
        here = self.position if position is None else position
        there = here if cursor is None else cursor
        self.say(
            type="welcome",
            cursor=f"{self.epoch}:{there}",
            stamp=self.stamp,
            position=here,
            resumed=True,
            unread=unread,
            heartbeat=HEARTBEAT_SECONDS,
        )

    def notice(self, position: int, published: int | None = None, **values: Any) -> None:
        """A notice that was published `published` places after the page was made, and now stands at `position`."""
        published = position if published is None else published
        notice = {
            "id": 1_000_000 + published,
            "title": f"Notice {published}",
            "body": "",
            "level": "info",
            "url": "",
            "sender": "",
            "published_at": "2026-11-23T06:00:00.000Z",
            "expires_at": None,
            "published": self.position + published,
            "recalled": False,
        }
        self.say(type="notice", position=self.position + position, notice=notice | values)

    def close(self, code: int) -> None:
        self.sockets[-1].close(code=code)

    # What the page does

    def wait(self, seconds: float) -> None:
        """Let the page's time pass, and its frames arrive."""
        self.page.clock.run_for(int(seconds * 1000))
        self.page.evaluate("0")

    def until(self, condition: Callable[[], object]) -> None:
        """Let the browser go on until something has happened."""
        for _ in range(1500):
            if condition():
                return
            self.page.wait_for_timeout(10)
        raise AssertionError("it did not happen within 15 s")

    def hears(self, **frame: Any) -> None:
        """The page says this frame, now or a moment ago."""
        self.until(lambda: frame in self.heard)

    def comes_back(self, within: float) -> str:
        """The page opens another socket within so many seconds; returns its address."""
        before = len(self.sockets)
        self.wait(within)
        self.until(lambda: len(self.sockets) > before)
        return self.sockets[-1].url

    def stays_away(self, seconds: float) -> bool:
        before = len(self.sockets)
        self.wait(seconds)
        return len(self.sockets) == before

    def _opened(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda message: self.heard.append(json.loads(message)))
