"""Whose open pages must be looked at again, when an account, a group or a subscription changes?

Beside marks.py the only place that listens to Django's signals: accounts change in the admin, in forms and in other
people's code, and none of them knows of open pages. Nothing depends on it but time: what no signal tells of (a bulk
update) is found by each server's own look, see `ACCESS_LOOK_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.http import HttpRequest

from notifications.doorbell import AccessChanged, ring
from notifications.models import Subscription, Topic

MANY = 1000  # a longer list of people is told as "anybody"


def listen() -> None:
    """Begin to ring whenever somebody's access changes."""
    people, membership = get_user_model(), get_user_model().groups.through
    post_save.connect(_person_saved, people)
    pre_delete.connect(_person_deleted, people)
    m2m_changed.connect(_membership_changed, membership)
    pre_delete.connect(_group_deleted, Group)
    post_save.connect(_subscription_changed, Subscription)
    post_delete.connect(_subscription_changed, Subscription)
    pre_delete.connect(_topic_deleted, Topic)
    user_logged_out.connect(_signed_out)


def _ring(user_ids: Iterable[int]) -> None:
    ids = list(user_ids)
    bell = AccessChanged(user_ids=ids if len(ids) <= MANY else [])

    def tell() -> None:
        ring(bell)

    if ids:
        transaction.on_commit(tell, robust=True)


def _person_saved(instance: User, created: bool, update_fields: frozenset[str] | None, **_: Any) -> None:
    at_each_sign_in = update_fields is not None and update_fields <= {"last_login"}
    if not created and not at_each_sign_in:
        _ring([instance.pk])


def _person_deleted(instance: User, **_: Any) -> None:
    _ring([instance.pk])


def _membership_changed(instance: User | Group, action: str, reverse: bool, pk_set: set[int] | None, **_: Any) -> None:
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    if not reverse:  # ada.groups.add(operations)
        _ring([instance.pk])
    elif action == "pre_clear":  # operations.user_set.clear()
        _ring(_members_of(instance))
    else:
        _ring(pk_set or ())


def _group_deleted(instance: Group, **_: Any) -> None:
    _ring(_members_of(instance))


def _members_of(group: User | Group) -> Iterable[int]:
    return get_user_model().objects.filter(groups=group.pk).values_list("pk", flat=True)[: MANY + 1]


def _subscription_changed(instance: Subscription, origin: Any = None, **_: Any) -> None:
    if getattr(origin, "model", type(origin)) is not Topic:  # else one bell for all who had subscribed
        _ring([instance.user_id])


def _topic_deleted(instance: Topic, **_: Any) -> None:
    _ring(instance.subscriptions.values_list("user", flat=True)[: MANY + 1])


def _signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        _ring([user.pk])
