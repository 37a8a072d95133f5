"""`manage.py send_notice`: what cron calls."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sqlite3
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from notifications import sending
from notifications.models import Notice
from tests.people import group, person, topic

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)


def run(*arguments):
    """What the command prints, and what it warns of."""
    out, err = io.StringIO(), io.StringIO()
    call_command("send_notice", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def audiences():
    return sorted(str(posting) for posting in Notice.objects.get().postings.all())


# What it says ---------------------------------------------------------------------------------------------


@on_commit
def test_a_notice_is_stored_published_and_told_in_one_line():
    person("ada"), person("brian")

    out, err = run("Backup finished", "--everyone")

    notice = Notice.objects.get()
    assert out == f'notice={notice.pk} status=published to=everyone people=2 title="Backup finished"\n'
    assert err == ""
    assert (notice.source, notice.position) == ("command", 1)


@on_commit
def test_a_program_reads_json():
    ada, ops = person("ada"), group("ops")
    ops.user_set.add(ada)

    out, _ = run("Größe: 91 %", "--group", "ops", "--json")

    assert json.loads(out) == {
        "notice": Notice.objects.get().pk,
        "status": "published",
        "to": [f"group:{ops.pk}"],
        "people": 1,
        "publish_at": None,
        "expires_at": None,
        "title": "Größe: 91 %",
    }
    assert out.count("\n") == 1


@on_commit
def test_cron_hears_nothing_when_all_is_well():
    assert run("Backup finished", "--everyone", "--quiet") == ("", "")
    assert Notice.objects.exists()


@on_commit
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_while_redis_is_away_the_notice_is_stored_and_a_warning_says_so(valkey, quiet, caplog):
    """And a program that calls the command keeps its log: only that of a shell says nothing more than the warning."""
    valkey.stop()
    started = time.monotonic()

    out, err = run("Backup finished", "--everyone", *quiet)

    assert time.monotonic() - started < 5
    assert Notice.objects.get().position == 1
    assert "warning: stored, but Redis did not take the bell" in err
    assert quiet or "status=stored" in out
    assert "doorbell" in caplog.text
    assert logging.getLogger("notifications.doorbell").level == logging.NOTSET


@on_commit
def test_a_dry_run_checks_and_counts_and_stores_nothing():
    person("ada")

    out, err = run("  Backup finished ", "--everyone", "--dry-run")

    assert out == 'status=dry-run to=everyone people=1 title="Backup finished"\n'
    assert err == ""
    assert not Notice.objects.exists()


def test_a_dry_run_finds_the_same_mistakes():
    for arguments, returncode in [
        (["Title", "--user", "nobody"], 3),
        (["", "--everyone"], 2),
        (["Title"], 2),
        (["Title", "--everyone", "--url", "javascript:x"], 2),
    ]:
        with pytest.raises(CommandError) as failure:
            run(*arguments, "--dry-run")
        assert failure.value.returncode == returncode


def test_a_dry_run_in_json_names_no_notice():
    out, _ = run("Title", "--everyone", "--dry-run", "--json")

    said = json.loads(out)
    assert (said["notice"], said["status"], said["to"], said["people"]) == (None, "dry-run", ["everyone"], 0)


# Every option ---------------------------------------------------------------------------------------------


def test_every_option_is_heeded():
    run(
        *("Disk", "--staff", "--body", "42 GB\nleft", "--level", "warning", "--url", "https://grafana/d/7"),
        *("--key", "disk", "--at", "+1h", "--expires", "2h"),
    )

    notice = Notice.objects.get()
    assert (notice.title, notice.body, notice.level) == ("Disk", "42 GB\nleft", "warning")
    assert (notice.url, notice.key, notice.sender) == ("https://grafana/d/7", "disk", None)
    assert abs(notice.publish_at - timezone.now() - timedelta(hours=1)) < timedelta(seconds=30)
    assert abs(notice.expires_at - timezone.now() - timedelta(hours=2)) < timedelta(seconds=30)
    assert audiences() == ["staff"]


def test_a_scheduled_notice_is_said_to_be():
    out, err = run("Title", "--everyone", "--at", "+1h")

    assert "status=scheduled" in out
    assert err == ""
    assert Notice.objects.get().position is None


def test_a_moment_just_past_is_sent_at_once():
    out, _ = run("Title", "--everyone", "--at", (timezone.now() - timedelta(minutes=1)).isoformat())

    assert "scheduled" not in out


def test_audiences_add_up_and_an_option_may_come_twice():
    ada, brian, cleo = person("ada"), person("brian"), person("cleo")
    ops, sales = group("ops", ada), group("on call", brian)
    topic("deploys")

    out, _ = run(
        *("Title", "--everyone", "--staff", "--user", "ada", "brian", "--user", "cleo"),
        *("--group", "ops", "on call", "--topic", "deploys"),
    )

    expected = ["everyone", f"group:{ops.pk}", f"group:{sales.pk}", "staff", "topic:deploys"]
    assert audiences() == sorted([*expected, *(f"user:{each.pk}" for each in (ada, brian, cleo))])
    assert "people=3" in out


@on_commit
def test_a_key_replaces_what_was_sent_with_it_before():
    run("91 %", "--everyone", "--key", "disk")

    run("95 %", "--everyone", "--key", "disk")

    assert [notice.title for notice in Notice.objects.live()] == ["95 %"]


# What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Title"], "at least one audience"),
        (["", "--everyone"], "the title is empty"),
        (["x" * 201, "--everyone"], "201 characters; 200 is the most"),
        (["bell\x07", "--everyone"], "U+0007"),
        (["half\udcff", "--everyone"], "U+DCFF"),
        (["Title", "--everyone", "--body", "x" * 8193], "8193 bytes; 8192 is the most"),
        (["Title", "--everyone", "--body", "one", "--body", "two"], "--body was given 2 times"),
        (["Title", "--everyone", "--level", "fatal"], "'fatal': choose one of info, success, warning, error"),
        (["Title", "--everyone", "--url", "javascript:alert(1)"], "'javascript:alert(1)'"),
        (["Title", "--everyone", "--url", "//evil.example"], "path that begins with /"),
        (["Title", "--everyone", "--key", "k" * 201], "201 characters"),
        (["Title", "--everyone", "--at", "soon"], "'soon' is no time that I know"),
        (["Title", "--everyone", "--at", ""], "'' is no time that I know"),
        (["Title", "--everyone", "--at", "2020-01-01T00:00"], "in the past"),
        (["Title", "--everyone", "--at=-5m"], "in the past"),
        (["Title", "--everyone", "--expires=-1h 30m"], "in the past"),
        (["Title", "--everyone", "--at", "03/04/2027"], "2027-03-04 or 2027-04-03"),
        (["Title", "--everyone", "--expires", "3.4.2027"], "2027-03-04 or 2027-04-03"),
        (["Title", "--everyone", "--expires", "2020-01-01T00:00"], "in the past"),
        (["Title", "--everyone", "--expires", "2999-02-30T00:00"], "2999-02-30"),
        (["Title", "--everyone", "--at", "+2h", "--expires", "+1h"], "not after publish_at"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_bad_value_is_a_mistake_of_usage_and_stores_nothing(arguments, says):
    with pytest.raises(CommandError) as failure:
        run(*arguments)

    assert failure.value.returncode == 2
    assert says in str(failure.value)
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--user", "brain"], "no user called 'brain'; the nearest: brian"),
        (["--user", "gone"], "no user called 'gone'"),
        (["--user", "brian", "nobody"], "no user called 'nobody'"),
        (["--user", "half\udcff"], r"no user called 'half\udcff'"),
        (["--group", "opps"], "no group called 'opps'; the nearest: ops"),
        (["--topic", "deploy"], "no topic called 'deploy'; the nearest: deploys"),
        (["--everyone", "--topic", "zzz"], "no topic called 'zzz'"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_unknown_name_is_named_with_the_nearest_ones_and_nothing_is_stored(arguments, says):
    person("brian")
    person("gone", is_active=False)
    group("ops")
    topic("deploys")

    with pytest.raises(CommandError) as failure:
        run("Title", *arguments)

    assert failure.value.returncode == 3
    assert str(failure.value).startswith(says)
    assert not Notice.objects.exists()


def test_the_help_shows_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as end:
        call_command("send_notice", "--help")

    said = capsys.readouterr().out
    assert end.value.code == 0
    assert 'manage.py send_notice "Backup finished" --everyone' in said
    assert "exit codes: 0 stored" in said
    assert "in a crontab:" in said


# The real program -----------------------------------------------------------------------------------------


@pytest.fixture
def machine(serve):
    """A machine with people, a database and a Valkey, on which no server runs."""
    return serve(start=False)


def stored(machine):
    with contextlib.closing(sqlite3.connect(machine.folder / "db.sqlite3")) as database:
        return database.execute("SELECT title, body, position FROM notifications_notice ORDER BY id").fetchall()


def test_the_program_sends_while_no_server_runs(machine):
    result = machine.manage("send_notice", "Backup finished", "--everyone")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip() == 'notice=1 status=published to=everyone people=5 title="Backup finished"'
    assert stored(machine) == [("Backup finished", "", 1)]


def test_the_program_reads_the_body_from_a_pipe(machine):
    result = machine.manage("send_notice", "Disks", "--user", "ada", "--body", "-", input="sda 42 %\nsdb größer\n")

    assert result.returncode == 0, result.stderr
    assert stored(machine) == [("Disks", "sda 42 %\nsdb größer", 1)]


@pytest.mark.parametrize(
    ("arguments", "piped", "returncode", "says"),
    [
        (["--everyone"], None, 2, "required: title"),
        (["Title", "--user", "adda"], None, 3, "no user called 'adda'; the nearest: ada"),
        (["Title", "--everyone", "--body", "-"], "x" * 9000, 2, "9000 bytes; 8192 is the most"),
        (["not UTF-8: \udcff", "--everyone"], None, 2, "U+DCFF"),
        (["Title", "--everyone", "--at", "-5m"], None, 2, "in the past"),
        (["Title", "--everyone", "--expires", "-1h30m"], None, 2, "in the past"),
    ],
    ids=["no title", "unknown", "too long", "not UTF-8", "at -5m", "expires -1h30m"],
)
def test_the_programs_exit_code_says_what_was_wrong(machine, arguments, piped, returncode, says):
    result = machine.manage("send_notice", *arguments, input=piped)

    assert (result.returncode, result.stdout) == (returncode, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert stored(machine) == []


def test_without_its_database_the_program_fails_and_says_that_nothing_was_stored(machine):
    machine.settings["DATABASE_URL"] = f"sqlite:///{machine.folder}/not/there.sqlite3"

    result = machine.manage("send_notice", "Title", "--everyone")

    assert (result.returncode, result.stdout) == (1, "")
    assert "nothing was stored, the database does not answer" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("trouble", ["stop", "freeze"])
def test_without_redis_the_program_succeeds_soon_and_warns(machine, trouble):
    started = time.monotonic()
    machine.manage("send_notice", "Title", "--everyone", "--dry-run")
    usual = time.monotonic() - started
    getattr(machine.valkey, trouble)()

    started = time.monotonic()
    result = machine.manage("send_notice", "Title", "--everyone")
    took = time.monotonic() - started

    assert result.returncode == 0
    assert "status=stored" in result.stdout
    assert result.stderr.count("warning") == 1
    assert took - usual < 6  # 3 s are promised; the machine may be busier than a moment ago
    assert stored(machine) == [("Title", "", 1)]


# By a program, and under a database that dies ----------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"body": "text"},
        {"body": None, "url": None, "key": None, "at": None, "expires": None, "user": None},
        {"user": "ada"},
        {"user": ["ada"]},
        {"user": ("ada",), "group": "ops", "topic": "deploys", "staff": True},
        {"group": ["ops"], "topic": ["deploys"]},
        {"level": "warning", "url": "/disks/", "key": "disk"},
        {"at": "+1h", "expires": "2h"},
        {"at": datetime(2999, 1, 1, tzinfo=UTC), "expires": datetime(2999, 1, 2, tzinfo=UTC)},
        {"quiet": True},
        {"json": True},
        {"dry_run": True},
    ],
    ids=str,
)
def test_every_option_may_be_given_by_its_python_name(options):
    ada = person("ada")
    group("ops", ada), topic("deploys", ada)

    call_command("send_notice", "Title", everyone=True, stdout=io.StringIO(), stderr=io.StringIO(), **options)

    notice = Notice.objects.first()
    if options.get("dry_run"):
        assert notice is None
        return
    assert notice.body == (options.get("body") or "")
    assert notice.postings.count() == 1 + sum(bool(options.get(name)) for name in ("user", "group", "topic", "staff"))
    assert bool(notice.publish_at) == bool(options.get("at"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"everyone": "no"}, "everyone='no': use True or False"),
        ({"everyone": None}, "everyone=None: use True or False"),
        ({"at": date(2030, 1, 1)}, "datetime.date(2030, 1, 1)"),
        ({"expires": timedelta(hours=1)}, "datetime.timedelta(seconds=3600)"),
        ({"at": 1893456000}, "1893456000"),
        ({"level": 3}, "'3'"),
        ({"user": 5}, "no user called '5'"),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused_like_a_wrong_one(options, says):
    person("ada")

    with pytest.raises(CommandError) as refusal:
        call_command("send_notice", "Title", **{"everyone": True} | options)

    assert refusal.value.returncode in (2, 3)
    assert says in str(refusal.value)
    assert not Notice.objects.exists()


def test_a_person_may_be_given_as_their_account_and_a_text_as_a_number():
    ada = person("ada")

    call_command("send_notice", "Title", user=ada, body=5, key=7, stdout=io.StringIO(), stderr=io.StringIO())

    notice = Notice.objects.get()
    assert (notice.body, notice.key) == ("5", "7")
    assert audiences() == [f"user:{ada.pk}"]


def test_the_resolved_times_are_told_with_their_zone(settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    when = ["--at", "2999-12-24T18:00", "--expires", "2999-12-24T12:00Z"]

    line, _ = run("Title", "--everyone", *when)
    said = json.loads(run("Title", "--everyone", "--json", *when)[0])

    assert "publish_at=2999-12-24T18:00:00+08:00 expires_at=2999-12-24T20:00:00+08:00" in line
    assert (said["publish_at"], said["expires_at"]) == ("2999-12-24T18:00:00+08:00", "2999-12-24T20:00:00+08:00")


def exit_code(*arguments):
    try:
        run(*arguments)
    except CommandError as failure:
        return failure.returncode
    return 0


@on_commit
def test_whichever_statement_the_database_dies_at_the_exit_code_is_true():
    person("ada")
    run("begins the log", "--everyone")
    for deadly in range(1, 60):
        Notice.objects.all().delete()
        seen = 0

        def die(execute, *arguments, deadly=deadly):
            nonlocal seen
            seen += 1
            if seen >= deadly:
                raise OperationalError("the server closed the connection")
            return execute(*arguments)

        with connection.execute_wrapper(die):
            code = exit_code("Title", "--user", "ada", "--key", "k")

        assert code == (0 if Notice.objects.exists() else 1), deadly
        if seen < deadly:
            break
    assert 5 < deadly < 59
    assert code == 0


@on_commit
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("returns", [True, False])
def test_a_database_that_dies_while_it_commits_is_asked_what_came_of_it(monkeypatch, stored, returns):
    run("begins the log", "--everyone")
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.1)
    commit = connection._commit

    def die():
        connection._commit = commit
        if stored:
            commit()
        if not returns:
            monkeypatch.setattr(sending, "_is_committed", fail)
        raise OperationalError("the server closed the connection")

    def fail(notice):
        raise OperationalError("the server does not answer")

    monkeypatch.setattr(connection, "_commit", die)

    code = exit_code("Title", "--everyone")

    assert Notice.objects.filter(title="Title").exists() == stored
    assert code == ((0 if stored else 1) if returns else 4)


def test_a_database_that_cannot_count_fails_before_anything_is_stored(monkeypatch):
    def fail(audiences):
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr("notifications.management.commands.send_notice.people_in", fail)

    assert exit_code("Title", "--everyone") == 1
    assert not Notice.objects.exists()


@on_commit
def test_twelve_hundred_people_may_be_named():
    names = [person(f"user{n}").username for n in range(1200)]

    out, _ = run("Title", "--user", *names)

    assert "people=1200" in out
