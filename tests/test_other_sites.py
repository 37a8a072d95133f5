"""What other sites, and strangers with a form of their own, try: nothing is done, shown in a frame, or told."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest
from django.conf import settings as ours
from django.contrib.auth.hashers import make_password
from django.test import Client

from tests.people import group, person, publish, topic
from tests.test_nonsense import DEEDS, addresses

pytestmark = pytest.mark.django_db

TOKEN = "x" * 32
SITE = "http://testserver"
PASSWORD = "correct horse battery staple"
ASSERTED_BEFORE = {"/healthz", "/readyz"}  # probes are answered in front of everything
EVERY_ADDRESS = sorted(set(addresses("1")) - ASSERTED_BEFORE)
ONLY_POST = [*sorted(set(DEEDS) - {"/language/"}), "/accounts/logout/", "/test/"]  # Django's own view leads back
GOALS = [
    "//evil.example/",
    "///evil.example/",
    "////evil.example/",
    "http://evil.example/",
    "https://evil.example/",
    "HTTPS:evil.example",
    "http:///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "\\/evil.example/",
    "/\t/evil.example/",
    "\t//evil.example/",
    "\x08//evil.example/",
    "http://testserver@evil.example/",
    "http://testserver.evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://testserver/",
]


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def sara():
    """A superuser, who may do everything; row 1 of everything exists or does not, which changes nothing here."""
    sara = person("sara", is_staff=True, is_superuser=True, password=make_password(PASSWORD))
    group("ops", sara)
    topic("deploys", sara)
    publish()
    return sara


# Forms of other sites ---------------------------------------------------------------------------------------


@pytest.fixture
def strict(sara):
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = TOKEN
    return client


def is_refused_as_foreign(answer):
    return "403_csrf.html" in [template.name for template in answer.templates]


@pytest.mark.parametrize("address", EVERY_ADDRESS)
@pytest.mark.parametrize(
    ("token", "origin"), [("", ""), (TOKEN, "https://evil.example"), (TOKEN, "null")], ids=["no token", "evil", "null"]
)
def test_no_address_takes_a_form_of_another_site(strict, sara, address, token, origin):
    strict.force_login(sara)

    answer = strict.post(address, {"csrfmiddlewaretoken": token}, headers={"Origin": origin} if origin else {})

    assert answer.status_code in (403, 404)
    assert answer.status_code == 404 or is_refused_as_foreign(answer)


def test_they_take_forms_of_this_site(strict, sara):
    """Otherwise the test above would pass wherever everything is refused."""
    refused = []
    for address in set(addresses("999")) - ASSERTED_BEFORE:  # nobody is deleted who is needed
        strict.force_login(sara)
        answer = strict.post(address, {"csrfmiddlewaretoken": TOKEN}, headers={"Origin": SITE})
        if is_refused_as_foreign(answer):
            refused.append(address)

    assert refused == []


@pytest.mark.parametrize("address", ONLY_POST)
def test_a_link_does_nothing(client, sara, address):
    client.force_login(sara)

    assert client.get(address).status_code == 405


# Pages in frames, and read by scripts of other sites ----------------------------------------------------------


@pytest.mark.parametrize("address", EVERY_ADDRESS)
def test_no_page_is_shown_in_a_frame_or_read_by_another_site(client, sara, address):
    client.force_login(sara)

    answer = client.get(address, headers={"Origin": "https://evil.example"})

    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer


# Where one is led ---------------------------------------------------------------------------------------------


def stays(location):
    goal = urljoin(f"{SITE}/read/", re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/"))
    return urlsplit(goal).netloc == "testserver" and urlsplit(goal).scheme == "http"


DOORS = {
    "signing in": lambda client, goal: client.post(
        "/accounts/login/", {"username": "sara", "password": PASSWORD, "next": goal}
    ),
    "the admin's door": lambda client, goal: client.post(
        "/admin/login/", {"username": "sara", "password": PASSWORD, "next": goal}
    ),
    "being signed in": lambda client, goal: client.get("/accounts/login/", {"next": goal}),
    "signing out": lambda client, goal: client.post("/accounts/logout/", {"next": goal}),
    "a language": lambda client, goal: client.post("/language/", {"language": "en", "next": goal}),
    "a deed": lambda client, goal: client.post("/read/", {"id": 1, "next": goal}),
    "a mute": lambda client, goal: client.post("/mute/", {"topic": "deploys", "for": "1h", "next": goal}),
    "the page before": lambda client, goal: client.post("/language/", {"language": "en"}, headers={"Referer": goal}),
}


@pytest.mark.parametrize("goal", GOALS, ids=ascii)
@pytest.mark.parametrize("door", DOORS)
def test_nobody_is_led_to_another_site(client, sara, door, goal):
    if door not in ("signing in", "the admin's door"):
        client.force_login(sara)

    answer = DOORS[door](client, goal)

    assert answer.status_code in (200, 204, 302, 400)
    assert stays(answer.get("Location", "/"))


def test_the_premise_that_a_door_leads_where_one_asks_for(client, sara):
    assert DOORS["signing in"](client, "/send/")["Location"] == "/send/"
    assert not any(stays(goal) for goal in ("//evil.example/", "/\\evil.example/", "/\t/evil.example/"))


@pytest.mark.parametrize("address", ["/", "/accounts/login/", "/echo/", "/admin/login/"])
def test_the_name_of_another_host_is_refused_or_passed_over(client, address):
    assert client.get(address, headers={"Host": "evil.example"}).status_code == 400

    answer = client.get(address, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"})
    assert answer.status_code in (200, 302)
    assert "evil" not in answer.content.decode() + answer.get("Location", "")


# Who has an account, and whose session it is ------------------------------------------------------------------


def test_a_refused_sign_in_does_not_say_why(client, sara):
    person("inactive", is_active=False, password=make_password(PASSWORD))
    person("unusable", password="!")
    tried = [("unknown", PASSWORD), ("inactive", PASSWORD), ("unusable", PASSWORD), ("sara", "wrong")]

    pages = []
    for name, password in tried:
        answer = client.post("/accounts/login/", {"username": name, "password": password})
        assert answer.status_code == 200
        words = answer.content.decode().replace(name, "NAME")
        pages.append(re.sub(r'(csrf\w*" value=")\w+|nonce="[^"]+"', "", words))

    assert len(set(pages)) == 1


def test_signing_in_gives_a_new_session_and_signing_out_ends_it(client, sara):
    client.cookies[ours.SESSION_COOKIE_NAME] = chosen = "a" * 32

    answer = client.post("/accounts/login/", {"username": "sara", "password": PASSWORD})

    cookie = answer.cookies[ours.SESSION_COOKIE_NAME]
    assert cookie.value not in ("", chosen)
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert client.get("/").status_code == 200
    client.post("/accounts/logout/")
    client.cookies[ours.SESSION_COOKIE_NAME] = cookie.value
    assert client.get("/").status_code == 302


def test_a_session_that_was_there_before_signing_in_is_given_another_key(client, sara):
    session = client.session
    session["before"] = "signing in"
    session.save()
    before = session.session_key

    client.post("/accounts/login/", {"username": "sara", "password": PASSWORD})

    assert client.session.session_key != before
    client.cookies[ours.SESSION_COOKIE_NAME] = before
    assert client.get("/").status_code == 302


# Too much -----------------------------------------------------------------------------------------------------


def test_a_password_of_a_megabyte_is_a_wrong_one(client, sara):
    assert client.post("/accounts/login/", {"username": "sara", "password": "x" * 1_000_000}).status_code == 200


def test_a_search_of_10_000_characters_is_a_mistake(client, sara):
    client.force_login(sara)

    assert client.get("/", {"q": "x" * 10_000}).status_code == 400
    assert client.get("/", {"q": "x " * 5_000}).status_code == 400
