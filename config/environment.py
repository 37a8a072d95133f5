"""Variables of the environment and of `.env`, each checked as it is read: a mistake is one line that names it."""

from __future__ import annotations

import math
import os
import re
from io import StringIO
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

YES, NO = ("true", "1", "yes", "on", "y", "ok"), ("false", "0", "no", "off", "n")
NUMBERS = {int: "a whole number", float: "a number"}
_LINE = re.compile(r"\s*(?:export\s+)?([A-Z_][A-Z_0-9]*)\s*=\s*([^\0]*?)\s*", re.IGNORECASE | re.ASCII)


def read_file(path: Path) -> None:
    """Take over what `.env` holds; the real environment wins, unless it is empty.

    Raises:
        ImproperlyConfigured: it is no text, or there is a line that sets nothing (which is not shown: it may be a key).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a BOM
    except FileNotFoundError:
        return
    except UnicodeDecodeError as error:
        raise ImproperlyConfigured(f"{path} is not UTF-8: byte {error.start}") from None
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be read: {error.strerror}") from None
    settings = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not (setting := _LINE.fullmatch(line)):
            raise ImproperlyConfigured(f"{path}, line {number}: write NAME=value")
        name, value = setting.groups()
        if not os.environ.get(name):
            os.environ.pop(name, None)
        settings.append(f"{name}={value}")
    # django-environ knows what quotes mean; a line with spaces before or after `=` it would pass over.
    environ.Env.read_env(StringIO("\n".join(settings)))


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ takes `HTTPS_ONLY=tru` for no, `1,500` for 1.5, and looks for a variable named `b` in `A=$b`."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        """The variable's value; an empty one is not set.

        Raises:
            ImproperlyConfigured: it is not set and has no default, is nothing of this kind, or is below 0.
        """
        text = self.ENVIRON.get(var, "")
        if not text.strip():
            if default is self.NOTSET:
                raise ImproperlyConfigured(f"{var} is not set")
            return default
        if cast in NUMBERS:
            return _number(var, text.strip(), cast)
        if cast is bool:
            return _switch(var, text.strip())
        return [each.strip() for each in text.split(",") if each.strip()] if cast is list else text


def _number(var: str, text: str, cast: Any) -> Any:
    try:
        found = cast(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ImproperlyConfigured(f"{var}={text}: use {NUMBERS[cast]}")
    if found < 0:
        raise ImproperlyConfigured(f"{var}={text}: 0 is the least")
    return found


def _switch(var: str, text: str) -> bool:
    if text.lower() not in YES + NO:
        raise ImproperlyConfigured(f"{var}={text}: use true or false")
    return text.lower() in YES
