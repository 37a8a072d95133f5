"""What no page may do, noticed on every page of every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, WebError

# The browser's own console line about a breach may be missing (report-only, frames); the event never is.
TELL_BREACHES = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))
"""
# The browser's word for a server that is away, or about to go; the pages themselves have nothing to say about it.
LOST_CONNECTION = ("WebSocket connection to", "net::ERR_", "status of 503")
# A page registers its service worker once it has nothing better to do; most tests' devices have none.
NO_WORKER = "Service Worker registration blocked by Playwright"


class Complaints:
    def __init__(self) -> None:
        self.all: list[str] = []
        self._allowed: list[str] = []

    def listen_to(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", self._failure)
        context.on("dialog", self._dialog)

    def stop_listening_to(self, context: BrowserContext) -> None:
        context.remove_listener("console", self._console)
        context.remove_listener("weberror", self._failure)
        context.remove_listener("dialog", self._dialog)

    def allow(self, *parts: str) -> None:
        """Complaints that hold one of these are what the test is about."""
        self._allowed += parts

    @property
    def unexpected(self) -> list[str]:
        return [each for each in self.all if not any(part in each for part in self._allowed)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and message.text != NO_WORKER:
            self.all.append(f"{message.type} on {message.page and message.page.url}: {message.text}")

    def _failure(self, failure: WebError) -> None:
        self.all.append(f"a script failed: {failure.error}")

    def _dialog(self, dialog: Dialog) -> None:
        self.all.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()
