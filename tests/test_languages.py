"""Which language a page is in: what the browser asks for, until somebody has chosen."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.people import person

pytestmark = pytest.mark.django_db
PAGE = "/accounts/login/"


def language_of(answer):
    return answer.headers["Content-Language"]


def choose(client, code, goal=PAGE):
    return client.post("/language/", {"language": code, "next": goal})


def test_the_browser_is_heeded_until_somebody_has_chosen(client):
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9"}
    assert language_of(client.get(PAGE, headers=chinese)) == "zh-hans"

    choose(client, "en")

    assert language_of(client.get(PAGE, headers=chinese)) == "en"


def test_a_choice_is_remembered_for_a_year_by_a_cookie_that_no_script_reads(client):
    cookie = choose(client, "zh-hans").cookies["django_language"]

    assert cookie["max-age"] == 365 * 24 * 3600
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert language_of(client.get(PAGE)) == "zh-hans"


@pytest.mark.parametrize(
    ("goal", "leads_to"), [("/echo/?a=b", "/echo/?a=b"), ("//evil.example/", "/"), ("https://evil.example/", "/")]
)
def test_choosing_leads_back_and_to_no_other_site(client, goal, leads_to):
    assert choose(client, "en", goal)["Location"] == leads_to


def test_what_is_no_language_of_ours_changes_nothing(client):
    choose(client, "xx")

    assert language_of(client.get(PAGE)) == "en"


def test_a_link_of_another_site_changes_nothing():
    client = Client(enforce_csrf_checks=True)

    assert choose(client, "zh-hans").status_code == 403
    client.get("/language/", {"language": "zh-hans"})

    assert language_of(client.get(PAGE)) == "en"


@pytest.mark.parametrize("path", [PAGE, "/echo/", "/", "/nothing/here/"])
def test_every_page_offers_each_language_under_its_own_name(client, path):
    client.force_login(person("ada")) if path != PAGE else None

    html = client.get(path).content.decode()

    assert '<button class="quiet" name="language" value="en" lang="en" aria-current="true">English</button>' in html
    assert '<button class="quiet" name="language" value="zh-hans" lang="zh-hans">简体中文</button>' in html
