"""What a run writes down while it goes on, so that what happened can be judged afterwards, and again later.

A folder holds `run.json` (what was asked for), `people.json` (person → session key and audiences), one file of lines
for each process that took part, `ledger.json` (what the database says in the end), and the servers' own logs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct


class Seen(Struct, array_like=True):
    """One thing that happened to one reader. `kind` says which of the others mean something.

    open     a handshake with the cursor at `position` was sent
    welcome  the server goes on from `position`; `flag`: our cursor was taken up
    notice   a frame for notice `notice` at `position`; `flag`: it was recalled; sent at `sent` (monotonic)
    beat     everything up to `position` has been sent to us
    reset    the server asks us to fetch the inbox afresh
    page     it was fetched, and stands at `position`; `rows` are [notice, position] of the newest
    closed   with the code `position`
    """

    kind: str
    at: float  # monotonic, which all processes share
    reader: int
    position: int = 0
    notice: int = 0
    flag: bool = False
    sent: float = 0
    rows: list[tuple[int, int]] | None = None


class Sent(Struct, array_like=True):
    """One thing that a writer did. `outcome`: accepted, refused, rolled back, or unknown (the answer got lost)."""

    at: float
    door: str
    title: str
    outcome: str
    seconds: float  # how long the sender waited
    words: str = ""


class Record:
    """Appends lines to one file of a run's folder."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=1 << 16)
        self._encoder = msgspec.json.Encoder()

    def add(self, event: Struct | dict[str, Any]) -> None:
        self._file.write(self._encoder.encode(event) + b"\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_lines(path: Path, kind: type) -> Iterator[Any]:
    """The events in a file, in the order written. The last line of a process that was killed may be half a line."""
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))


def now() -> float:
    return time.monotonic()
