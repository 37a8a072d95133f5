"""Who may connect: from which page, and with which session."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone

from notifications.deeds import mark_read
from notifications.inbox import standing_of
from notifications.live.access import (
    SESSION_OVER,
    WITHDRAWN,
    Knock,
    SameOrigin,
    answers_to,
    look_again,
    refuse_handshake,
    session_key_of,
)
from tests.people import group, person, publish

# Origin ---------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def our_hosts(settings):
    settings.ALLOWED_HOSTS = ["notices.example", "[::1]"]
    settings.WS_ALLOWED_ORIGINS = ["https://partner.example"]


async def knock(origin, host="notices.example", scheme="wss", extensions=None):
    """Who is let in hears "in"; who is not gets what was sent instead."""
    sent = []

    async def app(scope, receive, send):
        sent.append("in")

    async def send(event):
        sent.append(event)

    headers = [(b"host", host.encode())] if host is not None else []
    headers += [(b"origin", origin.encode("latin-1"))] if origin is not None else []
    scope = {"type": "websocket", "headers": headers, "extensions": extensions}
    if scheme:
        scope["scheme"] = scheme
    await SameOrigin(app)(scope, None, send)
    return sent


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://notices.example", "notices.example", "wss"),
        ("http://notices.example", "notices.example", "ws"),
        ("https://notices.example", "notices.example:443", "wss"),
        ("https://notices.example:443", "notices.example", "wss"),
        ("http://notices.example:8000", "notices.example:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
        ("https://Notices.Example", "notices.example", "wss"),
        ("https://notices.example", "notices.example", ""),  # Daphne does not say the scheme
        ("https://partner.example", "notices.example", "wss"),
        (None, "notices.example", "wss"),  # no browser
    ],
)
async def test_our_own_pages_partners_and_programs_come_in(origin, host, scheme):
    assert await knock(origin, host, scheme) == ["in"]


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://evil.example", "notices.example", "wss"),
        ("https://notices.example.evil.example", "notices.example", "wss"),
        ("https://evil.example/notices.example", "notices.example", "wss"),
        ("https://notices.example@evil.example", "notices.example", "wss"),
        ("https://sub.notices.example", "notices.example", "wss"),
        ("http://notices.example", "notices.example", "wss"),
        ("https://notices.example", "notices.example", "ws"),
        ("https://notices.example:8443", "notices.example", "wss"),
        ("http://partner.example", "notices.example", "wss"),
        ("null", "notices.example", "wss"),
        ("", "notices.example", "wss"),
        ("http://[::1", "notices.example", "ws"),
        ("http://[::1", "[::1", "ws"),
        ("https://notices.example:port", "notices.example", "wss"),
        ("https://notices.example:99999", "notices.example", "wss"),
        ("file:///etc/passwd", "notices.example", "wss"),
        ("chrome-extension://abcdef", "notices.example", "wss"),
        ("https://\xe4.example", "notices.example", "wss"),
        ("https://evil.example", "evil.example", "wss"),  # DNS rebinding: the host is not ours
        (None, "evil.example", "wss"),
        (None, "", "wss"),
        (None, None, "wss"),
        (None, "notices.example\r\nx", "wss"),
    ],
)
async def test_pages_of_other_sites_are_refused(origin, host, scheme):
    assert await knock(origin, host, scheme) == [{"type": "websocket.close"}]


async def test_a_refusal_says_403_and_why_where_the_server_can():
    start, body = await knock("https://evil.example", extensions={"websocket.http.response": {}})

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body == {
        "type": "websocket.http.response.body",
        "body": b"This origin may not open a WebSocket here.",
    }
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


async def test_a_refusal_is_logged_with_the_setting_that_would_allow_it(caplog):
    await knock("https://evil.example")

    assert "'https://evil.example'" in caplog.text
    assert "WS_ALLOWED_ORIGINS" in caplog.text


async def test_an_unknown_address_is_answered_404_where_the_server_can():
    sent = []

    async def send(event):
        sent.append(event)

    await refuse_handshake({"extensions": {"websocket.http.response": {}}}, send, 404, "No WebSocket here.")

    assert (sent[0]["status"], sent[1]["body"]) == (404, b"No WebSocket here.")


async def test_with_debug_and_no_hosts_named_this_machine_is_ours(settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, []

    assert await knock("http://localhost:8000", "localhost:8000", "ws") == ["in"]
    assert await knock(None, "evil.example", "ws") != ["in"]


# Session --------------------------------------------------------------------------------------------------

signed_in = pytest.mark.django_db


def session_of(user, **values):
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = django_settings.AUTHENTICATION_BACKENDS[0]
    session.update(values)
    session.create()
    return session


def test_the_session_is_found_in_the_cookie():
    key = "abc0" * 8

    assert session_key_of({"headers": [(b"cookie", f"other=1; sessionid={key}".encode())]}) == key
    assert session_key_of({"headers": [(b"cookie", b"other=1")]}) == ""
    assert session_key_of({"headers": []}) == ""


def arrival_with(session_key, stamp=""):
    knock = Knock(session_key, stamp)
    return answers_to([knock])[knock]


@signed_in
def test_whoever_is_signed_in_arrives_with_what_a_page_needs_to_know(django_assert_num_queries):
    ada = person("ada")
    ops = group("ops", ada)
    read, _ = publish(), publish()
    mark_read(ada, [read.pk])
    key = session_of(ada).session_key

    arrival = arrival_with(key)

    assert arrival.reader.user_id == ada.pk
    assert arrival.reader.audiences == {"everyone", f"user:{ada.pk}", f"group:{ops.pk}"}
    assert arrival.reader.joined == 0
    assert arrival.standing.unread == 1
    assert arrival.standing.place.position == 2
    assert arrival_with(key, "an old one").standing.unread == 1
    assert arrival_with(key, arrival.standing.stamp).standing.unread is None, "who kept count need not be told"
    two_weeks = timezone.now().timestamp() + django_settings.SESSION_COOKIE_AGE
    assert abs(arrival.reader.session_ends - two_weeks) < 60


def empty_key(ada):
    return ""


def unknown_key(ada):
    return "x" * 32


def hostile_key(ada):
    return "'; DROP TABLE auth_user; --"


def nobody_in_it(ada):
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session.create()
    return session.session_key


def expired(ada):
    key = session_of(ada).session_key
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    return key


def deactivated(ada):
    key = session_of(ada).session_key
    ada.is_active = False
    ada.save()
    return key


def deleted(ada):
    key = session_of(ada).session_key
    ada.delete()
    return key


def password_changed(ada):
    key = session_of(ada).session_key
    ada.set_password("another")
    ada.save()
    return key


def forged_hash(ada):
    return session_of(ada, **{HASH_SESSION_KEY: "0" * 64}).session_key


def without_hash(ada):
    session = session_of(ada)
    del session[HASH_SESSION_KEY]
    session.save()
    return session.session_key


def unknown_backend(ada):
    return session_of(ada, **{BACKEND_SESSION_KEY: "os.system"}).session_key


def tampered(ada):
    key = session_of(ada).session_key
    Session.objects.update(session_data="tampered")
    return key


@signed_in
@pytest.mark.parametrize(
    "key_of",
    [
        empty_key,
        unknown_key,
        hostile_key,
        nobody_in_it,
        expired,
        deactivated,
        deleted,
        password_changed,
        forged_hash,
        without_hash,
        unknown_backend,
        tampered,
    ],
)
def test_whoever_is_not_signed_in_does_not_arrive(key_of):
    ada = person("ada")
    assert arrival_with(session_of(ada).session_key)
    Session.objects.all().delete()

    assert arrival_with(key_of(ada)) is None


@signed_in
def test_a_session_from_before_the_secret_was_changed_still_counts(settings):
    ada = person("ada")
    key = session_of(ada).session_key

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [settings.SECRET_KEY]
    assert arrival_with(key)
    settings.SECRET_KEY_FALLBACKS = []

    assert arrival_with(key) is None


@signed_in
def test_many_arrive_with_as_many_queries_as_one(django_assert_num_queries):
    people = [person(f"person{n}") for n in range(20)]
    group("ops", *people[::2])
    knocks = [Knock(session_of(each).session_key, standing_of(each).stamp) for each in people]
    knocks += [Knock("unknown", ""), Knock("", ""), Knock(forged_hash(people[0]), "")]

    with django_assert_num_queries(6):
        arrivals = answers_to(knocks)

    assert [arrivals[knock] and arrivals[knock].reader.user_id for knock in knocks] == [
        *(each.pk for each in people),
        None,
        None,
        None,
    ]


@signed_in
def test_an_unknown_backend_is_not_believed_because_another_session_of_the_same_person_is_good():
    ada = person("ada")
    good, bad = Knock(session_of(ada).session_key, ""), Knock(unknown_backend(ada), "")

    arrivals = answers_to([good, bad])

    assert (arrivals[good] is not None, arrivals[bad]) == (True, None)


@signed_in
def test_a_handshake_changes_no_session(settings):
    ada = person("ada")
    good, bad = session_of(ada).session_key, forged_hash(ada)
    before = list(Session.objects.order_by("pk").values())

    arrival_with(good)
    arrival_with(bad)

    assert list(Session.objects.order_by("pk").values()) == before


# Looking again --------------------------------------------------------------------------------------------


def reader_of(user):
    return arrival_with(session_of(user).session_key).reader


def found_again(reader):
    return look_again([reader])[reader].reader


@signed_in
def test_looking_again_at_somebody_of_whom_nothing_has_changed_finds_the_same():
    reader = reader_of(person("ada"))

    assert found_again(reader) == reader


@signed_in
@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("user.set_password('another'); user.save()", SESSION_OVER),
        ("Session.objects.all().delete()", SESSION_OVER),
        ("Session.objects.update(expire_date=timezone.now())", SESSION_OVER),
        ("user.is_active = False; user.save()", WITHDRAWN),
        ("user.delete()", WITHDRAWN),
    ],
)
def test_who_may_not_stay_is_found(change, refusal):
    user = person("ada")
    reader = reader_of(user)

    exec(change, {"user": user, "Session": Session, "timezone": timezone})

    assert found_again(reader) == refusal


@signed_in
def test_a_new_secret_ends_nobodys_page_as_long_as_the_old_one_is_known(settings):
    reader = reader_of(person("ada"))

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [settings.SECRET_KEY]
    assert found_again(reader) == reader
    settings.SECRET_KEY_FALLBACKS = []

    assert found_again(reader) == SESSION_OVER


@signed_in
def test_other_audiences_and_another_end_of_the_session_are_found():
    ada = person("ada")
    reader = reader_of(ada)
    ops, later = group("ops", ada), timezone.now() + timedelta(days=30)
    Session.objects.update(expire_date=later)

    now = found_again(reader)

    assert now.audiences == reader.audiences | {f"group:{ops.pk}"}
    assert now.session_ends == later.timestamp()


@signed_in
def test_looking_at_many_takes_as_many_queries_as_looking_at_one(django_assert_num_queries):
    readers = [reader_of(person(f"person{n}")) for n in range(20)]

    with django_assert_num_queries(5):
        findings = look_again(readers)

    assert {finding.reader for finding in findings.values()} == set(readers)
