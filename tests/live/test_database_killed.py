"""A PostgreSQL that is killed while `manage.py send_notice` talks to it: what the command says is true.

Between the two stands a line that kills PostgreSQL at a chosen moment, and starts it again.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.servers import NoticeServer, PostgreSQL

STORED, NOTHING_STORED, NOT_KNOWN = 0, 1, 4


class Line:
    """Passes on what the command and PostgreSQL say to one another."""

    def __init__(self, postgresql: PostgreSQL) -> None:
        self._postgresql = postgresql
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.kill_at(lambda words, reply: False)
        threading.Thread(target=self._accept, daemon=True).start()

    def kill_at(self, moment: Callable[[bytes, bool], bool]) -> None:
        """Kill PostgreSQL once at the ``moment``, of which something of what is said is asked; it gets nowhere."""
        self._moment, self.killed = moment, threading.Event()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                try:
                    there = socket.create_connection(("127.0.0.1", self._postgresql.port))
                except OSError:
                    here.close()
                    continue
                for source, target, reply in ((here, there, False), (there, here, True)):
                    threading.Thread(target=self._pass, args=(source, target, reply), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, reply: bool) -> None:
        with contextlib.suppress(OSError):
            while words := source.recv(1 << 20):
                with self._lock:
                    if not self.killed.is_set() and self._moment(words, reply):
                        self._kill()
                        break
                target.sendall(words)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # which also ends the other thread's `recv`
            each.close()

    def _kill(self) -> None:
        """Without a checkpoint, and without a word to whoever is connected."""
        assert self._postgresql.process
        self._postgresql.process.send_signal(signal.SIGQUIT)
        self._postgresql.process.wait(20)
        self.killed.set()


def before(words: bytes) -> Callable[[bytes, bool], bool]:
    return lambda said, reply: not reply and words in said


def after(words: bytes) -> Callable[[bytes, bool], bool]:
    """PostgreSQL has done it, and its answer gets lost."""
    asked = threading.Event()

    def moment(said: bytes, reply: bool) -> bool:
        if not reply and words in said:
            asked.set()
        return reply and asked.is_set()

    return moment


def once_answered(words: bytes) -> Callable[[bytes, bool], bool]:
    """Whatever is asked next, if anything is."""
    answered = after(words)
    has_answer = threading.Event()

    def moment(said: bytes, reply: bool) -> bool:
        if answered(said, reply):
            has_answer.set()
        return not reply and has_answer.is_set() and not said.startswith(b"X")  # X: it says good-bye

    return moment


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    """One that keeps what it has committed, and may be killed."""
    postgresql = PostgreSQL("-c", "synchronous_commit=on")
    try:
        yield postgresql.start()
    finally:
        postgresql.remove()


@pytest.fixture(scope="module")
def line(postgresql: PostgreSQL) -> Iterator[Line]:
    line = Line(postgresql)
    yield line
    line.close()


@pytest.fixture(scope="module")
def installation(postgresql: PostgreSQL, line: Line, tmp_path_factory: pytest.TempPathFactory) -> NoticeServer:
    """What the command is called in; no server runs."""
    database = postgresql.create_database()
    url = f"postgres://notices@127.0.0.1:{line.port}/{database}"
    installation = NoticeServer(tmp_path_factory.mktemp("installation"), database_url=url, redis_url="memory://")
    installation.database = database
    migrated = installation.manage("migrate", "-v", "0")
    assert migrated.returncode == 0, migrated.stderr
    # The first one begins the log, and would be published in a transaction of its own.
    assert installation.manage("send_notice", "The first", "--everyone").returncode == STORED
    return installation


MOMENTS = [
    ("before it is stored", before(b'INSERT INTO "notifications_notice"'), NOTHING_STORED),
    ("after it is stored", after(b'INSERT INTO "notifications_posting"'), NOTHING_STORED),
    ("after it is published", after(b"UPDATE notifications_log"), NOTHING_STORED),
    ("before the commit", before(b"COMMIT"), NOTHING_STORED),
    ("after the commit", after(b"COMMIT"), STORED),
    ("after the commit was heard of", once_answered(b"COMMIT"), STORED),
]


@pytest.mark.parametrize(("when", "moment", "says"), MOMENTS, ids=[when for when, *_ in MOMENTS])
def test_a_database_that_is_killed_makes_no_liar_of_the_command(installation, postgresql, line, when, moment, says):
    line.kill_at(moment)

    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(installation.manage, "send_notice", when, "--everyone", "--key", "disk")
        while not sending.done():
            if line.killed.wait(0.05) and not postgresql.running:
                postgresql.start()  # by this thread: a process does not outlive the thread that started it
    done = sending.result()

    assert line.killed.is_set() or says == STORED, f"PostgreSQL was not killed, nothing is shown: {done}"
    if not postgresql.running:
        postgresql.start()
    assert (done.returncode, stored(installation, postgresql, when)) == (says, int(says == STORED)), done.stderr


def test_a_database_that_stays_away_after_the_commit_leaves_it_open(installation, postgresql, line):
    line.kill_at(after(b"COMMIT"))

    done = installation.manage("send_notice", "away", "--everyone")

    postgresql.start()
    assert done.returncode == NOT_KNOWN, done.stderr
    assert stored(installation, postgresql, "away") == 1, "it was, and the command did not deny it"


def stored(installation: NoticeServer, postgresql: PostgreSQL, title: str) -> int:
    statement = "SELECT count(*) FROM notifications_notice WHERE title = %s"
    with psycopg.connect(postgresql.url(installation.database)) as connection:
        [(count,)] = connection.execute(statement, [title]).fetchall()
    return count
