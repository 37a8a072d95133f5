"""Fixtures for every test; what they need from the machine is in machine.py, the servers are in servers.py.

No Django settings are read before `pytest_configure`: it decides which database and which Valkey they name.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.utils import translation

from config.logs import OnceAMinute
from tests.servers import SECRET_KEY, NoticeServer, PostgreSQL, Valkey

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

PASSWORD = "correct horse battery staple"
PEOPLE = ("admin", "staff", "ada", "brian", "cleo")  # admin: superuser; staff: may open the admin; readers
MAKE_PEOPLE = f"""
import json
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.hashers import make_password

password, sessions = make_password({PASSWORD!r}), {{}}
for name in {PEOPLE!r}:
    user = get_user_model().objects.create(
        username=name, password=password, is_staff=name in ("admin", "staff"), is_superuser=name == "admin"
    )
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session.create()
    sessions[name] = session.session_key
print(json.dumps(sessions))
"""


class Shared:
    """What all tests of one run have in common; stopped and removed when it ends."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="notices-tests-"))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "static").mkdir()  # WhiteNoise warns when it is missing
        self.valkey = Valkey(self.folder).start()
        self.stack.callback(self.valkey.stop)
        self._postgresql: PostgreSQL | None = None

    @property
    def postgresql(self) -> PostgreSQL:
        if self._postgresql is None:
            self._postgresql = PostgreSQL()
            self.stack.callback(self._postgresql.remove)
            self._postgresql.start()
        return self._postgresql


shared = pytest.StashKey[Shared]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="what the tests inside this process run on",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # pytest-xdist's own process runs no test, and what it set would come before what its workers set
    servers = config.stash[shared] = Shared()
    config.add_cleanup(servers.stack.close)
    for name in ("DATABASE_URL", "REDIS_URL", "DEBUG", "HOST", "PORT", "ALLOWED_HOSTS"):
        os.environ.pop(name, None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": SECRET_KEY,
        "DATA_DIR": str(servers.folder),
        "REDIS_URL": servers.valkey.url,
    }
    if config.getoption("--database") == "postgresql":
        os.environ["DATABASE_URL"] = servers.postgresql.url("notices")
    django.setup()


# Tests inside this process ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """SQLite in a file, as in production; in memory, threads share one connection's locks instead."""
    from django.db import connection

    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = f"{os.environ['DATA_DIR']}/test.sqlite3"


@pytest.fixture(autouse=True)
def default_language() -> Iterator[None]:
    """A request in another language leaves this thread speaking it; the next test begins without."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def plain_static_files(settings: SettingsWrapper) -> None:
    """Pages are rendered here without `collectstatic`, which makes the hashed names."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture(autouse=True)
def may_be_said_again() -> None:
    """What another test has logged less than a minute ago may be logged again."""
    for logger in logging.Logger.manager.loggerDict.values():
        for each in getattr(logger, "filters", ()):
            if isinstance(each, OnceAMinute):
                each._last.clear()
                each._bugs.clear()


@pytest.fixture
def valkey(pytestconfig: pytest.Config) -> Iterator[Valkey]:
    """The Valkey that the settings name. A test may stop or freeze it; the next one finds it running."""
    valkey = pytestconfig.stash[shared].valkey
    yield valkey
    if valkey.running:
        valkey.thaw()
    else:
        valkey.start()


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> PostgreSQL:
    return pytestconfig.stash[shared].postgresql


# Servers in processes of their own -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> NoticeServer:
    """A migrated SQLite database with PEOPLE, and the static files: each server starts from a copy."""
    server = NoticeServer(tmp_path_factory.mktemp("prepared"), redis_url="memory://")
    result = server.manage("prepare")
    assert result.returncode == 0, result.stderr
    server.sessions = json.loads(server.python(MAKE_PEOPLE))
    return server


@pytest.fixture(scope="session")
def prepared_postgresql(prepared: NoticeServer, postgresql: PostgreSQL) -> NoticeServer:
    """The same in PostgreSQL."""
    database = postgresql.create_database()
    server = NoticeServer(prepared.folder, redis_url="memory://", database_url=postgresql.url(database))
    result = server.manage("migrate", "-v", "0")
    assert result.returncode == 0, result.stderr
    server.sessions, server.database = json.loads(server.python(MAKE_PEOPLE)), database
    return server


Serve = Callable[..., NoticeServer]


def server_factory(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """`serve(kind="uvicorn", database="sqlite", layer="valkey", **settings)` starts a server and returns it.

    kind      "uvicorn" or "daphne"
    database  "sqlite" or "postgresql", with PEOPLE in it
    layer     "valkey" (its own: `server.valkey`), "embedded" or "none"
    beside    another server, whose database and layer it shares
    workers   how many processes (Uvicorn only)
    start     False: you start it
    settings  environment variables, such as HEARTBEAT_SECONDS=1
    """
    tmp_path_factory = request.getfixturevalue("tmp_path_factory")
    with ExitStack() as stack:

        def serve(
            kind: str = "uvicorn",
            database: str = "sqlite",
            layer: str = "valkey",
            *,
            beside: NoticeServer | None = None,
            start: bool = True,
            **settings: Any,
        ) -> NoticeServer:
            if beside:
                server = NoticeServer(beside.folder, kind=kind, **settings)
                server.settings = beside.settings | {name: str(value) for name, value in settings.items()}
                server.sessions, server.valkey = beside.sessions, beside.valkey
            else:
                server = NoticeServer(tmp_path_factory.mktemp("server"), kind=kind, **settings)
                furnish(server, database, layer)
            # pytest shows it when a test fails.
            stack.callback(lambda: print(f"--- {server.kind} {server.url}\n{server.log}"))
            stack.callback(server.stop)
            return server.start() if start else server

        def furnish(server: NoticeServer, database: str, layer: str) -> None:
            """Give a new server its people, database and layer."""
            prepared = request.getfixturevalue("prepared" if database == "sqlite" else "prepared_postgresql")
            server.sessions = prepared.sessions
            (server.folder / "static").symlink_to(prepared.folder / "static")
            if database == "sqlite":
                shutil.copy(prepared.folder / "db.sqlite3", server.folder)
            if database == "postgresql":
                postgresql: PostgreSQL = request.getfixturevalue("postgresql")
                server.database = postgresql.create_database(template=prepared.database)
                server.settings["DATABASE_URL"] = postgresql.url(server.database)
            if layer == "valkey":
                server.valkey = Valkey(server.folder).start()
                stack.callback(server.valkey.stop)
                server.settings["REDIS_URL"] = server.valkey.url
            elif layer == "none":
                server.settings["REDIS_URL"] = "memory://"

        yield serve


serve = pytest.fixture(server_factory, name="serve")
serve_module = pytest.fixture(server_factory, name="serve_module", scope="module")


@pytest.fixture
def server(request: pytest.FixtureRequest, serve: Serve) -> NoticeServer:
    """A running server; `parametrize("server", [{"kind": "daphne"}, …], indirect=True)` chooses others."""
    return serve(**getattr(request, "param", {}))
