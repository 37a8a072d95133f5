"""One run: real servers, database and Valkey, readers and writers, in processes of their own; and what came of it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.faults.history import Record, Seen, Sent, now, read_lines, write_json
from tests.faults.verdict import Entry, Ledger, Verdict, judge
from tests.machine import ROOT
from tests.servers import NoticeServer, PostgreSQL, Valkey, run_as

SETTLE_SECONDS = 30  # after the last fault and the last notice, everybody has everything
PEOPLE_PER_GROUP = 4
READERS_PER_PERSON = 10

MAKE_PEOPLE = """
import json
from datetime import timedelta
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.utils import timezone
from notifications.audiences import audiences_of_each
from notifications.models import Subscription, Topic

store = import_module(settings.SESSION_ENGINE).SessionStore
groups = [Group.objects.create(name=f"group {n}") for n in range(3)]
topic = Topic.objects.create(slug="deploys", name="Deploys")
users = User.objects.bulk_create(
    User(username=f"person {n}".replace(" ", ""), password="!", is_staff=n % 5 == 0, is_superuser=n == 0)
    for n in range(COUNT)
)
through = User.groups.through
through.objects.bulk_create(through(user=user, group=groups[n % 3]) for n, user in enumerate(users) if n % 2)
Subscription.objects.bulk_create(Subscription(user=user, topic=topic) for n, user in enumerate(users) if n % 4 == 1)
sessions = {}
for user in users:
    session = store()
    data = {SESSION_KEY: str(user.pk), HASH_SESSION_KEY: user.get_session_auth_hash()}
    data[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    sessions[user.pk] = session._get_new_session_key()
    Session.objects.create(
        session_key=sessions[user.pk], session_data=session.encode(data), expire_date=timezone.now() + timedelta(days=1)
    )
audiences = audiences_of_each(users)
print(json.dumps({
    "people": {str(user.pk): [sessions[user.pk], sorted(audiences[user.pk])] for user in users},
    "usernames": {str(user.pk): user.username for user in users},
    "groups": {str(group.pk): group.name for group in groups},
    "topics": {topic.slug: topic.pk},
}))
"""

READ_LEDGER = """
import json
from django.utils import timezone
from notifications.log import head
from notifications.models import Notice
rows = Notice.objects.prefetch_related("postings")
print(json.dumps({"head": head().position, "entries": [
    [n.pk, n.title, [p.audience for p in n.postings.all()], n.published, n.position, n.recalled_at is not None,
     n.expires_at is not None, n.key]
    for n in rows.iterator(chunk_size=2000)
]}))
"""


class Stage:
    """What a fault is done to.

    folder     where everything is written down
    servers    server processes on one port
    database   "sqlite" or "postgresql"
    layer      "valkey", "embedded", "none", or "unreachable"
    readers    open pages; `swallow`: their line can be cut. `add_readers` brings others
    writers    door → how many processes
    rate       notices a second for each `python` writer, with bodies of `padding` bytes; it `dies` with this chance
    marking    how many of the readers mark seen and read what they are sent. Ten make about 4 deeds a second, each of
               30 ms on a busy machine, and all pages of who has marked something begin afresh when they come back:
               not where the time until they are back is judged
    before     Python that runs before there is a server, for what is stored already
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        servers: int = 1,
        database: str = "sqlite",
        layer: str = "valkey",
        readers: int = 100,
        swallow: bool = False,
        marking: int = 0,
        writers: dict[str, int] | None = None,
        rate: float = 5,
        dies: float = 0,
        commit_may_be_lost: bool = False,
        padding: int = 100,
        before: str = "",
        **settings: object,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.chance = random.Random(seed)
        self.seed = seed
        self.notes = Record(folder / "faults.jsonl")
        self.broken_promises: list[str] = []
        self.figures: dict[str, float] = {}
        self.valkey: Valkey | None = None
        self.postgresql: PostgreSQL | None = None
        self.server = NoticeServer(folder, workers=servers, **settings)
        self._asked = {"database": database, "layer": layer, "servers": servers, "readers": readers, "seed": seed}
        self._asked |= {"settings": {name: str(value) for name, value in settings.items()}}
        self._asked |= {"dies": dies, "commit_may_be_lost": commit_may_be_lost, "padding": padding}
        self._swallow = swallow
        self._marking = marking
        self._before = before
        self._stuck = 0
        self._persons_of_readers: list[str] = []
        self._writing = {"python": 2} if writers is None else writers
        self._rate = rate
        self._readers: list[subprocess.Popen[str]] = []
        self._writers: list[subprocess.Popen[str]] = []
        self._stack = ExitStack()

    # Up and down ------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._furnish()
        self.server.start()
        self._stack.callback(self.server.kill)
        self.add_readers(self._asked["readers"], swallow=self._swallow)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._writers + self._readers:
            process.kill()
            process.wait()
        self._stack.close()

    def _furnish(self) -> None:
        if self._asked["database"] == "postgresql":
            self.postgresql = PostgreSQL()
            self._stack.callback(self.postgresql.remove)
            self.postgresql.start()
            name = self.postgresql.create_database()
            self.server.settings["DATABASE_URL"] = self.postgresql.url(name)
            self.server.database = name
        self.server.settings["REDIS_URL"] = "memory://"
        prepared = self.server.manage("prepare")
        assert prepared.returncode == 0, prepared.stderr
        count = max(2, self._asked["readers"] // READERS_PER_PERSON)
        made = json.loads(self.server.python(MAKE_PEOPLE.replace("COUNT", str(count))))
        if self._before:
            self.server.python(self._before)
        self.people = {person: frozenset(audiences) for person, (_, audiences) in made["people"].items()}
        self.sessions = {person: session for person, (session, _) in made["people"].items()}
        if self._asked["layer"] == "valkey":
            self.valkey = Valkey(self.folder).start()
            self._stack.callback(lambda: self.valkey and self.valkey.kill())
            self.server.settings["REDIS_URL"] = self.valkey.url
        elif self._asked["layer"] == "unreachable":
            self.server.settings["REDIS_URL"] = "redis://127.0.0.1:9/0"
        elif self._asked["layer"] == "embedded":
            del self.server.settings["REDIS_URL"]
        persons = list(self.people)
        # A third of what is sent is for everyone; what is for one person is for few pages.
        some = self.chance.sample(persons, min(10, len(persons)))
        audiences = ["everyone"] * 6 + ["staff", "topic:deploys", *(f"group:{key}" for key in made["groups"])]
        audiences += [f"user:{person}" for person in some]
        asked = self._asked | {key: made[key] for key in ("usernames", "groups", "topics")}
        asked |= {"audiences": audiences, "url": self.server.url, "admin_session": self.sessions[persons[0]]}
        write_json(self.folder / "run.json", asked)
        write_json(self.folder / "people.json", {p: [self.sessions[p], sorted(a)] for p, a in self.people.items()})

    def add_readers(
        self, count: int, *, slow: int = 0, stuck: int = 0, swallow: bool = False, at: Sequence[int] = ()
    ) -> None:
        """More open pages, at these ports in turn; the first `slow` of them are slow, the next `stuck` are stuck."""
        first, persons = len(self._persons_of_readers), list(self.people)
        mine = [persons[number % len(persons)] for number in range(first, first + count)]
        self._persons_of_readers += mine
        write_json(self.folder / "readers.json", self._persons_of_readers)
        addresses = [f"127.0.0.1:{port}" for port in at or [self.server.port]]
        process = self.run("tests.faults.readers", str(self.folder), str(first), *addresses)
        given = {"sessions": [self.sessions[person] for person in mine], "slow": slow, "stuck": stuck}
        assert process.stdin
        process.stdin.write(json.dumps(given | {"swallow": swallow, "marking": self._marking}) + "\n")
        process.stdin.flush()
        self._readers.append(process)
        self._stuck += stuck
        self.until(self.all_live, 60, "all readers are connected")

    def run(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*run_as(None), sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self.server.environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "others.log").open("a"),
            text=True,
        )

    # While it goes on -------------------------------------------------------------------------------------

    def order(self, command: str) -> list[Any]:
        """Tell the readers; returns the answer of each process of them."""
        for process in self._readers:
            assert process.stdin
            process.stdin.write(command + "\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in self._readers if process.stdout]

    def live(self) -> int:
        """How many readers are live."""
        return sum(state["live"] for state in self.order("state"))

    def all_live(self) -> bool:
        return self.live() >= len(self._persons_of_readers) - self._stuck

    def lowest(self) -> int:
        """The place that the last of the readers has reached; those that are stuck do not count."""
        return min(state["lowest"] for state in self.order("state"))

    def write(self, **doors: int) -> None:
        """Begin to send: `write(python=4, command=1)`; without doors, what the stage was made with."""
        for door, count in (doors or self._writing).items():
            rate = {"python": self._rate, "command": 0.2}.get(door, 1.0)
            for _ in range(count):
                number = len(self._writers)
                arguments = [str(self.folder), door, f"{door}-{number}", str(rate), str(self.seed * 1000 + number)]
                self._writers.append(self.run("tests.faults.writers", *arguments))
        # On a busy machine sixteen that start at once take longer than a scene lasts.
        self.until(self._all_write, 60, "all senders have started")

    def _all_write(self) -> bool:
        return len(list(self.folder.glob("writer-*.jsonl"))) >= len(self._writers)

    def writers_left(self) -> int:
        return sum(writer.poll() is None for writer in self._writers)

    def wait_for(self, process: subprocess.Popen[str], seconds: float) -> None:
        try:
            code = process.wait(seconds)
            self.promise(code == 0, f"a process failed with {code}")
        except subprocess.TimeoutExpired:
            process.kill()
            self.promise(False, f"a process took more than {seconds} s")

    def person_of(self, reader: int) -> str:
        return self._persons_of_readers[reader]

    @property
    def first_readers(self) -> int:
        """How many there were before others were added."""
        return int(self._asked["readers"])

    @property
    def victim_session(self) -> str:
        """The session of somebody who has pages open, and is attacked by themselves."""
        return self.sessions[self._persons_of_readers[-1]]

    @property
    def visitor_session(self) -> str:
        """The session of somebody else."""
        return next(session for session in self.sessions.values() if session != self.victim_session)

    def note(self, what: str) -> float:
        moment = now()
        self.notes.add({"at": moment, "what": what})
        return moment

    def wait(self, seconds: float) -> None:
        """Let it go on for a while."""
        time.sleep(seconds)

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        """Wait until something is so; returns how long it took. Not in time is a broken promise."""
        began = now()
        while not condition():
            if now() - began > seconds:
                self.broken_promises.append(f"not within {seconds} s: {what}")
                break
            time.sleep(0.05)
        return now() - began

    def promise(self, kept: bool, words: str) -> None:
        if not kept:
            self.broken_promises.append(words)

    def workers(self) -> list[int]:
        """The server processes; the one that the others came from is not among them."""
        assert self.server.process
        parent = self.server.process.pid
        if self._asked["servers"] == 1:
            return [parent]
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_child = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent
                if is_child and b"spawn_main" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return sorted(found)

    def another_server(self, **settings: object) -> NoticeServer:
        """A second server beside the first, on a port of its own, with the same database and layer."""
        other = NoticeServer(self.folder, **settings)
        other.settings = self.server.settings | {name: str(value) for name, value in settings.items()}
        other.start()
        self._stack.callback(other.kill)
        return other

    def kill_a_worker(self) -> None:
        os.kill(self.chance.choice(self.workers()), signal.SIGKILL)

    # The end ----------------------------------------------------------------------------------------------

    def finish(self) -> Verdict:
        """Stop sending, give everybody time to get everything, and judge."""
        for writer in self._writers:
            if writer.poll() is None:
                assert writer.stdin
                writer.stdin.write("\n")
                writer.stdin.close()
        for writer in self._writers:
            writer.wait(timeout=90)
        self.wait(3)  # for what was scheduled
        ledger = self._read_ledger()
        self.until(
            lambda: self.all_live() and self.lowest() >= ledger.head,
            SETTLE_SECONDS,
            f"all readers are at {ledger.head}",
        )
        self.order("stop")
        for process in self._readers:
            process.wait(timeout=30)
        self.notes.close()
        verdict = judge_folder(self.folder, stuck=self.stuck_readers)
        verdict.figures = self.figures
        self.promise(verdict.notices > 0, "no notice was sent, which proves nothing")
        verdict.broken_promises += self.broken_promises + noise_in(self.server.log, self._asked["servers"])
        return verdict

    stuck_readers: Sequence[int] = ()  # who never reads again is judged by nothing

    def _read_ledger(self) -> Ledger:
        """Waits until everything that is stored is published, too."""
        for _ in range(20):
            read = json.loads(self.server.python(READ_LEDGER))
            if all(entry[4] for entry in read["entries"] if not entry[5]):
                break
            self.wait(0.5)
        write_json(self.folder / "ledger.json", read)
        return load_ledger(self.folder)

    # What the readers met ---------------------------------------------------------------------------------

    def seen(self) -> Iterator[Seen]:
        """Everything so far."""
        self.order("state")  # by which they write down what they have
        return seen_in(self.folder)

    def sent(self) -> list[Sent]:
        return sent_in(self.folder)


def seen_in(folder: Path) -> Iterator[Seen]:
    return (seen for path in sorted(folder.glob("readers-*.jsonl")) for seen in read_lines(path, Seen))


def sent_in(folder: Path) -> list[Sent]:
    return [each for path in sorted(folder.glob("writer-*.jsonl")) for each in read_lines(path, Sent)]


def load_ledger(folder: Path) -> Ledger:
    read = json.loads((folder / "ledger.json").read_text())
    entries = [Entry(id_, title, frozenset(to), *rest) for id_, title, to, *rest in read["entries"]]
    return Ledger(read["head"], entries)


def judge_folder(folder: Path, stuck: Iterable[int] = ()) -> Verdict:
    """The verdict on what a run has written down, whenever that was."""
    people = {person: frozenset(to) for person, (_, to) in json.loads((folder / "people.json").read_text()).items()}
    readers = dict(enumerate(json.loads((folder / "readers.json").read_text())))
    for number in stuck:
        del readers[number]
    return judge(load_ledger(folder), people, readers, seen_in(folder), sent_in(folder))


LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d):\d\d,\d+ (\w+) ([\w.]+): (.{0,25})", re.MULTILINE)


def noise_in(log: str, processes: int) -> list[str]:
    """The same trouble said more than once a minute by a process, and any traceback."""
    said: dict[tuple[str, ...], int] = {}
    for minute, _, logger, words in LINE.findall(log):
        said[minute, logger, words] = said.get((minute, logger, words), 0) + 1
    # Twice in one minute of the clock is possible, at its begin and its end.
    noise = [f"said {n} times in a minute: {' '.join(key)}" for key, n in said.items() if n > 2 * processes]
    if "Traceback" in log:
        noise.append("a traceback in the log")
    return noise
