"""A guarantee that cannot be broken proves nothing: each protection is taken out of a copy of the project, and the
test that stands for it has to fail there.

    python -m tests.faults --break position-lock
    python -m tests.faults --break all
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.machine import ROOT


@dataclass(frozen=True)
class Protection:
    """What is taken out (`changes`: file, text, and what takes its place), and the `proof` that has to notice."""

    what: str
    changes: tuple[tuple[str, str, str], ...]
    proof: str  # a fault, or a file of tests (with pytest's `-k` after a space)


LOG, HUB, CONNECTION = "notifications/log.py", "notifications/live/hub.py", "notifications/live/connection.py"
MIGRATION = "notifications/migrations/0005_subject.py"

PROTECTIONS = {
    "position-lock": Protection(
        "the log's row is locked until positions are committed (and the database refuses a position twice)",
        (
            (LOG, "return _log().select_for_update()", "return _log()"),
            (LOG, "return _log().select_for_update(skip_locked=True)", "return _log()"),
            (MIGRATION, 'fields=["published"]', 'fields=["id"]'),
            (MIGRATION, 'fields=["position"]', 'fields=["id"]'),
        ),
        "late-commits",
    ),
    "supersede-past-receipts": Protection(
        "a receipt that is being written does not keep its notice from being superseded",
        ((LOG, "skip_locked=True, no_key=True)", "skip_locked=True)"),),
        "tests/test_log.py --database=postgresql -k marks_it_seen",
    ),
    "supersede-after-a-recall": Protection(
        "a notice whose earlier one is being recalled waits, because that may be rolled back",
        ((LOG, "if notice.subject in busy and notice.published is None", "if False"),),
        "tests/test_log.py --database=postgresql -k being_recalled_and",
    ),
    "gap-check": Protection(
        "a bell that does not follow on what the hub has makes it read the log",
        ((HUB, "elif bell.first > self.position + 1:", "elif False:"),),
        "redis-cuts-subscriptions",
    ),
    "crash-sweeper": Protection(
        "hubs publish what a sender that died has left waiting",
        ((HUB, "list(log.publish_due())", "[]"),),
        "sender-killed",
    ),
    "look-at-the-log": Protection(
        "hubs look at the log although no bell rang",
        (
            (
                HUB,
                "            pause = usual if next_due is None else",
                "            pause = 3600 if next_due is None else",
            ),
        ),
        "redis-killed",
    ),
    "probe": Protection(
        "a hub rings itself, and opens its subscription anew when it does not hear that",
        ((HUB, "        if not heard_by:\n            return False\n", "        return True\n"),),
        "redis-frozen",
    ),
    "seen-before": Protection(
        "what a look at the log and a bell both bring is delivered once",
        (
            (HUB, "[entry for entry in entries if entry.position > self.position]", "list(entries)"),
            (CONNECTION, "if position is not None and position <= self._written:", "if False:"),
            (CONNECTION, "            and self._written < run.first\n", ""),
        ),
        "redis-cuts-subscriptions",
    ),
    "replay": Protection(
        "a page that comes back is sent what it missed",
        (
            (
                CONNECTION,
                "        if not self._write_at_once(entries):\n",
                "        entries = []\n        if not self._write_at_once(entries):\n",
            ),
        ),
        "server-killed-the-only-one",
    ),
    "join-before-replay": Protection(
        "what comes while a page is replayed waits in its outbox",
        (
            (
                CONNECTION,
                "                self._outbox.put(text, position, bounded=self._blocked_since is not None)\n",
                "                pass\n",
            ),
        ),
        "server-killed-the-only-one",
    ),
    "all-or-nothing": Protection(
        "more than 300 missed notices are not replayed in part",
        ((HUB, "return entries if len(entries) <= REPLAY_ENTRIES else None", "return entries[:REPLAY_ENTRIES]"),),
        "tests/live/test_notices.py -k missed_too_much",
    ),
    "restored": Protection(
        "a backup that is restored under a running server begins a new epoch",
        ((HUB, "if self._was_restored(place, held):", "if False:"),),
        "tests/test_hub.py -k restored",
    ),
    "restored-inbox": Protection(
        "an inbox that is fetched afresh from another log is loaded anew",
        (("notifications/static/notifications/catch_up.js", " && !isOfAnotherLog(page)", ""),),
        "tests/browser/test_restored.py -k open_inbox",
    ),
    "restored-bell": Protection(
        "a bell keeps no rows of another log",
        (("notifications/static/notifications/bell.js", "if (epochIn(cursor) === this.#epoch) this", "this"),),
        "tests/browser/test_restored.py -k bell",
    ),
    "joined": Protection(
        "what an account sees is decided by its place in the log, and by no clock",
        (("notifications/marks.py", "joined=log.head().position)", "joined=None)"),),
        "tests/test_marks.py",
    ),
    "own-epoch": Protection(
        "a cursor of another epoch, or from the future, is not continued",
        (
            (
                "notifications/live/consumers.py",
                "known = place is not None and place.epoch == hub.place.epoch == here.epoch and place.position <= here.position",
                "known = place is not None",
            ),
        ),
        "tests/live/test_notices.py -k means_nothing_here",
    ),
    "goodbye": Protection(
        "a stopping server asks its pages to leave, spread over some time",
        (
            (
                "notifications/live/websocket.py",
                '            self._put({"type": DRAIN})\n',
                '            self._close(1012, "")\n',
            ),
        ),
        "deploy-one-after-the-other",
    ),
    "readiness": Protection(
        "a stopping server says that it is not ready",
        (("notifications/live/server.py", "        hub.draining = True\n", ""),),
        "deploy-of-the-only-one",
    ),
    "heartbeat": Protection(
        "a page that does not answer heartbeats is closed",
        ((CONNECTION, "elif self._unanswered_since is not None and (", "elif False and ("),),
        "network-cut",
    ),
    "bounded-outbox": Protection(
        "a page that reads nothing is not kept frames for without end",
        (("notifications/live/outbox.py", "MAX_BYTES = 1_048_576", "MAX_BYTES = MAX_FRAMES = 1 << 40"),),
        "tests/test_outbox.py",
    ),
    "impatience": Protection(
        "a Redis that hangs is waited for half a second once, and not by each sender each time",
        (("notifications/doorbell.py", "BELL_PATIENCE = 0.5", "BELL_PATIENCE = 20"),),
        "redis-frozen",
    ),
    "closed-files": Protection(
        "a SQLite connection that cannot be set up closes its files",
        (("config/sqlite.py", "            self.close()\n", ""),),
        "tests/test_settings.py -k leaves_no_file_open",
    ),
    "all-or-none-sending": Protection(
        "notices and postings are stored in one transaction",
        (
            (
                LOG,
                "        with transaction.atomic(), prepared():\n            done",
                "        with nullcontext():\n            done",
            ),
            (LOG, "import functools\n", "import functools\nfrom contextlib import nullcontext\n"),
        ),
        "tests/test_sending.py -k half",
    ),
    "loop-watch": Protection(
        "a process that stood still says so",
        (("notifications/live/rounds.py", "if late > STILL_SECONDS:", "if False:"),),
        "event-loop-blocked",
    ),
    "access-bells": Protection(
        "a change of an account rings",
        (("notifications/apps.py", "        access_bells.listen()\n", "        del access_bells\n"),),
        "tests/live/test_access_changes.py -k uvicorn",
    ),
    "access-look": Protection(
        "everybody's access is looked at now and then",
        (
            (
                "notifications/live/warden.py",
                "                self._everybody = True\n                self._forget",
                "                self._forget",
            ),
        ),
        "tests/live/test_access_changes.py -k no_signal",
    ),
    "stamp": Protection(
        "a page that comes back with another stamp is not continued",
        (
            (
                "notifications/live/consumers.py",
                'known = known and stamp in ("", standing.stamp)',
                "known = bool(known)",
            ),
        ),
        "tests/test_page_state.py",
    ),
    "reading-in-order": Protection(
        "changes of read state are told in their order, and a lost one is made up for",
        ((CONNECTION, "missed_some = change > self.changes + 1", "missed_some = False"),),
        "tests/test_page_state.py",
    ),
    "page-limit": Protection(
        "twenty pages for each person, on all processes together",
        (("notifications/live/crowd.py", "        return sum(\n", "        return 0 * sum(\n"),),
        "tests/live/test_crowd.py",
    ),
    "late-refusals": Protection(
        "whoever has too many pages, and keeps knocking, is answered 3 s later",
        (("notifications/live/crowd.py", "        if self._lingering >= LINGERING:\n", "        if True:\n"),),
        "attacked",
    ),
    "rate-limit": Protection(
        "a page that sends too many frames is closed",
        (("notifications/live/rate.py", "return self._tokens < 0", "return False"),),
        "tests/live/test_notices.py -k too_many_frames",
    ),
    "stuck-pages": Protection(
        "a page that takes nothing for 30 s is closed, and its transport cut",
        ((CONNECTION, "if now - self._blocked_since > STUCK_SECONDS:", "if False:"),),
        "tests/test_connection.py -k reads_nothing",
    ),
    "database-away": Protection(
        "a hub that cannot read the log tries again",
        (
            (
                HUB,
                '            except DatabaseError as error:\n                logger.warning("No answer',
                '            except ZeroDivisionError as error:\n                logger.warning("No answer',
            ),
        ),
        "postgresql-restarted",
    ),
    "clear-errors": Protection(
        "a form says 503 and why, when the database takes nothing",
        (
            (
                "config/errors.py",
                "    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):\n",
                "    if True:\n",
            ),
        ),
        "disk-full",
    ),
    "prompt-requests": Protection(
        "a request that is never finished is given up",
        (("notifications/live/http.py", "call_later(REQUEST_SECONDS,", "call_later(1e6,"),),
        "tests/test_http.py -k never_finished",
    ),
}


def run_without(name: str, seed: int) -> int:
    """Run the proof in a copy without the protection. Returns 0 if it failed there, as it has to."""
    names = list(PROTECTIONS) if name == "all" else [name]
    outcomes = {each: _fails_without(each, seed) for each in names}
    print("\n| protection removed | proof | what happened |\n| --- | --- | --- |")
    for each, (failed, words) in outcomes.items():
        protection = PROTECTIONS[each]
        print(f"| {protection.what} | `{protection.proof}` | {'' if failed else '**not noticed** '}{words} |")
    return 0 if all(failed for failed, _ in outcomes.values()) else 1


def _fails_without(name: str, seed: int) -> tuple[bool, str]:
    protection = PROTECTIONS[name]
    print(f"without: {protection.what} …", flush=True)
    with tempfile.TemporaryDirectory(prefix="broken-") as folder:
        copy = Path(folder)
        _copy_project(copy)
        for file, old, new in protection.changes:
            _replace(copy / file, old, new)
        done = subprocess.run(
            _command(protection.proof, seed),
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    words = _summary(done.stdout)
    print(f"  {'it failed, as it should' if done.returncode else 'IT PASSED'}: {words}", flush=True)
    return done.returncode != 0, words


def _command(proof: str, seed: int) -> list[str]:
    if proof.startswith("tests/"):
        return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *proof.split(maxsplit=2)]
    return [sys.executable, "-m", "tests.faults", proof, "--seed", str(seed), "--once"]


def _copy_project(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file.name} has no {old!r} any more: tests/faults/broken.py has to follow"
    file.write_text(text.replace(old, new))


def _summary(output: str) -> str:
    """The failures in a few words: the checker's counts, or pytest's last lines."""
    lines = output.strip().splitlines()
    faults = [line.strip() for line in lines if line.startswith("    ") and ": " in line][:3]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))][:2]
    return "; ".join(failed or faults or lines[-1:])[:300].replace("|", "/")
