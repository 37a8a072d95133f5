"""Variables of the environment and of `.env`, each checked as it is read: a mistake is one line that names it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

YES, NO = ("true", "1", "yes", "on", "y", "ok"), ("false", "0", "no", "off", "n")
KINDS = {int: "a whole number", float: "a number"}


def read_file(path: Path) -> None:
    """Take over what `.env` holds; the real environment wins.

    Raises:
        ImproperlyConfigured: it is no text.
    """
    try:
        environ.Env.read_env(path, encoding="utf-8-sig")  # some editors begin a file with a BOM
    except UnicodeDecodeError as error:
        raise ImproperlyConfigured(f"{path} is not UTF-8: byte {error.start}") from None


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ takes `HTTPS_ONLY=tru` for no, and tells of `PORT=x` without the name."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        """Raises ImproperlyConfigured: the variable is set, and is nothing of this kind, or below 0."""
        text = self.ENVIRON.get(var, "").strip()
        if not text and cast in (bool, int, float):
            return default
        if cast is bool and text.lower() not in YES + NO:
            raise ImproperlyConfigured(f"{var}={text}: use true or false")
        try:
            found = super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        except ValueError:
            raise ImproperlyConfigured(f"{var}={text}: use {KINDS.get(cast, 'another value')}") from None
        if cast in KINDS and not (math.isfinite(found) and found >= 0):
            raise ImproperlyConfigured(f"{var}={text}: 0 is the least")
        return [each.strip() for each in found if each.strip()] if cast is list else found
