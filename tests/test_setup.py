"""`make run`, as a person meets it: in a fresh clone, with the commands that the README gives."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.machine import ROOT
from tests.servers import free_port, sign_in

# The first start downloads and installs; it may take 120 s, on top of what follows it.
pytestmark = pytest.mark.timeout(240)

NOT_OURS = ("SECRET_KEY", "DATA_DIR", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "VENV", "PYTHON")
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTHONDEVMODE", "VIRTUAL_ENV")


@dataclass
class Clone:
    """A copy of the project with nothing in it that git does not know."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in NOT_OURS + OF_MAKE}
        return kept | {"PORT": str(self.port)}

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type `command` in another terminal."""
        return subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def processes(self) -> list[str]:
        """What still runs in the clone: the command lines of the processes whose folder it is."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").resolve(strict=True).is_relative_to(self.folder):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # gone meanwhile, a zombie, or somebody else's
                continue
        return found


@dataclass
class Run:
    """One `make run`, from start to Ctrl-C."""

    output: str
    seconds: float  # until it served
    code: int
    left_behind: list[str]
    page: str  # the inbox, after the README's notice
    sent: list[subprocess.CompletedProcess[str]]


def copy_project(target: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():  # not those that are deleted but not committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def commands(pattern: str) -> list[str]:
    """The lines of the README's shell examples that match `pattern`, as written."""
    blocks = re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.search(pattern, line)]


def make_run(clone: Clone, password: str | None) -> Run:
    """Type the README's `make run`, then its commands in another terminal, look at the page, press Ctrl-C."""
    (command,) = set(commands(r"^make run$"))
    output = clone.folder.parent / f"output-{time.monotonic_ns()}"
    started = time.monotonic()
    with output.open("wb") as log:
        process = subprocess.Popen(
            # Ctrl-C must work in there even if the tests run in the background, where it is ignored.
            ["env", "--default-signal=INT", *command.split()],
            cwd=clone.folder,
            env=clone.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not answers(clone.url):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() - started < 180, output.read_text()
            time.sleep(0.02)
        seconds = time.monotonic() - started
        password = password or password_in(output.read_text())
        sent = [clone.type(line) for line in commands(r"send_notice.*--everyone")]
        request = urllib.request.Request(f"{clone.url}/")
        request.add_header("Cookie", sign_in(clone.url, "admin", password))
        page = urllib.request.urlopen(request, timeout=10).read().decode()
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(20)
        deadline = time.monotonic() + 2
        while clone.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        return Run(output.read_text(), seconds, code, clone.processes(), page, sent)
    finally:
        print(output.read_text())  # pytest shows it when a test fails
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
    except OSError:
        return False
    return True


def password_in(output: str) -> str:
    found = re.search(r"Sign in as +admin\n +Password +(\S+)", output)
    assert found, output
    return found[1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("setup") / "notices"
    copy_project(folder)
    return Clone(folder, free_port())


@pytest.fixture(scope="module")
def first(clone: Clone) -> Run:
    return make_run(clone, password=None)


@pytest.fixture(scope="module")
def again(clone: Clone, first: Run) -> Run:
    before = contents(clone.folder / "var"), (clone.folder / ".venv/.installed").stat().st_mtime_ns
    run = make_run(clone, password_in(first.output))
    assert before == (contents(clone.folder / "var"), (clone.folder / ".venv/.installed").stat().st_mtime_ns)
    return run


def contents(folder: Path) -> dict[str, int]:
    """What `make run` writes, and when it was written; the database changes with every sign-in."""
    files = [folder / ".env", folder / "static.stamp", *folder.glob("static/**/*")]
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_a_fresh_clone_serves_within_two_minutes(first: Run) -> None:
    assert first.seconds < 120


def test_the_notice_of_the_readme_is_on_the_page_of_the_admin_it_made(first: Run) -> None:
    assert [sent.returncode for sent in first.sent] == [0] * len(first.sent), first.sent
    assert "Backup finished" in first.page


def test_it_says_where_to_go_and_what_to_try_next(clone: Clone, first: Run) -> None:
    assert f"{clone.url}/" in first.output
    suggested = re.search(r"^ *(\.venv/bin/python manage\.py send_notice .*)$", first.output, re.M)
    assert suggested
    assert suggested[1] in commands("send_notice"), "the README and `make run` suggest the same"


def test_the_password_is_printed_once_and_kept_nowhere(clone: Clone, first: Run, again: Run) -> None:
    password = password_in(first.output)

    assert first.output.count(password) == 1
    assert "Password" not in again.output
    files = [path for path in (clone.folder / "var").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if password.encode() in path.read_bytes()]


def test_the_secret_key_is_for_its_owner_only(clone: Clone, first: Run) -> None:
    assert (clone.folder / "var").stat().st_mode & 0o777 == 0o700
    assert (clone.folder / "var/.env").stat().st_mode & 0o777 == 0o600


def test_the_second_start_serves_within_five_seconds_and_installs_nothing(again: Run) -> None:
    assert again.seconds < 5
    assert "Installing" not in again.output
    assert "Migrating" not in again.output
    assert "Collecting" not in again.output


@pytest.mark.parametrize("which", ["first", "again"])
def test_ctrl_c_stops_everything_without_a_mess(which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)

    assert run.left_behind == []
    assert run.code in (0, 130, -signal.SIGINT)
    assert "Traceback" not in run.output
    assert "***" not in run.output, "make complains"
    assert "Valkey ended" not in run.output


def test_a_data_folder_that_others_may_enter_keeps_its_secrets(clone: Clone, first: Run, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    data_dir.chmod(0o755)
    (data_dir / "db.sqlite3").touch(0o644)
    (data_dir / ".env").write_text("SECRET_KEY=of-an-earlier-version\n")
    for path in data_dir.iterdir():
        path.chmod(0o644)

    result = clone.type(f"DATA_DIR={data_dir} .venv/bin/python manage.py prepare --greet")

    assert result.returncode == 0, result.stderr
    secret = [path for path in data_dir.iterdir() if path.name.startswith(("db.sqlite3", ".env"))]
    assert {path.stat().st_mode & 0o077 for path in secret} == {0}


def test_two_starts_at_once_set_up_one_after_the_other(clone: Clone, first: Run, tmp_path: Path) -> None:
    data_dir, ports = tmp_path / "data", [free_port(), free_port()]
    outputs = [tmp_path / f"output-{port}" for port in ports]
    starts = []
    for port, output in zip(ports, outputs, strict=True):
        environment = clone.environment() | {"PORT": str(port), "DATA_DIR": str(data_dir)}
        with output.open("wb") as log:
            starts.append(
                subprocess.Popen(
                    ["bin/run"], cwd=clone.folder, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            )
    try:
        deadline = time.monotonic() + 60
        while not all(answers(f"http://127.0.0.1:{port}") for port in ports):
            said = [output.read_text() for output in outputs]
            assert [start.poll() for start in starts] == [None, None], said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
    finally:
        for start in starts:
            os.killpg(start.pid, signal.SIGTERM)
            start.wait(20)

    said = "".join(output.read_text() for output in outputs)
    assert (data_dir / ".env").read_text().count("SECRET_KEY=") == 1
    assert said.count("Password") == 1
    assert "Traceback" not in said
