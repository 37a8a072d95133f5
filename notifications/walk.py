"""Which of a million notices are the newest for one person? A walk through the log from its end.

It looks at windows of the log, each 8 times as wide as the one before, until it has found what is wanted. Who is in a
busy audience finds it in the first or second; for others a million positions are five looks into one index. What was
archived, and what was marked unread though a read mark stands above it, is found from the receipts that say so.

Its SQL stands here as text: Django spends 1 ms on putting such a query together (and 2 with 300 audiences), which the
database answers in 0.2. What it finds is by definition what `inbox.visible_to` holds; a test compares the two.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from notifications.audiences import EVERYONE
from notifications.filters import EVERYTHING, Filter
from notifications.models import Notice, Posting, Receipt

WIDER = 8  # positions in the first window for each notice that is wanted; and how many times wider the next one is
WIDEST = 65_536  # where most of what is looked at may be left out: so a search can stop, and say how far it came
FIRST_SEARCHED = 64  # positions in the first window in which words are searched for: one may cost some milliseconds
LEAST_SECONDS = 0.05  # for a query, however late it is begun
STEPS = 100  # of SQLite’s machine, a few notices, between two looks at the clock; a word may cost 6 ms in each

NOTICE, POSTING, RECEIPT = (model._meta.db_table for model in (Notice, Posting, Receipt))
# The innermost query looks up one notice for each position. As a join, PostgreSQL would rather read every notice of the
# window: 17 ms for 64,000 positions with 900 notices for somebody, and 4 like this.
FIND = f"""
    SELECT id FROM (
      SELECT published, (
        SELECT id FROM {NOTICE} AS notice
        WHERE published = shown.published AND recalled_at IS NULL AND (expires_at IS NULL OR expires_at > %s) AND {{}}
      ) AS id
      FROM (SELECT DISTINCT published FROM {POSTING} WHERE {{}} {{}}) AS shown
    ) AS found
    WHERE id IS NOT NULL {{}} LIMIT %s
"""
# Of the receipts that say something about one person's notices: those that are live, and still for them. Here, too,
# PostgreSQL would rather join all of them: 390 ms for the newest thousand of 54,000.
FIND_AMONG = f"""
    SELECT id FROM (
      SELECT published, (
        SELECT id FROM {NOTICE} AS notice
        WHERE id = receipt.notice_id AND recalled_at IS NULL AND (expires_at IS NULL OR expires_at > %s) AND {{}}
          AND EXISTS (SELECT 1 FROM {POSTING} WHERE notice_id = notice.id AND ({{}}))
      ) AS id
      FROM {RECEIPT} AS receipt
      WHERE user_id = %s AND {{}} AND published > %s AND published <= %s
    ) AS found
    WHERE id IS NOT NULL ORDER BY published DESC LIMIT %s
