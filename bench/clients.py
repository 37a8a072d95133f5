"""The clients of a measurement: the program in load.c, on a core of its own."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

CORE = 1  # the servers have core 0
SOURCE = Path(__file__).with_name("load.c")


class Load:
    """Thousands of clients of one port. Each method is one of load.c's commands, and gives what it answers."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self._folder = folder
        pinned = ["taskset", "-c", str(CORE), program(), str(port)]
        self._process = subprocess.Popen(pinned, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)

    def open(
        self,
        requests: Sequence[bytes],
        first_frames: int,
        *,
        at_once: int = 200,
        seconds: float = 60,
        retry: bool = False,
    ) -> Any:
        """Connect once with each of these handshake requests. Raises AssertionError when not all are let in."""
        self.begin_open(requests, first_frames, at_once=at_once, seconds=seconds, retry=retry)
        answer = self.answer()
        assert answer["opened"] == len(requests), answer
        return answer

    def begin_open(
        self, requests: Sequence[bytes], first_frames: int, *, at_once: int, seconds: float, retry: bool = False
    ) -> None:
        """The same, without waiting for the `answer`. With `retry`, whoever is refused comes back like a page."""
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            for request in requests:
                file.write(struct.pack("=I", len(request)) + request)
        self.tell(f"open {file.name} {at_once} {first_frames} {int(retry)} {seconds}")

    def want(self, frames: int) -> None:
        """From now on, each client is to get so many marked frames."""
        self.ask(f"want {frames}")

    def wait(self, seconds: float = 30) -> Any:
        """Until all have what they were to get. Raises AssertionError when some have not, or not in order."""
        answer = self.ask(f"wait {seconds}")
        assert answer["complete"], f"frames are missing: {answer}"
        assert not answer["disordered"], answer
        return answer

    def echo(self, seconds: float, size: int) -> Any:
        return self.ask(f"echo {seconds} {size}")

    def idle(self, seconds: float) -> Any:
        return self.ask(f"idle {seconds}")

    def see(self, within_ms: int) -> None:
        """From now on each client says, at random within so long, that it has seen what it gets; 0: it does not."""
        self.ask(f"see {within_ms}")

    def seen(self, seconds: float) -> Any:
        """Until the server has told all of them. Raises AssertionError when it has not."""
        answer = self.ask(f"seen {seconds}")
        assert answer["told"] == answer["said"] > 0, answer
        return answer

    def close(self) -> None:
        self.ask("close")

    def ceiling(self, clients: int, frames: int) -> float:
        """How many frames a second this program can read, when they are there already."""
        self.tell(f"ceiling {clients} {frames}")
        self.answer()
        answer = self.answer()
        return float(answer["frames"] / answer["seconds"])

    def ask(self, command: str) -> Any:
        self.tell(command)
        return self.answer()

    def tell(self, command: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the load generator has ended"
        return json.loads(line)


def program() -> Path:
    """load.c, compiled anew when it has changed."""
    compiled = Path(tempfile.gettempdir()) / f"notices-load-{SOURCE.stat().st_mtime_ns}"
    if not compiled.exists():
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", compiled, SOURCE], check=True)
    return compiled
