"""A writer: one process that sends notices through one door, and writes down what it was told.

    python -m tests.faults.writers FOLDER DOOR NAME RATE SEED

Doors: `python` (a long-lived process; some transactions roll back, some commit late), `admin` and `view` (the web
pages, signed in), `command` (`manage.py send_notice`). One line on standard input ends it, after what it is doing.
The moment of sending stands in the body: all processes share the monotonic clock. (Not where a process has to start
first, or the notice is to wait.)
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.faults.history import Record, Sent, now

ROLLED_BACK, COMMITS_LATE, RECALLS, SUPERSEDES, WAITS, DIES = 0.1, 0.2, 0.05, 0.1, 0.05, 0.0
LATE_SECONDS = 0.03
PAGE_SECONDS = 15


class Refused(Exception):
    """The door said no, in words, and nothing was stored."""


class Writer:
    """Sends at random moments, ``rate`` times a second on average."""

    def __init__(self, folder: Path, door: str, name: str, rate: float, seed: int) -> None:
        self._record = Record(folder / f"writer-{name}.jsonl")
        self._given = json.loads((folder / "run.json").read_text())
        self._audiences: list[str] = self._given["audiences"]
        self._door, self._name, self._rate = door, name, rate
        self.chance = random.Random(seed)
        self._count = self._with_key = 0
        self._send: Callable[[str, str], str] = {
            "python": self._python,
            "admin": self._page("/admin/notifications/notice/add/"),
            "view": self._page("/send/"),
            "command": self._command,
        }[door]
        self._mine: list[Any] = []

    def run(self, over: threading.Event) -> None:
        due = time.monotonic()
        while not over.is_set():
            due = max(due + self.chance.expovariate(self._rate), time.monotonic() - 1)
            if over.wait(max(0, due - time.monotonic())):
                break
            self.send_one()
        self._record.close()

    def send_one(self) -> None:
        self._count += 1
        title, at = f"{self._name} {self._count}", now()
        outcome, words = "accepted", ""
        try:
            outcome = self._send(title, self.chance.choice(self._audiences))
        except Refused as error:
            outcome, words = "refused", str(error)
        except Exception as error:  # the answer got lost: it is stored, or it is not
            outcome, words = "unknown", f"{type(error).__name__}: {error}"
        self._record.add(Sent(at, self._door, title, outcome, now() - at, words[:200]))
        self._record.flush()

    # Doors ------------------------------------------------------------------------------------------------

    def _python(self, title: str, audience: str) -> str:
        from django.db import DatabaseError, transaction
        from django.utils import timezone

        from notifications.sending import recall_notice, send_notice

        dice = self.chance.random()
        late = ROLLED_BACK + COMMITS_LATE
        try:
            if late <= dice < late + RECALLS and self._mine:
                recall_notice(self._mine.pop(self.chance.randrange(len(self._mine))))
            values: dict[str, Any] = {
                "title": title,
                "audiences": [audience],
                "body": f"{now()} {'x' * self._given['padding']}",
            }
            if dice < ROLLED_BACK:
                with transaction.atomic():
                    send_notice(**values)
                    transaction.set_rollback(True)
                return "rolled back"
            if dice < late:
                with transaction.atomic():
                    self._mine.append(send_notice(**values))
                    time.sleep(self.chance.random() * LATE_SECONDS)
                return "accepted"
            if dice > 1 - WAITS:
                values["publish_at"] = timezone.now() + timedelta(seconds=self.chance.random() * 2)
                values["body"] = "0"  # late on purpose
            elif dice > 1 - WAITS - SUPERSEDES:
                # Each key is used twice: a third notice would make up for a first one that the second has left.
                self._with_key += 1
                values |= {"key": f"{self._name}, {self._with_key // 2}", "audiences": ["everyone"]}
            if self.chance.random() < self._given.get("dies", DIES):
                with transaction.atomic():
                    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
                    send_notice(**values)
            self._mine.append(send_notice(**values))
        except DatabaseError as error:
            if self._given.get("commit_may_be_lost"):  # the connection broke: perhaps while it committed
                return "unknown"
            raise Refused(error) from error
        return "accepted"

    def _command(self, title: str, audience: str) -> str:
        kind, _, key = audience.partition(":")
        names = {"user": self._given["usernames"], "group": self._given["groups"]}
        to = [f"--{kind}", *([names[kind][key] if kind in names else key] if key else [])]
        done = subprocess.run(
            [sys.executable, "manage.py", "send_notice", title, *to],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode == 4:  # the connection broke while it committed
            return "unknown"
        if done.returncode:
            raise Refused(done.stderr.strip())
        return "accepted"

    def _page(self, path: str) -> Callable[[str, str], str]:
        """Fill in a form of the site and press its button."""
        url = self._given["url"] + path
        cookies = f"sessionid={self._given['admin_session']}"

        def fetch(data: dict[str, str] | None, cookies: str) -> Any:
            body = urllib.parse.urlencode(data).encode() if data else None
            request = urllib.request.Request(url, body, {"Cookie": cookies, "Referer": url})
            return urllib.request.build_opener(NoRedirect).open(request, timeout=PAGE_SECONDS)

        def send(title: str, audience: str) -> str:
            kind, _, key = audience.partition(":")
            name = {"user": "users", "group": "groups", "topic": "topics"}.get(kind, kind)
            if path == "/send/":
                value = {"everyone": ("wide", kind), "staff": ("wide", kind)}.get(kind)
                name, key = value or (name, self._given["usernames"][key] if kind == "user" else key)
            if kind == "topic":
                key = str(self._given["topics"][key])
            try:
                with fetch(None, cookies) as page:
                    token = re.search(r"csrftoken=(\w+)", page.headers["Set-Cookie"])[1]  # type: ignore[index]
            except urllib.error.HTTPError as error:
                raise Refused(error.code) from error
            form = {"title": title, "body": str(now()), "level": "info", name: key or "on"}
            form["csrfmiddlewaretoken"] = token
            try:
                fetch(form, f"{cookies}; csrftoken={token}").close()
            except urllib.error.HTTPError as error:
                if error.code == 302:
                    return "accepted"
                if error.code in (422, 503):
                    return "unknown" if self._given.get("commit_may_be_lost") else "refused"
                raise
            raise Refused("the form came back")

        return send


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The answer is all we want; the page after it would be another request."""

    def redirect_request(self, *_: Any) -> None:
        return None


def main() -> None:
    folder, door, name, rate, seed = sys.argv[1:]
    if door == "python":
        import django

        django.setup()
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
    Writer(Path(folder), door, name, float(rate), int(seed)).run(over)


if __name__ == "__main__":
    main()
