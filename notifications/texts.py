"""Which characters may a text hold? Those that somebody can see, and that leave the ones around them where they are."""

from __future__ import annotations

import unicodedata

# They turn the order of what follows: "gnp.exe" is shown as "exe.png", and no <bdi> stops them inside the text itself.
# The joiners and selectors of emoji, and the marks U+200E and U+200F, only say how their neighbours are drawn.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORBIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control, half a character, line and paragraph separators
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # Hangul fillers and an empty Braille cell
_SEEN = ("L", "N", "P", "S")  # letters, numbers, punctuation, symbols


def forbidden_in(text: str, allowed: str = "") -> tuple[str, int] | None:
    """The first character that ``text`` must not hold, and its place, from 1."""
    for place, character in enumerate(text, start=1):
        if _is_forbidden(character) and character not in allowed:
            return character, place
    return None


def is_visible(text: str) -> bool:
    """Whether there is anything to be seen of ``text``, or to be clicked on."""
    return any(unicodedata.category(each)[0] in _SEEN and each not in _BLANK_LETTERS for each in text)


def plain(text: str) -> str:
    """``text`` without what it must not hold, for names that nobody has checked."""
    return "".join(each for each in text if not _is_forbidden(each))


def _is_forbidden(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _FORBIDDEN
