"""The pages, and what a monitor asks."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from django.db import OperationalError
from django.test import AsyncRequestFactory, Client
from django.urls import reverse

from notifications import log
from notifications.deeds import mark_all_read
from notifications.inbox import visible_to
from notifications.live.hub import Hub
from notifications.log import Place
from notifications.models import Notice, ReadMark, Receipt
from notifications.views import health
from notifications.views.inbox import PAGE_SIZE
from tests.people import group, person, publish, send, topic

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
on_commit = pytest.mark.django_db(transaction=True)

PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml"}


@pytest.fixture(autouse=True)
def static_files_under_their_own_names(settings):
    """Nothing is collected for the tests inside this process."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def ada(client):
    ada = person("ada")
    client.force_login(ada)
    return ada


def notices_on(page):
    return [notice.title for notice in page.context["notices"]]


# Who may see what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["inbox", "read", "read_all", "send"])
def test_a_stranger_is_sent_to_sign_in_and_back(client, name):
    address = reverse(name)

    answer = client.post(address) if name.startswith("read") else client.get(address)

    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={address}"


@pytest.mark.parametrize("name", ["echo", "healthz", "login"])
def test_some_pages_need_no_account(client, name):
    assert client.get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", ["read", "read_all", "send"])
def test_a_form_of_another_site_changes_nothing(name):
    ada = person("ada", may=["send_notice"])
    notice = publish()
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)

    answer = client.post(reverse(name), {"id": notice.pk, "through": 1, "title": "x", "level": "info"})

    assert answer.status_code == 403
    assert not Receipt.objects.exists()
    assert not ReadMark.objects.exists()
    assert Notice.objects.count() == 1


@pytest.mark.parametrize("name", ["read", "read_all"])
@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_reading_is_only_marked_by_post(client, ada, name, method):
    assert getattr(client, method)(reverse(name)).status_code == 405


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_inbox_is_only_looked_at(client, ada, method):
    assert getattr(client, method)("/").status_code == 405


def test_signing_in_leads_to_the_inbox_and_to_no_other_site(client):
    ada = person("ada")
    ada.set_password("secret")
    ada.save()
    form = {"username": "ada", "password": "secret"}

    assert client.post("/accounts/login/", form)["Location"] == "/"
    client.logout()
    assert client.post("/accounts/login/", form | {"next": "//evil.example/"})["Location"] == "/"
    client.logout()
    assert client.post("/accounts/login/", form | {"next": "/send/"})["Location"] == "/send/"


def test_a_wrong_password_does_not_sign_in(client):
    person("ada")

    answer = client.post("/accounts/login/", {"username": "ada", "password": "wrong"})

    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session


# The inbox ------------------------------------------------------------------------------------------------


def test_the_inbox_shows_what_is_for_this_person_newest_first(client, ada):
    brian = person("brian")
    publish("for everyone")
    publish("for ada", [f"user:{ada.pk}"])
    publish("for brian", [f"user:{brian.pk}"])
    send("not published")

    page = client.get("/")

    assert page.status_code == 200
    assert notices_on(page) == ["for ada", "for everyone"]
    assert page.context["unread"] == 2


def test_the_inbox_carries_the_cursor_from_which_its_socket_goes_on(client, ada):
    publish()

    html = client.get("/").content.decode()

    assert re.search(r'data-cursor="([^"]+)"', html)[1] == str(log.head())


def test_what_is_published_while_the_page_is_made_is_not_lost(client, ada, monkeypatch):
    """The page holds what there is up to its cursor, which is read first: a notice that comes after it is replayed."""
    real_head, late = log.head, []

    def head_and_then_somebody_sends():
        place = real_head()
        if not late:
            late.append("sending")
            publish("just now")
        return place

    monkeypatch.setattr(log, "head", head_and_then_somebody_sends)

    page = client.get("/")

    assert page.context["cursor"].endswith(":0")
    assert (notices_on(page), page.context["unread"]) == ([], 0)
    assert notices_on(client.get("/")) == ["just now"]


def test_markup_in_a_notice_is_shown_as_text(client, ada):
    publish("<script>alert(1)</script>", body="<img src=x onerror=alert(2)>", url='/?a=1&b="2"'.replace('"', "%22"))

    html = client.get("/").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;img src=x onerror=alert(2)&gt;" in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html


def test_a_link_that_came_in_by_another_door_is_not_followed(client, ada):
    publish("links", url="/reports/")
    assert 'href="/reports/"' in client.get("/").content.decode()

    Notice.objects.update(url="javascript:alert(1)")

    assert "javascript:alert" not in client.get("/").content.decode()


