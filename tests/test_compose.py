"""`docker compose up`, without Docker: the same commands and environment, as processes of this machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from websockets.sync.client import connect

from tests.machine import ROOT
from tests.servers import NoticeServer, PostgreSQL, Valkey, sign_in

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<how>[-?])(?P<text>[^}]*))?\}")
SECRETS = {"SECRET_KEY": "k" * 64, "POSTGRES_PASSWORD": "p455w0rd", "ADMIN_PASSWORD": "correct horse battery"}


class MissingVariable(Exception):
    """What `docker compose` prints and stops with."""


def compose_file(environment: dict[str, str]) -> dict[str, Any]:
    """docker-compose.yml with its variables filled in, as compose does it."""

    def fill_in(match: re.Match[str]) -> str:
        if value := environment.get(match["name"]):
            return value
        if match["how"] == "?":
            raise MissingVariable(f"{match['name']}: {match['text']}")
        return match["text"] or ""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return VARIABLE.sub(fill_in, node) if isinstance(node, str) else node

    return walk(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))  # type: ignore[no-any-return]


def dockerfile() -> tuple[dict[str, str], list[str]]:
    """ENV and CMD of the image."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    env = next(line.removeprefix("ENV ") for line in lines if line.startswith("ENV "))
    command = next(line.removeprefix("CMD ") for line in lines if line.startswith("CMD "))
    return dict(word.split("=", 1) for word in shlex.split(env)), json.loads(command)


class Web(NoticeServer):
    """The service `web`: here instead of in its container, so host names and folders are this machine's."""

    def __init__(self, folder: Path, services: dict[str, Any], valkey: Valkey, database_url: str) -> None:
        super().__init__(folder)
        image, _ = dockerfile()
        self.shell_command = services["web"]["command"]
        self.settings = image | {name: str(value) for name, value in services["web"]["environment"].items()}
        addresses = {"postgres://notices:p455w0rd@postgres:5432/notices": database_url}
        addresses |= {"redis://redis:6379/0": valkey.url, "0.0.0.0": "127.0.0.1"}
        self.settings = {name: addresses.get(value, value) for name, value in self.settings.items()}
        self.settings |= {"DATA_DIR": str(folder), "PORT": str(self.port)}
        # The image's PATH begins with its virtual environment; this one's does, too.
        self.settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def command(self) -> list[Any]:
        return shlex.split(self.shell_command)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose_file(SECRETS)["services"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def layer(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    program, *arguments = shlex.split(services["redis"]["command"])
    assert program == "valkey-server"
    valkey = Valkey(tmp_path_factory.mktemp("redis"), *arguments).start()
    yield valkey
    valkey.stop()


@pytest.fixture(scope="module")
def web(
    services: dict[str, Any], layer: Valkey, postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    database_url = postgresql.url(postgresql.create_database())
    web = Web(tmp_path_factory.mktemp("web"), services, layer, database_url).start(seconds=60)
    yield web
    web.stop()
    print(web.log)  # pytest shows it when a test fails


def test_a_notice_sent_in_the_web_container_arrives_by_way_of_postgresql_and_redis(web: Web, layer: Valkey) -> None:
    cookie = sign_in(web.url, "admin", SECRETS["ADMIN_PASSWORD"])
    rung = publishes(layer)

    with connect(f"{web.ws_url}/ws/notices/", additional_headers={"Cookie": cookie, "Origin": web.url}) as socket:
        assert json.loads(socket.recv(timeout=5))["type"] == "welcome"
        sent = web.manage("send_notice", "Backup finished", "--everyone")
        frame = json.loads(socket.recv(timeout=5))

    assert sent.returncode == 0, sent.stderr
    assert frame["notice"]["title"] == "Backup finished"
    assert publishes(layer) > rung
    assert "postgresql" in web.log


def publishes(valkey: Valkey) -> int:
    with redis.Redis.from_url(valkey.url) as client:
        return int(client.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))


def test_starting_it_again_changes_nothing_and_prints_no_password(web: Web) -> None:
    web.restart()

    assert web.get("/readyz") == 200
    assert web.log.count("Sign in as") == 1
    assert SECRETS["ADMIN_PASSWORD"] not in web.log


def test_it_stops_within_the_time_that_docker_gives_it(web: Web, services: dict[str, Any]) -> None:
    assert web.stop(seconds=int(services["web"]["stop_grace_period"].removesuffix("s"))) in (0, -15)
    web.start()


@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD"])
def test_a_missing_secret_stops_compose_and_is_named_with_a_way_to_make_one(name: str) -> None:
    with pytest.raises(MissingVariable, match=rf"{name}: .*{name}.*openssl rand"):
        compose_file(SECRETS | {name: ""})


def test_without_a_secret_key_the_web_command_itself_says_what_is_missing(
    services: dict[str, Any], layer: Valkey, tmp_path: Path
) -> None:
    web = Web(tmp_path, services, layer, database_url="")
    web.settings["SECRET_KEY"] = ""

    with pytest.raises(AssertionError, match="SECRET_KEY is not set"):
        web.start()


def test_the_image_alone_starts_with_the_same_command(services: dict[str, Any]) -> None:
    assert dockerfile()[1] == shlex.split(services["web"]["command"])


def test_every_service_has_a_health_check_and_the_web_waits_for_the_others(services: dict[str, Any]) -> None:
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    assert all("healthcheck" in services[name] for name in ("redis", "postgres"))
    assert services["web"]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }


def test_nobody_but_this_machine_reaches_the_port_unless_told() -> None:
    def ports(**environment: str) -> Any:
        return compose_file(SECRETS | environment)["services"]["web"]["ports"]

    assert ports() == ["127.0.0.1:8000:8000"]
    assert ports(PUBLISH_ON="0.0.0.0", PORT="80") == ["0.0.0.0:80:8000"]
    published = {name for name, service in compose_file(SECRETS)["services"].items() if "ports" in service}
    assert published == {"web"}


@pytest.mark.parametrize("name", ["web", "redis", "postgres"])
def test_a_service_runs_as_nobody_special_in_a_file_system_that_it_cannot_change(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]

    assert service["read_only"] is True
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert "cap_add" not in service
    assert service.get("user") or "USER notices" in (ROOT / "Dockerfile").read_text().splitlines()


def test_the_image_installs_just_what_was_tested_and_by_checksum() -> None:
    lines = (ROOT / "image-requirements.txt").read_text().splitlines()
    pinned = [re.split(r"==|[ ;]", line) for line in lines if not line.startswith(("#", " "))]
    constraints = (ROOT / "constraints.txt").read_text()
    of_image = re.sub(r"(?m)^.*python_version < .*$", "", constraints)
    tested = {normal(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.]+)", of_image)}

    assert {name: version for name, version, *_ in pinned}.items() <= tested.items()
    asked = subprocess.run([sys.executable, ROOT / "bin/requirements", "postgres"], capture_output=True, text=True)
    names = {normal(re.match(r"[\w.-]+", line)[0]) for line in asked.stdout.splitlines()}  # type: ignore[index]
    assert names <= {name for name, *_ in pinned}
    checksums = [line for line in lines if re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line)]
    assert len(checksums) == len(lines) - len(pinned) - 2 > len(pinned)
    assert "--require-hashes -r image-requirements.txt" in (ROOT / "Dockerfile").read_text()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
