"""What README.md and docs/ say is what the code does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.urls import Resolver404, resolve

from notifications import frames
from notifications.live.routing import http_urlpatterns, websocket_urlpatterns
from notifications.management.commands.send_notice import EPILOG

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def rows_under(heading: str) -> list[list[str]]:
    """The cells of every table row between ``## heading`` and the next heading, without the tables' heads."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    lines = [line for table in tables for line in table.strip().splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]*)`", text)


def test_the_readme_lists_every_frame_with_its_fields():
    listed = {
        (row[0], code_in(row[1])[0]): code_in(row[2])
        for row in rows_under("Frames and close codes")
        if row[0] in ("server", "client")
    }

    defined = {
        (side, kind.__struct_config__.tag): list(kind.__struct_fields__)
        for side, union in (("server", frames.ServerFrame), ("client", frames.ClientFrame))
        for kind in union.__args__
    }
    assert listed == defined


def test_the_readme_lists_every_close_code():
    listed = {int(row[0]) for row in rows_under("Frames and close codes") if row[0].isdecimal()}

    assert listed == {int(code) for code in frames.CloseCode}


def test_the_readme_lists_every_setting_and_its_default():
    listed = {code_in(row[0])[0]: row[1].strip("`") for row in rows_under("Settings")}

    source = (ROOT / "config" / "settings.py").read_text()
    read = {"ADMIN_PASSWORD": ""}  # read once by `prepare`, and no setting, so that it does not outlive its use
    read |= dict(re.findall(r'env\.\w+\("(\w+)"(?:, default=([^)\]]*[\])]?))?', source))
    assert set(listed) == set(read)
    for name, default in read.items():
        if re.fullmatch(r"[\d_.]+", default):  # the plain numbers; the others are said in words
            assert float(listed[name]) == float(default.replace("_", "")), name


def test_the_notice_in_the_protocol_has_the_fields_of_a_notice():
    protocol = (ROOT / "docs" / "protocol.md").read_text()

    described = protocol.split("A `notice` carries ")[1].split("The same `id`")[0]
    fields = set(frames.NoticeBody.__struct_fields__)
    assert fields <= set(code_in(described))


def test_every_address_in_the_readme_leads_somewhere():
    sockets = [str(pattern.pattern) for pattern in websocket_urlpatterns]
    streams = [str(pattern.pattern) for pattern in http_urlpatterns]

    for row in rows_under("Addresses"):
        path = code_in(row[0])[0].split("?")[0]
        if path.lstrip("/") in streams:
            continue
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"{path} is no page")
        if path.startswith("/ws/"):
            assert path.lstrip("/") in sockets


def commands_in(text: str) -> list[list[str]]:
    """The `manage.py …` calls in a text, as words; what a shell would take away is taken away."""
    calls = []
    for line in text.splitlines():
        if "manage.py " in line and "crontab" not in line:
            call = re.split(r"manage\.py ", line, maxsplit=1)[1]
            calls.append(shlex.split(re.split(r" (?:&&|\|) |\s#|`", call)[0]))
    return calls


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_manage_command_in_the_documents_exists_with_its_options(document):
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", document.read_text(), re.DOTALL))

    for name, *words in commands_in(blocks):
        command = get_commands()[name]
        parser = load_command_class(command, name).create_parser("manage.py", name)
        if name == "send_notice" and words != ["--help"]:
            parser.parse_args(words)
        known = {option for action in parser._actions for option in action.option_strings}
        assert {word for word in words if word.startswith("-")} <= known | {"-"}, words


def test_the_examples_in_the_commands_help_are_valid():
    parser = load_command_class("notifications", "send_notice").create_parser("manage.py", "send_notice")

    examples = [words for name, *words in commands_in(EPILOG) if name == "send_notice"]
    assert len(examples) >= 5
    for words in examples:
        try:
            parser.parse_args(words)
        except (CommandError, SystemExit) as error:
            pytest.fail(f"{words}: {error}")


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_link_between_the_documents_leads_somewhere(document):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        assert (document.parent / link).exists(), link
