"""Guessing passwords: seldom, never at the cost of somebody else, and never a reason to lock somebody out."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate
from django.contrib.auth.backends import ModelBackend
from django.test import Client, RequestFactory
from limits import parse

from config import sign_in
from tests.people import person

pytestmark = pytest.mark.django_db

LOGIN, ADMIN = "/accounts/login/", "/admin/login/"
RIGHT = "the right one"


@pytest.fixture(autouse=True)
def nobody_has_tried(valkey, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    sign_in.attempts.cache_clear()
    sign_in.attempts()._shared.storage.reset()
    yield
    sign_in.attempts.cache_clear()


@pytest.fixture
def ada():
    ada = person("ada", is_staff=True)
    ada.set_password(RIGHT)
    ada.save()
    return ada


@pytest.fixture
def hashed(monkeypatch):
    """The names of those whose password was looked at."""
    names, real = [], ModelBackend.authenticate

    def authenticate(self, request, username=None, password=None, **kwargs):
        names.append(username)
        return real(self, request, username, password, **kwargs)

    monkeypatch.setattr(ModelBackend, "authenticate", authenticate)
    return names


def attempt(password, name="ada", path=LOGIN, client=None, **headers):
    return (client or Client()).post(path, {"username": name, "password": password}, **headers)


def is_in(answer):
    return answer.status_code == 302


@pytest.mark.parametrize("path", [LOGIN, ADMIN])
def test_after_ten_wrong_passwords_the_right_one_has_to_wait_too(ada, hashed, path):
    answers = [attempt("wrong", path=path) for _ in range(25)]
    refused = attempt(RIGHT, path=path)

    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 15
    assert refused.status_code == 429
    assert 890 <= int(refused["Retry-After"]) <= 900
    assert "You can try again in 15 minutes." in refused.content.decode()
    assert len(hashed) == 10, "each was looked at once, and none after that"


def test_both_doors_have_one_count(ada):
    for path in (LOGIN, ADMIN):
        for _ in range(5):
            attempt("wrong", path=path)

    assert attempt(RIGHT, path=ADMIN).status_code == 429


def test_the_words_are_those_of_the_reader(ada):
    for _ in range(10):
        attempt("wrong")

    assert "15 分钟" in attempt("wrong", headers={"accept-language": "zh-hans"}).content.decode()


def test_a_right_password_begins_a_new_count(ada):
    for _ in range(3):
        for _ in range(9):
            attempt("wrong")
        assert is_in(attempt(RIGHT))


def test_nobody_is_locked_out_by_a_stranger_elsewhere(ada):
    for _ in range(25):
        attempt("wrong", REMOTE_ADDR="203.0.113.7")

    assert is_in(attempt(RIGHT, REMOTE_ADDR="203.0.113.8"))


def test_nobody_is_locked_out_of_a_browser_in_which_they_have_been(ada):
    known = Client()
    assert is_in(attempt(RIGHT, client=known))
    known.post("/accounts/logout/")
    for _ in range(25):
        attempt("wrong")

    assert attempt(RIGHT).status_code == 429
    assert is_in(attempt(RIGHT, client=known))
    assert known.cookies["device"]["httponly"]


def test_a_known_browser_is_no_way_to_guess_on(ada):
    person("brian")
    known = Client()
    attempt(RIGHT, client=known)
    known.post("/accounts/logout/")

    own = [attempt("wrong", client=known).status_code for _ in range(12)]
    others = [attempt("wrong", "brian", client=known).status_code for _ in range(12)]

    assert own == others == [200] * 10 + [429] * 2


@pytest.mark.parametrize("cookie", ["x", "a:b:c", ""])
def test_a_forged_cookie_makes_nobody_known(ada, cookie):
    stranger = Client()
    stranger.cookies["device"] = cookie

    assert [attempt("wrong", client=stranger).status_code for _ in range(11)] == [200] * 10 + [429]


def test_an_address_that_tries_many_accounts_has_to_wait(ada, monkeypatch):
    monkeypatch.setattr(sign_in, "PER_ADDRESS", parse("20 per hour"))
    known = Client()
    attempt(RIGHT, client=known)
    known.post("/accounts/logout/")

    answers = [attempt("wrong", f"person {number}").status_code for number in range(25)]

    assert answers == [200] * 19 + [429] * 6
    assert attempt(RIGHT).status_code == 429
    assert is_in(attempt(RIGHT, REMOTE_ADDR="203.0.113.8"))
    assert is_in(attempt(RIGHT, client=known))


def test_an_ipv6_host_has_one_address(ada):
    answers = [attempt("wrong", REMOTE_ADDR=f"2001:db8::{number:x}").status_code for number in range(12)]

    assert answers == [200] * 10 + [429] * 2


def test_while_redis_is_away_people_sign_in_and_attempts_are_counted(ada, valkey, caplog):
    valkey.stop()
    began = time.monotonic()

    assert is_in(attempt(RIGHT))
    assert [attempt("wrong").status_code for _ in range(12)] == [200] * 10 + [429] * 2
    assert time.monotonic() - began < 10
    assert caplog.text.count("counted in this process alone") == 1


def test_without_a_layer_attempts_are_counted_in_memory(ada, settings):
    settings.REDIS_URL = "memory://"
    sign_in.attempts.cache_clear()

    assert [attempt("wrong").status_code for _ in range(12)] == [200] * 10 + [429] * 2


def test_there_is_no_other_way_to_ask_for_a_password(ada, hashed):
    request = RequestFactory().get("/")
    for _ in range(10):
        assert authenticate(request, username="ada", password="wrong") is None

    for ask in (authenticate, async_to_sync(aauthenticate)):
        with pytest.raises(sign_in.SignInRefused):
            ask(request, username="ada", password=RIGHT)
    assert len(hashed) == 10


def test_two_passwords_are_hashed_at_a_time_and_the_others_wait_for_a_while(monkeypatch):
    assert 1 <= sign_in.HASHES_AT_ONCE <= 2
    monkeypatch.setattr(sign_in, "_hashing", threading.BoundedSemaphore(2))
    monkeypatch.setattr(sign_in, "HASH_WAIT_SECONDS", 0.5)
    at_once, most, outcomes = [], [], []

    def slow(*_, **__):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.3)
        at_once.pop()

    monkeypatch.setattr(ModelBackend, "authenticate", slow)

    def one(number):
        request = RequestFactory().get("/")
        try:
            outcomes.append(authenticate(request, username=f"person {number}", password="x"))
        except sign_in.SignInRefused as refused:
            outcomes.append(refused.is_busy)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 2
    assert outcomes.count(None) == 4
    assert outcomes.count(True) == 4


def test_whoever_waited_too_long_is_told_so_and_the_log_once(ada, monkeypatch, caplog):
    monkeypatch.setattr(sign_in, "HASH_WAIT_SECONDS", 1)
    monkeypatch.setattr(logging.getLogger("django"), "propagate", True)
    for _ in range(sign_in.HASHES_AT_ONCE):
        sign_in._hashing.acquire()
    try:
        answer, _ = attempt(RIGHT), attempt(RIGHT)
    finally:
        for _ in range(sign_in.HASHES_AT_ONCE):
            sign_in._hashing.release()

    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert len({id(said) for said in caplog.records if said.name == "django.request"}) == 1
    assert "Too many people are signing in" in answer.content.decode()
    assert is_in(attempt(RIGHT))
