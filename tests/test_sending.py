"""The only door in: what is stored, and what is refused."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import inbox, log, sending
from notifications.audiences import EVERYONE, Audience, UnknownAudience, people_in
from notifications.models import Notice, Posting
from notifications.sending import (
    Draft,
    InvalidNotice,
    SendingRefused,
    check_drafts,
    recall_notice,
    send_notice,
    send_notices,
)
from tests.people import group, person, publish, send, topic

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)


# What is stored -------------------------------------------------------------------------------------------


def test_a_notice_is_stored_as_it_was_given():
    ada = person("ada")
    later, end = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(hours=2)

    notice = send_notice(
        title="Disk is full",
        body="42 GB left",
        audiences=[EVERYONE, Audience.user(ada)],
        level="warning",
        url="https://example.org/disks?host=7#now",
        sender=ada,
        source="python",
        key="disk",
        publish_at=later,
        expires_at=end,
    )

    notice = Notice.objects.get(pk=notice.pk)
    assert (notice.title, notice.body, notice.level) == ("Disk is full", "42 GB left", "warning")
    assert (notice.url, notice.key) == ("https://example.org/disks?host=7#now", "disk")
    assert (notice.sender, notice.source) == (ada, "python")
    assert (notice.publish_at, notice.expires_at) == (later, end)
    assert {posting.audience for posting in notice.postings.all()} == {"everyone", f"user:{ada.pk}"}


def test_an_audience_may_be_written_as_text():
    ops = group("ops")

    notice = send(audiences=[f"group:{ops.pk}", "staff"])

    assert {str(posting) for posting in notice.postings.all()} == {f"group:{ops.pk}", "staff"}


def test_an_audience_that_is_named_twice_gets_one_posting():
    ada = person("ada")

    notice = send(audiences=[Audience.user(ada), f"user:{ada.pk}", "everyone", "everyone"])

    assert notice.postings.count() == 2


def test_blanks_around_the_text_go_and_line_ends_become_one_kind():
    notice = send("  Backup finished \n", body="\r\none\r\n\ttwo\r\n")

    assert (notice.title, notice.body) == ("Backup finished", "one\n\ttwo")


@pytest.mark.parametrize(
    "values",
    [
        {"title": "x" * 200},
        {"title": "😀" * 200},
        {"body": "x" * 8192},
        {"body": "é" * 4096},
        {"body": "one\n\ttwo"},
        {"key": "k" * 200},
        {"url": "/" + "x" * 1999},
        {"url": "/reports/7/?a=1&b=2#top"},
        {"url": "http://example.org"},
        {"url": "HTTPS://EXAMPLE.ORG/ä"},
        {"url": "https://[2001:db8::1]:8443/"},
        {"title": "שלום · 你好 · 👩‍👩‍👧"},
        {"title": "<script>alert(1)</script>"},
        {"publish_at": datetime(2999, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_everything_up_to_the_bounds_is_stored_unchanged(values):
    notice = send(**values)

    kept = Notice.objects.get(pk=notice.pk)
    assert {name: getattr(kept, name) for name in values} == values


@pytest.mark.parametrize(
    "text",
    [
        "Family 👨‍👩‍👧‍👦, flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿, heart ❤️",
        "می‌خواهم",
        "שלום (1)\u200f",
        "العربية\u061c 42",
        "नमस्ते क्‍ष",
        "e\u0301te\u0301",
        "…",
        "🎉",
    ],
)
def test_joiners_marks_and_selectors_stay_as_they_are(text):
    notice = send(text, body=text)

    notice.refresh_from_db()
    assert (notice.title, notice.body) == (text, text)


def test_a_senders_name_turns_nothing_around():
    masked = person("masked", first_name="\u202eNIMDA", last_name="\u2066x\u2028")
    hidden = person("hidden", first_name="\u202e", last_name="\u2069")

    assert send(sender=masked).sender_name == "NIMDA x"
    assert send(sender=hidden).sender_name == "hidden"


def test_a_moment_that_passed_while_somebody_was_typing_means_now():
    notice = publish(publish_at=timezone.now() - timedelta(minutes=2))

    assert notice.published is not None


def test_many_notices_are_stored_in_the_order_given():
    drafts = [Draft(title=f"Notice {n}", audiences=["everyone"], key=f"key {n}") for n in range(50)]

    notices = send_notices(drafts)

    assert [notice.title for notice in notices] == [draft.title for draft in drafts]
    assert Posting.objects.count() == 50


def test_of_many_notices_all_are_stored_or_none():
    drafts = [Draft(title="Good", audiences=["everyone"]), Draft(title="", audiences=["everyone"])]

    with pytest.raises(InvalidNotice):
        send_notices(drafts)

    assert not Notice.objects.exists()


def test_checking_drafts_tidies_and_stores_nothing():
    ada = person("ada")

    [draft] = check_drafts([Draft(title=" Backup ", audiences=[f"user:{ada.pk}", "everyone", "everyone"])])

    assert (draft.title, list(draft.audiences)) == ("Backup", [Audience.user(ada), EVERYONE])
    assert not Notice.objects.exists()


def test_sending_no_notices_is_no_mistake():
    assert send_notices([]) == []


# What is refused ------------------------------------------------------------------------------------------

NAIVE = datetime(2999, 1, 1, 12, 0)
LONG_AGO = datetime(2020, 1, 2, 3, 4, tzinfo=UTC)

refused = [
    # field, values, what the message says
    ("title", {"title": ""}, ["empty"]),
    ("title", {"title": " \t\n "}, ["empty"]),
    ("title", {"title": "x" * 201}, ["201", "200"]),
    ("title", {"title": "one\ntwo"}, ["U+000A"]),
    ("title", {"title": "bell\x07"}, ["U+0007"]),
    ("title", {"title": "escape\x1b[31m"}, ["U+001B"]),
    ("title", {"title": "nul\x00"}, ["U+0000"]),
    ("title", {"title": "c1\x9b"}, ["U+009B"]),
    ("title", {"title": "half\ud83d"}, ["U+D83D"]),
    *(
        (field, {field: f"gnp{turning}.exe"}, [f"U+{ord(turning):04X}", "character 4"])
        for field in ("title", "body", "key")
        for turning in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
    ),
    ("url", {"url": "/gnp\u202e.exe"}, ["U+202E", "character 5"]),
    *(
        ("title", {"title": blank}, ["no visible character"])
        for blank in ("\u200b", "\u200d\ufe0f", "\u00ad\u200e", "\u3164", "\u2800\u2060", "\u0301", "\U000e0041")
    ),
    ("body", {"body": "x" * 8193}, ["8193", "8192"]),
    ("body", {"body": "é" * 4097}, ["8194", "8192"]),
    ("body", {"body": "nul\x00"}, ["U+0000"]),
    ("body", {"body": "half\udcff"}, ["U+DCFF"]),
    ("body", {"body": "bell\x07"}, ["U+0007"]),
    ("level", {"level": "fatal"}, ["'fatal'", "info, success, warning, error"]),
    ("level", {"level": ""}, ["''", "info"]),
    ("level", {"level": "INFO"}, ["'INFO'", "info"]),
    ("source", {"source": "cron"}, ["'cron'", "admin, view, command, api, python"]),
    ("key", {"key": "k" * 201}, ["201", "200"]),
    ("key", {"key": "nul\x00"}, ["U+0000"]),
    ("key", {"key": "half\udcff"}, ["U+DCFF"]),
    ("url", {"url": "/" + "x" * 2000}, ["2001", "2000"]),
    ("url", {"url": "/nul\x00"}, ["U+0000"]),
    ("url", {"url": "/half\udcff"}, ["U+DCFF"]),
    ("url", {"url": "java\nscript:alert(1)"}, ["U+000A"]),
    *(
        ("url", {"url": url}, [repr(url), "http://…, https://… or a path that begins with /"])
        for url in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,<script>",
            "vbscript:x",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "http:evil.example",
            "https://",
            "http:///path",
            "http://[::1",
            "ftp://example.org",
            "mailto:ada@example.org",
            "example.org",
            "reports/7",
            "#top",
            "/a b",
            '/"onclick=',
            "/<b>",
            "https://example.org\\@evil.example",
            " /path",
        ]
    ),
    ("publish_at", {"publish_at": NAIVE}, ["2999-01-01", "time zone"]),
    ("publish_at", {"publish_at": LONG_AGO}, ["2020-01-02 03:04 UTC", "past"]),
    ("expires_at", {"expires_at": NAIVE}, ["2999-01-01", "time zone"]),
    ("expires_at", {"expires_at": LONG_AGO}, ["2020-01-02 03:04 UTC", "past"]),
    (
        "expires_at",
        {"publish_at": datetime(2999, 1, 2, tzinfo=UTC), "expires_at": datetime(2999, 1, 1, tzinfo=UTC)},
        ["publish_at"],
    ),
    ("audiences", {"audiences": []}, ["at least one"]),
]


@pytest.mark.parametrize(
    ("field", "values", "says"), refused, ids=lambda value: repr(value)[:60] if isinstance(value, dict) else ""
)
def test_a_bad_value_stores_nothing_and_is_named_with_the_choices(field, values, says):
    with pytest.raises(InvalidNotice) as refusal:
        send_notice(**{"title": "Backup finished", "audiences": ["everyone"]} | values)

    assert refusal.value.field == field
    assert all(words in str(refusal.value) for words in says), str(refusal.value)
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    ("audience", "says"),
    [
        ("user:424242", "no user called '424242'"),
        ("user:99999999999999999999", "no user called '99999999999999999999'"),
        ("group:424242", "no group called '424242'"),
        ("topic:gone", "no topic called 'gone'"),
        ("nobody", "no audience called 'nobody'"),
        ("user:1:2", "no user called '1:2'"),
        ("topic:nul\0", "no topic called 'nul\\x00'"),
    ],
)
def test_an_unknown_audience_stores_nothing_even_beside_a_known_one(audience, says):
    with pytest.raises(UnknownAudience) as refusal:
        send(audiences=["everyone", audience])

    assert says in str(refusal.value)
    assert not Notice.objects.exists()


def test_an_inactive_person_cannot_be_sent_to():
    gone = person("gone", is_active=False)

    with pytest.raises(UnknownAudience, match=f"no user called '{gone.pk}'"):
        send(audiences=[Audience.user(gone)])

    assert not Notice.objects.exists()


def test_whoever_catches_value_errors_catches_every_refusal():
    assert issubclass(InvalidNotice, ValueError)
    assert issubclass(SendingRefused, ValueError)
    assert issubclass(UnknownAudience, ValueError)


@pytest.mark.parametrize("source", ["admin", "view", "api"])
def test_at_a_screen_somebody_without_the_permission_is_refused(source):
    ada = person("ada", may=["recall_notice", "view_notice"])

    with pytest.raises(SendingRefused, match=r"ada may not send notices.*notifications\.send_notice"):
        send(sender=ada, source=source)

    assert not Notice.objects.exists()


@pytest.mark.parametrize("source", ["admin", "view", "api"])
def test_at_a_screen_nobody_may_send_without_a_name(source):
    with pytest.raises(SendingRefused, match="nobody may not send"):
        send(source=source)


@pytest.mark.parametrize("source", ["admin", "view", "api", "command", "python"])
def test_somebody_with_the_permission_may_send_from_anywhere(source):
    ada = person("ada", may=["send_notice"])

    assert send(sender=ada, source=source).source == source


@pytest.mark.parametrize("source", ["command", "python"])
def test_a_program_needs_no_permission(source):
    assert send(source=source).sender is None


def test_a_sender_who_was_deactivated_is_refused():
    ada = person("ada", may=["send_notice"], is_active=False)

    with pytest.raises(SendingRefused):
        send(sender=ada, source="view")


# On commit ------------------------------------------------------------------------------------------------


@on_commit
def test_a_notice_is_published_when_it_is_committed():
    with transaction.atomic():
        notice = send()
        assert Notice.objects.get().position is None

    assert Notice.objects.get().position == 1
    assert notice.heard_by == 0  # Valkey answered; no server runs


@on_commit
def test_a_rolled_back_notice_is_never_published(monkeypatch):
    rung = []
    monkeypatch.setattr(log, "ring", lambda bell: rung.append(bell) or 0)
    send("The premise: this one rings")
    assert len(rung) == 1

    with transaction.atomic():
        send("Never")
        transaction.set_rollback(True)
    log.publish_pending()

    assert Notice.objects.count() == 1
    assert log.head().position == 1
    assert len(rung) == 1


@on_commit
def test_a_notice_is_stored_and_published_even_when_redis_is_away(valkey):
    valkey.stop()

    notice = send()

    assert notice.heard_by is None
    assert Notice.objects.get().position == 1


@on_commit
def test_a_notice_whose_publishing_fails_stays_and_is_published_by_the_next_look(monkeypatch, caplog):
    def lose_the_database():
        raise sending.DatabaseError("the server closed the connection")

    with monkeypatch.context() as broken:
        broken.setattr(sending, "publish_pending", lose_the_database)
        with transaction.atomic():
            notice = send()
    assert Notice.objects.get().position is None
    assert notice.heard_by is None
    assert "Stored, but not published yet: the server closed the connection" in caplog.text

    assert log.publish_pending().count == 1

    assert Notice.objects.get().position == 1


@on_commit
@pytest.mark.parametrize("audience", ["everyone", "group", "topic", "staff"])
def test_ten_thousand_people_cost_no_more_queries_than_ten(audience):
    from django.db import connection

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            send(audiences=[names[audience]])
        return [
            query["sql"]
            for query in captured.captured_queries
            if not (query["sql"] or "prepared").startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))
        ]

    people = [person(f"user{n}", is_staff=True) for n in range(10)]
    ops, deploys = group("ops", *people), topic("deploys", *people)
    names = {"everyone": EVERYONE, "staff": "staff", "group": f"group:{ops.pk}", "topic": "topic:deploys"}
    send()  # begins the log
    for_ten = queries()

    more = User.objects.bulk_create(User(username=f"more{n}", is_staff=True) for n in range(10_000))
    ops.user_set.through.objects.bulk_create(ops.user_set.through(user=user, group=ops) for user in more)
    deploys.subscriptions.model.objects.bulk_create(
        deploys.subscriptions.model(user=user, topic=deploys) for user in more
    )
    for_ten_thousand = queries()

    assert len(for_ten_thousand) == len(for_ten) <= 9, for_ten_thousand


# Recalling ------------------------------------------------------------------------------------------------


@on_commit
def test_a_database_that_fails_half_way_stores_nothing(monkeypatch):
    def fail(postings, **options):
        raise OperationalError("the connection is gone")

    monkeypatch.setattr(Posting.objects, "bulk_create", fail)

    with pytest.raises(OperationalError):
        send("half of it")

    assert not Notice.objects.exists()


@on_commit
def test_a_recalled_notice_leaves_the_inbox_and_takes_a_new_place():
    ada = person("ada")
    notice, other = publish("Wrong"), publish("Right")
    assert [n.title for n in inbox.visible_to(ada)] == ["Right", "Wrong"]

    assert recall_notice(notice) is True

    assert [n.title for n in inbox.visible_to(ada)] == ["Right"]
    recalled = Notice.objects.get(pk=notice.pk)
    assert (recalled.published, recalled.position) == (1, 3)
    assert recalled.status == "recalled"
    assert notice.recalled_at is not None
    assert Notice.objects.get(pk=other.pk).position == 2


@on_commit
def test_a_second_recall_changes_nothing():
    notice = publish()
    recall_notice(notice)
    before = Notice.objects.values().get()

    assert recall_notice(notice) is False

    assert Notice.objects.values().get() == before


@on_commit
def test_a_recalled_notice_that_still_waited_is_never_shown():
    notice = send(publish_at=timezone.now() + timedelta(hours=1))

    recall_notice(notice)

    assert Notice.objects.get().position is None
    assert log.next_due() is None
    assert log.head().position == 0


@on_commit
def test_a_rolled_back_recall_changes_nothing():
    ada, notice = person("ada"), publish()

    with transaction.atomic():
        recall_notice(notice)
        transaction.set_rollback(True)

    assert list(inbox.visible_to(ada)) == [notice]
    assert log.head().position == 1


def test_somebody_without_the_permission_cannot_recall():
    notice = publish()

    with pytest.raises(SendingRefused, match=r"ada may not recall notices.*notifications\.recall_notice"):
        recall_notice(notice, by=person("ada", may=["send_notice"]))

    assert Notice.objects.get().recalled_at is None


def test_somebody_with_the_permission_can_recall():
    notice = publish()

    assert recall_notice(notice, by=person("ada", may=["recall_notice"]))


@on_commit
def test_a_notice_to_thirty_thousand_named_people_is_stored_and_its_readers_are_counted():
    # 90,000 values: more than PostgreSQL takes in one statement that it prepares.
    ada = person("ada")
    User.objects.bulk_create((User(username=f"user{n}") for n in range(30_000)), batch_size=10_000)
    everybody = [f"user:{pk}" for pk in User.objects.values_list("pk", flat=True)]

    notice = send(audiences=everybody)

    assert notice.postings.count() == 30_001
    assert inbox.count_readers([notice]) == {notice.pk: 0}
    assert ada in set(people_in(map(Audience.parse, everybody)))


# Work after the commit ------------------------------------------------------------------------------------


@on_commit
@pytest.mark.parametrize("within_a_transaction", [True, False])
def test_a_doorbell_that_cannot_be_rung_harms_neither_the_caller_nor_the_callers_other_hooks(
    settings, caplog, within_a_transaction
):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}  # it has no prefix
    others = []

    with transaction.atomic() if within_a_transaction else nullcontext():
        notice = send_notice(title="Stored", audiences=["everyone"])
        transaction.on_commit(lambda: others.append("ran"))

    assert others == ["ran"]
    assert Notice.objects.get(pk=notice.pk).status == "live"
    assert notice.heard_by is None
    assert "KeyError" in caplog.text


@on_commit
@pytest.mark.parametrize("within_a_transaction", [True, False])
def test_publishing_that_fails_after_the_commit_harms_neither_the_caller_nor_the_callers_other_hooks(
    monkeypatch, caplog, within_a_transaction
):
    def fail():
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(sending, "publish_pending", fail)
    monkeypatch.setattr(sending, "publish_with", lambda store: (store(), None))
    others = []

    with transaction.atomic() if within_a_transaction else nullcontext():
        notice = send_notice(title="Stored", audiences=["everyone"])
        transaction.on_commit(lambda: others.append("ran"))

    assert others == ["ran"]
    assert Notice.objects.filter(pk=notice.pk).exists()
    assert "nobody expected this" in caplog.text
