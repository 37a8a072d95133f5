"""How a SQLite database is opened: fit for several processes, and nothing accepted is lost in a power cut."""

from __future__ import annotations

import sqlite3
from typing import Any


class Connection(sqlite3.Connection):
    """One that closes itself when it cannot be set up.

    Django runs an `init_command` before it keeps the connection. Where that failed (a full disk has no room for the
    index of the WAL), the files stayed open until the garbage collector came, which is seldom here (live/server.py).
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = FULL")  # 0.25 ms for each commit
        except sqlite3.Error:
            self.close()
            raise
