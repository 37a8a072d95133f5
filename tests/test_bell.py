"""`{% notice_bell %}` and what it fetches."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import Context, RequestContext, Template
from django.test import RequestFactory

from notifications import log
from notifications.deeds import archive, mark_read, mark_seen
from tests.people import person, publish

pytestmark = pytest.mark.django_db
LINE = "{% load notices %}{% notice_bell %}"


@pytest.fixture
def ada(client):
    ada = person("ada")
    client.force_login(ada)
    return ada


def rendered_for(user, line=LINE):
    request = RequestFactory().get("/somewhere/")
    request.user = user
    return Template(line).render(RequestContext(request))


def titles_in(html):
    return re.findall(r'notice-title" dir="auto">([^<]*)<', html)


# The line in a template -------------------------------------------------------------------------------------


def test_one_line_shows_how_many_are_unseen_as_a_link_to_the_inbox(ada):
    publish("One")
    publish("Two")

    html = rendered_for(ada)

    assert '<a href="/">Notices (2)</a>' in html
    assert 'data-unseen="2"' in html


def test_what_was_seen_is_not_counted_though_it_is_unread(ada):
    seen, _ = publish("One"), publish("Two")
    mark_seen(ada, [seen.pk])

    assert 'data-unseen="1"' in rendered_for(ada)


def test_with_nothing_unseen_there_is_no_number(ada):
    assert '<a href="/">Notices</a>' in rendered_for(ada)


def test_it_carries_where_its_socket_begins(ada):
    publish("One")

    html = rendered_for(ada)

    assert re.search(r'data-cursor="([^"]+)"', html)[1] == str(log.head())
    assert f'data-reader="{ada.pk}"' in html


def test_for_somebody_not_signed_in_it_is_nothing():
    assert rendered_for(AnonymousUser()).strip() == ""


def test_without_the_request_in_the_context_it_is_nothing():
    assert Template(LINE).render(Context()).strip() == ""


def test_it_brings_no_script_and_no_style_inside_the_page(ada):
    """The policy of the page would forbid them."""
    html = rendered_for(ada)

    assert not re.search(r"<style|style=|<script(?![^>]* src=)|\son\w+=", html)


def test_pages_have_it_but_not_the_inbox(client, ada):
    assert "<notice-bell" in client.get("/echo/").content.decode()
    assert "<notice-bell" not in client.get("/").content.decode()


def test_the_admin_has_it_in_its_header_but_not_in_a_popup(client):
    client.force_login(person("grace", is_staff=True, is_superuser=True))

    assert "<notice-bell" in client.get("/admin/").content.decode()
    assert "<notice-bell" not in client.get("/admin/auth/group/add/?_popup=1").content.decode()


# What it fetches --------------------------------------------------------------------------------------------


def test_the_newest_ten_are_given_newest_first(client, ada):
    for number in range(12):
        publish(f"Notice {number}")

    html = client.get("/bell/").content.decode()

    assert titles_in(html) == [f"Notice {number}" for number in range(11, 1, -1)]
    assert 'data-unseen="12"' in html
    assert 'data-unread="12"' in html


def test_a_notice_leads_to_its_link_or_to_itself(client, ada):
    linked, plain = publish("Linked", url="/reports/7/"), publish("Plain")
    smuggled = publish("Smuggled")
    type(smuggled).objects.filter(pk=smuggled.pk).update(url="javascript:alert(1)")

    html = client.get("/bell/").content.decode()

    assert re.findall(r'<a [^>]*href="([^"]+)"', html) == [
        f"/notices/{smuggled.pk}/",
        f"/notices/{plain.pk}/",
        "/reports/7/",
    ]
    assert linked.url == "/reports/7/"


def test_markup_in_a_notice_is_text(client, ada):
    publish("<img src=x onerror=alert(1)>", body="<script>alert(1)</script>")

    html = client.get("/bell/").content.decode()

    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<script" not in html
    assert "<img" not in html


def test_each_says_whether_it_was_read_and_seen(client, ada):
    read, seen, _ = publish("Read"), publish("Seen"), publish("Neither")
    mark_read(ada, [read.pk])
    mark_seen(ada, [seen.pk])

    html = client.get("/bell/").content.decode()

    assert re.findall(r'data-read="(\w+)" data-seen="(\w+)"', html) == [
        ("false", "false"),
        ("false", "true"),
        ("true", "true"),
    ]


def test_what_is_archived_is_not_among_them(client, ada):
    archive(ada, [publish("Old").pk])

    html = client.get("/bell/").content.decode()

    assert titles_in(html) == []
    assert "No notices here" in html


def test_other_peoples_notices_are_not_among_them(client, ada):
    publish("For Brian", [f"user:{person('brian').pk}"])

    assert titles_in(client.get("/bell/").content.decode()) == []


def test_mark_all_read_goes_up_to_the_newest_that_is_shown(client, ada):
    newest = publish("One")

    assert f'data-through="{newest.published}"' in client.get("/bell/").content.decode()


def test_a_stranger_is_sent_to_sign_in(client):
    assert client.get("/bell/")["Location"] == "/accounts/login/?next=/bell/"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_only_looked_at(client, ada, method):
    assert getattr(client, method)("/bell/").status_code == 405


def test_nobody_keeps_a_copy_of_it(client, ada):
    assert "no-store" in client.get("/bell/")["Cache-Control"]


@pytest.mark.parametrize("notices", [1, 30])
def test_it_takes_the_same_queries_however_full_the_inbox_is(client, ada, django_assert_max_num_queries, notices):
    for number in range(notices):
        publish(f"Notice {number}")

    with django_assert_max_num_queries(14):
        client.get("/bell/")
