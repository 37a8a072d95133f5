"""A mistake in the environment or in `.env` is one line that names the variable, and stops the start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import Environment, read_file
from tests.machine import ROOT

MISTAKES = {
    "PORT=abc": "PORT=abc: use a whole number",
    "PORT=9000 # port": "PORT=9000 # port: use a whole number",
    "PORT=-1": "PORT=-1: 0 is the least",
    "SHUTDOWN_SECONDS=1.5": "SHUTDOWN_SECONDS=1.5: use a whole number",
    "HEARTBEAT_SECONDS=abc": "HEARTBEAT_SECONDS=abc: use a number",
    "DRAIN_SECONDS=nan": "DRAIN_SECONDS=nan: use a number",
    "DRAIN_SECONDS=inf": "DRAIN_SECONDS=inf: use a number",
    "DRAIN_SECONDS=5 minutes": "DRAIN_SECONDS=5 minutes: use a number",
    "DRAIN_SECONDS=1,500": "DRAIN_SECONDS=1,500: use a number",
    "DRAIN_SECONDS=-0.5": "DRAIN_SECONDS=-0.5: 0 is the least",
    "WS_RATE_LIMIT=-1": "WS_RATE_LIMIT=-1: 0 is the least",
    "HTTPS_ONLY=tru": "HTTPS_ONLY=tru: use true or false",
    "DEBUG=maybe": "DEBUG=maybe: use true or false",
    "TIME_ZONE=Mars/Phobos": "TIME_ZONE=Mars/Phobos: use a name such as Europe/Berlin",
    "LOG_LEVEL=loud": "LOG_LEVEL=LOUD: use DEBUG, INFO",
    "DATABASE_URL=nonsense": "DATABASE_URL=nonsense:…: use postgres://… or sqlite:///…",
    "DATABASE_URL=postgres://u:hidden@h:port/x": "DATABASE_URL=postgres:…: use",
    "DATABASE_URL=postgres://u:hidden#a/b@h:5432/x": "DATABASE_URL=postgres:…: use",
    "REDIS_URL=redis://h:port/0": "REDIS_URL=",
    "EMAIL_URL=smtp+tls://a:hidden@h:port": "EMAIL_URL=smtp+tls:…: use",
    "CSRF_TRUSTED_ORIGINS=example.com": "CSRF_TRUSTED_ORIGINS=example.com: write scheme, host and port",
}


def check(folder, text=None, command=("manage.py", "check")):
    """`manage.py check`, or another program, with this `.env`: its exit code, and what it prints."""
    if text is not None:
        (folder / ".env").write_bytes(text.encode() if isinstance(text, str) else text)
    environment = {"DATA_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.fixture(params=["the settings", "the start"])
def read(request, tmp_path):
    """Have a program read this `.env`."""
    command = {"the settings": ("manage.py", "check"), "the start": ("bin/environment", str(tmp_path))}[request.param]
    return lambda text=None: check(tmp_path, text, command)


@pytest.mark.parametrize("line", MISTAKES)
def test_an_unusable_value_is_named_in_one_line_without_its_password(tmp_path, line):
    code, said = check(tmp_path, f"SECRET_KEY=abc\n{line}\n")

    assert code == 1
    assert said.startswith(f"error: {MISTAKES[line]}")
    assert said.count("\n") == 1
    assert "hidden" not in said


def test_a_file_that_is_no_text_is_named(tmp_path, read):
    code, said = read(b"SECRET_KEY=abc\nEMAIL_FROM=J\xfcrgen\n")

    assert (code, said) == (1, f"error: {tmp_path / '.env'} is not UTF-8: byte 27\n")


@pytest.mark.parametrize("line", ["PORT: 9000", "hidden", "=hidden", "PO RT=9000", "set PORT=9000", "PORT=90\0"])
def test_a_line_that_sets_nothing_is_named_by_its_number_and_not_shown(tmp_path, read, line):
    code, said = read(f"SECRET_KEY=abc\n\n# a comment\n{line}\n")

    assert (code, said) == (1, f"error: {tmp_path / '.env'}, line 4: write NAME=value\n")


def test_a_folder_in_place_of_the_file_is_named(tmp_path, read):
    (tmp_path / ".env").mkdir()

    assert read() == (1, f"error: {tmp_path / '.env'} cannot be read: Is a directory\n")


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("PORT = 9000", "9000"),
        ("PORT =9000", "9000"),
        ("  PORT= 9000  ", "9000"),
        ("\texport   PORT = '9000'", "9000"),
        ('PORT = " 9000 "', " 9000 "),
        ("PORT = a = b # c", "a = b # c"),
        ("PORT=", ""),
        ("PORT=$9000", "$9000"),
        ("  # PORT=9000", None),
    ],
)
def test_a_line_may_have_spaces_where_nobody_means_them(tmp_path, monkeypatch, line, means):
    monkeypatch.setenv("PORT", "")  # empty is not set
    (tmp_path / ".env").write_text(f"{line}\n")

    read_file(tmp_path / ".env")

    assert os.environ["PORT"] == (means or "")


def test_the_real_environment_wins_and_no_file_is_no_mistake(tmp_path, monkeypatch):
    monkeypatch.setenv("PORT", "8001")
    (tmp_path / "there").write_text("PORT=9000\n")

    read_file(tmp_path / "there")
    read_file(tmp_path / "missing")

    assert os.environ["PORT"] == "8001"


@pytest.mark.parametrize("start", ["\ufeff", "\n", "export "])
def test_a_file_is_read_however_an_editor_begins_it(tmp_path, start):
    assert check(tmp_path, f"{start}SECRET_KEY=abc\nPORT=\nDRAIN_SECONDS=\nDEBUG=\n")[0] == 0


def test_entries_of_a_list_may_have_spaces_between_them(monkeypatch):
    monkeypatch.setenv("ALLOWED_HOSTS", "a.example, b.example ,")

    assert Environment().list("ALLOWED_HOSTS") == ["a.example", "b.example"]


@pytest.mark.parametrize(("text", "means"), [("On", True), ("yes", True), ("1", True), ("no", False), ("OFF", False)])
def test_a_switch_knows_the_usual_words(monkeypatch, text, means):
    monkeypatch.setenv("DEBUG", text)

    assert Environment().bool("DEBUG", default=not means) is means


def test_what_is_not_set_is_as_the_default_says(monkeypatch):
    monkeypatch.delenv("PORT", raising=False)

    assert Environment().int("PORT", default=8000) == 8000


@pytest.mark.parametrize("kind", ["str", "int", "float", "bool", "list"])
@pytest.mark.parametrize("text", [None, "", " "])
def test_what_is_not_set_and_has_no_default_is_a_mistake_that_names_it(monkeypatch, kind, text):
    monkeypatch.delenv("DRAIN_SECONDS", raising=False)
    if text is not None:
        monkeypatch.setenv("DRAIN_SECONDS", text)

    with pytest.raises(ImproperlyConfigured, match=r"^DRAIN_SECONDS is not set$"):
        getattr(Environment(), kind)("DRAIN_SECONDS")


def test_a_text_may_begin_with_a_dollar(monkeypatch):
    """django-environ would look for another variable of that name; one key in fifty that Django makes begins so."""
    monkeypatch.setenv("SECRET_KEY", "$ecret")

    assert Environment().str("SECRET_KEY", default="") == "$ecret"
