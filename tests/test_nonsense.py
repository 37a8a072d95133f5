"""Nonsense in addresses and forms: an error beside its field, a refusal or nothing at all, but no fault of ours."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from notifications.models import Notice, Subscription, Topic
from tests.people import group, person, publish, topic

pytestmark = pytest.mark.django_db

HUGE = "9" * 20  # more than a bigint holds
VALUES = ["abc", HUGE, "1\0", "٣", "9999-12-31"]
SITE = ("tab", "level", "audience", "q", "before", "rows", "id", "next")
COMPOSE = ("title", "body", "level", "url", "key", "everyone", "users", "groups", "topics", "publish_at", "expires_at")
LISTS = ("q", "p", "o", "all", "_popup", "_to_field", "published_at__gte", "is_staff__exact", "groups__id__exact")
ASKED = {  # what each address is asked for; the others are asked for `SITE`
    "/admin/notifications/notice/add/": COMPOSE,
    "/admin/notifications/topic/add/": ("slug", "name", "description"),
    "/admin/notifications/subscription/add/": ("user", "topic"),
    "/admin/auth/user/add/": ("username", "groups", "is_staff", "date_joined"),
    "/admin/auth/group/add/": ("name", "permissions"),
    "/admin/autocomplete/": ("term", "page", "app_label", "model_name", "field_name"),
    "/admin/auth/user/": LISTS,
    "/admin/auth/group/": LISTS,
    "/admin/notifications/notice/": LISTS,
    "/admin/notifications/topic/": LISTS,
}
AUTOCOMPLETE = {"app_label": "notifications", "model_name": "subscription", "field_name": "user", "term": "a"}
DEEDS = {
    **{f"/{verb}/": ("id", "next", "matching", "through") for verb in ("read", "unread", "archive", "unarchive")},
    "/seen/": ("id", "next"),
    "/read-all/": ("through", "matching"),
    "/undo/": ("change", "next"),
    "/mute/": ("topic", "for", "next"),
    "/unmute/": ("topic", "next"),
    "/language/": ("language", "next"),
}
FORMS = [
    "/accounts/login/",
    "/send/",
    "/preferences/",
    "/accounts/password/",
    "/accounts/password/reset/",
    "/admin/login/",
    "/admin/notifications/notice/add/",
    "/admin/notifications/subscription/add/",
    "/admin/notifications/topic/add/",
    "/admin/auth/user/add/",
    "/admin/auth/user/{user}/change/",
    "/admin/auth/group/add/",
    "/admin/notifications/topic/{topic}/change/",
]
SELECTIONS = [
    ("/admin/auth/user/", "send_to_selected"),
    ("/admin/auth/user/", "delete_selected"),
    ("/admin/auth/group/", "send_to_selected"),
    ("/admin/notifications/notice/", "recall"),
    ("/admin/notifications/notice/", "send_again"),
    ("/admin/notifications/topic/", "delete_selected"),
    ("/admin/notifications/subscription/", "delete_selected"),
]


@pytest.fixture
def sara(client, settings):
    """A superuser, who reaches every page; a fault is an answer here, so that all of them are found."""
    settings.EMAIL_URL = "smtp://mail.example"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a form with a password takes 0.3 s
    client.raise_request_exception = False
    sara = person("sara", is_staff=True, is_superuser=True)
    group("ops", sara)
    topic("deploys", sara)
    publish("a" * 20)
    client.force_login(sara)
    return sara


def addresses(value, patterns=None, before="/"):
    """Every address of the site, with ``value`` wherever it takes one."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(each.pattern, RegexPattern):  # an application's index, and what is nowhere
            yield from (f"{before}auth/", f"{before}{value.replace(chr(0), '%00')}/")
            continue
        parts = [part.partition(">") for part in str(each.pattern).split("<")]
        route = parts[0][0] + "".join(value.replace("\0", "%00") + rest for _name, _end, rest in parts[1:])
        if isinstance(each, URLResolver):
            yield from addresses(value, each.url_patterns, before + route)
        else:
            yield before + route


