"""What a test does behind a server's back: a process of its own, with that server's environment.

Reads a call as JSON from each line, `["send", ["Backup finished"], {}]`, and answers with one line. See backstage.py.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any
from unittest import mock

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.utils import timezone  # noqa: E402

from notifications import deeds, inbox, muting  # noqa: E402
from notifications.models import Notice, Posting, Preferences, ReadMark, ServerProcess, Subscription, Topic  # noqa: E402
from notifications.sending import Draft, recall_notice, send_notice, send_notices  # noqa: E402

User = get_user_model()
MODELS = (Group, Notice, ReadMark, Session, Subscription, Topic, User)


# People ---------------------------------------------------------------------------------------------------


def newcomer(
    *, groups: Sequence[str] = (), topics: Sequence[str] = (), seconds: float = 3600, **fields: Any
) -> dict[str, Any]:
    """Somebody new, signed in for so many seconds."""
    user = User.objects.create(username=f"person-{uuid.uuid4().hex[:8]}", password="!", **fields)
    for name in groups:
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    for slug in topics:
        topic, _ = Topic.objects.get_or_create(slug=slug, defaults={"name": slug})
        Subscription.objects.create(user=user, topic=topic)
    return {"id": user.pk, "name": user.username, "session": sign_in_again(user.pk, seconds=seconds)}


def sign_in_again(user_id: int, *, seconds: float = 3600) -> str:
    """Another session of the same person; its key."""
    user = User.objects.get(pk=user_id)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session.set_expiry(timezone.now() + timedelta(seconds=seconds))
    session.create()
    return str(session.session_key)


def prefer(user_id: int, **choices: Any) -> None:
    """What somebody has chosen on the page of their preferences."""
    Preferences.objects.update_or_create(user_id=user_id, defaults=choices)


def mute(user_id: int, slug: str) -> None:
    """No attention for a topic, for good."""
    muting.mute(User.objects.get(pk=user_id), Topic.objects.get(slug=slug), until=None)


def group_id(name: str) -> int:
    return Group.objects.get(name=name).pk


def do(code: str, **names: Any) -> None:
    """Whatever else happens to accounts: a line of Python that knows the models."""
    exec(code, {each.__name__: each for each in MODELS} | {"timezone": timezone, "timedelta": timedelta} | names)


def change_password(user_id: int) -> None:
    user = User.objects.get(pk=user_id)
    user.set_password(uuid.uuid4().hex)
    user.save()


def session_row(key: str) -> list[str] | None:
    row = Session.objects.filter(pk=key).first()
    return [row.session_data, row.expire_date.isoformat()] if row else None


# Notices --------------------------------------------------------------------------------------------------


def send(
    title: str, *to: str, at_in: float | None = None, expires_in: float | None = None, **values: Any
) -> dict[str, Any]:
    """Send one now, or in so many seconds; perhaps one that ends in so many.

    `at` is the monotonic clock, which all processes share, just before.
    """
    if at_in is not None:
        values["publish_at"] = timezone.now() + timedelta(seconds=at_in)
    if expires_in is not None:
        values["expires_at"] = timezone.now() + timedelta(seconds=expires_in)
    at = time.monotonic()
    notice = send_notice(title=title, audiences=to or ["everyone"], **values)
    took = time.monotonic() - at
    return {"id": notice.pk, "at": at, "took": took, "heard_by": notice.heard_by}


def send_in_the_past(title: str, *to: str, days: float) -> None:
    """As if it had been sent so many days ago. A row that is changed afterwards looks like a restored backup."""
    then = timezone.now() - timedelta(days=days)
    with mock.patch.object(timezone, "now", return_value=then):
        send_notice(title=title, audiences=to)


def send_many(
    prefix: str, count: int, *to: str, at_once: int | None = None, pause: float = 0, **values: Any
) -> list[str]:
    """Send `prefix 0`, `prefix 1`, …, so many in one transaction (default: all). Returns the titles."""
    titles = [f"{prefix} {number}" for number in range(count)]
    step = at_once or count
    for first in range(0, count, step):
        send_notices(
            Draft(title=title, audiences=to or ["everyone"], **values) for title in titles[first : first + step]
        )
        time.sleep(pause)
    return titles


def store_unpublished(title: str, *to: str) -> None:
    """What a sender leaves behind that dies between its commit and publishing."""
    notice = Notice.objects.create(title=title)
    for audience in to or ["everyone"]:
        Posting.objects.create(notice=notice, audience=audience)


def recall(notice_id: int) -> None:
    recall_notice(Notice.objects.get(pk=notice_id))


def does(user_id: int, deed: str, which: Any) -> int | None:
    """What a person does by a form; the change by which it is undone."""
    done = getattr(deeds, deed)(User.objects.get(pk=user_id), which)
    return getattr(done, "change", done)


def inbox_of(user_id: int) -> dict[str, Any]:
    """What a page fetches afresh: where the log stands, and then the titles, newest first."""
    user = User.objects.get(pk=user_id)
    standing = inbox.standing_of(user)
    return {
        "cursor": str(standing.place),
        "stamp": standing.stamp,
        "unread": standing.unread,
        "titles": list(inbox.visible_to(user).values_list("title", flat=True)),
    }


def processes() -> list[tuple[str, int]]:
    """The server processes as they describe themselves: name → open pages."""
    return list(ServerProcess.objects.values_list("name", "connections"))


def main() -> None:
    for line in sys.stdin:
        name, arguments, options = json.loads(line)
        print(json.dumps(globals()[name](*arguments, **options)), flush=True)


if __name__ == "__main__":
    main()
