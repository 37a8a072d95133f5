"""Which of a million notices are the newest for one person? A walk through the log from its end.

It looks at windows of the log, each 8 times as wide as the one before, until it has found what is wanted. Who is in a
busy audience finds it in the first or second; for others a million positions are five looks into one index.

Its SQL stands here as text: Django spends 1 ms on putting such a query together (and 2 with 300 audiences), which the
database answers in 0.2. What it finds is by definition what `inbox.visible_to` holds; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from notifications.audiences import EVERYONE
from notifications.models import Notice, Posting, Receipt

WIDER = 8  # positions in the first window for each notice that is wanted; and how many times wider the next one is
CLOCKS_APART = timedelta(days=1)  # no two clocks of machines that publish are further apart

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
NEWEST_FIRST = "ORDER BY published DESC"
LAST_BEFORE = f"(SELECT published FROM {NOTICE} WHERE published_at < %s ORDER BY published_at DESC LIMIT 1)"
FIRST_SINCE = f"(SELECT published FROM {NOTICE} WHERE published_at >= %s ORDER BY published_at LIMIT 1)"


@dataclass(frozen=True, slots=True)
class Walker:
    """For whom the log is searched."""

    user_id: int
    audiences: frozenset[str]
    joined_at: datetime  # what was published to everyone before that is not theirs


class Clause:
    """A piece of SQL and the values for it."""

    def __init__(self, text: str, *values: Any) -> None:
        self.text, self.values = text, values


def newest(walker: Walker, through: int, limit: int) -> list[int]:
    """The ids of the newest live notices for them, published up to ``through``: newest first, ``limit`` at the most."""
    found: list[int] = []
    for put_up, condition in _windows(walker, 0, through, limit * WIDER):
        found += [pk for (pk,) in _ask(_find(put_up, condition, limit - len(found), NEWEST_FIRST))]
        if len(found) == limit:
            break
    return found


def count_unread(walker: Walker, after: int, through: int, most: int) -> int:
    """How many live notices for them, published in (``after``, ``through``], have no receipt: ``most`` at the most."""
    unread = f"NOT EXISTS (SELECT 1 FROM {RECEIPT} WHERE user_id = %s AND notice_id = notice.id)"
    count = 0
    for put_up, condition in _windows(walker, after, through, most * WIDER):
        both = Clause(f"{condition.text} AND {unread}", *condition.values, walker.user_id)
        found = _find(put_up, both, most - count)
        [(more,)] = _ask(Clause(f"SELECT COUNT(*) FROM ({found.text}) AS unread", *found.values))
        count += more
        if count == most:
            break
    return count


def _find(put_up: Clause, condition: Clause, limit: int, order: str = "") -> Clause:
    text = FIND.format(condition.text, put_up.text, order, order)
    return Clause(text, _sql(timezone.now()), *condition.values, *put_up.values, limit)


def _windows(walker: Walker, after: int, through: int, width: int) -> Iterator[tuple[Clause, Clause]]:
    """For each window of (``after``, ``through``], newest first: which postings count, and which of their notices."""
    if not walker.audiences or after >= through:
        return
    early, sure = _places_around(walker.joined_at)
    others = sorted(walker.audiences - {str(EVERYONE)})
    for first, last in _pieces(after, through, (early, sure), width):
        to_others = _put_up(others, first, last)
        if last <= early:
            yield to_others, Clause("TRUE")
        elif first >= sure:
            yield _put_up(sorted(walker.audiences), first, last), Clause("TRUE")
        else:
            to_them_too = f"published IN (SELECT published FROM {POSTING} WHERE {to_others.text})"
            condition = Clause(f"(published_at >= %s OR {to_them_too})", _sql(walker.joined_at), *to_others.values)
            yield _put_up(sorted(walker.audiences), first, last), condition


def _pieces(after: int, through: int, edges: Collection[int], width: int) -> Iterator[tuple[int, int]]:
    """(``after``, ``through``] in pieces from the end, each `WIDER` than the one before; none crosses an edge."""
    while through > after:
        first = max(after, through - width, *(edge for edge in edges if edge < through))
        yield first, through
        through, width = first, width * WIDER


def _put_up(audiences: Collection[str], after: int, through: int) -> Clause:
    """Postings for these audiences of notices published in (``after``, ``through``]."""
    marks = ", ".join(["%s"] * len(audiences)) or "NULL"
    return Clause(f"audience IN ({marks}) AND published > %s AND published <= %s", *audiences, after, through)


def _places_around(moment: datetime) -> tuple[int, int]:
    """Two positions: all up to the first were published before ``moment``, all after the second then or later.

    What lies between them is decided one by one, because the clocks of several machines differ.
    """
    values = _sql(moment - CLOCKS_APART), _sql(moment + CLOCKS_APART)
    [(last_before, first_since)] = _ask(Clause(f"SELECT {LAST_BEFORE}, {FIRST_SINCE}", *values))
    return last_before or 0, sys.maxsize if first_since is None else first_since - 1


def _sql(moment: datetime) -> Any:
    """A moment as this database compares it."""
    return connection.ops.adapt_datetimefield_value(moment)


def _ask(query: Clause) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query.text, query.values)
        return list(cursor.fetchall())
