"""A long-lived process that sends notices, as another service of the house would: `python -m bench.sender`.

Reads a line of JSON from stdin, [function, arguments]; answers with the result and the CPU time it took.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.filling import MEMBERS_OF_MANY, fill  # noqa: E402, F401
from bench.marks import mark  # noqa: E402
from bench.results import percentile  # noqa: E402
from notifications import inbox, log  # noqa: E402
from notifications.models import Posting, ReadMark  # noqa: E402
from notifications.sending import Draft, send_notice, send_notices  # noqa: E402

BATCH = 5000
PAGE_SIZE = 50  # of the inbox


def people(count: int) -> list[str]:
    """Make so many people, each signed in once. Returns their sessions' keys."""
    backend = "django.contrib.auth.backends.ModelBackend"
    begin = User.objects.count()
    names = [f"person-{number}" for number in range(begin, begin + count)]
    users = User.objects.bulk_create([User(username=name, password="!") for name in names], batch_size=BATCH)
    ReadMark.objects.bulk_create([ReadMark(user=user, joined=0) for user in users], batch_size=BATCH)
    store, ends = SessionStore(), timezone.now() + timedelta(days=14)
    rows = []
    for user in users:
        data = {SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: backend, HASH_SESSION_KEY: user.get_session_auth_hash()}
        key = f"{user.pk:032d}"
        rows.append(Session(session_key=key, session_data=store.encode(data), expire_date=ends))
    Session.objects.bulk_create(rows, batch_size=BATCH)
    return [row.session_key for row in rows]


def places(count: int) -> list[tuple[str, str]]:
    """Cursor and stamp of the first so many people's pages."""
    users = list(User.objects.order_by("pk")[:count])
    found: dict[int, inbox.Standing] = {}
    for first in range(0, count, 500):
        found |= inbox.standings_of(users[first : first + 500])
    return [(str(found[user.pk].place), found[user.pk].stamp) for user in users]


def send(count: int) -> None:
    """So many notices, one after the other."""
    for _ in range(count):
        send_notice(title=mark(), audiences=["everyone"])


def send_to(user: int) -> None:
    """A notice for one person."""
    send_notice(title=mark(), audiences=[f"user:{user}"])


def newest_person() -> int:
    return User.objects.latest("pk").pk


def newest_broadcast() -> int:
    return Posting.objects.filter(audience="everyone").latest("published").published or 0


def behind(through: int) -> int:
    """How many people have not seen everything up to there."""
    return User.objects.exclude(read_mark__seen_through__gte=through).count()


def burst(count: int) -> None:
    """So many notices in one call."""
    send_notices([Draft(title=mark(), audiences=["everyone"]) for _ in range(count)])


def send_for(seconds: float) -> int:
    """One after the other for so long. Returns how many."""
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        send(1)
        count += 1
    return count


def send_to_each(count: int, key: str = "") -> float:
    """As many notices for as many different people in one call. Returns the seconds until all are published."""
    users = User.objects.order_by("pk").values_list("pk", flat=True)[:count]
    drafts = [Draft(title=mark(), audiences=[f"user:{pk}"], key=key) for pk in users]
    began = time.monotonic()
    send_notices(drafts)
    return time.monotonic() - began


def queries_of_one(times: int = 20, key: str = "") -> tuple[int, float]:
    """Of a notice to everyone, or of one with a key that supersedes another of somebody's: queries, and median ms."""
    audiences = [f"user:{newest_person()}"] if key else ["everyone"]
    took = []
    for _ in range(times + 1):  # the first one supersedes nothing
        began = time.perf_counter()
        send_notice(title=mark(), audiences=audiences, key=key)
        took.append(time.perf_counter() - began)
    with CaptureQueriesContext(connection) as queries:
        send_notice(title=mark(), audiences=audiences, key=key)
    return len(queries), sorted(took[1:])[times // 2] * 1000


def read_inboxes(groups: int, times: int) -> list[list[float]]:
    """What the inbox page asks, and the unread count, for people in so many groups; p50 and p95 of each, in ms."""
    ids = MEMBERS_OF_MANY.get(groups) or range(7, User.objects.count(), max(1, User.objects.count() // times))
    people = list(User.objects.filter(pk__in=ids))
    found: list[list[float]] = [[], []]
    for user in itertools.islice(itertools.cycle(people), times):
        started = time.perf_counter()
        standing = inbox.standings_of([user])[user.pk]
        inbox.newest(user, standing, PAGE_SIZE + 1)
        paged = time.perf_counter()
        inbox.with_unread(user, standing)
        found[0].append((paged - started) * 1000)
        found[1].append((time.perf_counter() - paged) * 1000)
    return [[percentile(took, 0.5), percentile(took, 0.95)] for took in found]


def head() -> int:
    return log.head().position


def main() -> None:
    for line in sys.stdin:
        function, arguments = json.loads(line)
        before = time.process_time()
        result: Any = globals()[function](*arguments)
        print(json.dumps([result, time.process_time() - before]), flush=True)


if __name__ == "__main__":
    main()
