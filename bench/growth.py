"""How cost grows with connections and with server processes."""

from __future__ import annotations

import statistics
import time

from bench.contestants import Contest, contest
from bench.processes import cpu_seconds, memory_kib
from bench.results import OURS, Result

NOTICES = 40


def connections(counts: list[int]) -> list[Result]:
    """One process, more and more pages."""
    rate = Result("one notice at a time, one process, as pages grow", "deliveries/s")
    spent = Result("CPU time of the server for each delivery, as pages grow", "µs")
    memory = Result("memory of the server for each page, as pages grow", "KiB")
    for count in counts:
        with contest(OURS) as one:
            one.connect(50)
            one.load.close()
            time.sleep(0.5)
            before = memory_kib(one.server.pids())
            one.connect(count)
            one.load.idle(1)
            who = f"{count:,} pages"
            memory.add(who, (memory_kib(one.server.pids()) - before) / count)
            _deliver(one, count, who, rate, spent)
    return [rate, spent, memory]


def processes(counts: list[int], clients: int) -> list[Result]:
    """More server processes on the same port, which share both cores with the load and with each other."""
    rate = Result(f"one notice at a time to {clients:,} pages, as server processes grow", "deliveries/s")
    spent = Result(f"CPU time of all server processes for each delivery, {clients:,} pages", "µs")
    for count in counts:
        with contest(OURS, core=None, workers=count) as one:
            one.connect(clients)
            time.sleep(1)
            _deliver(one, clients, f"{count} process{'es' * (count > 1)}", rate, spent)
    one_process, two = spent.median("1 process"), spent.median("2 processes")
    # Two processes on two cores of their own do twice the work if each delivery costs the same.
    gain = Result("what a second process on a second core brings, by CPU time for each delivery", "× deliveries/s")
    gain.add(OURS, 2 * one_process / two)
    gain.at_least(1.8)
    gain.note = "The load needs a core itself, so that two processes have less than two here."
    return [rate, spent, gain]


def _deliver(one: Contest, clients: int, who: str, rate: Result, spent: Result) -> None:
    for _ in range(5):
        one.broadcast(1)
    before = cpu_seconds(one.server.pids())
    rates = []
    for _ in range(NOTICES):
        told = one.broadcast(1)
        rates.append(clients / max((told["last"] - told["first"]) / 1e9, 1e-6))
    rate.add(who, statistics.median(rates))
    spent.add(who, (cpu_seconds(one.server.pids()) - before) / NOTICES / clients * 1e6)
