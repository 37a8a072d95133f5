"""Sessions in the database, as Django keeps them, but asked for only by keys that can be keys."""

from __future__ import annotations

import re

from django.contrib.sessions.backends import db

WELL_FORMED = re.compile(r"[a-z0-9]{32}")  # as Django makes them


def is_session_key(key: object) -> bool:
    """Whether Django could have made this key. A cookie may hold anything: PostgreSQL refuses a query with a NUL."""
    return isinstance(key, str) and WELL_FORMED.fullmatch(key) is not None


class SessionStore(db.SessionStore):
    """Django's own; whoever brings a malformed key begins an empty session."""

    def _validate_session_key(self, key: object) -> bool:
        return is_session_key(key)
