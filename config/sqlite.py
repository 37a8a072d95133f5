"""How a SQLite database is opened: fit for several processes, and nothing accepted is lost in a power cut."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import Any


class Connection(sqlite3.Connection):
    """One that closes itself when it cannot be set up.

    Django runs an `init_command` before it keeps the connection. Where that failed (a full disk has no room for the
    index of the WAL), the files stayed open until the garbage collector came, which is seldom here (live/server.py).
    """

    def __init__(self, database: str, *args: Any, **options: Any) -> None:
        make_for_its_owner(database)
        super().__init__(database, *args, **options)
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = FULL")  # 0.25 ms for each commit
        except sqlite3.Error:
            self.close()
            raise


def make_for_its_owner(database: str) -> None:
    """A new file with password hashes and sessions is 0600 whatever the umask is; SQLite gives its WAL the same mode.

    `mknod` opens nothing: to close a second descriptor of a database would drop the locks of this process on it.
    """
    if not database.startswith((":memory:", "file:")):
        with suppress(OSError):  # it is there already; else SQLite says what is wrong
            os.mknod(database, 0o600)
