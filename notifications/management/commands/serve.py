"""`manage.py serve`: the production server, with everything it needs."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from config.redis import NO_LAYER, embedded_url
from notifications.live import server
from notifications.live.embedded import EmbeddedValkey

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # to compare with


class Command(BaseCommand):
    help = "Serve pages and sockets. Starts the embedded Valkey when REDIS_URL is not set."
    requires_system_checks = []  # quick to serve; `manage.py check --deploy` is the place for advice

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="default: HOST, else 127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: PORT, else 8000")
        parser.add_argument("--workers", type=int, default=1, help="server processes on the one port (default: 1)")

    def handle(self, **options: Any) -> None:
        host, port, workers = options["host"], options["port"], options["workers"]
        if workers < 1:
            raise CommandError(f"--workers {workers}: 1 is the least", returncode=2)
        if not 0 <= port <= 65535:
            raise CommandError(f"--port {port}: choose one from 0 (any free one) to 65535", returncode=2)
        try:
            listener = server.listen_on(host, port)
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}; set HOST or PORT") from error
        # Uvicorn stops in order and then passes the signal on; end here instead of being ended.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        valkey = _start_valkey()
        try:
            self._say(listener.getsockname()[1], host, workers, valkey)
            server.run(listener, workers)
        except KeyboardInterrupt:
            pass
        finally:
            if valkey:
                valkey.stop()

    def _say(self, port: int, host: str, workers: int, valkey: EmbeddedValkey | None) -> None:
        shown = f"[{host}]" if ":" in host else host
        database = settings.DATABASES["default"]
        place = database["NAME"] if connection.vendor == "sqlite" else f"{database['HOST']}/{database['NAME']}"
        layer = "embedded Valkey" if valkey else _without_password(settings.REDIS_URL)
        if settings.REDIS_URL == NO_LAYER:
            layer = f"none, servers look at the log every {settings.LOG_POLL_SECONDS} s"
        self.stdout.write(f"database: {connection.vendor} {place}")
        self.stdout.write(f"layer: {layer}")
        self.stdout.write(f"address: http://{shown}:{port}/ ({workers} process{'es' * (workers > 1)})")
        if host in EVERY_ADDRESS:
            self.stdout.write(f"names: {', '.join(settings.ALLOWED_HOSTS)} (set ALLOWED_HOSTS for others)")
        self.stdout.flush()


def _start_valkey() -> EmbeddedValkey | None:
    if settings.REDIS_URL == NO_LAYER or embedded_url(settings.DATA_DIR) != settings.REDIS_URL:
        return None
    valkey = EmbeddedValkey(settings.REDIS_URL)
    valkey.start()
    if not valkey.wait_until_ready():
        raise CommandError("the embedded Valkey does not start; set REDIS_URL, or REDIS_URL=memory:// for none")
    return valkey


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
