"""What our commands have in common: the language of the shell they were typed into, and one complaint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation
from django.utils.translation import gettext as _

# As gettext does: the first that says anything is the one that counts.
VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def language_of(environment: Mapping[str, str]) -> str:
    """The first of the languages that the shell asks for and that we speak; English for all others, and for cron."""
    wanted = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    for locale in wanted.split(":"):  # LANGUAGE may list several
        code = locale.partition(".")[0].partition("@")[0].replace("_", "-").lower()
        try:
            return translation.get_supported_language_variant(code, strict=True)
        except LookupError:
            continue
    return "en"


class ShellCommand(BaseCommand):
    """A command whose sentences are in the shell's language: its help, its warnings and its errors.

    Only where it was typed. `call_command` within a program speaks the program's language, and Django's own commands
    that write words into the database (`migrate`) speak none.
    """

    def run_from_argv(self, argv: list[str]) -> None:
        with translation.override(language_of(os.environ)):
            super().run_from_argv(argv)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        with translation.override(language_of(os.environ)):
            super().print_help(prog_name, subcommand)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        self.help = str(self.help)  # argparse takes no lazy text
        return super().create_parser(prog_name, subcommand, **kwargs)


def cannot_be_written() -> CommandError:
    sentence = _("DATA_DIR=%(folder)s cannot be written: is it read-only, or another user's?")
    return CommandError(sentence % {"folder": settings.DATA_DIR})