"""
# The kinds of receipts that have an index each.
ARCHIVED, SEEN, MARKED_UNREAD = "archived_at IS NOT NULL", "read_at IS NULL", "unread_change IS NOT NULL"
NEWEST_FIRST = "ORDER BY published DESC"


@dataclass(frozen=True, slots=True)
class Walker:
    """For whom the log is searched."""

    user_id: int
    audiences: frozenset[str]
    joined: int  # what was published to everyone up to here is not theirs
    read_through: int = 0  # everything up to here is read,
    through_change: int = 0  # but for what a later change marked unread
    seen_floor: int = 0  # everything up to here was seen; never below `read_through`

    def among(self, audience: str) -> Walker:
        """The same, of whom only one audience is asked; all of them where it is empty."""
        return replace(self, audiences=self.audiences & {audience}) if audience else self


@dataclass(frozen=True, slots=True)
class Found:
    """Ids of notices, newest first, and how far the log was looked at: everything published above `down_to`."""

    ids: list[int]
    down_to: int


class Clause:
    """A piece of SQL and the values for it."""

    def __init__(self, text: str, *values: Any) -> None:
        self.text, self.values = text, values

    def __and__(self, other: Clause) -> Clause:
        return Clause(f"{self.text} AND {other.text}", *self.values, *other.values)


ANY = Clause("TRUE")


def newest(
    walker: Walker,
    through: int,
    limit: int,
    wanted: Filter = EVERYTHING,
    *,
    but: Clause = ANY,
    patience: float = float("inf"),
) -> Found:
    """The newest live notices for them, published up to ``through``: ``limit`` at the most.

    ``but`` leaves out some more. After ``patience``, in seconds, no further window is begun, and one in which words are
    searched for is given up.
    """
    walker = walker.among(wanted.audience)
    wish = _fits(wanted) & but
    search = Search(limit, patience, has_words=bool(wanted.words))
    if wanted.tab == "archived":
        return search.look_among(walker, Clause(ARCHIVED), through, wish)
    bottom, state = (walker.read_through, _unread(walker)) if wanted.tab == "unread" else (0, _kept(walker))
    found = search.look(walker, bottom, through, wish & state)
    if wanted.tab == "unread" and found.down_to <= bottom and len(found.ids) < limit:
        return search.look_among(walker, _marked_since(walker), min(through, bottom), wish)
    return found


def count_unread(walker: Walker, through: int, most: int) -> tuple[int, int]:
    """How many live notices for them, published up to ``through``, are unread, and how many unseen: each ``most``.

    What is unseen is counted in the log, above the person's marks. Of what was seen and is unread, that which stands
    above them has receipts that say so; what stands between the two marks is counted in the log, too.
    """
    mark, floor = walker.read_through, max(walker.read_through, walker.seen_floor)
    count = not_seen = _count(walker, floor, through, most, unseen(walker))
    if count < most:
        count += _count(walker, mark, min(floor, through), most - count, _unread(walker))
    if count < most:
        has_seen, has_marked = _has_receipts(walker)
        if has_seen:
            count += len(_ids(_among(walker, Clause(SEEN), floor, through, most - count)))
        if has_marked:
            count += len(_ids(_marked_unread(walker, min(mark, through), most - count)))
    return count, not_seen


def _has_receipts(walker: Walker) -> tuple[bool, bool]:
    """Whether something above both marks was seen and not read, and something below the read mark marked unread.

    Most people have neither, and this is asked much sooner than how many.
    """
    seen = f"EXISTS (SELECT 1 FROM {RECEIPT} WHERE user_id = %s AND {SEEN} AND published > %s)"
    marked = f"EXISTS (SELECT 1 FROM {RECEIPT} WHERE user_id = %s AND {MARKED_UNREAD} AND unread_change > %s)"
    values = walker.user_id, max(walker.read_through, walker.seen_floor), walker.user_id, walker.through_change
    [(has_seen, has_marked)] = _ask(Clause(f"SELECT {seen}, {marked}", *values))
    return bool(has_seen), bool(has_marked)


def count_all(walker: Walker, through: int, most: int) -> int:
    """How many live notices for them are in their inbox: ``most`` at the most."""
    return _count(walker, 0, through, most, _kept(walker))


def count_archived(walker: Walker, through: int, most: int) -> int:
    """How many live notices for them are archived: ``most`` at the most."""
    return len(_ids(_among(walker, Clause(ARCHIVED), 0, through, most)))


# What is wanted of them -----------------------------------------------------------------------------------


def _unread(walker: Walker) -> Clause:
    """Without a receipt that says it was read; only for what was published above the read mark."""
    return Clause(f"NOT EXISTS ({_receipt('read_at IS NOT NULL')})", walker.user_id)


def unseen(walker: Walker) -> Clause:
    """Published above both marks, and without any receipt."""
    return Clause(f"notice.published > %s AND NOT EXISTS ({_receipt('TRUE')})", walker.seen_floor, walker.user_id)


def read(walker: Walker) -> Clause:
    """By a receipt or by the read mark, and not marked unread since."""
    marked_since = _receipt("unread_change > %s")
    text = f"(EXISTS ({_receipt('read_at IS NOT NULL')}) OR notice.published <= %s AND NOT EXISTS ({marked_since}))"
    return Clause(text, walker.user_id, walker.read_through, walker.user_id, walker.through_change)


def _kept(walker: Walker) -> Clause:
    """Not archived; by the small index of what is."""
    here = "published = notice.published AND archived_at IS NOT NULL"
    return Clause(f"NOT EXISTS (SELECT 1 FROM {RECEIPT} WHERE user_id = %s AND {here})", walker.user_id)


def _receipt(condition: str) -> str:
    return f"SELECT 1 FROM {RECEIPT} WHERE user_id = %s AND notice_id = notice.id AND {condition}"


def _fits(wanted: Filter) -> Clause:
    """Its level, and the words that are searched for."""
    clause = Clause("level = %s", wanted.level) if wanted.level else ANY
    for word in wanted.words:
        clause &= _says(word)
    return clause


def _says(word: str) -> Clause:
    """Title or body has the word, in capitals or not."""
    is_postgresql = connection.vendor == "postgresql"
    if word.isascii():
        operator, pattern = ("ILIKE %s" if is_postgresql else r"LIKE %s ESCAPE '\'"), _escaped(word)
    else:  # SQLite knows no capitals but those of ASCII, nor does PostgreSQL in the locale "C"
        pattern = "".join(map(_either_case, word))
        operator, pattern = ("~ %s", pattern) if is_postgresql else ("GLOB %s", f"*{pattern}*")
    return Clause(f"(title {operator} OR body {operator})", pattern, pattern)


def _escaped(word: str) -> str:
    for wildcard in "\\%_":
        word = word.replace(wildcard, f"\\{wildcard}")
    return f"%{word}%"


def _either_case(character: str) -> str:
    """What stands in a GLOB, and in a regular expression, for this character, whether small or capital."""
    forms = {form for form in (character, character.lower(), character.upper(), character.title()) if len(form) == 1}
    if len(forms) == 1 and (connection.vendor == "postgresql"):
        return re.escape(character)
    return f"[{''.join(sorted(forms))}]" if len(forms) > 1 or character in "*?[" else character


# Looking --------------------------------------------------------------------------------------------------


class TooLong(Exception):
    """A query was given up at its deadline."""


class Search:
    """Looks for the newest ``limit`` notices window by window, for about ``patience`` seconds.

    A window that is given up counts as not looked at. Where it was the first one, its half is tried, so that whoever
    goes on from where a search stopped comes to an end.
    """

    def __init__(self, limit: int, patience: float, *, has_words: bool) -> None:
        self._limit, self._patience = limit, patience
        self._has_deadline = has_words and patience < float("inf")
        self._width = FIRST_SEARCHED if self._has_deadline else limit * WIDER
        self._widest = WIDEST if patience < float("inf") else sys.maxsize
        self._ends = time.monotonic() + patience
        self._ids: list[int] = []

    def look(self, walker: Walker, after: int, through: int, wish: Clause) -> Found:
        """The newest notices in (``after``, ``through``] that are as they are wished."""
        if not walker.audiences or after >= through:
            return Found(self._ids, after)

        def find(first: int, last: int, limit: int) -> Clause:
            return _find(_put_up(walker, first, last), wish, limit, NEWEST_FIRST)

        return self._go(after, through, walker.joined, find)

    def look_among(self, walker: Walker, kind: Clause, through: int, wish: Clause) -> Found:
        """The same of those that have receipts of this ``kind``, down to the beginning of the log."""
        if not self._has_deadline:
            self._ids += _ids(_among(walker, kind, 0, through, self._limit - len(self._ids), wish))
            return Found(self._ids, 0)
        return self._go(0, through, 0, functools.partial(_among, walker, kind, wish=wish))

    def _go(self, after: int, through: int, edge: int, find: Callable[[int, int, int], Clause]) -> Found:
        begun, width = through, self._width
        while through > after:
            first = _end_of_piece(after, through, edge, width)
            try:
                self._ids += self._ask(find(first, through, self._limit - len(self._ids)), is_last=through - first == 1)
            except TooLong:
                if through < begun or self._ids:
                    return Found(self._ids, through)
                width = max(1, (through - first) // 2)
                continue
            if len(self._ids) == self._limit or time.monotonic() > self._ends:
                return Found(self._ids, first)
            through, width = first, max(width, min(width * WIDER, self._widest))
        return Found(self._ids, after)

    def _ask(self, query: Clause, *, is_last: bool) -> list[int]:
        """Raises `TooLong`, but not for a single notice: else nobody would ever come past it."""
        if not self._has_deadline or is_last:
            return _ids(query)
        with _deadline(max(self._ends - time.monotonic(), LEAST_SECONDS)):
            return _ids(query)


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Give up what is asked within this block after so many seconds. Raises `TooLong` then."""
    try:
        with _sqlite_deadline(seconds) if connection.vendor == "sqlite" else _postgresql_deadline(seconds):
            yield
    except OperationalError as error:
        is_canceled = getattr(error.__cause__, "sqlstate", None) == "57014"  # query_canceled
        is_interrupted = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
        if not (is_canceled or is_interrupted):
            raise
        raise TooLong from error


