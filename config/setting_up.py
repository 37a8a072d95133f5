"""The data folder, in which one start at a time makes what is not there yet: keys, tables, the first administrator."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def make_folder(folder: Path) -> None:
    """Make DATA_DIR, for its owner alone, where it is not there yet.

    Raises:
        ImproperlyConfigured: there is a file in its way, or this user may not.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sentence = f"no folder can be made there ({error.strerror}); name one that this user may write to"
        raise ImproperlyConfigured(f"DATA_DIR={folder}: {sentence}") from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait while another process sets up ``folder``. The lock ends with the process, however that ends."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another start on {folder} is being set up; waiting for it …", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
