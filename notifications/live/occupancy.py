"""How many echo sockets are open in this process: few without a session, few for one address or person."""

from __future__ import annotations

import functools
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


class Full(Exception):
    """So many are open already; the words say which."""


class Occupancy:
    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def admit(self, limits: dict[str, int]) -> Iterator[None]:
        """Count one socket for as long as it is open, under each of the names in ``limits``; 0 is no limit.

        Raises:
            Full: under one of them, so many are open already.
        """
        for name, most in limits.items():
            if most and self._open[name] >= most:
                raise Full(f"{most} are open already for {name}")
        self._open.update(limits.keys())
        try:
            yield
        finally:
            self._open.subtract(limits.keys())
            for name in limits:
                if not self._open[name]:
                    del self._open[name]


@functools.cache
def most_strangers() -> int:
    """How many sockets may be open without a session: a quarter of all descriptors stays the most whatever is set."""
    quarter = open_files_limit() // 4
    return min(settings.WS_ANONYMOUS_CONNECTIONS or quarter, quarter)


def open_files_limit() -> int:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_048_576 if most == resource.RLIM_INFINITY else most
