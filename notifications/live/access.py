"""Who may connect, and for how long: origin, session, limits."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from notifications import inbox
from notifications.audiences import audiences_of_each
from notifications.frames import CloseCode
from notifications.inbox import Standing
from notifications.models import ReadMark
from notifications.sessions import SessionStore, is_session_key

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}  # of a connection → of its page


# Origin ---------------------------------------------------------------------------------------------------


class SameOrigin:
    """Refuses, with 403, a handshake that a page of another site began.

    A browser sends the cookies of our site along with any handshake, and always says from which page (`Origin`).
    A client that says nothing is no browser, so nobody's cookies were borrowed.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_welcome(scope):  # a call of its own, so that no socket keeps its headers for as long as it is open
            await self._app(scope, receive, send)
        else:
            await refuse_handshake(scope, send, 403, "This origin may not open a WebSocket here.")


async def refuse_handshake(scope: Scope, send: Send, status: int, sentence: str) -> None:
    """Answer a handshake with an HTTP status where the server can, else by a close, which means 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def is_welcome(scope: Scope) -> bool:
    """Whether a page that may, or no page at all, began this handshake or request."""
    host, origin = header(scope, b"host") or "", header(scope, b"origin")
    if _is_ours(host) and (
        _is_from_here(scope) if origin is None else _may_come_from(origin, host, scope.get("scheme", ""))
    ):
        return True
    logger.warning("Refused a handshake: origin %r, host %r (see WS_ALLOWED_ORIGINS)", origin, host)
    return False


def _is_from_here(scope: Scope) -> bool:
    """A browser that gets an address from another site need not say which; that it is another one, it does."""
    return header(scope, b"sec-fetch-site") in (None, "none", "same-origin")


def header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for each, value in scope["headers"] if each == name), None)


def _is_ours(host: str) -> bool:
    domain, _ = split_domain_port(host)
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]
    return bool(domain) and validate_host(domain, allowed)


def _may_come_from(origin: str, host: str, scheme: str) -> bool:
    """Whether ``origin`` is the page's own (same scheme, host and port), or one of WS_ALLOWED_ORIGINS."""
    if origin in settings.WS_ALLOWED_ORIGINS:
        return True
    try:
        page = urlsplit(origin)
        ours = urlsplit(f"//{host}")
        if page.scheme not in DEFAULT_PORTS or not page.hostname:
            return False
        default = DEFAULT_PORTS[page.scheme]
        same_place = (page.hostname, page.port or default) == (ours.hostname, ours.port or default)
    except ValueError:  # http://[::1, or a port that is no number
        return False
    # Daphne does not say the scheme; behind it, host and port decide.
    return same_place and SCHEMES.get(scheme, page.scheme) == page.scheme


# Session --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """The person behind a socket, and the session that let them in, as they were when last looked at."""

    user_id: int
    audiences: frozenset[str]
    joined: int  # what was sent to everyone up to here is not theirs
    session_key: str
    session_hash: str  # what the password and SECRET_KEY were when they signed in
    session_ends: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Arrival:
    """A reader, and how their inbox stands: everything that a handshake asks the database."""

    reader: Reader
    standing: Standing


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a reader's pages are closed."""

    code: CloseCode
    reason: str


SESSION_OVER = Refusal(CloseCode.SESSION_EXPIRED, "the session is over: sign in again")
WITHDRAWN = Refusal(CloseCode.ACCESS_WITHDRAWN, "this account may not receive notices any more")


def session_key_of(scope: Scope) -> str:
    """The session's key in the cookies, or nothing where there is none that Django could have made."""
    key = parse_cookie(header(scope, b"cookie") or "").get(settings.SESSION_COOKIE_NAME, "")
    return key if is_session_key(key) else ""


@dataclass(frozen=True, slots=True)
class Knock:
    """What somebody brings who wants to come in: a session's key, and perhaps the stamp of the page they hold."""

    session_key: str
    stamp: str