@contextmanager
def _sqlite_deadline(seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    ends, raw = time.monotonic() + seconds, connection.connection
    raw.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


@contextmanager
def _postgresql_deadline(seconds: float) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:  # a savepoint, where there is a transaction
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds * 1000:.0f}ms"])
        yield
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")  # for the rest of that transaction


def _count(walker: Walker, after: int, through: int, most: int, wish: Clause) -> int:
    count = 0
    if not walker.audiences:
        return 0
    for first, last in _pieces(after, through, walker.joined, most * WIDER):
        found = _find(_put_up(walker, first, last), wish, most - count)
        [(more,)] = _ask(Clause(f"SELECT COUNT(*) FROM ({found.text}) AS found", *found.values))
        count += more
        if count == most:
            break
    return count


def _find(put_up: Clause, wish: Clause, limit: int, order: str = "") -> Clause:
    text = FIND.format(wish.text, put_up.text, order, order)
    return Clause(text, _sql(timezone.now()), *wish.values, *put_up.values, limit)


def _marked_unread(walker: Walker, through: int, limit: int) -> Clause:
    """Of what the read mark says is read, the newest that were marked unread since."""
    return _among(walker, _marked_since(walker), 0, through, limit)


def _marked_since(walker: Walker) -> Clause:
    return Clause(f"{MARKED_UNREAD} AND unread_change > %s", walker.through_change)


