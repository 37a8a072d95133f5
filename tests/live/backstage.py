"""A second, long-lived process beside a server, as a cron job or another service would be."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self

from tests.machine import ROOT
from tests.servers import NoticeServer, run_as


class Backstage:
    """`backstage.send("Backup finished", "user:3")` calls `stagehand.send` in that process and waits for it."""

    def __init__(self, server: NoticeServer) -> None:
        self._process = subprocess.Popen(
            [*run_as(None), sys.executable, "-m", "tests.live.stagehand"],
            cwd=ROOT,
            env=server.environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=20)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps([name, arguments, options]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, f"{name} failed; its traceback is in the captured stderr"
            return json.loads(answer)

        return call
