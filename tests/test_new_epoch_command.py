"""`manage.py new_epoch`: what an operator runs after a backup was restored."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from notifications import log
from notifications.management.commands.new_epoch import Command
from notifications.models import Log
from tests.people import publish

pytestmark = pytest.mark.django_db


def new_epoch():
    out = StringIO()
    call_command("new_epoch", stdout=out)
    return out.getvalue()


def test_it_says_in_one_line_which_epoch_begins_and_where():
    publish("hello")
    before = log.head()

    line = new_epoch()

    after = log.head()
    assert re.fullmatch(rf"epoch={after.epoch} head=1\n", line)
    assert after.epoch != before.epoch


def test_the_head_is_not_below_a_notice():
    for number in range(3):
        publish(f"notice {number}")
    Log.objects.update(head=1)

    assert new_epoch().endswith(" head=3\n")


def test_a_database_that_does_not_answer_is_an_error_in_one_line(monkeypatch):
    def away(*args):
        raise OperationalError("gone away")

    monkeypatch.setattr(log, "begin_epoch", away)

    with pytest.raises(CommandError, match="no new epoch, the database does not answer: gone away") as caught:
        new_epoch()
    assert caught.value.returncode == 1


def test_its_help_shows_an_example():
    assert (
        "manage.py new_epoch && systemctl start notices"
        in Command().create_parser("manage.py", "new_epoch").format_help()
    )


def test_two_servers_that_notice_a_restored_backup_begin_one_epoch():
    publish("hello")
    before = log.head()

    first, second = log.begin_epoch(instead_of=before.epoch), log.begin_epoch(instead_of=before.epoch)

    assert first == second == log.head()
    assert first.epoch != before.epoch
