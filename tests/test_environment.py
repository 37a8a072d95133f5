"""A mistake in the environment or in `.env` is one line that names the variable, and stops the start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import Environment
from tests.machine import ROOT

MISTAKES = {
    "PORT=abc": "PORT=abc: use a whole number",
    "PORT=9000 # port": "PORT=9000 # port: use a whole number",
    "PORT=-1": "PORT=-1: 0 is the least",
    "SHUTDOWN_SECONDS=1.5": "SHUTDOWN_SECONDS=1.5: use a whole number",
    "HEARTBEAT_SECONDS=abc": "HEARTBEAT_SECONDS=abc: use a number",
    "DRAIN_SECONDS=nan": "DRAIN_SECONDS=nan: ",
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


def check(folder, text):
    """`manage.py check` with this `.env`: its exit code, and what it prints."""
    (folder / ".env").write_bytes(text.encode() if isinstance(text, str) else text)
    environment = {"DATA_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, ROOT / "manage.py", "check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("line", MISTAKES)
def test_an_unusable_value_is_named_in_one_line_without_its_password(tmp_path, line):
    code, said = check(tmp_path, f"SECRET_KEY=abc\n{line}\n")

    assert code == 1
    assert said.startswith(f"error: {MISTAKES[line]}")
    assert said.count("\n") == 1
    assert "hidden" not in said


def test_a_file_that_is_no_text_is_named(tmp_path):
    code, said = check(tmp_path, b"SECRET_KEY=abc\nEMAIL_FROM=J\xfcrgen\n")

    assert (code, said) == (1, f"error: {tmp_path / '.env'} is not UTF-8: byte 27\n")


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
    with pytest.raises(ImproperlyConfigured):
        Environment().str("SURELY_NOT_SET")
