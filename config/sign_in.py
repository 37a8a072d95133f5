"""How often somebody may try to sign in: throttled before a password is hashed, which costs 0.2 s of a core.

Attempts are counted for an account from one address, and for an address whatever the account. So a stranger cannot
lock somebody out who is elsewhere; nor from the same address, where the person's browser has signed in before: it
keeps a signed cookie, and is counted by itself (OWASP calls that a device cookie).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from config.redis import NO_LAYER, QUICK
from notifications.addresses import network_of

logger = logging.getLogger(__name__)

PER_ACCOUNT = parse("10 per 15 minutes")  # from one address or device; forgotten when the password was right
PER_ADDRESS = parse("200 per hour")  # whatever the account, right or wrong; an office may be one address
PER_MAILBOX = parse("3 per hour")  # links to set a new password
# In one process; 40 at once made an inbox take 560 ms instead of 18. Two on two cores leave none for the notices.
HASHES_AT_ONCE = min(2, max(1, (os.cpu_count() or 1) // 2))
HASH_WAIT_SECONDS = 5  # for its turn
AWAY_SECONDS = 10  # before a Redis that did not answer is asked again
DEVICE_COOKIE, DEVICE_SECONDS = "device", 180 * 86_400

T = TypeVar("T")


class SignInRefused(Exception):
    """Nobody may try now; ``seconds`` later they may again."""

    def __init__(self, seconds: float, *, is_busy: bool = False) -> None:
        super().__init__(f"come back in {seconds:.0f} s")
        self.seconds, self.is_busy = max(1, round(seconds)), is_busy


# Counting -------------------------------------------------------------------------------------------------


class Attempts:
    """Counts in Redis for all server processes, in this process's memory while there is none that answers."""

    def __init__(self, redis_url: str) -> None:
        self._ours = FixedWindowRateLimiter(MemoryStorage())
        self._shared: FixedWindowRateLimiter | None = None
        if redis_url != NO_LAYER:
            storage: Storage = RedisStorage(redis_url, key_prefix="notices:sign-in", wrap_exceptions=True, **QUICK)
            self._shared = FixedWindowRateLimiter(storage)
        self._away_until = 0.0

    def count(self, limit: RateLimitItem, *who: str) -> None:
        """Count one attempt. Raises `SignInRefused` when it is one too many."""
        if not self._ask(lambda limiter: limiter.hit(limit, *who)):
            raise SignInRefused(
                self._ask(lambda limiter: limiter.get_window_stats(limit, *who)).reset_time - time.time()
            )

    def forget(self, limit: RateLimitItem, *who: str) -> None:
        self._ask(lambda limiter: limiter.clear(limit, *who))

    def _ask(self, question: Callable[[FixedWindowRateLimiter], T]) -> T:
        if self._shared and time.monotonic() > self._away_until:
            try:
                return question(self._shared)
            except StorageError as error:
                self._away_until = time.monotonic() + AWAY_SECONDS
                logger.warning("Attempts to sign in are counted in this process alone: %r", error.storage_error)
        return question(self._ours)


@functools.cache
def attempts() -> Attempts:
    return Attempts(settings.REDIS_URL)


# The password ---------------------------------------------------------------------------------------------

_hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)


class ThrottledBackend(ModelBackend):
    """Django's own, behind the throttle. It has the last word on a name and a password: no other backend is asked."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None:
            username = kwargs.get(get_user_model().USERNAME_FIELD)
        if username is None or password is None:
            return None
        device = _device_of(request, username)
        address = network_of(request.META.get("REMOTE_ADDR", "")) if request else ""
        account = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest(), device or address
        if not device:
            attempts().count(PER_ADDRESS, address)
        attempts().count(PER_ACCOUNT, *account)
        user = self._check(request, username, password)
        if user is None:
            raise PermissionDenied
        attempts().forget(PER_ACCOUNT, *account)
        if request:
            request.known_device = [username, device or secrets.token_hex(8)]  # type: ignore[attr-defined]
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        return await sync_to_async(self.authenticate)(request, username, password, **kwargs)

    def _check(self, request: HttpRequest | None, username: str, password: str) -> User | None:
        if not _hashing.acquire(timeout=HASH_WAIT_SECONDS):
            raise SignInRefused(HASH_WAIT_SECONDS, is_busy=True)
        try:
            return super().authenticate(request, username, password)
        finally:
            _hashing.release()


def _device_of(request: HttpRequest | None, username: str) -> str:
    """The browser's number, if this account has signed in there before."""
    try:
        cookie = request.COOKIES.get(DEVICE_COOKIE, "") if request else ""
        name, device = signing.loads(cookie, salt=DEVICE_COOKIE, max_age=DEVICE_SECONDS)
    except (signing.BadSignature, TypeError, ValueError):
        return ""
    return str(device) if name == username else ""


# The answer -----------------------------------------------------------------------------------------------


class SignInThrottle:
    """Middleware: says on a page that one has to wait, and gives a browser in which somebody signed in its cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if device := getattr(request, "known_device", None):
            response.set_cookie(
                DEVICE_COOKIE,
                signing.dumps(device, salt=DEVICE_COOKIE),
                max_age=DEVICE_SECONDS,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, SignInRefused):
            return None
        status = 503 if exception.is_busy else 429
        context = {"is_busy": exception.is_busy, "minutes": -(-exception.seconds // 60)}
        answer = render(request, "registration/refused.html", context, status=status)
        answer["Retry-After"] = str(exception.seconds)
        answer["Cache-Control"] = "no-store"
        return answer
