"""What processes cost, as Linux counts it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(pids: Iterable[int]) -> float:
    """What all their threads have spent on a core so far.

    From the scheduler: the times in /proc/PID/stat are guessed from who runs at the clock's ticks, and a process that
    wakes up with them looks twice as busy as it is.
    """
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory_kib(pids: Iterable[int]) -> float:
    """What is resident of them."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return float(sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")))
