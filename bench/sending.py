"""What sending costs, and how soon it is seen."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time

import redis

from bench.contestants import Contest, contest
from bench.processes import cpu_seconds
from bench.product import OTHER_CORE, Product, pinned
from bench.results import OURS, Result, percentile
from tests.machine import ROOT

SENDERS = 4
KEY = "invoice"


def latency(notices: int, database: str) -> Result:
    """From the call of `send_notice` to the frame at an idle page: commit, doorbell, socket."""
    result = Result(f"send → frame at an idle page, with Redis, {database}", "ms")
    with contest(OURS, database=database) as one:
        one.connect(1)
        _note_percentiles(one, result, notices, pause=0.03)
    result.at_most(5, "p50")
    result.at_most(15, "p99")
    return result


def polling(notices: int, seconds: float) -> list[Result]:
    """Without any layer: how late a notice is, and what looking costs."""
    late = Result("send → frame at an idle page, without any layer", "ms")
    cost = Result("CPU time of looking at the log twice a second", "% of a core")
    with contest(OURS, redis_url="memory://") as one:
        one.connect(1)
        time.sleep(1)
        spent = cpu_seconds(one.server.pids())
        time.sleep(seconds)
        cost.add(OURS, (cpu_seconds(one.server.pids()) - spent) / seconds * 100)
        _note_percentiles(one, late, notices, pause=0.25)
    late.at_most(600, "p99")
    cost.at_most(1)
    return [late, cost]


def _note_percentiles(one: Contest, result: Result, notices: int, pause: float) -> None:
    one.broadcast(1)
    took = []
    for _ in range(notices):
        time.sleep(random.uniform(0, 2 * pause))
        took.append(one.broadcast(1)["max"])
    for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        result.add(name, percentile(took, part))


def publishing(seconds: float) -> Result:
    """Processes that send one notice after the other, PostgreSQL, and a page that gets all of them."""
    result = Result(f"sustained publishing, {SENDERS} processes, PostgreSQL, one page follows", "notices/s")
    with contest(OURS, database="postgresql", core=None) as one:
        one.connect(1)
        senders = [one.server.sender(number) for number in range(SENDERS)]
        for sender in senders:
            sender.call("send", 1)
        before = senders[0].call("head")
        time.sleep(1)
        one.load.want(10**9)
        for sender in senders:
            sender.begin("send_for", seconds)
        sent = sum(sender.result() for sender in senders)
        time.sleep(2)
        told = one.load.ask("wait 0.1")
        assert senders[0].call("head") - before == sent, "positions were skipped"
        assert told["marked"] == sent, f"{sent} were sent, the page got {told['marked']}"
        assert not told["disordered"], told
        result.add(OURS, sent / seconds)
    result.at_least(400)
    return result


def many_at_once(count: int, database: str) -> Result:
    """One call with a notice for each of many people."""
    result = Result(f"`send_notices` with {count:,} notices for as many people, {database}", "notices/s")
    with Product(database) as product:
        product.sender().call("people", count)
        for _ in range(3):
            result.add(OURS, count / product.sender().call("send_to_each", count))
    result.at_least(3000)
    return result


def to_everyone(few: int, many: int, database: str) -> list[Result]:
    """Whether the number of people matters."""
    queries = Result(f"queries of one notice to everyone, {database}", "queries")
    took = Result(f"time of one notice to everyone, {database}", "ms")
    with Product(database) as product:
        known = 0
        for people in (few, many):
            product.sender().call("people", people - known)
            known = people
            count, ms = product.sender().call("queries_of_one", 40)
            queries.add(f"{people:,} people", count)
            took.add(f"{people:,} people", ms)
    least = queries.median(f"{few:,} people")
    queries.at_most(least, f"{many:,} people")
    took.at_most(took.median(f"{few:,} people") * 1.25, f"{many:,} people")
    took.note = "Equal within the spread of such times: a quarter."
    return [queries, took]


def one_key(people: int, database: str) -> list[Result]:
    """A key of which each of so many people has a live notice, and one more notice of it for one of them."""
    queries = Result(f"queries of a notice that supersedes another, {database}", "queries")
    took = Result(f"time of a notice that supersedes another, {database}", "ms")
    alone, among = "alone with its key", f"among {people:,} live notices of its key"
    with Product(database) as product:
        sender = product.sender()
        sender.call("people", people)
        for name in (alone, among):
            if name == among:
                sender.call("send_to_each", people, KEY)
            count, ms = sender.call("queries_of_one", 40, KEY)
            queries.add(name, count)
            took.add(name, ms)
    queries.at_most(queries.median(alone), among)
    took.at_most(took.median(alone) * 1.2, among)
    return [queries, took]


def command(times: int) -> Result:
    """What cron waits for."""
    result = Result("`manage.py send_notice`, the whole process", "s")
    with Product() as product:
        line = pinned(OTHER_CORE, [sys.executable, "manage.py", "send_notice", "Backup finished", "--everyone"])
        for attempt in range(times + 1):
            began = time.monotonic()
            subprocess.run(line, cwd=ROOT, env=product.server.environment(), check=True, capture_output=True)
            if attempt:  # the first one reads the files from the disk
                result.add(OURS, time.monotonic() - began)
    result.at_most(0.6)
    return result


def redis_load(notices: int) -> list[Result]:
    """What Redis is asked to do, and what stays there."""
    published = Result("PUBLISH for each notice", "commands")
    kept = Result("kept in Redis after it", "keys")
    with contest(OURS) as one:
        one.connect(1)
        assert one.server.valkey
        client = redis.Redis.from_url(one.server.valkey.url)
        with client.monitor() as monitor:
            for _ in range(notices):
                one.broadcast(1)
            client.echo("the end")
            commands = itertools.takewhile(lambda each: "the end" not in each["command"], monitor.listen())
            heard = [each["command"] for each in commands if each["command"].startswith("PUBLISH")]
        published.add(OURS, sum("log_grew" in each for each in heard) / notices)
        probes = sum("probe" in each for each in heard)
        published.note = f"{notices} notices; besides, the hub rang itself {probes} times, as it does every 1.5 s."
        kept.add(OURS, float(client.dbsize()))
        client.close()
    published.at_most(1)
    kept.at_most(0)
    return [published, kept]
