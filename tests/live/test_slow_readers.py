"""Clients that ask for much and read nothing cost a thread and a connection each, and only for a while."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager

import pytest

from tests.live.processes import soon

CLIENTS, REQUESTS = 40, 40
LARGE = "/static/admin/js/vendor/xregexp/xregexp.js"  # 325 KB
SOME = 5  # connections and threads that come and go by themselves


class Server:
    def __init__(self, started):
        self.started = started
        for _ in range(3):
            assert started.get(LARGE) == 200
        self.threads_before, self.files_before = self.threads(), self.files()

    def threads(self):
        return len(os.listdir(f"/proc/{self.started.process.pid}/task"))

    def files(self):
        return len(os.listdir(f"/proc/{self.started.process.pid}/fd"))

    @contextmanager
    def clients_that_read_nothing(self):
        with ExitStack() as stack:
            for _ in range(CLIENTS):
                stack.enter_context(self._a_client())
            yield

    def _a_client(self):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.connect(("127.0.0.1", self.started.port))
        line.sendall(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1:{self.started.port}\r\n\r\n".encode() * REQUESTS)
        return line

    async def serves_all(self):
        return await soon(lambda: self.threads() >= self.threads_before + CLIENTS - SOME, seconds=20)

    async def is_as_before(self, seconds=10):
        return await soon(
            lambda: self.files() <= self.files_before + SOME and self.threads() <= self.threads_before + SOME,
            seconds=seconds,
        )

    def __repr__(self):
        before = f"{self.threads_before} threads, {self.files_before} files"
        return f"{self.threads()} threads, {self.files()} files; before: {before}"


@pytest.fixture
def server(serve):
    return Server(serve(layer="none"))


async def test_clients_that_read_nothing_are_cut(server):
    with server.clients_that_read_nothing():
        assert await server.serves_all(), server

        assert await server.is_as_before(seconds=45), server


async def test_clients_that_go_away_leave_nothing_behind(server):
    for _ in range(3):
        with server.clients_that_read_nothing():
            assert await server.serves_all(), server

        assert await server.is_as_before(), server

    assert server.started.get("/healthz") == 200


async def test_clients_that_go_away_at_any_moment_leave_nothing_behind(server):
    for _ in range(10):
        with server.clients_that_read_nothing():
            pass

    assert await server.is_as_before(), server
    assert server.started.get("/healthz") == 200
