"""Where each person stands in the log: since when it is theirs, and up to where they have read and seen it.

What is sent to everyone is for accounts that exist when it is published. Two clocks cannot decide that: that of the
machine that made the account, and that of the one that publishes. So a new account keeps where the log ended.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models.signals import post_save
from django.utils import timezone

from notifications import log
from notifications.models import Notice, ReadMark


def listen() -> None:
    """Begin to keep where the log ended when an account is made: in forms, commands and other people's code."""
    post_save.connect(_person_saved, get_user_model())


def marks_of(users: Collection[User]) -> dict[int, ReadMark]:
    """The marks of these people, by their ids: one query.

    For accounts that no signal told of, two more and one for each of them; once.
    """
    marks = _marks(users)
    late = [user for user in users if user.pk not in marks or marks[user.pk].joined is None]
    if late:
        _keep_joined(late)
        marks |= _marks(late)
    return marks


def mark_of(user: User) -> ReadMark:
    return marks_of([user])[user.pk]


def _marks(users: Collection[User]) -> dict[int, ReadMark]:
    return {mark.user_id: mark for mark in ReadMark.objects.filter(user__in=users)}


def _person_saved(instance: User, created: bool, raw: bool, **_: Any) -> None:
    if created and not raw:  # a fixture brings its own marks
        mark = ReadMark(user=instance, joined=log.head().position)
        ReadMark.objects.bulk_create([mark], ignore_conflicts=True)


def _keep_joined(users: Collection[User]) -> None:
    """For accounts of a bulk insert: from now on, too, a position decides, and not `date_joined` each time anew."""
    marks = [ReadMark(user=user, joined=_end_of_log_when_made(user)) for user in users]
    ReadMark.objects.bulk_create(marks, update_conflicts=True, unique_fields=["user"], update_fields=["joined"])


def _end_of_log_when_made(user: User) -> int:
    """By the clocks, as there is nothing else; an account is not made in the future."""
    made = min(user.date_joined, timezone.now())
    before = Notice.objects.filter(published_at__lt=made).order_by("-published_at")
    return before.values_list("published", flat=True).first() or 0
