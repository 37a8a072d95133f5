"""What should each reader have seen, and what did it see? No I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.faults.history import Seen, Sent


@dataclass(frozen=True)
class Entry:
    """One notice, as the database knows it when all is over."""

    id: int
    title: str
    audiences: frozenset[str]
    published: int | None
    position: int | None
    recalled: bool
    ends: bool  # it has expired, or may have during the run
    key: str = ""


@dataclass(frozen=True)
class Ledger:
    """Everything that the database knows: the truth that readers are compared with."""

    head: int
    entries: list[Entry]

    @cached_property
    def by_id(self) -> dict[int, Entry]:
        return {entry.id: entry for entry in self.entries}

    def for_audiences(self, audiences: frozenset[str]) -> list[tuple[int, int]]:
        """`(published, id)` of what must be seen by somebody in these audiences, oldest first."""
        return sorted(
            (entry.published, entry.id)
            for entry in self.entries
            if entry.published and entry.audiences & audiences and not entry.recalled and not entry.ends
        )

    def skipped_positions(self) -> list[int]:
        """Positions that were given to nobody: each notice takes one when it appears, and one when it is recalled."""
        taken = {entry.published for entry in self.entries} | {entry.position for entry in self.entries}
        return [position for position in range(1, self.head + 1) if position not in taken]


@dataclass
class Verdict:
    """Lists of what went wrong, in words; all empty is a pass. And how late notices were."""

    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    rolled_back: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    broken_promises: list[str] = field(default_factory=list)
    readers: int = 0
    notices: int = 0
    frames: int = 0
    replayed: int = 0
    resets: int = 0
    delays: list[float] = field(default_factory=list)  # of frames that came while connected
    figures: dict[str, float] = field(default_factory=dict)  # what else was measured

    @property
    def faults(self) -> dict[str, list[str]]:
        names = (
            "missing",
            "doubled",
            "disordered",
            "leaked",
            "rolled_back",
            "skipped",
            "lost",
            "behind",
            "broken_promises",
        )
        return {name: getattr(self, name) for name in names}

    @property
    def only_late(self) -> bool:
        """Nothing is wrong but promises of time; a guarantee that was broken once is never tried again."""
        return bool(self.broken_promises) and not any(
            self.faults[name] for name in self.faults if name != "broken_promises"
        )

    @property
    def passed(self) -> bool:
        return not any(self.faults.values())


class Page:
    """One reader's page, followed through its history."""

    def __init__(self, reader: int, person: str) -> None:
        self.reader, self.person = reader, person
        self.place: int | None = None  # everything up to here is shown, if it was for this reader
        self.spans: list[tuple[int, int]] = []  # of the log that the socket has brought, each continued where it began
        self.got: dict[int, int] = {}  # position → notice, from the socket
        self.shown: dict[int, int] = {}  # notice → its position, as shown now
        self._welcomed_at = 0.0

    @property
    def name(self) -> str:
        return f"reader {self.reader} ({self.person})"

    def take(self, seen: Seen, verdict: Verdict, ledger: Ledger, audiences: frozenset[str]) -> None:
        match seen.kind:
            case "open":
                self._welcomed_at = 0
            case "welcome":
                self._welcomed(seen, verdict)
            case "notice":
                self._notice(seen, verdict, ledger, audiences)
            case "beat":
                self._reach(seen.position)
            case "reset":
                verdict.resets += 1
                self.place = None
            case "page":
                self.place = seen.position
                self.spans.append((seen.position, seen.position))
                self.shown = dict(seen.rows or [])

    def _welcomed(self, seen: Seen, verdict: Verdict) -> None:
        self._welcomed_at = seen.at
        if self.place is None:  # it begins where the server says: it had no cursor, or a reset follows
            self.place = seen.position
            self.spans.append((seen.position, seen.position))
        elif not seen.flag:
            self.place = None  # a reset must follow; until then whatever comes proves nothing
        elif seen.position != self.place:
            verdict.disordered.append(f"{self.name}: continued after {seen.position} instead of {self.place}")

    def _notice(self, seen: Seen, verdict: Verdict, ledger: Ledger, audiences: frozenset[str]) -> None:
        verdict.frames += 1
        entry = ledger.by_id.get(seen.notice)
        if entry is None:
            verdict.rolled_back.append(f"{self.name}: notice {seen.notice}, which is not in the database")
        elif not entry.audiences & audiences:
            verdict.leaked.append(f"{self.name}: {entry.title!r} for {sorted(entry.audiences)}")
        if self.place is None:
            return
        if seen.position in self.got:
            verdict.doubled.append(f"{self.name}: position {seen.position} again")
        elif seen.position <= self.place:
            verdict.disordered.append(f"{self.name}: position {seen.position} after {self.place}")
        self.got[seen.position] = seen.notice
        if seen.flag:
            self.shown.pop(seen.notice, None)
        else:
            self.shown[seen.notice] = seen.position
        if seen.sent <= self._welcomed_at:
            verdict.replayed += 1
        elif not seen.flag:
            verdict.delays.append(seen.at - seen.sent)
        self._reach(seen.position)

    def _reach(self, position: int) -> None:
        if self.place is not None and position > self.place:
            self.place = position
            self.spans[-1] = (self.spans[-1][0], position)

    def check(self, verdict: Verdict, ledger: Ledger, mine: list[tuple[int, int]]) -> None:
        """Whether everything that was for this reader in the spans it has followed was brought."""
        for begin, end in self.spans:
            first, last = bisect_right(mine, (begin, 1 << 62)), bisect_right(mine, (end, 1 << 62))
            for published, notice in mine[first:last]:
                if self.got.get(published) != notice:
                    verdict.missing.append(f"{self.name}: {ledger.by_id[notice].title!r} at {published}")
        for notice in self.shown:
            entry = ledger.by_id.get(notice)
            if entry is None:
                verdict.rolled_back.append(f"{self.name}: shows notice {notice}, which is not in the database")
            if entry and entry.recalled and entry.position and self.place and entry.position <= self.place:
                verdict.missing.append(f"{self.name}: the recall of {entry.title!r}")
        if self.place is None or self.place < ledger.head:
            verdict.behind.append(f"{self.name}: at {self.place}, the log is at {ledger.head}")