class Fields(HTMLParser):
    """The fields of a page's forms, and what they hold."""

    def __init__(self, html):
        super().__init__()
        self.values = {}
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        name, kind = attributes.get("name"), attributes.get("type")
        if tag in ("input", "select", "textarea") and name and kind != "submit" and name != "csrfmiddlewaretoken":
            is_off = kind in ("checkbox", "radio") and "checked" not in attributes
            self.values.setdefault(name, "" if is_off else attributes.get("value") or "")


def is_fault(answer):
    return answer.status_code >= 500 and answer.status_code != 503


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_no_address_with_nonsense_in_it_is_a_fault(client, sara, value):
    found = list(addresses(value))
    assert {"/", "/admin/auth/user/add/"} <= set(found)

    faults = []
    for address in found:
        if address == "/readyz":  # 503: no hub here
            continue
        client.force_login(sara)  # signing out is among them
        if is_fault(client.get(address)):
            faults.append(address)

    assert faults == []


def test_an_object_that_is_none_of_any_model_is_not_there(client, sara):
    for content_type in ContentType.objects.all():
        assert client.get(f"/admin/r/{content_type.pk}/abc/").status_code == 404, content_type


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_no_parameter_with_nonsense_in_it_is_a_fault(client, sara, value):
    plain = ("/", "/counts/", "/bell/", "/muted/", "/send/", f"/notices/{Notice.objects.get().pk}/", "/accounts/login/")
    faults = []
    for address, names in [*((each, SITE) for each in plain), *ASKED.items()]:
        usual = AUTOCOMPLETE if "autocomplete" in address else {}
        for name in names:
            if is_fault(client.get(address, usual | {name: value})):
                faults.append((address, name))

    assert faults == []


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_no_deed_with_nonsense_in_it_is_a_fault(client, sara, value):
    faults = []
    for address, names in DEEDS.items():
        for name in names:
            usual = {"id": Notice.objects.get().pk, "through": "1", "topic": "deploys", "for": "day"} | {name: value}
            if is_fault(client.post(address, usual, headers={"Accept": "text/html"})):
                faults.append((address, name))

    assert faults == []


@pytest.mark.parametrize("address", FORMS)
def test_no_form_with_nonsense_in_it_is_a_fault(client, sara, address):
    address = address.format(user=sara.pk, topic=Topic.objects.get().pk)
    if "login" in address:
        client.logout()
    usual = Fields(client.get(address).content.decode()).values
    assert usual

    faults = []
    for name in usual:
        for value in VALUES:
            if is_fault(client.post(address, usual | {name: value})):
                faults.append((name, value))

    assert faults == []


@pytest.mark.parametrize(("address", "action"), SELECTIONS)
def test_no_selection_with_nonsense_in_it_is_a_fault(client, sara, address, action):
    faults = []
    for value in VALUES:
        form = {"action": action, "index": "0", "_selected_action": [value], "title": "x", "level": "info"}
        for more in ({}, {"index": value}, {"post": "yes"}, {"send": "1"}):
            if is_fault(client.post(address, form | more)):
                faults.append((value, more))

    assert faults == []
    assert (Subscription.objects.count(), Group.objects.count(), Notice.objects.get().recalled_at) == (1, 1, None)


@pytest.mark.parametrize("value", ["abc", HUGE, "\0", "٣", "-1"], ids=ascii)
@pytest.mark.parametrize("field", ["users", "groups", "topics"])
def test_an_id_that_no_row_can_have_is_an_error_of_its_field(client, sara, field, value):
    for address in ("/send/", "/admin/notifications/notice/add/"):
        answer = client.post(
            address, {"title": "x", "level": "info", "everyone": "on", "wide": "everyone", field: value}
        )

        assert list(answer.context["form"].errors) == [field], address


def test_only_texts_of_an_address_are_filled_into_the_compose_form(client, sara):
    asked = {"title": "Disk", "level": "error", "users": sara.pk, "everyone": "1", "expires_at": "2030-01-01"}

    form = client.get("/admin/notifications/notice/add/", asked).context["form"]

    assert {name: form[name].value() for name in asked} == {
        "title": "Disk",
        "level": "error",
        "users": None,
        "everyone": None,
        "expires_at": None,
    }
