"""How quickly do all have it?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from bench.clients import Load
from bench.contestants import Contest, contest
from bench.results import OURS, Result

FAST = [OURS, "nchan", "floor", "node_ws", "broadcast"]
SLOW = "tutorial"
PAUSE = 0.02  # between two notices: nobody has work left from the last one
BURST = 200


def fan_out(clients: int, rounds: int, notices: int, whom: Sequence[str] = FAST) -> list[Result]:
    """One notice at a time, and bursts."""
    spread = Result(f"one notice to {clients:,} pages, from the first to the last page", "deliveries/s")
    whole = Result(f"one notice to {clients:,} pages, from `send_notice` or its like to the last page", "deliveries/s")
    burst = Result(f"a burst of {BURST} notices to {clients:,} pages", "deliveries/s")
    for _ in range(rounds):
        for who in whom:
            with contest(who) as one:
                one.connect(clients)
                _one_by_one(one, clients, notices, spread, whole)
                if clients <= 1000:
                    _bursts(one, clients, burst)
    with contest(SLOW) as one:
        one.connect(clients, patient=True)
        _one_by_one(one, clients, 5, spread, whole)
    spread.at_least(0.75, of="nchan")
    spread.at_least(15, of=SLOW)
    whole.note = "Ours is stored and committed (SQLite, synchronous=FULL) before it is told; the others store nothing."
    if not burst.figures:
        return [spread, whole]
    burst.at_least(1.3, of="nchan")
    burst.note = f"Ours is one `send_notices` of {BURST}; `broadcast` and `floor` are told all in one line."
    return [spread, whole, burst]


def _one_by_one(one: Contest, clients: int, notices: int, spread: Result, whole: Result) -> None:
    for _ in range(3):
        one.broadcast(1)  # everything has been used once
    spreads, wholes = [], []
    for _ in range(notices):
        time.sleep(PAUSE)
        told = one.broadcast(1)
        spreads.append(clients / ((told["last"] - told["first"]) / 1e9))
        wholes.append(clients / (told["max"] / 1e3))
    spread.add(one.who, statistics.median(spreads))
    whole.add(one.who, statistics.median(wholes))


def _bursts(one: Contest, clients: int, burst: Result) -> None:
    told = [one.broadcast(BURST) for _ in range(5)]
    burst.add(one.who, statistics.median(clients * BURST / (each["max"] / 1e3) for each in told))


def ceiling(load: Load) -> Result:
    """What the load generator can do, when everything is there already."""
    result = Result("the load generator's own ceiling: frames that are there already", "frames/s")
    for _ in range(5):
        result.add("one at a time to 1,000", load.ceiling(1000, 1))
        result.add(f"{BURST} at once to 1,000", load.ceiling(1000, BURST))
    return result
