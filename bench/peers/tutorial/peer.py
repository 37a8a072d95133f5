"""The Channels tutorial's pattern as people copy it: Daphne, sessions in SQLite, a group in Redis."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from bench.peers.peer import Peer, Told, listens, pinned, upgrade_request
from tests.machine import ROOT
from tests.servers import Server, Valkey, free_port, run_as


class Tutorial(Peer):
    name = "tutorial"
    path = "/ws/notices/"
    echo_path = "/ws/echo/"
    first_frames = 1  # "welcome"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.valkey = PinnedValkey(folder, core=self.beside_core)
        self.publisher = Publisher(folder, core=self.beside_core, environment=self.environment())
        self.told: Told | None = None

    @property
    def title(self) -> str:
        versions = (f"{name} {version(name)}" for name in ("channels_redis", "daphne"))
        return f"The tutorial of Channels {version('channels')}, {', '.join(versions)}"

    def server(self) -> list[Any]:
        return [sys.executable, "-m", "daphne", "-p", self.port, "bench.peers.tutorial.asgi:application"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "DJANGO_SETTINGS_MODULE": "bench.peers.tutorial.settings",
            "TUTORIAL_FOLDER": str(self.folder),
            "TUTORIAL_REDIS_PORT": str(self.valkey.port),
        }

    def start(self, seconds: float = 20) -> Self:
        self.run("-m", "django", "migrate", "-v", "0")
        self.valkey.start()
        super().start(seconds)
        self.publisher.start()
        self.told = Told(self.publisher.port)
        return self

    def stop(self, seconds: float = 20) -> int | None:
        if self.told is not None:
            self.told.close()
            self.told = None
        self.publisher.stop()
        try:
            return super().stop(seconds)
        finally:
            self.valkey.stop()

    def run(self, *arguments: str) -> str:
        """Run Python with the project's settings. Returns what it prints."""
        command = [*run_as(None), *pinned(self.beside_core, [sys.executable, *arguments])]
        environment = self.environment()
        return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout

    def handshakes(self, count: int) -> list[bytes]:
        return self.signed_in(self.path, count)

    def echo_handshakes(self, count: int) -> list[bytes]:
        return self.signed_in(self.echo_path, count)

    def signed_in(self, path: str, count: int) -> list[bytes]:
        """Each client is another person, signed in; those of an earlier call are others still."""
        keys = self.run("-m", "bench.peers.tutorial.sign_in", str(count)).split()
        return [upgrade_request(self.port, path, Cookie=f"sessionid={key}") for key in keys]

    def publish(self, texts: list[str]) -> None:
        assert self.told is not None, f"{self.name} is not running"
        self.told.publish(texts)


class PinnedValkey(Valkey):
    def __init__(self, folder: Path, *, core: int) -> None:
        super().__init__(folder)
        self.core = core

    def command(self) -> list[Any]:
        return pinned(self.core, super().command())


class Publisher(Server):
    """The process that sends to the group: the bench itself must not set Django up with the tutorial's settings."""

    def __init__(self, folder: Path, *, core: int, environment: dict[str, str]) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.core = core
        self.settings = environment

    def environment(self) -> dict[str, str]:
        return self.settings

    def command(self) -> list[Any]:
        return pinned(self.core, [sys.executable, "-m", "bench.peers.tutorial.publisher", self.port])

    def answers(self) -> bool:
        return listens(self.port)
