"""A stranger may write anything into cookies, headers and addresses: nobody gets an error for it."""

from __future__ import annotations

import pytest

from notifications.live.access import Knock, answers_to, session_key_of
from notifications.live.consumers import parameter
from notifications.log import Place
from notifications.sessions import SessionStore

pytestmark = pytest.mark.django_db

NULS = '"' + r"\000" * 10 + '"'  # parse_cookie makes ten NULs of it
GARBAGE = [
    NULS,
    '"' + r"\000" * 32 + '"',
    "\xff" * 32,
    "a" * 31,
    "A" * 32,
    "a" * 4000,
    "' OR 1=1 --",
    '"\\012\\015"',
    "a" * 32 + '"\\000"',
]
GARBAGE_IDS = ["NULs", "32 NULs", "bytes", "short", "capitals", "long", "SQL", "line ends", "a key and a NUL"]
any_garbage = pytest.mark.parametrize("garbage", GARBAGE, ids=GARBAGE_IDS)


@any_garbage
@pytest.mark.parametrize("cookie", ["sessionid", "csrftoken", "django_language", "messages"])
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/echo/", "/admin/", "/nothing/"])
def test_a_page_answers_a_cookie_of_garbage_as_none(client, cookie, path, garbage):
    without = client.get(path).status_code
    client.cookies.clear()

    answer = client.get(path, HTTP_COOKIE=f"{cookie}={garbage}")

    assert answer.status_code == without


@any_garbage
def test_the_sign_in_form_answers_a_session_of_garbage(client, garbage):
    answer = client.post(
        "/accounts/login/", {"username": "nobody", "password": "x"}, HTTP_COOKIE=f"sessionid={garbage}"
    )

    assert answer.status_code == 200


@any_garbage
def test_a_page_answers_a_language_of_garbage(client, garbage):
    assert client.get("/accounts/login/", HTTP_ACCEPT_LANGUAGE=garbage).status_code == 200


@any_garbage
def test_a_key_of_garbage_never_reaches_a_query(garbage, django_assert_num_queries):
    scope = {"headers": [(b"cookie", f"sessionid={garbage}".encode("latin-1"))]}

    assert session_key_of(scope) == ""
    with django_assert_num_queries(0):
        assert SessionStore(garbage).session_key is None


def test_a_key_that_django_made_is_one():
    session = SessionStore()
    session.create()

    assert (
        session_key_of({"headers": [(b"cookie", f"sessionid={session.session_key}".encode())]}) == session.session_key
    )
    assert SessionStore(session.session_key).load() == {}
    assert SessionStore(session.session_key).session_key == session.session_key


@pytest.mark.parametrize(
    "query", [b"cursor=%00&stamp=%00", b"cursor=\xff:1&stamp=\xff", b"cursor=" + b"9" * 5000, b"&" * 3000]
)
def test_a_cursor_and_a_stamp_of_garbage_are_none(query):
    scope = {"query_string": query, "headers": []}

    assert Place.parse(parameter(scope, "cursor")) is None
    knock = Knock("", parameter(scope, "stamp"))
    assert answers_to([knock]) == {knock: None}
