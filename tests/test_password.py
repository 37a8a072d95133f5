"""Everybody's own password: changed on a page, or set anew by a link that comes in a mail."""

from __future__ import annotations

import re
import time

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from config import settings as site
from config.sign_in import PER_MAILBOX, attempts
from tests.people import person

pytestmark = pytest.mark.django_db

OLD, NEW = "correct horse battery", "quite another staple"
CHANGE, RESET, LOGIN = "/accounts/password/", "/accounts/password/reset/", "/accounts/login/"


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_URL = "smtp://mail.example"
    attempts.cache_clear()
    settings.REDIS_URL = "memory://"


@pytest.fixture
def ada():
    ada = person("ada", email="ada@example.org")
    ada.set_password(OLD)
    ada.save()
    return ada


def signed_in(name="ada", password=OLD):
    client = Client()
    assert client.login(username=name, password=password)
    return client


def filled(**values):
    return {"old_password": OLD, "new_password1": NEW, "new_password2": NEW} | values


def mails(count):
    """They are sent after the answer."""
    give_up = time.monotonic() + 10
    while len(mail.outbox) < count and time.monotonic() < give_up:
        time.sleep(0.01)
    assert len(mail.outbox) == count
    return mail.outbox


# Changed --------------------------------------------------------------------------------------------------


def test_a_reader_changes_their_password_and_only_this_session_stays(ada):
    here, elsewhere = signed_in(), signed_in()

    answer = here.post(CHANGE, filled(), follow=True)

    assert answer.redirect_chain == [(reverse("preferences"), 302)]
    assert "Your password is changed." in answer.content.decode()
    assert here.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    ada.refresh_from_db()
    assert ada.check_password(NEW)


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"old_password": "wrong"}, "old_password", "entered incorrectly"),
        ({"new_password2": "something else"}, "new_password2", "match"),
        ({"new_password1": "12345678", "new_password2": "12345678"}, "new_password2", "entirely numeric"),
        ({"new_password1": "password", "new_password2": "password"}, "new_password2", "too common"),
        ({"new_password1": "short", "new_password2": "short"}, "new_password2", "too short"),
        ({"new_password1": "a\0bcdefghij", "new_password2": "a\0bcdefghij"}, "new_password1", "Null"),
    ],
    ids=str,
)
def test_what_is_refused_is_said_beside_its_field_and_nothing_changes(ada, values, field, says):
    answer = signed_in().post(CHANGE, filled(**values))

    assert says in str(answer.context["form"].errors[field])
    ada.refresh_from_db()
    assert ada.check_password(OLD)


def test_the_old_password_is_guessed_no_faster_than_when_signing_in(ada):
    client = signed_in()

    answers = [client.post(CHANGE, filled(old_password="wrong")).status_code for _ in range(12)]

    assert answers == [200] * 10 + [429] * 2
    assert client.post(CHANGE, filled()).status_code == 429
    assert signed_in().post(CHANGE, filled()).status_code == 429, "from anywhere"


def test_a_stranger_is_asked_to_sign_in_first(client):
    assert client.get(CHANGE)["Location"] == f"{LOGIN}?next={CHANGE}"


def test_every_page_leads_there_and_it_is_not_the_admins(ada):
    client = signed_in()

    assert f'href="{CHANGE}"' in client.get("/").content.decode()
    page = client.get(CHANGE)
    assert page.templates[0].name == "notifications/password_change.html"
    client.force_login(person("root", is_staff=True, is_superuser=True))
    assert "notifications/password_change.html" not in [
        template.name for template in client.get("/admin/password_change/").templates
    ]


# Set anew -------------------------------------------------------------------------------------------------


