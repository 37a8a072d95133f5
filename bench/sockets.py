"""What open sockets cost: to open, to keep, to have back; and the echo."""

from __future__ import annotations

import time

from bench.contestants import contest
from bench.processes import cpu_seconds, memory_kib
from bench.results import OURS, Result

HEARTBEAT = 25  # seconds


def keeping(clients: int, seconds: float, peers: list[str]) -> list[Result]:
    """Memory and CPU time of idle connections."""
    memory = Result(f"memory of an idle connection, of {clients:,}", "KiB")
    idle = Result(f"CPU time while {clients:,} connections are idle, heartbeats on", "% of a core")
    for who in [OURS, *peers]:
        with contest(who) as one:
            one.connect(min(clients, 200))  # whatever the first ones bring about is there
            one.load.close()
            time.sleep(1)
            before = memory_kib(one.server.pids())
            one.connect(clients)
            one.load.idle(2)
            memory.add(who, (memory_kib(one.server.pids()) - before) / clients)
            if who == OURS:
                one.load.idle(HEARTBEAT)  # the first heartbeats come together
                spent = cpu_seconds(one.server.pids())
                kept = one.load.idle(seconds)
                assert kept["clients"] == clients, kept
                assert kept["heartbeats"] >= clients * (seconds // HEARTBEAT) * 0.9, kept
                idle.add(who, (cpu_seconds(one.server.pids()) - spent) / seconds * 100)
    memory.at_most(24)
    idle.at_most(4)
    return [memory, idle]


def handshakes(clients: int, rounds: int) -> Result:
    """How many come in: with a session, a cursor and the welcome where there are such."""
    result = Result(f"handshakes of {clients:,} clients, 200 at a time", "handshakes/s")
    for _ in range(rounds):
        for who, count in ((OURS, clients), ("tutorial", clients // 4), ("broadcast", clients), ("nchan", clients)):
            with contest(who) as one:
                one.connect(50)
                one.load.close()
                time.sleep(0.5)
                result.add(who, count / one.connect(count, patient=who == "tutorial")["seconds"])
    result.at_least(1000)
    result.at_least(4, of="tutorial")
    result.note = "Signed in by a database session (SQLite), but for `broadcast` and `nchan`, which ask for nothing. "
    result.note += "Some of the tutorial's are answered 500 and try again."
    return result


def comeback(clients: int, missed: int, rounds: int) -> Result:
    """The only process is killed, and started again; all pages come back by themselves, with what they missed."""
    title = f"{clients:,} pages are back after kill -9, each with {missed} missed notices"
    result = Result(title, "s after the server listens")
    for _ in range(rounds):
        with contest(OURS) as one:
            requests = one.server.handshakes(clients, comeback=True)
            one.connect(clients)
            one.server.server.kill()
            one.load.close()
            one.server.publish_burst(missed)
            one.load.begin_open(requests, 1 + missed, at_once=clients, seconds=60, retry=True)
            one.server.server.start()
            listens = time.monotonic_ns()
            told = one.load.answer()
            assert told["opened"] == clients, told
            result.add(OURS, (told["ended"] - listens) / 1e9)
    result.at_most(6)
    return result


def echo(seconds: float, rounds: int) -> Result:
    """16 clients of 64 bytes."""
    result = Result("echo, 16 clients, 64 bytes", "messages/s")
    for _ in range(rounds):
        for who in (OURS, "tutorial", "broadcast", "node_ws"):
            with contest(who, **({"WS_RATE_LIMIT": 0} if who == OURS else {})) as one:
                one.load.open(one.server.echo_handshakes(16), 0)
                told = one.load.echo(seconds, 64)
                result.add(who, told["echoes"] / told["seconds"])
    result.at_least(20_000)
    result.at_least(3, of="tutorial")
    return result
