"""Runs the server processes: Uvicorn with uvloop, one process or several on one port."""

from __future__ import annotations

import ctypes
import signal
import socket
import sys

import uvicorn
from django.conf import settings
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors import multiprocess as supervisor


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
    """Serve until SIGTERM or SIGINT; sockets are then asked to leave, and cut after SHUTDOWN_SECONDS."""
    config = uvicorn.Config(
        "config.asgi:application",
        workers=workers,
        lifespan="on",
        ws="notifications.live.protocol:NoticeProtocol",
        ws_max_size=settings.WS_MAX_BYTES,
        ws_per_message_deflate=False,  # +34 KiB a socket, and small JSON gains little
        timeout_graceful_shutdown=settings.SHUTDOWN_SECONDS,
        log_config=None,  # ours: see LOGGING in the settings
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        supervisor.Process = Worker  # type: ignore[misc]
        Multiprocess(config, sockets=[listener]).run()


class Worker(supervisor.Process):
    """A server process that ends with its parent. Stock Uvicorn's go on alone, and keep the port."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        super().target(sockets)
