"""One socket's bounded queue of frames still to be written. No I/O."""

from __future__ import annotations

from collections import deque

MAX_FRAMES = 256
MAX_BYTES = 1_048_576


class Outbox:
    """Keeps frames in order until the socket can take them.

    Over its bounds it *collapses*: it forgets what it holds and takes no more, because a slow page is better served
    by one replay from the log than by a queue that grows. `lost_state` tells that something went that a replay
    cannot bring back (a read state).
    """

    __slots__ = ("_bytes", "_frames", "collapsed", "lost_state")

    def __init__(self) -> None:
        self._frames: deque[tuple[str, int | None]] = deque()
        self._bytes = 0
        self.collapsed = False
        self.lost_state = False

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, text: str, position: int | None, *, bounded: bool = True) -> None:
        """Queue one frame; ``position`` is its place in the log, None for one that has none.

        Not ``bounded``: nobody has tried to write yet, and will in this loop's next step. What the hub delivers in
        one step, up to 1,000 entries, is no sign of a slow page.
        """
        if self.collapsed:
            self.lost_state |= position is None
            return
        self._frames.append((text, position))
        self._bytes += len(text)
        if bounded and (len(self._frames) > MAX_FRAMES or self._bytes > MAX_BYTES):
            self.collapse(lost_state=any(position is None for _, position in self._frames))

    def take(self) -> tuple[str, int | None] | None:
        """The oldest frame, or None when there is none."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._bytes -= len(frame[0])
        return frame

    def collapse(self, *, lost_state: bool) -> None:
        """Forget what waits, and take no more."""
        self.collapsed = True
        self.lost_state |= lost_state
        self._clear()

    def reopen(self) -> None:
        """Begin anew, empty: what is put in from now on comes after the replay that repairs the collapse."""
        self._clear()
        self.collapsed = self.lost_state = False

    def _clear(self) -> None:
        self._frames.clear()
        self._bytes = 0
