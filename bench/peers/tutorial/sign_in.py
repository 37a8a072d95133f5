"""Makes COUNT new users, signs each in, and prints their session keys: python -m … COUNT"""

from __future__ import annotations

import sys
from datetime import timedelta

import django

django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.base import VALID_KEY_CHARS  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.utils.crypto import get_random_string  # noqa: E402
from django.utils.timezone import now  # noqa: E402


def create_users(count: int) -> list[User]:
    first = User.objects.count()
    numbers = range(first, first + count)
    return User.objects.bulk_create(User(username=f"person-{n}", password=make_password(None)) for n in numbers)


def session_of(user: User) -> Session:
    """What `login()` stores, without a query for each person."""
    content = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    return Session(
        session_key=get_random_string(32, VALID_KEY_CHARS),
        session_data=SessionStore().encode(content),
        expire_date=now() + timedelta(days=1),
    )


sessions = Session.objects.bulk_create(map(session_of, create_users(int(sys.argv[1]))))
print("\n".join(session.session_key for session in sessions))