def test_a_link_by_mail_sets_a_new_password_once_and_ends_every_session(client, ada):
    elsewhere = signed_in()

    asked = client.post(RESET, {"email": "ADA@example.org"}, follow=True)
    [sent] = mails(1)
    link = re.search(r"http://testserver(/\S+)", sent.body)[1]
    form = client.get(link, follow=True)
    answer = client.post(form.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW}, follow=True)

    assert asked.redirect_chain == [(LOGIN, 302)]
    assert (sent.to, sent.subject) == (["ada@example.org"], "A new password for Notices")
    assert "“ada” on testserver" in sent.body
    assert answer.redirect_chain == [(LOGIN, 302)]
    assert "Sign in with the new one." in answer.content.decode()
    assert elsewhere.get("/").status_code == 302
    assert Client().login(username="ada", password=NEW)
    assert "does not work any more" in client.get(link, follow=True).content.decode()


def test_the_new_password_is_checked_too(client, ada):
    client.post(RESET, {"email": "ada@example.org"})
    link = re.search(r"http://testserver(/\S+)", mails(1)[0].body)[1]
    form = client.get(link, follow=True)

    answer = client.post(form.request["PATH_INFO"], {"new_password1": "12345678", "new_password2": "12345678"})

    assert "entirely numeric" in answer.content.decode()


@pytest.mark.parametrize("link", ["MQ/abc-0123", "%00/%00", "9" * 20 + "/x", "T1RrNU9UazVPVGs1T1Rr/set-password"])
def test_a_link_that_nobody_has_sent_sets_nothing(client, ada, link):
    assert "does not work any more" in client.get(f"{RESET}{link}/").content.decode()


def nobody():
    return "nobody@example.org"


def inactive():
    person("gone", email="gone@example.org", is_active=False, password="x")
    return "gone@example.org"


def without_password():
    person("kim", email="kim@example.org", password="!")
    return "kim@example.org"


@pytest.mark.parametrize("whose", [nobody, inactive, without_password])
def test_the_answer_does_not_say_whether_an_account_has_the_address(client, ada, whose):
    def asked(address):
        answer = client.post(RESET, {"email": address}, follow=True)
        words = re.sub(r'(value="|csrf\w*)[^"]*"', "", answer.content.decode())
        return answer.status_code, answer.redirect_chain, words

    known = asked("ada@example.org")

    assert asked(whose()) == known
    mails(1)


def test_a_few_mails_an_hour_go_to_one_address_and_the_answer_stays_the_same(client, ada):
    answers = [
        client.post(RESET, {"email": address})
        for address in ["ada@example.org", "ADA@example.org"] * PER_MAILBOX.amount
    ]

    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, LOGIN)}
    mails(PER_MAILBOX.amount)
    time.sleep(0.1)
    mails(PER_MAILBOX.amount)


def test_a_mail_server_that_is_away_is_a_line_in_the_log_and_no_fault_for_the_person(client, ada, settings, caplog):
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        9,
    )

    assert client.post(RESET, {"email": "ada@example.org"}).status_code == 302

    give_up = time.monotonic() + 10
    while "could not be sent" not in caplog.text and time.monotonic() < give_up:
        time.sleep(0.01)
    assert "could not be sent" in caplog.text


@pytest.mark.parametrize("url", ["", "smtp://mail.example"])
def test_a_reset_is_offered_only_where_mail_is_set_up(client, settings, url):
    settings.EMAIL_URL = url

    assert (f'href="{RESET}"' in client.get(LOGIN).content.decode()) == bool(url)
    assert client.get(RESET).status_code == (200 if url else 404)
    assert client.post(RESET, {"email": "ada@example.org"}).status_code == (302 if url else 404)


def test_the_mail_is_written_in_the_language_of_who_asks(client, ada):
    client.post(RESET, {"email": "ada@example.org"}, headers={"Accept-Language": "zh-CN"})

    assert "密码" in mails(1)[0].subject


def test_mail_is_set_up_by_one_url():
    found = site.mail("smtp+tls://post:p%40ss@mail.example:587")

    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example", 587, True)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("post", "p@ss")


def test_a_wrong_mail_url_is_named_without_its_password():
    with pytest.raises(site.ImproperlyConfigured, match=r"EMAIL_URL=imap:…: use smtp\+tls://") as error:
        site.mail("imap://post:secret@mail.example")

    assert "secret" not in str(error.value)
