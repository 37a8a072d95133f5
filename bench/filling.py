"""A database that has much, made in seconds. Django is set up by whoever calls."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.utils import timezone

from notifications.models import Log, Notice, Posting, ReadMark

SERIES = "WITH RECURSIVE series(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < %s)"
ALL = 298  # groups; with `everyone` and `staff` there are 300 audiences in use
# The first people, by the number of groups that they are in; everybody else is in two.
MEMBERS_OF_MANY = {ALL: [1], 1: [2], 3: [3], 10: [4], 30: [5], 100: [6]}


def fill(notices: int, users: int) -> None:
    """Notices for everyone (every twentieth), for staff, or for one of the groups; people who are in two of these.

    Every second person has read everything up to somewhere in the last tenth; the others nothing.
    """
    with transaction.atomic():
        Group.objects.bulk_create(Group(id=1 + number, name=f"group-{number}") for number in range(ALL))
        _fill_users(users)
        _fill_notices(notices)
        through = f"{notices} - i %% {max(1, notices // 10)}"
        readers = "i %% 2 = 1 AND i > 6"
        marks = f"i, CASE WHEN {readers} THEN {through} ELSE 0 END, CASE WHEN {readers} THEN 1 ELSE 0 END, 0"
        _insert(ReadMark, "user_id, through, changes, joined", marks, users)
        Log.objects.update_or_create(pk=1, defaults={"head": notices, "filled": notices})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _fill_users(users: int) -> None:
    columns = "id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined"
    values = "i, '!', FALSE, 'person-' || i, '', '', '', FALSE, TRUE, %s"
    _insert(User, columns, values, users, timezone.now() - timedelta(days=3650))
    for place in ("i * 31", "i * 17 + 1"):
        _insert(User.groups.through, "user_id, group_id", f"i, 1 + ({place}) %% {ALL}", users, where="i > 6")
    for many, members in MEMBERS_OF_MANY.items():
        User.objects.get(pk=members[0]).groups.set(range(1, 1 + many))


def _fill_notices(notices: int) -> None:
    began = timezone.now() - timedelta(seconds=notices)
    columns = "id, title, body, level, url, source, key, created_at, published_at, published, position"
    values = f"i, 'Notice ' || i, '', 'info', '', 'python', '', {_moment()}, {_moment()}, i, i"
    _insert(Notice, columns, values, notices, began, began)
    group = f"'group:' || (1 + i * 31 %% {ALL})"
    audience = f"CASE WHEN i %% 20 = 0 THEN 'everyone' WHEN i %% 501 = 0 THEN 'staff' ELSE {group} END"
    _insert(Posting, "notice_id, audience, published", f"i, {audience}, i", notices)


def _moment() -> str:
    """So many seconds after a moment that is given."""
    if connection.vendor == "postgresql":
        return "%s::timestamptz + i * interval '1 second'"
    return "datetime(%s, '+' || i || ' seconds')"


def _insert(model: type, columns: str, values: str, count: int, *given: datetime, where: str = "TRUE") -> None:
    table = model._meta.db_table  # type: ignore[attr-defined]
    insert = (
        f"INSERT INTO {table} ({columns}) {SERIES} SELECT {values} FROM series WHERE {where} ON CONFLICT DO NOTHING"
    )
    with connection.cursor() as cursor:
        cursor.execute(insert, [count, *given])
