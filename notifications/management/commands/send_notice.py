"""`manage.py send_notice`: what cron calls. One line of output, and an exit code that says what happened.

The line is the same in every language, so that a script can read it; what is said to people is in the shell's.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import Error as DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.audiences import (
    EVERYONE,
    STAFF,
    Audience,
    UnknownAudience,
    groups_called,
    people_in,
    topics_called,
    users_called,
)
from notifications.management.shell import ShellCommand
from notifications.models import Level, Notice, Source
from notifications.sending import MAX_BODY_BYTES, Draft, InvalidNotice, OutcomeUnknown, check_drafts, send_notices
from notifications.times import EXAMPLES, UnknownTime, moment

CALLS = """\
  manage.py send_notice "Backup finished" --everyone
  manage.py send_notice "Disk is 91 % full" --group ops --level warning --key disk --url https://grafana/d/7
  manage.py send_notice "Maintenance at 22:00" --staff --at "tomorrow 09:00" --expires "tomorrow 22:00"
  df -h | manage.py send_notice "Disks" --user ada brian --body -
  manage.py send_notice "Release 4.2" --topic deploys --dry-run --json
"""
CRONTAB = """\
  0 3 * * *  /srv/backup.sh && manage.py send_notice "Backup finished" --everyone --quiet
"""


def epilog() -> str:
    return "\n".join(
        [
            _("examples:"),
            CALLS,
            _("in a crontab:"),
            CRONTAB,
            _("times: %(examples)s") % {"examples": EXAMPLES},
            _("exit codes: 0 stored (also when Redis is away) · 1 failed, nothing stored · 2 usage · 3 nobody matches"),
            _("4 the database went away during the commit: not known whether it is stored"),
        ]
    )


FLAGS = ("everyone", "staff", "dry_run", "json", "quiet")


class Command(ShellCommand):
    help = gettext_lazy("Send a notice: it is stored, and appears on open pages at once.")  # type: ignore[assignment]
    requires_system_checks = []  # cron wants its answer quickly; `manage.py check` is for people

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, epilog=epilog(), **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        # A warning below says once, in words for whoever reads cron's mail, what the doorbell would log.
        logging.getLogger("notifications.doorbell").setLevel(logging.ERROR)
        super().run_from_argv(_with_past_times(argv))

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("title", help=_("one line, 200 characters at most"))
        parser.add_argument("--body", action="append", help=_("plain text, 8 KiB at most; - reads standard input"))
        to = parser.add_argument_group(_("for whom (at least one; they add up)"))
        to.add_argument("--everyone", action="store_true")
        to.add_argument("--staff", action="store_true")
        for option, name in (("--user", _("NAME")), ("--group", _("NAME")), ("--topic", _("SLUG"))):
            to.add_argument(option, metavar=name, nargs="+", action="extend", default=[])
        parser.add_argument(
            "--level", default="info", help=_("%(levels)s (default: info)") % {"levels": ", ".join(Level.values)}
        )
        parser.add_argument("--url", default="", help=_("where a click leads: https://… or /path"))
        parser.add_argument("--key", default="", help=_("recall earlier notices with this key for the same people"))
        parser.add_argument("--at", metavar=_("WHEN"), help=_("publish then, not now"))
        parser.add_argument("--expires", metavar=_("WHEN"), help=_("leave every inbox then"))
        parser.add_argument("--dry-run", action="store_true", help=_("check everything, store nothing"))
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))
        parser.add_argument("--quiet", action="store_true", help=_("print nothing unless something is wrong"))

    def handle(self, **options: Any) -> None:
        for name in FLAGS:
            if not isinstance(options[name], bool):  # everyone="no" must not mean everybody
                raise CommandError(f"{name}={options[name]!r}: use True or False", returncode=2)
        try:
            # Everything that may fail comes before the storing: afterwards nothing can make a failure of it.
            [draft] = check_drafts([_draft(options)])
            people = people_in(_parsed(draft)).count()
            notice = None if options["dry_run"] else send_notices([draft], source=Source.COMMAND)[0]
        except UnknownAudience as error:
            raise CommandError(str(error), returncode=3) from error
        except (UnknownTime, InvalidNotice) as error:
            raise CommandError(str(error), returncode=2) from error
        except OutcomeUnknown as error:
            raise CommandError(str(error), returncode=4) from error
        except DatabaseError as error:
            sentence = _("nothing was stored, the database does not answer: %(error)s")
            raise CommandError(sentence % {"error": error}) from error
        self._report(draft, notice, people, options)

    def _report(self, draft: Draft, notice: Notice | None, people: int, options: dict[str, Any]) -> None:
        facts = {
            "notice": notice.pk if notice else None,
            "status": _status(notice),
            "to": [str(audience) for audience in draft.audiences],
            "people": people,
            "publish_at": _iso(draft.publish_at),
            "expires_at": _iso(draft.expires_at),
            "title": draft.title,
        }
        if not options["quiet"]:
            line = " ".join(f"{name}={_word(value)}" for name, value in facts.items() if value is not None)
            self.stdout.write(json.dumps(facts, ensure_ascii=False) if options["json"] else line)
        if facts["status"] == "stored":
            self.stderr.write(
                _(
                    "warning: stored, but Redis did not take the bell (is a server running?); "
                    "open pages show it as soon as a server looks at the log"
                )
            )


def _draft(options: dict[str, Any]) -> Draft:
    return Draft(
        title=options["title"],
        body=_body(_listed(options["body"]) or [""]),
        audiences=_audiences(options),
        level=str(options["level"] or "info"),
        url=str(options["url"] or ""),
        key=str(options["key"] or ""),
        publish_at=_moment(options["at"]),
        expires_at=_moment(options["expires"]),
    )


def _parsed(draft: Draft) -> list[Audience]:
    return [each if isinstance(each, Audience) else Audience.parse(each) for each in draft.audiences]


def _with_past_times(argv: list[str]) -> list[str]:
    """`--at -5m` as `--at=-5m`: argparse would take -5m for an option, and could not say that it is in the past."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1] in ("--at", "--expires") and re.match(r"-\d", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _listed(value: object) -> list[str]:
    """The values of an option; `call_command` may give one alone, or none."""
    if value is None:
        return []
    values = [value] if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) else value
    return [str(each) for each in values]


