"""Three small servers that do nothing but broadcast what they are told over a connection of its own."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from bench.peers.peer import Peer, Told, listens
from tests.machine import ROOT
from tests.servers import free_port

WS_VERSION = "8.23.0"
NODE_FOLDER = ROOT / "var" / "bench" / "node"


class ToldPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.control_port = free_port()
        self.told: Told | None = None

    def answers(self) -> bool:
        return listens(self.port) and listens(self.control_port)

    def start(self, seconds: float = 20) -> Self:
        super().start(seconds)
        self.told = Told(self.control_port)
        return self

    def stop(self, seconds: float = 20) -> int | None:
        if self.told is not None:
            self.told.close()
            self.told = None
        return super().stop(seconds)

    def publish(self, texts: list[str]) -> None:
        assert self.told is not None, f"{self.name} is not running"
        self.told.publish(texts)


class Broadcast(ToldPeer):
    """`websockets.broadcast()`: the fastest that Python's best known WebSocket library can do."""

    name = "broadcast"
    echo_path = "/echo/"

    @property
    def title(self) -> str:
        return f"broadcast() of websockets {version('websockets')} on uvloop {version('uvloop')}"

    def server(self) -> list[Any]:
        return [sys.executable, "-m", "bench.peers.servers.broadcast", self.port, self.control_port]


class Floor(ToldPeer):
    """Ready-made bytes to bare sockets: what no server in one Python process can be cheaper than."""

    name = "floor"

    @property
    def title(self) -> str:
        return f"Bare sockets of uvloop {version('uvloop')} on Python {platform.python_version()}"

    def server(self) -> list[Any]:
        return [sys.executable, "-m", "bench.peers.servers.floor", self.port, self.control_port]


class NodeWs(ToldPeer):
    """`ws`, which most Node.js services use."""

    name = "node_ws"
    echo_path = "/echo/"

    @property
    def title(self) -> str:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        return f"ws {WS_VERSION} on Node.js {node.strip().removeprefix('v')}"

    def environment(self) -> dict[str, str]:
        return super().environment() | {"NODE_PATH": str(NODE_FOLDER / "node_modules")}

    def server(self) -> list[Any]:
        return ["node", ROOT / "bench" / "peers" / "servers" / "node_ws.js", self.port, self.control_port]


def ws_installed() -> bool:
    package = NODE_FOLDER / "node_modules" / "ws" / "package.json"
    return package.exists() and f'"version": "{WS_VERSION}"' in package.read_text()


def node_installed() -> bool:
    return shutil.which("node") is not None and shutil.which("npm") is not None
