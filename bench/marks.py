"""What travels in a notice: when it was sent, and which it is. load.c reads it."""

from __future__ import annotations

import itertools
import time

_numbers = itertools.count(1)
FRAME_BYTES = 235  # of a notice with such a title and no body; the peers' frames are as long


def mark() -> str:
    """A mark with this very moment, on the clock that all processes of a machine share."""
    return f"@t{time.monotonic_ns()}n{next(_numbers)}@"


def frame() -> str:
    """A text as long as our frame for a notice, marked."""
    return f'{{"type":"notice","title":"{mark()}"'.ljust(FRAME_BYTES - 1) + "}"