def test_a_page_may_only_load_what_is_its_own(client, ada):
    policy = client.get("/")["Content-Security-Policy"]

    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in policy


def test_nobody_keeps_a_copy_of_the_inbox(client, ada):
    assert "no-store" in client.get("/")["Cache-Control"]


def test_older_notices_are_on_further_pages_without_a_gap(client, ada):
    for n in range(2 * PAGE_SIZE + 1):
        send(f"Notice {n}")
    log.publish_pending()

    seen, address = [], "/"
    for _ in range(3):
        page = client.get(address)
        seen += notices_on(page)
        address = page.context["older"]

    assert page.context["older"] == ""
    assert seen == [f"Notice {n}" for n in reversed(range(2 * PAGE_SIZE + 1))]


def test_an_older_page_stays_where_it_is_when_something_new_comes(client, ada):
    for n in range(PAGE_SIZE + 5):
        send(f"Notice {n}")
    log.publish_pending()
    older = client.get("/").context["older"]
    before = notices_on(client.get(older))

    publish("new")

    assert notices_on(client.get(older)) == before
    assert len(before) == 5


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "²", "9" * 30, "1\0"])
def test_a_page_that_is_no_page_is_a_mistake(client, ada, before):
    page = client.get("/", {"before": before}, **PAGE)

    assert page.status_code == 400
    assert f"“before” must be a whole number, not “{before}”." in page.content.decode()
    assert "Sign out" in page.content.decode(), "one may go on from here"


@pytest.mark.parametrize("notices", [1, PAGE_SIZE])
def test_the_inbox_takes_the_same_queries_however_full_it_is(client, ada, django_assert_max_num_queries, notices):
    sender = person("sender", first_name="Sen", last_name="Der")
    for n in range(notices):
        send(f"Notice {n}", sender=sender)
    log.publish_pending()

    with django_assert_max_num_queries(16):
        page = client.get("/")

    assert len(notices_on(page)) == notices


# Reading --------------------------------------------------------------------------------------------------


def test_a_notice_is_marked_read_by_a_script(client, ada):
    notice = publish()

    answer = client.post("/read/", {"id": notice.pk})

    assert answer.json() == {"change": 1, "count": 1, "more": False, "ids": [notice.pk]}
    assert visible_to(ada).get().is_read


def test_several_are_marked_read_at_once_and_nonsense_among_them_is_passed_over(client, ada):
    brian = person("brian")
    mine, other = publish(), publish()
    brians = publish(audiences=[f"user:{brian.pk}"])

    ids = [mine.pk, other.pk, brians.pk, "x", "", "-1", "9" * 40, "²", "\0", 424242]
    answer = client.post("/read/", {"id": ids})

    assert answer.status_code == 200
    assert {receipt.notice for receipt in Receipt.objects.all()} == {mine, other}


def test_everything_up_to_a_place_is_marked_read(client, ada):
    for _ in range(3):
        publish()

    answer = client.post("/read-all/", {"through": 2})

    assert answer.json() == {"change": 1, "count": 2, "more": False, "ids": []}

    assert [notice.is_read for notice in visible_to(ada)] == [False, True, True]


@pytest.mark.parametrize("through", [None, "", "x", "-1", "1.5", "²", "9" * 30])
def test_all_read_up_to_nowhere_is_a_mistake(client, ada, through):
    answer = client.post("/read-all/", {} if through is None else {"through": through})

    assert answer.status_code == 400
    assert not ReadMark.objects.exists()


@pytest.mark.parametrize(("address", "form"), [("/read/", {"id": 1}), ("/read-all/", {"through": 0})])
def test_without_a_script_one_comes_back_to_the_page_that_was_left(client, ada, address, form):
    assert client.post(address, form | {"next": "/?before=7"}, **PAGE)["Location"] == "/?before=7"
    assert client.post(address, form, **PAGE)["Location"] == "/"


@pytest.mark.parametrize(
    "goal",
    [
        "https://evil.example/",
        "http://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "http:///evil.example",
        "https://testserver@evil.example",
        "/%0d%0aSet-Cookie:x",
        "\nhttps://evil.example",
        "https://testserver.evil.example",
    ],
)
def test_nobody_is_led_to_another_site(client, ada, goal):
    answer = client.post("/read/", {"id": 1, "next": goal}, **PAGE)

    assert answer.status_code == 302
    assert answer["Location"] == "/" or answer["Location"].startswith("/%0d%0a")


# Sending --------------------------------------------------------------------------------------------------

FORM = {"title": "Backup finished", "level": "info", "wide": ["everyone"]}


