"""This project's server, measured through the same door as its peers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import uvicorn

from tests.machine import ROOT
from tests.servers import NoticeServer, PostgreSQL, Valkey

SERVER_CORE, OTHER_CORE = 0, 1


def pinned(core: int | None, command: list[Any]) -> list[Any]:
    """The command on this core; on whichever is free, if it is None."""
    return command if core is None else ["taskset", "-c", str(core), *command]


class PinnedValkey(Valkey):
    def command(self) -> list[Any]:
        return pinned(OTHER_CORE, super().command())


class DurablePostgreSQL(PostgreSQL):
    """Like the tests' own, but it waits for the disk, as one does that is trusted."""

    core: int | None = OTHER_CORE

    def command(self) -> list[Any]:
        durable = ["-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on"]
        return pinned(self.core, [*super().command(), *durable])


class Sender:
    """A process that sends: its own Django, on the load's core."""

    def __init__(self, environment: dict[str, str], core: int | None) -> None:
        command = pinned(core, [sys.executable, "-m", "bench.sender"])
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)

    def call(self, function: str, *arguments: Any) -> Any:
        """What one of bench.sender's functions returns."""
        self.begin(function, *arguments)
        return self.result()

    def begin(self, function: str, *arguments: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the sender has ended"
        result, self.cpu_seconds = json.loads(line)
        return result

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


class PinnedServer(NoticeServer):
    core: int | None = SERVER_CORE

    def command(self) -> list[Any]:
        return pinned(self.core, super().command())


class Product:
    """`manage.py serve` with its database and its Valkey: real sessions, cursors, limits, heartbeats.

    ``core``: the server's; everything else has the other one. None: all of them share both.
    """

    name = "notices"
    title = f"this project, on Uvicorn {uvicorn.__version__}"
    first_frames = 1  # the welcome

    def __init__(self, database: str = "sqlite", core: int | None = SERVER_CORE, **settings: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="notices-bench-")
        folder = Path(self._folder.name)
        self._beside = None if core is None else OTHER_CORE
        self.postgresql = DurablePostgreSQL() if database == "postgresql" else None
        if self.postgresql:
            self.postgresql.core = self._beside
            self.postgresql.start()
        url = self.postgresql.url(self.postgresql.create_database()) if self.postgresql else ""
        layer = str(settings.pop("redis_url", ""))
        self.valkey = None if layer else PinnedValkey(folder).start()
        self.server = PinnedServer(
            folder, database_url=url, redis_url=layer or getattr(self.valkey, "url", ""), **settings
        )
        self.server.core = core
        migrated = self.server.manage("prepare")
        assert not migrated.returncode, migrated.stderr
        self._senders: list[Sender] = []
        self._sessions: list[str] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> Self:
        self.server.start()
        return self

    def stop(self) -> None:
        for sender in self._senders:
            sender.stop()
        self.server.stop()
        for beside in (self.valkey, self.postgresql):
            if beside:
                beside.stop()
        if self.postgresql:
            self.postgresql.remove()
        self._folder.cleanup()

    @property
    def port(self) -> int:
        return self.server.port

    def sender(self, number: int = 0) -> Sender:
        while len(self._senders) <= number:
            self._senders.append(Sender(self.server.environment(), self._beside))
        return self._senders[number]

    def publish_one(self) -> None:
        self.sender().call("send", 1)

    def publish_burst(self, count: int) -> None:
        self.sender().call("burst", count)

    def handshakes(self, count: int, *, comeback: bool = False) -> list[bytes]:
        """The requests of so many people's pages; ``comeback``: with their cursor and stamp of now."""
        if (missing := count - len(self._sessions)) > 0:
            self._sessions += self.sender().call("people", missing)
        queries = [""] * count
        if comeback:
            queries = [f"?cursor={cursor}&stamp={stamp}" for cursor, stamp in self.sender().call("places", count)]
        return [
            self._request(f"/ws/notices/{query}", f"sessionid={key}")
            for key, query in zip(self._sessions, queries, strict=False)
        ]

    def echo_handshakes(self, count: int) -> list[bytes]:
        return [self._request("/ws/echo/?verbatim=1", "")] * count

    def pids(self) -> list[int]:
        assert self.server.process
        main = self.server.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def _request(self, path: str, cookie: str) -> bytes:
        return browser_request(self.port, path, cookie)


def browser_request(port: int, path: str, cookie: str) -> bytes:
    """A handshake as a browser sends it."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
        "Upgrade: websocket",
        f"Origin: http://127.0.0.1:{port}",
        "Sec-WebSocket-Version: 13",
        "Accept-Encoding: gzip, deflate, br",
        "Accept-Language: en",
        *([f"Cookie: {cookie}"] if cookie else []),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