def judge(
    ledger: Ledger,
    people: dict[str, frozenset[str]],
    readers: dict[int, str],
    seen: Iterable[Seen],
    sent: Iterable[Sent],
) -> Verdict:
    """Compare what ``readers`` (number → person) have seen with the ``ledger``, and that with what writers sent."""
    verdict = Verdict(readers=len(readers), notices=sum(entry.published is not None for entry in ledger.entries))
    pages = {number: Page(number, person) for number, person in readers.items()}
    for event in seen:
        if page := pages.get(event.reader):
            page.take(event, verdict, ledger, people[page.person])
    expected = {audiences: ledger.for_audiences(audiences) for audiences in set(people.values())}
    for page in pages.values():
        page.check(verdict, ledger, expected[people[page.person]])
    _check_sending(ledger, sent, verdict)
    return verdict


def _check_sending(ledger: Ledger, sent: Iterable[Sent], verdict: Verdict) -> None:
    stored = {entry.title: entry for entry in ledger.entries}
    for each in sent:
        entry = stored.get(each.title)
        if each.outcome == "accepted" and entry is None:
            verdict.lost.append(f"{each.door} was told that {each.title!r} is stored; it is not")
        elif each.outcome in ("rolled back", "refused") and entry is not None:
            verdict.rolled_back.append(f"{each.door}: {each.title!r} is stored although it was {each.outcome}")
    _check_keys(ledger, verdict)
    for entry in ledger.entries:  # also what a sender has stored that died before it could write that down
        if entry.published is None and not entry.recalled and not entry.ends:
            verdict.lost.append(f"{entry.title!r} is stored, and was never published")
        elif entry.published is not None and entry.recalled and entry.position in (None, entry.published):
            verdict.lost.append(f"the recall of {entry.title!r} is stored, and was never published")
    verdict.skipped += [f"position {position}" for position in ledger.skipped_positions()]


def _check_keys(ledger: Ledger, verdict: Verdict) -> None:
    """A newer notice takes the place of an earlier one with its key and audiences: only one of them is live."""
    live: dict[tuple[str, frozenset[str]], str] = {}
    for entry in ledger.entries:
        if not entry.key or entry.published is None or entry.recalled or entry.ends:
            continue
        other = live.setdefault((entry.key, entry.audiences), entry.title)
        if other != entry.title:
            both = f"{other!r} and {entry.title!r}"
            verdict.doubled.append(f"{both} are both live, with the key {entry.key!r} for {sorted(entry.audiences)}")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def summary(verdict: Verdict) -> dict[str, Any]:
    """One row of the table."""
    return {
        "readers": verdict.readers,
        "notices": verdict.notices,
        "frames": verdict.frames,
        "replayed": verdict.replayed,
        "resets": verdict.resets,
        **{name: len(found) for name, found in verdict.faults.items()},
        "p50_ms": round(percentile(verdict.delays, 0.5) * 1000, 1),
        "p99_ms": round(percentile(verdict.delays, 0.99) * 1000, 1),
        "longest_s": round(max(verdict.delays, default=0), 2),
    }