@pytest.fixture
def sender(client):
    sender = person("sender", may=["send_notice"])
    client.force_login(sender)
    return sender


def test_who_may_not_send_is_refused(client, ada):
    assert client.get("/send/").status_code == 403
    assert client.post("/send/", FORM).status_code == 403
    assert not Notice.objects.exists()


@on_commit
def test_who_may_send_sends(client, sender):
    assert client.get("/send/").status_code == 200
    ops = group("ops", sender)
    topic("deploys")

    answer = client.post("/send/", FORM | {"wide": [], "groups": [ops.pk], "body": "all 3"}, follow=True)

    notice = Notice.objects.get()
    assert (notice.source, notice.sender, notice.position) == ("view", sender, 1)
    assert [str(posting) for posting in notice.postings.all()] == [f"group:{ops.pk}"]
    assert answer.redirect_chain == [("/send/", 302)]
    assert "Sent “Backup finished” to 1 people." in answer.content.decode()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"title": "x" * 201}, "title"),
        ({"title": "\x07"}, "title"),
        ({"body": "x" * 8193}, "body"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"level": "fatal"}, "level"),
        ({"users": "nobody"}, "users"),
    ],
    ids=str,
)
def test_what_is_refused_is_said_beside_its_field_with_what_was_typed_still_there(client, sender, values, field):
    answer = client.post("/send/", FORM | values)

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert answer.context["form"]["title"].value() == (FORM | values)["title"]
    assert not Notice.objects.exists()


def test_a_message_about_a_notice_with_markup_shows_it_as_text(client, sender):
    answer = client.post("/send/", FORM | {"title": "<b>bold</b>"}, follow=True)

    assert "“&lt;b&gt;bold&lt;/b&gt;”" in answer.content.decode()


# What a monitor asks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/ws/notices/", "/ws/echo/"])
def test_a_plain_request_to_a_socket_is_told_to_upgrade(client, address):
    answer = client.get(address)

    assert answer.status_code == 426
    assert (answer["Upgrade"], answer["Connection"]) == ("websocket", "Upgrade")
    assert "WebSocket" in answer.content.decode()


def test_an_unknown_page_is_not_found(client):
    assert client.get("/nothing/here/").status_code == 404


def test_a_process_that_lives_says_so_whatever_is_broken(client, monkeypatch):
    def away():
        raise OperationalError

    monkeypatch.setattr(log, "head", away)

    answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_may_ask_by_an_address_that_pages_are_not_served_by(client, path):
    by_address = {"HTTP_HOST": "10.1.2.3"}
    assert client.get("/echo/", **by_address).status_code == 400

    assert client.get(path, **by_address).status_code in (200, 503)


def readiness(hub):
    request = AsyncRequestFactory().get("/readyz")
    request.scope["hub"] = hub
    answer = health.readyz(request)
    return answer.status_code, json.loads(answer.content)


def a_hub(state, draining=False):
    async def make():
        return Hub()

    hub = asyncio.run(make())
    hub.state, hub.draining, hub.place, hub.connections, hub.name = state, draining, Place("", 7), {1, 2}, "here:1"
    return hub


@pytest.mark.parametrize(
    ("state", "status", "layer"),
    [("live", 200, "ok"), ("polling", 200, "away"), ("starting", 503, "away"), ("stopped", 503, "away")],
)
def test_a_process_is_ready_while_its_hub_follows_the_log(state, status, layer):
    assert readiness(a_hub(state)) == (
        status,
        {
            "ready": status == 200,
            "database": "ok",
            "layer": layer,
            "hub": {"state": state, "position": 7, "connections": 2, "process": "here:1"},
        },
    )


def test_a_process_that_is_about_to_stop_is_not_ready():
    status, said = readiness(a_hub("live", draining=True))

    assert (status, said["hub"]["state"]) == (503, "draining")


def test_a_process_without_a_layer_is_ready_and_says_that_there_is_none(settings):
    settings.REDIS_URL = "memory://"

    status, said = readiness(a_hub("polling"))

    assert (status, said["layer"]) == (200, "none")


def test_a_process_without_its_database_is_not_ready(monkeypatch):
    def away():
        raise OperationalError

    monkeypatch.setattr(log, "head", away)

    status, said = readiness(a_hub("live"))

    assert (status, said["ready"], said["database"]) == (503, False, "away")


def test_a_process_without_a_hub_is_not_ready(client):
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["hub"] is None


def test_all_read_is_not_undone_by_an_older_page(client, ada):
    for _ in range(3):
        publish()
    mark_all_read(ada, 3)

    client.post("/read-all/", {"through": 1})

    assert all(notice.is_read for notice in visible_to(ada))
