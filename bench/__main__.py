"""`python -m bench`: every measurement, beside the others; writes docs/benchmarks.md.

make bench                          all of it, about 10 minutes
make bench-quick                    fewer rounds and smaller numbers, 2 minutes; writes nothing
python -m bench fanout sockets      these sections only; writes nothing
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import fanout, growth, reading, seeing, sending, sockets
from bench.clients import Load
from bench.peers.every import install
from bench.report import write
from bench.results import OURS, Result
from tests.machine import ROOT

Section = Callable[[bool], Iterator[Result]]


def fan_out(quick: bool) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder, Load(Path(folder)) as load:
        yield fanout.ceiling(load)
    yield from fanout.fan_out(1000, rounds=1 if quick else 2, notices=30 if quick else 60)
    if not quick:
        yield from fanout.fan_out(5000, rounds=1, notices=20, whom=[OURS, "nchan", "floor"])


def open_sockets(quick: bool) -> Iterator[Result]:
    clients = 1000 if quick else 5000
    peers = [] if quick else ["nchan"]
    yield from sockets.keeping(clients, 10 if quick else 25, peers)
    yield sockets.handshakes(1000 if quick else 4000, rounds=1 if quick else 2)
    yield sockets.comeback(clients, missed=10, rounds=1 if quick else 2)
    yield sockets.echo(2 if quick else 3, rounds=1 if quick else 2)


def send(quick: bool) -> Iterator[Result]:
    yield sending.latency(50 if quick else 200, "sqlite")
    if not quick:
        yield sending.latency(200, "postgresql")
    yield from sending.polling(10 if quick else 25, seconds=5 if quick else 15)
    yield sending.publishing(3 if quick else 8)
    for database in ("sqlite", "postgresql"):
        yield sending.many_at_once(2000 if quick else 10_000, database)
        yield from sending.to_everyone(10, 10_000 if quick else 100_000, database)
        yield from sending.one_key(5000 if quick else 100_000, database)
    yield sending.command(3 if quick else 10)
    yield from sending.redis_load(20 if quick else 100)


def see(quick: bool) -> Iterator[Result]:
    for database in ("sqlite",) if quick else ("sqlite", "postgresql"):
        yield from seeing.broadcast(1000 if quick else 5000, database, rounds=1 if quick else 3)


def read(quick: bool) -> Iterator[Result]:
    if quick:
        return  # a million rows take their time
    for database in ("sqlite", "postgresql"):
        yield from reading.inbox(database, 300)


def grow(quick: bool) -> Iterator[Result]:
    yield from growth.connections([100, 1000] if quick else [100, 1000, 5000, 10_000])
    yield from growth.processes([1, 2] if quick else [1, 2, 3, 4], 2000)
    if not quick:
        yield reading.as_notices_grow([1000, 10_000, 100_000, 1_000_000], "sqlite")
        yield reading.as_audiences_grow([1, 3, 10, 30, 100, 298], "sqlite")


SECTIONS: dict[str, Section] = {
    "fanout": fan_out,
    "sockets": open_sockets,
    "sending": send,
    "seeing": see,
    "reading": read,
    "growth": grow,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast is it, beside others?")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller numbers")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {sorted(unknown)[0]!r}; there are {', '.join(SECTIONS)}")
    install()
    began, found, failed = time.monotonic(), {}, False
    for name in options.sections or SECTIONS:
        found[name] = []
        try:
            for result in SECTIONS[name](options.quick):
                print(f"{time.monotonic() - began:4.0f} s  {result}", flush=True)
                found[name].append(result)
        except Exception:  # the other sections are worth their time
            traceback.print_exc()
            failed = True
    targets = [target for results in found.values() for result in results for target in result.targets]
    missed = sum(not target.met for target in targets)
    print(f"{len(targets) - missed} of {len(targets)} targets met in {time.monotonic() - began:.0f} s")
    if not (options.sections or options.quick):
        goal = ROOT / "docs" / "benchmarks.md"
        write(found, time.monotonic() - began, ROOT / "bench" / "report.md", goal)
        print(f"written: {goal.relative_to(ROOT)}")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