def _iso(moment: datetime | None) -> str | None:
    return timezone.localtime(moment).isoformat() if moment else None


def _body(bodies: list[str]) -> str:
    if len(bodies) > 1:
        raise InvalidNotice("body", _("--body was given %(count)d times; once is the most") % {"count": len(bodies)})
    if bodies[0] != "-":
        return bodies[0]
    if sys.stdin.isatty():
        raise InvalidNotice("body", _("--body - reads standard input, which is a terminal: pipe the text in"))
    text = sys.stdin.buffer.read(MAX_BODY_BYTES * 8)  # enough to say how much too long it is
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidNotice("body", _("standard input is not UTF-8: %(error)s") % {"error": error}) from error


def _moment(given: object) -> datetime | None:
    if given is None or isinstance(given, datetime):
        return given
    return moment(given if isinstance(given, str) else repr(given))  # which is refused as it stands


def _audiences(options: dict[str, Any]) -> list[Audience]:
    return [
        *([EVERYONE] if options["everyone"] else []),
        *([STAFF] if options["staff"] else []),
        *users_called(_listed(options["user"])),
        *groups_called(_listed(options["group"])),
        *topics_called(_listed(options["topic"])),
    ]


def _status(notice: Notice | None) -> str:
    """dry-run, scheduled, stored (but not heard of by any server yet) or published."""
    if notice is None:
        return "dry-run"
    if notice.publish_at and notice.publish_at > timezone.now():
        return "scheduled"
    return "stored" if notice.heard_by is None else "published"


def _word(value: Any) -> str:
    """One field of the line, quoted when it has spaces, so that it can be cut apart again."""
    text = ",".join(value) if isinstance(value, list) else str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text