def answers_to(knocks: Iterable[Knock]) -> dict[Knock, Arrival | None]:
    """Who signed in with these sessions; None for nobody. Six queries for all of them, and one for each unread count.

    A handshake never changes, extends or deletes a session; it writes only the mark of an account that has none yet.
    """
    knocks = set(knocks)
    sessions = _live_sessions({knock.session_key for knock in knocks if knock.session_key})
    users = _users_of(sessions.values())
    standings = inbox.standings_of(users.values())

    def answer(knock: Knock) -> Arrival | None:
        session = sessions.get(knock.session_key)
        user = users.get(session.account) if session else None
        if session is None or user is None or not _signed_by(user, session.data.get(HASH_SESSION_KEY, "")):
            return None
        standing = standings[user.pk]
        reader = Reader(
            user_id=user.pk,
            audiences=standing.audiences,
            joined=standing.joined,
            session_key=knock.session_key,
            session_hash=session.data[HASH_SESSION_KEY],
            session_ends=session.ends.timestamp(),
        )
        if knock.stamp != standing.stamp:
            standing = inbox.with_unread(user, standing)
        return Arrival(reader, standing)

    return {knock: answer(knock) for knock in knocks}


@dataclass(frozen=True, slots=True)
class Finding:
    """A reader looked at again: as they are now, or why they may not stay; and their number of read changes."""

    reader: Reader | Refusal
    changes: int


def look_again(readers: Iterable[Reader]) -> dict[Reader, Finding]:
    """Whether these readers may still be here, and what they may see now: five queries for all of them.

    Only reads.
    """
    readers = set(readers)
    users = {user.pk: user for user in get_user_model().objects.filter(pk__in={r.user_id for r in readers})}
    live = Session.objects.filter(pk__in={r.session_key for r in readers}, expire_date__gt=timezone.now())
    sessions = dict(live.values_list("session_key", "expire_date"))
    audiences = audiences_of_each(users.values())
    changes = dict(ReadMark.objects.filter(user__in=users).values_list("user", "changes"))

    def now(reader: Reader) -> Reader | Refusal:
        user = users.get(reader.user_id)
        if user is None or not user.is_active:
            return WITHDRAWN
        ends = sessions.get(reader.session_key)
        if ends is None or not _signed_by(user, reader.session_hash):
            return SESSION_OVER
        return replace(reader, audiences=audiences[user.pk], session_ends=ends.timestamp())

    return {reader: Finding(now(reader), changes.get(reader.user_id, 0)) for reader in readers}


def user_called(user_id: int) -> User:
    return get_user_model().objects.get(pk=user_id)


@dataclass(frozen=True, slots=True)
class _LiveSession:
    data: dict[str, Any]
    ends: datetime

    @property
    def account(self) -> tuple[str, int]:
        """The backend that knows this person, and their id there."""
        try:
            return self.data.get(BACKEND_SESSION_KEY, ""), int(self.data.get(SESSION_KEY, 0))
        except (TypeError, ValueError):
            return "", 0


def _live_sessions(keys: Iterable[str]) -> dict[str, _LiveSession]:
    """Straight from the table: a session store would read one at a time, and may write."""
    store = SessionStore()
    rows = Session.objects.filter(pk__in=set(keys), expire_date__gt=timezone.now())
    return {row.session_key: _LiveSession(store.decode(row.session_data), row.expire_date) for row in rows}


def _users_of(sessions: Iterable[_LiveSession]) -> dict[tuple[str, int], User]:
    """The people in these sessions who may sign in, by account. Like `django.contrib.auth.get_user`, for many.

    (That one would delete a session that was signed with an older secret.)
    """
    accounts = {session.account for session in sessions}
    users: dict[tuple[str, int], User] = {}
    for path in {path for path, _ in accounts} & set(settings.AUTHENTICATION_BACKENDS):
        backend, ids = load_backend(path), {pk for each, pk in accounts if each == path}
        if isinstance(backend, ModelBackend) and type(backend).get_user is ModelBackend.get_user:
            found = get_user_model().objects.filter(pk__in=ids)
            users |= {(path, user.pk): user for user in found if backend.user_can_authenticate(user)}
        else:  # another kind of account: it says itself who may come in
            users |= {(path, pk): user for pk in ids if (user := backend.get_user(pk))}
    return users


def _signed_by(user: User, session_hash: str) -> bool:
    """Whether a session with this hash is from after the last change of password, and of a SECRET_KEY still known."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, each) for each in hashes)