def _among(walker: Walker, kind: Clause, after: int, through: int, limit: int, wish: Clause = ANY) -> Clause:
    """The newest notices published in (``after``, ``through``] with receipts of one ``kind``, which has its index."""
    mine = _is_for(walker)
    text = FIND_AMONG.format(wish.text, mine.text, kind.text)
    notices = _sql(timezone.now()), *wish.values, *mine.values
    return Clause(text, *notices, walker.user_id, *kind.values, after, through, limit)


def _is_for(walker: Walker) -> Clause:
    """A posting of a notice puts it up for them."""
    others = sorted(walker.audiences - {str(EVERYONE)})
    mine = Clause(f"audience IN ({_marks(others)})", *others)
    if str(EVERYONE) not in walker.audiences:
        return mine
    since = Clause("audience = %s AND notice.published > %s", str(EVERYONE), walker.joined)
    return Clause(f"{mine.text} OR {since.text}", *mine.values, *since.values)


def _pieces(after: int, through: int, edge: int, width: int) -> Iterator[tuple[int, int]]:
    """(``after``, ``through``] in pieces from the end, each `WIDER` than the one before; none crosses the edge."""
    while through > after:
        first = _end_of_piece(after, through, edge, width)
        yield first, through
        through, width = first, width * WIDER


def _end_of_piece(after: int, through: int, edge: int, width: int) -> int:
    return max(after, through - width, edge if edge < through else 0)


def _put_up(walker: Walker, after: int, through: int) -> Clause:
    """Postings for them of notices published in (``after``, ``through``], which lies on one side of `joined`."""
    audiences = sorted(walker.audiences if after >= walker.joined else walker.audiences - {str(EVERYONE)})
    condition = f"audience IN ({_marks(audiences)}) AND published > %s AND published <= %s"
    return Clause(condition, *audiences, after, through)


def _marks(values: Collection[str]) -> str:
    return ", ".join(["%s"] * len(values)) or "NULL"


def _ids(query: Clause) -> list[int]:
    return [pk for (pk,) in _ask(query)]


def _sql(moment: datetime) -> Any:
    """A moment as this database compares it."""
    return connection.ops.adapt_datetimefield_value(moment)


def _ask(query: Clause) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query.text, query.values)
        return list(cursor.fetchall())
