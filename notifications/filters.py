"""Which of their notices does somebody want to see? Said in an address: `?tab=unread&level=error&q=disk+full`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from notifications.models import Level

Tab = Literal["all", "unread", "archived"]
TABS: tuple[Tab, ...] = get_args(Tab)

MOST_WORDS = 10
MOST_CHARACTERS = 200  # in all words together
LONGEST_WORD = 50  # characters; one of 190 took 3 s to be looked for in 5,000 texts


class BadFilter(ValueError):
    """There is no such tab, level or audience, or too much is searched for. The message is for a person."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A tab of the inbox, and what of it. An empty value leaves nothing out.

    `audience` is one of the person's own, as it is stored; each of the words in `q` is to occur in title or body.
    """

    tab: Tab = "all"
    level: str = ""
    audience: str = ""
    q: str = ""

    @classmethod
    def parse(cls, query: Mapping[str, str], audiences: Collection[str]) -> Filter:
        """What the parameters of an address ask for, by somebody who belongs to these ``audiences``.

        Raises:
            BadFilter: the message names the value and what there is.
        """
        tab = _one_of(TABS, "tab", query.get("tab") or "all")
        level = _one_of(["", *Level.values], "level", query.get("level", ""))
        audience = _one_of(["", *sorted(audiences)], "audience", query.get("audience", ""))
        return cls(tab, level, audience, _searchable(query.get("q", "")))  # type: ignore[arg-type]

    def in_tab(self, tab: Tab) -> Filter:
        return replace(self, tab=tab)

    @property
    def is_on(self) -> bool:
        """Whether something is left out of the tab."""
        return bool(self.level or self.audience or self.q)

    @property
    def words(self) -> list[str]:
        return self.q.split()

    @property
    def query(self) -> str:
        """The same as the parameters of an address, without what leaves nothing out."""
        values = {"tab": "" if self.tab == "all" else self.tab, "level": self.level, "audience": self.audience}
        return urlencode({name: value for name, value in [*values.items(), ("q", self.q)] if value})


EVERYTHING = Filter()


def _one_of(choices: Collection[str], name: str, value: str) -> str:
    if value not in choices:
        there_is = ", ".join(choice for choice in choices if choice)
        raise BadFilter(_("“%(value)s” is no %(name)s; there is %(choices)s.") % _said(name, value, there_is))
    return value


def _said(name: str, value: str, choices: str) -> dict[str, str]:
    names = {"tab": _("tab"), "level": _("level"), "audience": _("audience of yours")}
    return {"value": value[:MOST_CHARACTERS], "name": names[name], "choices": choices}


def _searchable(text: str) -> str:
    """The words of ``text``; no database can be asked for a NUL."""
    words = text.replace("\0", " ").split()
    if len(words) > MOST_WORDS or sum(map(len, words)) > MOST_CHARACTERS:
        most = {"words": MOST_WORDS, "characters": MOST_CHARACTERS}
        raise BadFilter(_("A search has at most %(words)d words and %(characters)d characters.") % most)
    if too_long := next((word for word in words if len(word) > LONGEST_WORD), None):
        wrong = {"characters": LONGEST_WORD, "word": f"{too_long[:20]}…", "length": len(too_long)}
        raise BadFilter(_("A word has at most %(characters)d characters; “%(word)s” has %(length)d.") % wrong)
    return " ".join(words)
