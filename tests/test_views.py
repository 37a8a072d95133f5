"""The pages, and what a monitor asks."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from django.db import OperationalError
from django.test import AsyncRequestFactory, Client
from django.urls import reverse

from notifications import deeds, inbox, log, walk
from notifications.deeds import archive, mark_all_read, mark_read, mark_seen
from notifications.inbox import visible_to
from notifications.live.hub import Hub
from notifications.log import Place
from notifications.models import Mute, Notice, ReadMark, Receipt
from notifications.sending import recall_notice
from notifications.views import health
from notifications.views import inbox as pages
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
    assert not ReadMark.objects.exclude(changes=0).exists()
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

    with django_assert_max_num_queries(19):
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
    assert not ReadMark.objects.exclude(changes=0).exists()


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


# Tabs and filters -----------------------------------------------------------------------------------------


def test_each_tab_says_how_much_it_holds(client, ada):
    ids = [publish(f"Notice {n}").pk for n in range(5)]
    archive(ada, ids[:2])
    mark_read(ada, ids[2:3])
    mark_seen(ada, ids[3:4])

    page = client.get("/?tab=unread&level=info")

    tabs = [(tab["name"], tab["count"], tab["current"], tab["url"]) for tab in page.context["tabs"]]
    assert tabs == [
        ("unread", 2, True, "?tab=unread&level=info"),
        ("all", 3, False, "?level=info"),
        ("archived", 2, False, "?tab=archived&level=info"),
    ]
    assert (page.context["unread"], page.context["unseen"]) == (2, 1)
    assert notices_on(page) == ["Notice 4", "Notice 3"]
    assert [(n.is_read, n.is_seen, n.is_archived) for n in page.context["notices"]] == [
        (False, False, False),
        (False, True, False),
    ]
    assert notices_on(client.get("/?tab=archived")) == ["Notice 1", "Notice 0"]
    assert notices_on(client.get("/")) == ["Notice 4", "Notice 3", "Notice 2"]


def test_a_filter_stays_on_while_one_turns_pages(client, ada):
    for n in range(2 * PAGE_SIZE + 3):
        send(f"Notice {n}", level="error" if n % 2 else "info")
    log.publish_pending()

    page = client.get("/?level=error&q=notice")
    older = client.get(page.context["older"])

    assert page.context["filter"].query == "level=error&q=notice"
    assert (page.context["first_page"], older.context["first_page"]) == (True, False)
    assert len(notices_on(page)) == PAGE_SIZE
    assert notices_on(older) == ["Notice 1"]
    assert older.context["newest"] == "?level=error&q=notice"


def test_one_may_choose_among_ones_own_audiences_only(client, ada):
    ops = group("ops", ada)
    topic("deploys", ada)
    topic("secret")
    publish("to ops", [f"group:{ops.pk}"]), publish("to everyone"), publish("secret", ["topic:secret"])

    page = client.get(f"/?audience=group:{ops.pk}")

    assert page.context["audiences"] == [
        ("topic:deploys", "Deploys"),
        ("everyone", "Everyone"),
        (f"user:{ada.pk}", "Only you"),
        (f"group:{ops.pk}", "ops"),
    ]
    assert notices_on(page) == ["to ops"]
    assert client.get("/?audience=topic:secret").status_code == 400


@pytest.mark.parametrize("query", ["tab=done", "level=fatal", "audience=staff", "rows=0", "rows=501", "rows=x"])
def test_a_wrong_value_in_the_address_is_named(client, ada, query):
    _, _, value = query.partition("=")

    page, answer = client.get(f"/?{query}", **PAGE), client.get(f"/?{query}")

    assert (page.status_code, answer.status_code) == (400, 400)
    assert value in answer.json()["error"]
    assert value in page.content.decode()
    assert "Sign out" in page.content.decode(), "one may go on from here"


def test_a_page_that_has_loaded_several_is_fetched_afresh_as_one(client, ada):
    for n in range(PAGE_SIZE + 7):
        send(f"Notice {n}")
    log.publish_pending()

    assert len(notices_on(client.get(f"/?rows={PAGE_SIZE + 5}"))) == PAGE_SIZE + 5


def test_a_search_that_takes_too_long_shows_what_it_found_and_where_to_search_on(client, ada, monkeypatch):
    publish("a needle")
    for _ in range(20):
        send("hay")
    log.publish_pending()
    monkeypatch.setattr(inbox, "SEARCH_SECONDS", -1)
    monkeypatch.setattr(walk, "FIRST_SEARCHED", 4)
    monkeypatch.setattr(pages, "PAGE_SIZE", 3)

    page = client.get("/?q=needle")
    assert (notices_on(page), page.context["older"]) == ([], "?q=needle&before=18")

    while not notices_on(page):
        page = client.get(page.context["older"])
    assert notices_on(page) == ["a needle"]


def test_a_page_knows_whether_there_ever_was_anything(client, ada):
    assert client.get("/").context["ever"] is False

    archive(ada, [publish().pk])

    assert client.get("/").context["ever"] is True
    assert notices_on(client.get("/")) == []


def test_the_counts_are_told_without_rows(client, ada):
    ids = [publish().pk for _ in range(4)]
    archive(ada, ids[:1])
    mark_seen(ada, ids[1:2])

    answer = client.get("/counts/")

    assert answer.json() == {"unread": 3, "unseen": 2, "all": 3, "archived": 1, "position": 4, "changes": 2}
    assert "no-store" in answer["Cache-Control"]


# Deeds ----------------------------------------------------------------------------------------------------

DEEDS = ["read", "unread", "archive", "unarchive", "seen"]


@pytest.mark.parametrize("name", [*DEEDS, "read_all", "undo", "mute", "unmute"])
def test_a_stranger_does_nothing(client, name):
    address = reverse(name)

    assert client.post(address, {"id": publish().pk})["Location"] == f"/accounts/login/?next={address}"
    assert not ReadMark.objects.exclude(changes=0).exists()


@pytest.mark.parametrize("name", [*DEEDS, "read_all", "undo", "mute", "unmute"])
def test_a_deed_is_done_by_this_sites_forms_only(name):
    ada = person("ada")
    topic("deploys", ada)
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    form = {"id": publish().pk, "through": 1, "change": 1, "topic": "deploys", "for": "1h"}

    assert client.post(reverse(name), form).status_code == 403
    assert client.get(reverse(name), form).status_code == 405
    assert not ReadMark.objects.exclude(changes=0).exists()
    assert not any(model.objects.exists() for model in (Receipt, Mute))


def test_all_up_to_a_place_and_some_more_are_seen_by_a_form_where_no_socket_gets_through(client, ada):
    old, _other, new = publish(), publish(), publish()

    assert client.post("/seen/", {"id": new.pk, "through": old.published}).status_code in (200, 302)
    wrong = client.post("/seen/", {"through": "all"}, headers={"accept": "application/json"})

    assert client.get("/counts/").json()["unseen"] == 1
    assert (wrong.status_code, wrong.json()["error"]) == (400, "“through” must be a whole number, not “all”.")


def test_each_deed_is_done_by_ids_and_answered_with_what_takes_it_back(client, ada):
    notice, other = publish(), publish()
    answers = {}

    for name in ("seen", "archive", "unarchive", "unread", "read"):
        answers[name] = client.post(f"/{name}/", {"id": [notice.pk, other.pk]}).json()

    ids = [other.pk, notice.pk]
    assert answers == {
        "seen": {"change": None, "count": 2, "more": False, "ids": ids},
        "archive": {"change": 2, "count": 2, "more": False, "ids": ids},
        "unarchive": {"change": 3, "count": 2, "more": False, "ids": ids},
        "unread": {"change": 4, "count": 2, "more": False, "ids": ids},
        "read": {"change": 5, "count": 2, "more": False, "ids": ids},
    }


@pytest.mark.parametrize("name", DEEDS)
def test_without_a_script_a_deed_leads_back_and_says_what_was_done(client, ada, name):
    notice = publish()
    if name in ("unread", "unarchive"):
        archive(ada, [notice.pk])

    answer = client.post(f"/{name}/", {"id": notice.pk, "next": "/?tab=all"}, **PAGE)

    assert answer["Location"] == "/?tab=all"
    said = {
        "read": "1 notice is marked as read.",
        "unread": "1 notice is marked as unread.",
        "archive": "1 notice is archived.",
        "unarchive": "1 notice is back in the inbox.",
    }
    page = client.get("/").content.decode()
    assert said[name] in page if name in said else 'class="message"' in page


def test_a_deed_is_done_with_all_that_a_filter_matches(client, ada):
    publish("error", level="error"), publish("info"), publish("error that came since", level="error")

    answer = client.post("/archive/", {"matching": "level=error&before=9", "through": 2})

    assert answer.json()["count"] == 1
    assert notices_on(client.get("/")) == ["error that came since", "info"]


def test_where_there_is_more_than_one_deed_does_it_says_where_to_go_on(client, ada, monkeypatch):
    monkeypatch.setattr(deeds, "MOST_AT_ONCE", 2)
    for _ in range(3):
        publish()

    answer = client.post("/archive/", {"matching": "", "through": 3}).json()
    assert (answer["count"], answer["more"], answer["through"]) == (2, True, 1)

    answer = client.post("/archive/", {"matching": "", "through": 1}).json()
    assert (answer["count"], answer["more"]) == (1, False)


@pytest.mark.parametrize(
    "form",
    [
        {"id": range(1001)},
        {"matching": ""},
        {"matching": "", "through": "x"},
        {"matching": "tab=done", "through": 1},
        {"matching": "audience=topic:secret", "through": 1},
    ],
)
@pytest.mark.parametrize("name", DEEDS)
def test_what_asks_for_too_much_or_for_nothing_is_a_mistake(client, ada, name, form):
    answer = client.post(f"/{name}/", form, HTTP_ACCEPT="application/json")

    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert not ReadMark.objects.exclude(changes=0).exists()


def test_a_thousand_notices_fit_into_one_form(client, ada):
    notice = publish()

    assert client.post("/archive/", {"id": [notice.pk, *range(10**6, 10**6 + 999)]}).json()["count"] == 1


def test_all_read_honours_the_filter_of_the_page(client, ada):
    publish("error", level="error"), publish("info")

    answer = client.post("/read-all/", {"through": 2, "matching": "level=error"})

    assert answer.json()["count"] == 1
    assert notices_on(client.get("/?tab=unread")) == ["info"]


def test_a_deed_is_undone_once(client, ada):
    notice = publish()
    change = client.post("/archive/", {"id": notice.pk}).json()["change"]

    assert client.post("/undo/", {"change": change}).json() == {"change": 2}
    assert not visible_to(ada).get().is_archived

    answer = client.post("/undo/", {"change": change})
    assert answer.status_code == 409
    assert answer.json() == {"error": "This cannot be undone any more: something else was done since."}
    assert "something else was done since" in client.post("/undo/", {"change": change}, **PAGE).content.decode()


@pytest.mark.parametrize("change", ["", "x", "-1"])
def test_nothing_in_particular_cannot_be_undone(client, ada, change):
    assert client.post("/undo/", {"change": change}).status_code == 400


# One notice -----------------------------------------------------------------------------------------------


def test_a_notice_has_a_page_of_its_own(client, ada):
    notice = publish("Disk <full>", body="on web-1", url="/disks/")

    page = client.get(f"/notices/{notice.pk}/")
    html = page.content.decode()

    assert page.context["notice"] == notice
    assert "Disk &lt;full&gt;" in html
    assert 'href="/disks/"' in html
    assert not page.context["notice"].is_read, "a page that is looked at changes nothing"
    assert "no-store" in page["Cache-Control"]


@pytest.mark.parametrize("address", ["/notices/{}/", "/notices/{}/why/"])
def test_what_one_cannot_see_is_not_there(client, ada, address):
    brian = person("brian")
    brians, recalled, waiting = publish(audiences=[f"user:{brian.pk}"]), publish(), send()
    recall_notice(recalled)

    for pk in (brians.pk, recalled.pk, waiting.pk, 424242, 10**30):
        assert client.get(address.format(pk)).status_code == 404
    client.logout()
    assert client.get(address.format(brians.pk)).status_code == 302


def test_why_says_ones_own_audiences_and_no_others(client, ada):
    ada.is_staff = True
    ada.save()
    ops, secret = group("Operations", ada), group("Secret project")
    topic("deploys", ada), topic("mergers")
    brian = person("brian")
    mine = ["everyone", "staff", f"user:{ada.pk}", f"group:{ops.pk}", "topic:deploys"]
    notice = publish(audiences=[*mine, f"group:{secret.pk}", "topic:mergers", f"user:{brian.pk}"])

    page = client.get(f"/notices/{notice.pk}/why/")

    assert [reason.sentence for reason in page.context["reasons"]] == [
        "It was sent to everyone.",
        "You are in the group Operations.",
        "It was sent to all staff.",
        "You have subscribed to Deploys.",
        "It was sent to you.",
    ]
    html = page.content.decode()
    assert not re.search("Secret|ergers|brian", html)
    assert html.count("/mute/") == 1


def test_everyone_is_no_reason_for_who_came_later(client):
    topic_of_hers = topic("deploys")
    notice = publish(audiences=["everyone", "topic:deploys"])
    ada = person("ada")
    topic_of_hers.subscriptions.create(user=ada)
    client.force_login(ada)

    page = client.get(f"/notices/{notice.pk}/why/")

    assert [reason.sentence for reason in page.context["reasons"]] == ["You have subscribed to Deploys."]


# Muting ---------------------------------------------------------------------------------------------------


def test_a_topic_is_muted_and_turned_on_again(client, ada):
    topic("deploys", ada)
    notice = publish(audiences=["topic:deploys"])

    for how_long in ("1h", "8h", "always"):
        answer = client.post("/mute/", {"topic": "deploys", "for": how_long})
        assert answer.json() == {"topic": "deploys", "muted": True}
    assert client.get("/muted/", {"id": [notice.pk, 7]}).json() == {"muted": [notice.pk]}
    assert "Deploys is muted." in client.get(f"/notices/{notice.pk}/").content.decode()

    assert client.post("/unmute/", {"topic": "deploys"}).json() == {"topic": "deploys", "muted": False}
    assert client.get("/muted/", {"id": notice.pk}).json() == {"muted": []}


def test_muting_without_a_script_leads_back_and_says_so(client, ada):
    topic("deploys", ada)
    form = {"topic": "deploys", "for": "1h", "next": "/notices/1/"}

    assert client.post("/mute/", form, **PAGE)["Location"] == "/notices/1/"
    assert "Deploys is muted." in client.get("/").content.decode()


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"topic": "deploys", "for": "2h"}, "“for” is one of 1h, 8h, always, not “2h”."),
        ({"topic": "deploys"}, "“for” is one of 1h, 8h, always, not “”."),
        ({"topic": "secret", "for": "1h"}, "You have subscribed to no topic called “secret”, but to: deploys."),
        ({"topic": "a\0", "for": "1h"}, "You have subscribed to no topic called “a\0”, but to: deploys."),
        ({"for": "1h"}, "You have subscribed to no topic called “”, but to: deploys."),
    ],
)
def test_only_what_one_has_subscribed_to_is_muted_and_only_for_a_time_that_there_is(client, ada, form, sentence):
    topic("deploys", ada), topic("secret")

    answer = client.post("/mute/", form)

    assert (answer.status_code, answer.json()["error"]) == (400, sentence)
    assert not Mute.objects.exists()


@pytest.mark.parametrize("slug", ["deploys", "nothing", "", "a\0"])
def test_what_is_not_muted_cannot_be_turned_on(client, ada, slug):
    topic("deploys", ada)

    assert client.post("/unmute/", {"topic": slug}).status_code == 400


def test_a_topic_that_one_has_left_can_be_turned_on_again(client, ada):
    deploys = topic("deploys", ada)
    client.post("/mute/", {"topic": "deploys", "for": "always"})
    deploys.subscriptions.all().delete()

    assert client.post("/unmute/", {"topic": "deploys"}).status_code == 200
    assert not Mute.objects.exists()


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


@pytest.fixture(autouse=True)
def another_second():
    """What the database said to another test is forgotten."""
    health._database_state.cache_clear()


def readiness(hub):
    request = AsyncRequestFactory().get("/readyz")
    request.scope["hub"] = hub
    request.META["REMOTE_ADDR"] = "127.0.0.1"
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


@pytest.mark.parametrize("address", ["203.0.113.7", "10.0.0.7", "2001:db8::7", "", "nonsense"])
def test_strangers_are_told_whether_a_process_is_ready_and_nothing_else(address):
    request = AsyncRequestFactory().get("/readyz")
    request.scope["hub"] = a_hub("live")
    request.META["REMOTE_ADDR"] = address

    answer = health.readyz(request)

    assert (answer.status_code, json.loads(answer.content)) == (200, {"ready": True})


def test_however_often_strangers_ask_the_database_is_asked_once_a_second(client, monkeypatch):
    asked, head = [], log.head
    monkeypatch.setattr(log, "head", lambda: asked.append(time.monotonic()) or head())

    for _ in range(50):
        client.get("/readyz", REMOTE_ADDR="203.0.113.7")

    assert 1 <= len(asked) <= len({int(moment) for moment in asked})


@pytest.mark.parametrize("url", ["//evil.example/", "/\\evil.example/", "javascript:alert(1)", "mailto:a@b.example"])
def test_a_link_that_leaves_this_site_unseen_is_none_however_it_came_into_the_database(client, ada, url):
    notice = publish("Look")
    Notice.objects.update(url=url)

    assert not Notice.objects.get(pk=notice.pk).is_link
    assert "evil.example" not in client.get("/").content.decode().replace("data-", "")
