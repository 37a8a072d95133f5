"""A proxy in front of a server, set up as badly as a test wants it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.servers import free_port

Head = list[str]  # the request line, and one line for each header
Spoil = Callable[[Head], Head]


def without(*names: str, under: str = "/") -> Spoil:
    """Does not pass on these headers of requests under a path."""

    def spoil(head: Head) -> Head:
        if not head[0].split(" ")[1].startswith(under):
            return head
        return [line for line in head if line.partition(":")[0].lower() not in names]

    return spoil


def asking_for(host: str) -> Spoil:
    """Asks the server by a name of its own, not by that which the browser knows."""
    return lambda head: [f"Host: {host}" if line.lower().startswith("host:") else line for line in head]


class Proxy:
    """Passes on one request for each connection; what `spoil` makes of its head."""

    def __init__(self, port: int, spoil: Spoil) -> None:
        self._target = ("127.0.0.1", port)
        self._spoil = spoil
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                self._open.append(browser)
                threading.Thread(target=self._serve, args=[browser], daemon=True).start()

    def _serve(self, browser: socket.socket) -> None:
        with suppress(OSError):
            said = b""
            while b"\r\n\r\n" not in said:
                if not (more := browser.recv(65_536)):
                    return
                said += more
            head, _, rest = said.partition(b"\r\n\r\n")
            lines = self._spoil(head.decode("latin-1").split("\r\n"))
            if not any(line.lower().startswith("upgrade:") for line in lines):
                lines = [*without("connection")(lines), "Connection: close"]
            server = socket.create_connection(self._target)
            self._open.append(server)
            server.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + rest)
            threading.Thread(target=_pass_on, args=[browser, server], daemon=True).start()
            _pass_on(server, browser)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
