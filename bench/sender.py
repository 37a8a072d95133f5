"""A long-lived process that sends notices, as another service of the house would: `python -m bench.sender`.

Reads a line of JSON from stdin, [function, arguments]; answers with the result and the CPU time it took.
"""

from __future__ import annotations

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
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.marks import mark  # noqa: E402
from notifications import inbox, log  # noqa: E402
from notifications.models import Log  # noqa: E402
from notifications.sending import Draft, send_notice, send_notices  # noqa: E402

BATCH = 5000
MOMENT_IN_SQLITE = "datetime(%s, '+' || i || ' seconds')"


def people(count: int) -> list[str]:
    """Make so many people, each signed in once. Returns their sessions' keys."""
    backend = "django.contrib.auth.backends.ModelBackend"
    begin = User.objects.count()
    names = [f"person-{number}" for number in range(begin, begin + count)]
    users = User.objects.bulk_create([User(username=name, password="!") for name in names], batch_size=BATCH)
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


def send_to_each(count: int) -> float:
    """As many notices for as many different people in one call. Returns the seconds until all are published."""
    users = User.objects.order_by("pk").values_list("pk", flat=True)[:count]
    drafts = [Draft(title=mark(), audiences=[f"user:{pk}"]) for pk in users]
    began = time.monotonic()
    send_notices(drafts)
    return time.monotonic() - began


def queries_of_one(times: int = 20) -> tuple[int, float]:
    """Of a notice to everyone: the number of queries, and the median time in ms."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        send(1)
        took.append(time.perf_counter() - began)
    with CaptureQueriesContext(connection) as queries:
        send(1)
    return len(queries), sorted(took)[times // 2] * 1000


def fill(notices: int, users: int, audiences: int) -> None:
    """A database that has much: everyone, staff and groups; each notice for one of them, one in twenty for everyone.

    Each person is in two groups, and every second one has read up to somewhere in the last tenth. The first one is in
    all groups, the next ones in 1, 3, 10, 30 and 100.
    """
    groups = audiences - 2
    moment = "%s::timestamptz + i * interval '1 second'" if connection.vendor == "postgresql" else MOMENT_IN_SQLITE
    began = timezone.now() - timedelta(seconds=notices)
    series = "WITH RECURSIVE series(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < %s) "
    to = f"CASE WHEN i %% 20 = 0 THEN 'everyone' WHEN i %% 501 = 0 THEN 'staff' ELSE 'group:' || (1 + i * 7919 %% {groups}) END"
    joined = timezone.now() - timedelta(days=3650)
    with connection.cursor() as cursor, transaction.atomic():
        Group.objects.bulk_create(Group(id=1 + number, name=f"group-{number}") for number in range(groups))
        cursor.execute(
            "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,"
            f" date_joined) {series} SELECT i, '!', FALSE, 'person-' || i, '', '', '', FALSE, TRUE, %s FROM series",
            [users, joined],
        )
        cursor.execute(
            f"INSERT INTO notifications_notice (id, title, body, level, url, source, key, created_at, published_at, published,"
            f" position) {series} SELECT i, 'Notice ' || i, '', 'info', '', 'python', '', {moment}, {moment}, i, i FROM series",
            [notices, began, began],
        )
        cursor.execute(
            f"INSERT INTO notifications_posting (notice_id, audience, published) {series} SELECT i, {to}, i FROM series",
            [notices],
        )
        member = User.groups.through(user_id=0, group_id=0)._meta.db_table
        for place in ("1 + i * 31 %% ", "1 + (i * 17 + 1) %% "):
            cursor.execute(
                f"INSERT INTO {member} (user_id, group_id) {series} SELECT i, {place}{groups} FROM series WHERE i > 6"
                " ON CONFLICT DO NOTHING",
                [users],
            )
        for person, many in zip(range(1, 7), (groups, 1, 3, 10, 30, 100), strict=True):
            User.objects.get(pk=person).groups.set(range(1, 1 + min(many, groups)))
        cursor.execute(
            f"INSERT INTO notifications_readmark (user_id, through, changes) {series}"
            f" SELECT i, {notices} - i %% {max(1, notices // 10)}, 1 FROM series WHERE i %% 2 = 1 AND i > 6",
            [users],
        )
        Log.objects.update_or_create(pk=1, defaults={"head": notices})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


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
