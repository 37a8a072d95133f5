"""Commands speak the language of the shell; what a script reads from them is the same in every language."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.utils import translation

from notifications.management.shell import ShellCommand, language_of
from notifications.models import Notice
from notifications.sending import InvalidNotice, send_notice


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_CN.GB18030"}, "zh-hans"),
        ({"LANG": "zh_Hans_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_Hans"}, "zh-hans"),
        ({"LANG": "zh_SG@stroke"}, "zh-hans"),
        ({"LANG": "zh_TW.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh-hans"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh-hans"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANGUAGE": "fr:zh_CN:en", "LANG": "en_US.UTF-8"}, "zh-hans"),
        ({"LANGUAGE": "en:zh_CN", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "../../etc/passwd"}, "en"),
        ({"LANG": "x" * 1000}, "en"),
    ],
)
def test_the_shells_language_is_that_of_its_locale(environment, language):
    assert language_of(environment) == language


@pytest.mark.parametrize("name", ["send_notice", "serve", "prepare"])
def test_each_command_of_ours_speaks_it(name):
    assert isinstance(load_command_class("notifications", name), ShellCommand)


@pytest.mark.django_db
def test_within_a_program_a_command_speaks_the_programs_language(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "zh_CN")

    with pytest.raises(CommandError, match="choose at least one audience"):
        call_command("send_notice", "Title")


@pytest.mark.django_db
def test_a_refusal_is_in_the_language_of_whoever_is_refused():
    with pytest.raises(InvalidNotice, match="the title is empty") as english:
        send_notice(title=" ", audiences=["everyone"])
    with translation.override("zh-hans"), pytest.raises(InvalidNotice) as chinese:
        send_notice(title=" ", audiences=["everyone"])

    assert is_chinese(str(chinese.value))
    assert chinese.value.field == english.value.field == "title"
    assert not Notice.objects.exists()


# The real program -------------------------------------------------------------------------------------------


@pytest.fixture
def machine(serve):
    """A machine whose shell is Chinese, and on which no server runs."""
    machine = serve(start=False)
    machine.settings["LANGUAGE"] = "zh_CN:en"
    return machine


def is_chinese(text):
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_the_line_that_scripts_read_is_the_same_in_chinese(machine):
    result = machine.manage("send_notice", "Backup finished", "--everyone")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == 'notice=1 status=published to=everyone people=5 title="Backup finished"\n'


def test_warnings_errors_and_help_are_in_chinese(machine):
    machine.valkey.stop()
    spoken = {
        "a warning": machine.manage("send_notice", "Title", "--everyone").stderr,
        "a refusal": machine.manage("send_notice", "", "--everyone").stderr,
        "an unknown name": machine.manage("send_notice", "Title", "--user", "adda").stderr,
        "help": machine.manage("send_notice", "--help").stdout,
        "help, asked for otherwise": machine.manage("help", "serve").stdout,
        "an error of serve": machine.manage("serve", "--workers", "0").stderr,
    }

    assert [what for what, words in spoken.items() if not is_chinese(words)] == []


def test_a_server_started_from_a_chinese_shell_asks_each_reader_for_their_own_language(machine):
    machine.start()

    page = machine.manage("shell", "-v", "0", "-c", FETCH.format(url=machine.url)).stdout

    assert is_chinese(machine.log.split("http://")[0])
    assert "Sign in" in page
    assert not is_chinese(page.split("<main")[1].split("</main>")[0])


FETCH = "import urllib.request; print(urllib.request.urlopen('{url}/accounts/login/').read().decode())"
