"""What stands between some people and a server: a proxy that lets no WebSocket through, or holds streams back."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from contextlib import suppress
from typing import Self

from tests.servers import NoticeServer, free_port


class Proxy(socketserver.ThreadingTCPServer):
    """`url` leads to ``server``. What it does to the traffic can be changed at any time."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, server: NoticeServer) -> None:
        self.target = server
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.blocks_sockets = False  # it does not know what an upgrade is
        self.holds_back = False  # it passes a response on when that has ended
        self.requests: list[str] = []
        self._lines: set[socket.socket] = set()
        super().__init__(("127.0.0.1", self.port), Line)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.cut()
        self.server_close()

    def cut(self) -> None:
        """Cut every connection that is open."""
        for line in list(self._lines):
            _hang_up(line)
        self._lines.clear()


class Line(socketserver.BaseRequestHandler):
    """One connection, one request."""

    server: Proxy

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := self.request.recv(65_536)):
                return
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        self.path = head.split()[1].decode()
        self.server.requests.append(self.path)
        with (
            suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", self.server.target.port)) as target,
        ):
            self.server._lines |= {self.request, target}
            target.sendall(self._changed(head) + b"\r\n\r\n" + body)
            threading.Thread(target=self._pump, args=(self.request, target), daemon=True).start()
            if self.server.holds_back and self.path.startswith("/events/"):
                self._hold_back(target)
            else:
                self._pump(target, self.request)

    def _changed(self, head: bytes) -> bytes:
        if b"upgrade: websocket" in head.lower() and not self.server.blocks_sockets:
            return head
        head = re.sub(rb"(?im)^(upgrade|connection|keep-alive):.*\r\n", b"", head + b"\r\n").removesuffix(b"\r\n")
        return head + b"\r\nConnection: close"

    def _hold_back(self, target: socket.socket) -> None:
        whole = b""
        while data := target.recv(65_536):
            whole += data
        self.request.sendall(whole)

    def _pump(self, source: socket.socket, goal: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                goal.sendall(data)
        for line in (source, goal):
            _hang_up(line)


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
