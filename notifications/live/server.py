"""Runs the server processes: Uvicorn with uvloop, one process or several on one port."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn
from django.conf import settings
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors import multiprocess as supervisor

from notifications.live.occupancy import open_files_limit

if TYPE_CHECKING:
    from notifications.live.hub import Hub  # at run time, a new worker imports this file before Django is set up

logger = logging.getLogger(__name__)

FEW_FILES = 4096  # descriptors


def listen_on(host: str, port: int) -> socket.socket:
    """The listening socket, taken before anything is started. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def run(listener: socket.socket, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; sockets are then asked to leave, and cut after SHUTDOWN_SECONDS.

    With several workers, SIGHUP replaces one after the other by a new one, which serves before the old one leaves.
    """
    raise_file_limit()
    config = uvicorn.Config(
        "config.asgi:application",
        workers=workers,
        lifespan="on",
        http="notifications.live.http:PromptHttpProtocol",  # it leads to our WebSocket, too
        ws_max_size=settings.WS_MAX_BYTES,
        ws_per_message_deflate=False,  # +34 KiB a socket, and small JSON gains little
        timeout_graceful_shutdown=settings.SHUTDOWN_SECONDS,
        log_config=None,  # ours: see LOGGING in the settings
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    if workers == 1:
        Server(config).run(sockets=[listener])
    else:
        supervisor.Process = Worker  # type: ignore[misc]
        Multiprocess(config, sockets=[listener]).run()


def raise_file_limit() -> None:
    """Take as many descriptors as we may have: a page is one, and the soft limit is often 1,024."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):  # macOS has a lower one that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if (most := open_files_limit()) < FEW_FILES:
        logger.warning(
            "Only %d files may be open at once, and each page is one: set LimitNOFILE in systemd, or `ulimit -Hn`", most
        )


# Objects that live long are looked at seldom, and those from before the first page never. With Python's own settings,
# 8 % of a handshake goes into it while 5,000 pages are open.
COLLECT_AFTER = (10_000, 20, 100)


class Server(uvicorn.Server):
    """Lets its open pages leave while it still answers requests, `/readyz` with 503, and only then stops."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        began = time.monotonic()
        hub: Hub = self.lifespan.state["hub"]
        hub.draining = True
        if self.config.workers > 1:
            for server in self.servers:
                server.close()  # the neighbours on this port take what comes now
        pages = [each for each in self.server_state.connections if getattr(each, "is_page", False)]
        for page in pages:
            page.shutdown()
        while not (self.force_exit or self.server_state.connections.isdisjoint(pages)):
            if time.monotonic() - began > settings.DRAIN_SECONDS + 1:
                break  # those that are left do not take what we write
            await asyncio.sleep(0.05)
        left = settings.SHUTDOWN_SECONDS - (time.monotonic() - began)
        self.config.timeout_graceful_shutdown = max(1, round(left))
        await super().shutdown(sockets)


class Worker(supervisor.Process):
    """A server process that ends with its parent. Stock Uvicorn's go on alone, and keep the port."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        super().target(sockets)

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server
