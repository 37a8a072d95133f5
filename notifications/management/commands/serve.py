"""`manage.py serve`: the production server, with everything it needs."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.redis import NO_LAYER, embedded_url
from notifications.live import server
from notifications.live.embedded import EmbeddedValkey
from notifications.management.shell import ShellCommand, cannot_be_written

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # to compare with


class Command(ShellCommand):
    help = gettext_lazy(  # type: ignore[assignment]
        "Serve pages and sockets. Starts the embedded Valkey when REDIS_URL is not set."
    )
    requires_system_checks = []  # quick to serve; `manage.py check --deploy` is the place for advice

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help=_("default: HOST, else 127.0.0.1"))
        parser.add_argument("--port", type=int, default=settings.PORT, help=_("default: PORT, else 8000"))
        parser.add_argument("--workers", type=int, default=1, help=_("server processes on the one port (default: 1)"))

    def handle(self, **options: Any) -> None:
        host, port, workers = options["host"], options["port"], options["workers"]
        if workers < 1:
            raise CommandError(_("--workers %(workers)d: 1 is the least") % {"workers": workers}, returncode=2)
        if not 0 <= port <= 65535:
            sentence = _("--port %(port)d: choose one from 0 (any free one) to 65535")
            raise CommandError(sentence % {"port": port}, returncode=2)
        if _uses_data_dir() and not os.access(settings.DATA_DIR, os.W_OK):
            raise cannot_be_written()
        try:
            listener = server.listen_on(host, port)
        except OSError as error:
            sentence = _("cannot listen on %(host)s:%(port)d: %(error)s; set HOST or PORT")
            raise CommandError(sentence % {"host": host, "port": port, "error": error.strerror}) from error
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
        layer = _("embedded Valkey") if valkey else _without_password(settings.REDIS_URL)
        if settings.REDIS_URL == NO_LAYER:
            layer = _("none, servers look at the log every %(seconds)s s") % {"seconds": settings.LOG_POLL_SECONDS}
        processes = ngettext("%(count)d process", "%(count)d processes", workers) % {"count": workers}
        say = self.stdout.write
        say(_("database: %(vendor)s %(place)s") % {"vendor": connection.vendor, "place": place})
        say(_("layer: %(layer)s") % {"layer": layer})
        say(_("address: %(url)s (%(processes)s)") % {"url": f"http://{shown}:{port}/", "processes": processes})
        if host in EVERY_ADDRESS:
            names = ", ".join(settings.ALLOWED_HOSTS)
            say(_("names: %(names)s (set ALLOWED_HOSTS for others)") % {"names": names})
        self.stdout.flush()


def _uses_data_dir() -> bool:
    """With PostgreSQL and a Redis elsewhere, nothing is written there once it is prepared."""
    return not settings.DATABASE_URL or _embeds_valkey()


def _embeds_valkey() -> bool:
    return settings.REDIS_URL != NO_LAYER and embedded_url(settings.DATA_DIR) == settings.REDIS_URL


def _start_valkey() -> EmbeddedValkey | None:
    if not _embeds_valkey():
        return None
    valkey = EmbeddedValkey(settings.REDIS_URL)
    valkey.start()
    if not valkey.wait_until_ready():
        raise CommandError(_("the embedded Valkey does not start; set REDIS_URL, or REDIS_URL=memory:// for none"))
    return valkey


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
