"""A database that has much, made in seconds. Django is set up by whoever calls."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.utils import timezone

from notifications.models import Log, Notice, Posting, ReadMark

SERIES = "WITH RECURSIVE series(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < %s)"
# The first people, and in how many groups they are; the first one is in all of them.
IN_MANY = (1, 3, 10, 30, 100)


def fill(notices: int, users: int, audiences: int) -> None:
    """Notices for everyone (every twentieth), for staff, or for one of the groups; people who are in two of these.

    Every second person has read everything up to somewhere in the last tenth; the others nothing.
    """
    groups = audiences - 2
    with transaction.atomic():
        Group.objects.bulk_create(Group(id=1 + number, name=f"group-{number}") for number in range(groups))
        _fill_users(users, groups)
        _fill_notices(notices, groups)
        through = f"{notices} - i %% {max(1, notices // 10)}"
        readers = "i %% 2 = 1 AND i > 6"
        _insert(ReadMark, "user_id, through, changes", f"i, {through}, 1", users, where=readers)
        Log.objects.update_or_create(pk=1, defaults={"head": notices})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _fill_users(users: int, groups: int) -> None:
    columns = "id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined"
    values = "i, '!', FALSE, 'person-' || i, '', '', '', FALSE, TRUE, %s"
    _insert(User, columns, values, users, timezone.now() - timedelta(days=3650))
    for place in ("i * 31", "i * 17 + 1"):
        _insert(User.groups.through, "user_id, group_id", f"i, 1 + ({place}) %% {groups}", users, where="i > 6")
    for person, many in zip(range(1, 7), (groups, *IN_MANY), strict=True):
        User.objects.get(pk=person).groups.set(range(1, 1 + min(many, groups)))


def _fill_notices(notices: int, groups: int) -> None:
    began = timezone.now() - timedelta(seconds=notices)
    columns = "id, title, body, level, url, source, key, created_at, published_at, published, position"
    values = f"i, 'Notice ' || i, '', 'info', '', 'python', '', {_moment()}, {_moment()}, i, i"
    _insert(Notice, columns, values, notices, began, began)
    group = f"'group:' || (1 + i * 7919 %% {groups})"
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
