"""`manage.py new_epoch`: after a backup was restored, what pages and clients remember of the log means nothing."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications import log
from notifications.doorbell import LogGrew, ring
from notifications.management.shell import ShellCommand

EXAMPLES = """examples:
  manage.py new_epoch                                  after a backup was restored, before the servers start
  manage.py new_epoch && systemctl start notices       start them only if it worked
"""


class Command(ShellCommand):
    help = gettext_lazy(  # type: ignore[assignment]
        "Begin a new epoch of the log, after a backup was restored: every open page then fetches its inbox afresh. "
        "Exits with 0; with 1 if the database does not answer, and then nothing was changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES

    def handle(self, **options: Any) -> None:
        try:
            place = log.begin_epoch()
        except DatabaseError as error:
            raise CommandError(_("no new epoch, the database does not answer: %(error)s") % {"error": error}) from error
        ring(LogGrew(epoch=place.epoch, first=place.position, head=place.position, entries=[]))
        self.stdout.write(f"epoch={place.epoch} head={place.position}")
