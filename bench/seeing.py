"""What it costs that everybody sees a broadcast."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

import redis

from bench.clients import Load
from bench.contestants import Contest, contest
from bench.results import OURS, Result, percentile

WITHIN_MS = 20_000  # after a second on the screen: SAY_SEEN_WITHIN_MS in deeds.js
PROBED_SECONDS = 22.0  # all that pages say, and what is written of the last of it
PAUSE = 0.01  # between two notices to a page that sees nothing, on average
SILENT, SAYING = "pages say nothing", "pages say what they saw"


def broadcast(clients: int, database: str, rounds: int) -> list[Result]:
    """So many visible pages of as many people see one broadcast, and say so as a page does."""
    what = f"{clients:,} visible pages of as many people see one broadcast, {database}"
    written = Result(f"transactions in which is written that {what}", "transactions")
    took = Result(f"from the broadcast until the last page is told, {what}", "s")
    late = Result(f"p99 of notices to somebody else meanwhile, {what}", "ms")
    with contest(OURS, database=database) as one, tempfile.TemporaryDirectory(prefix="notices-bench-") as folder:
        requests = one.server.handshakes(clients + 1, comeback=True)
        one.load.open(requests[:clients], 1, seconds=180)
        with Load(Path(folder), one.server.port) as probe:
            probe.open(requests[clients:], 1)
            _latencies(one, probe, 2)  # everything has been used once
            for _ in range(rounds):
                late.add(SILENT, percentile(_seen_by_nobody(one, probe), 0.99))
                latencies, transactions, seconds = _seen_by_all(one, probe)
                late.add(SAYING, percentile(latencies, 0.99))
                written.add(OURS, transactions)
                took.add(OURS, seconds)
    written.at_most(100)
    took.at_most(30)
    late.at_most(1.2 * late.median(SILENT), SAYING)
    late.note = "The target is 1.2 times what it is while pages say nothing. The rounds of both take turns."
    return [written, took, late]


def _seen_by_nobody(one: Contest, probe: Load) -> list[float]:
    one.load.see(0)
    _everybody_gets_one(one, probe)
    return _latencies(one, probe, PROBED_SECONDS)


def _seen_by_all(one: Contest, probe: Load) -> tuple[list[float], int, float]:
    """The latencies, the number of transactions, and the seconds until the last page is told."""
    assert one.server.valkey
    with redis.Redis.from_url(one.server.valkey.url) as client, client.pubsub(ignore_subscribe_messages=True) as bells:
        bells.psubscribe("*")
        bells.get_message(timeout=5)  # it listens
        one.load.see(WITHIN_MS)
        began = time.monotonic()
        _everybody_gets_one(one, probe)
        latencies = _latencies(one, probe, PROBED_SECONDS)
        told = one.load.seen(60)
        heard = iter(lambda: bells.get_message(timeout=0.3), None)
        transactions = sum(b"inboxes_changed" in (each or {}).get("data", b"") for each in heard)  # each rings one bell
    assert one.server.sender().call("behind", one.server.sender().call("newest_broadcast")) <= 1, "not all is written"
    return latencies, transactions, told["last"] / 1e9 - began


def _everybody_gets_one(one: Contest, probe: Load) -> None:
    probe.want(1)
    one.broadcast(1)
    probe.wait()


def _latencies(one: Contest, probe: Load, seconds: float) -> list[float]:
    """Of notices to the page that sees nothing, in ms: from the call of `send_notice` to the frame."""
    sender, took, until = one.server.sender(), [], time.monotonic() + seconds
    somebody = sender.call("newest_person")
    while time.monotonic() < until:
        time.sleep(random.uniform(0, 2 * PAUSE))
        probe.want(1)
        sender.call("send_to", somebody)
        took.append(probe.wait()["max"])
    return took
