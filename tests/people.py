"""The people, groups, topics and notices that the tests speak of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, Permission, User

from notifications.log import publish_pending
from notifications.models import Notice, ReadMark, Subscription, Topic
from notifications.sending import send_notice


def person(name: str = "ada", may: Iterable[str] = (), joined: int | None = None, **fields: Any) -> User:
    """Somebody with an account. `may` names our permissions: send_notice, recall_notice, view_notice.

    What was sent to everyone after the position `joined` is theirs; without it, after the log's head of now.
    """
    user = User.objects.create(username=name, **fields)
    if joined is not None:
        ReadMark.objects.filter(user=user).update(joined=joined)
    user.user_permissions.set(Permission.objects.filter(codename__in=may))
    return user


def group(name: str, *members: User) -> Group:
    group = Group.objects.create(name=name)
    group.user_set.set(members)
    return group


def topic(slug: str, *subscribers: User) -> Topic:
    topic = Topic.objects.create(slug=slug, name=slug.capitalize())
    Subscription.objects.bulk_create(Subscription(user=user, topic=topic) for user in subscribers)
    return topic


def send(title: str = "Backup finished", audiences: Iterable[Any] = ("everyone",), **values: Any) -> Notice:
    return send_notice(title=title, audiences=audiences, **values)


def publish(title: str = "Backup finished", audiences: Iterable[Any] = ("everyone",), **values: Any) -> Notice:
    """Send, and publish at once, also inside a test's own transaction, which never commits."""
    notice = send(title, audiences, **values)
    publish_pending()
    notice.refresh_from_db()
    return notice
