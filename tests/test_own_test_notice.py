"""`POST /test/`: a person sends themselves a test notice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from notifications.inbox import visible_to
from notifications.models import Notice
from tests.people import person

pytestmark = pytest.mark.django_db
on_commit = pytest.mark.django_db(transaction=True)
JSON = {"HTTP_ACCEPT": "application/json"}
PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml"}


@pytest.fixture
def ada(client):
    ada = person("ada")
    client.force_login(ada)
    return ada


@on_commit
def test_it_reaches_whoever_asked_and_nobody_else(client, ada):
    brian = person("brian")

    answer = client.post("/test/", **JSON)

    (notice,) = Notice.objects.all()
    assert answer.json() == {"id": notice.pk, "position": 1, "heard_by": 0}
    assert [each.title for each in visible_to(ada)] == ["This is a test notice"]
    assert not visible_to(brian)


@on_commit
def test_nobody_needs_the_permission_to_send_to_write_to_themselves(client, ada):
    assert not ada.has_perm("notifications.send_notice")

    assert client.post("/test/", **JSON).status_code == 200


@on_commit
def test_it_ends_after_an_hour_and_only_the_newest_stays(client, ada):
    client.post("/test/")
    client.post("/test/")

    (notice,) = Notice.objects.live()
    assert abs(notice.expires_at - timezone.now() - timedelta(hours=1)) < timedelta(seconds=30)
    assert (notice.sender, notice.key, Notice.objects.count()) == (ada, "test", 2)


@on_commit
def test_without_redis_the_answer_says_that_nobody_heard_the_bell(client, ada, valkey):
    valkey.stop()

    assert client.post("/test/", **JSON).json()["heard_by"] is None


@on_commit
@pytest.mark.parametrize(
    ("goal", "leads_to"), [("/echo/", "/echo/"), ("", "/"), ("//evil.example/", "/"), ("https://evil.example/", "/")]
)
def test_without_javascript_it_leads_back_with_a_message(client, ada, goal, leads_to):
    answer = client.post("/test/", {"next": goal}, follow=True, **PAGE)

    assert answer.redirect_chain == [(leads_to, 302)]
    assert "A test notice is on its way to you." in answer.content.decode()


def test_it_is_in_the_language_of_whoever_asked(client, ada):
    client.post("/test/", headers={"Accept-Language": "zh-CN"})

    assert "测试" in Notice.objects.get().title


# Who may, and how often -------------------------------------------------------------------------------------


def test_a_stranger_is_sent_to_sign_in(client):
    answer = client.post("/test/")

    assert answer["Location"] == "/accounts/login/?next=/test/"
    assert not Notice.objects.exists()


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_only_a_post_sends_one(client, ada, method):
    assert getattr(client, method)("/test/").status_code == 405
    assert not Notice.objects.exists()


def test_a_form_of_another_site_sends_none(ada):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)

    assert client.post("/test/").status_code == 403
    assert not Notice.objects.exists()


def test_the_sixth_in_a_minute_is_refused_and_the_answer_says_when_to_come_back(client, ada):
    for _ in range(5):
        assert client.post("/test/", **JSON).status_code == 200

    refused = client.post("/test/", **JSON)

    assert refused.status_code == 429
    assert "Try again in a minute" in refused.json()["error"]
    assert 50 <= int(refused["Retry-After"]) <= 60
    assert Notice.objects.count() == 5


def test_without_javascript_the_refusal_is_a_page(client, ada):
    for _ in range(5):
        client.post("/test/")

    refused = client.post("/test/", **PAGE)

    assert refused.status_code == 429
    assert "Try again in a minute" in refused.content.decode()
    assert "<h1>" in refused.content.decode()


def test_a_minute_later_another_one_may_be_sent(client, ada):
    for _ in range(5):
        client.post("/test/")
    Notice.objects.update(created_at=timezone.now() - timedelta(seconds=61))

    assert client.post("/test/", **JSON).status_code == 200


def test_the_limit_is_each_persons_own(client, ada):
    for _ in range(5):
        client.post("/test/")
    client.force_login(person("brian"))

    assert client.post("/test/", **JSON).status_code == 200


def test_other_notices_with_that_key_do_not_count(client, ada):
    for number in range(5):
        Notice.objects.create(title=f"Probe {number}", key="test")

    assert client.post("/test/", **JSON).status_code == 200
