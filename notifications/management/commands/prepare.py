"""`manage.py prepare`: everything between an installed project and a server that can start.

One command, because each start of Django costs most of a second.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.setting_up import alone_in
from notifications.management.shell import ShellCommand, cannot_be_written

ADMIN = "admin"


class Command(ShellCommand):
    help = gettext_lazy(  # type: ignore[assignment]
        "Migrate the database, collect the static files and create the first administrator, where needed."
    )
    requires_system_checks = []  # `serve` runs them a moment later

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--greet",
            action="store_true",
            help=_("print the first administrator's password, if one is created, and what to try next"),
        )

    def handle(self, *, greet: bool, **options: Any) -> None:
        try:
            with alone_in(settings.DATA_DIR):
                close_to_others(settings.DATA_DIR)
                self.migrate()
                self.collect_static_files()
                self.create_admin(greet)
        except (OSError, DatabaseError) as error:
            if os.access(settings.DATA_DIR, os.W_OK):
                raise
            raise cannot_be_written() from error
        if greet:
            self.stdout.write(what_to_try())

    def migrate(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.stdout.write(_("Migrating the database …"))
            call_command("migrate", verbosity=0, interactive=False)

    def collect_static_files(self) -> None:
        """Collect them when one was added, changed or removed, here or by an upgrade of Django."""
        stamp = settings.DATA_DIR / "static.stamp"
        now = fingerprint()
        if not stamp.exists() or stamp.read_text() != now:
            self.stdout.write(_("Collecting the static files …"))
            # Those of the last version stay: a page that is open now may still ask for them.
            call_command("collectstatic", verbosity=0, interactive=False)
            stamp.write_text(now)

    def create_admin(self, greet: bool) -> None:
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            return
        # Not a setting: it would outlive its one use. Django reads DJANGO_SUPERUSER_PASSWORD like this, too.
        given = os.environ.get("ADMIN_PASSWORD", "")
        if not given and not greet:
            # Nobody may be watching, and a log is no place for a password.
            self.stdout.write(_("No administrator yet: set ADMIN_PASSWORD or run `manage.py createsuperuser`."))
            return
        password = given or secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, password=password)
        shown = (
            _("the one in ADMIN_PASSWORD") if given else _("%(password)s  (not shown again)") % {"password": password}
        )
        words = _("\n  Sign in as  %(name)s\n  Password    %(password)s\n")
        self.stdout.write(words % {"name": ADMIN, "password": shown})


def close_to_others(data_dir: Path) -> None:
    """Passwords' hashes, sessions and keys are for their owner alone, also where an earlier version wrote them."""
    for path in [*data_dir.glob("db.sqlite3*"), data_dir / ".env"]:
        if path.is_file() and path.stat().st_mode & 0o077:
            path.chmod(0o600)


def fingerprint() -> str:
    """What the static files are and how they are stored; changes with any of them, without reading them."""
    digest = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = Path(storage.path(path)).stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def what_to_try() -> str:
    everywhere = settings.HOST in ("0.0.0.0", "::")  # noqa: S104  # an address to compare with
    where = f"http://{'localhost' if everywhere else settings.HOST}:{settings.PORT}"
    changed = settings.DATA_DIR != settings.BASE_DIR / "var"
    data_dir = f"DATA_DIR={shlex.quote(str(settings.DATA_DIR))} " if changed else ""
    addresses = _("  Notices     %(where)s/\n  Admin       %(where)s/admin/\n  Echo        %(where)s/echo/\n")
    invitation = _("Open the page, then try in another terminal:")
    return (
        f"{addresses % {'where': where}}\n"
        f"{invitation}\n"
        f'  {data_dir}.venv/bin/python manage.py send_notice "Backup finished" --everyone\n'
    )
