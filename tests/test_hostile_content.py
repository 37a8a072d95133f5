"""Markup in whatever people can write is text on every page, and nobody reads what is for others, whatever they ask."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from notifications.models import Mute, Notice
from tests.people import group, person, publish, topic

pytestmark = pytest.mark.django_db

MARKUP = "<xss onload=alert(1)>\"'"


@pytest.fixture
def mallory(client):
    """A superuser with markup in all names, so that every page and every message has some of it."""
    mallory = person(f"m{MARKUP}", first_name=MARKUP, last_name=MARKUP, is_staff=True, is_superuser=True)
    ops, deploys = group(MARKUP, mallory), topic("deploys", mallory)
    deploys.name = deploys.description = MARKUP
    deploys.save()
    Mute.objects.create(user=mallory, topic=deploys)
    audiences = ["everyone", "topic:deploys", f"group:{ops.pk}", f"user:{mallory.pk}"]
    notice = publish(MARKUP, audiences, body=f"{MARKUP} https://example.org/{MARKUP}", sender=mallory, key=MARKUP)
    Notice.objects.filter(pk=notice.pk).update(url=f"javascript:{MARKUP}")
    client.force_login(mallory)
    return mallory


def test_markup_is_text_on_every_page(client, mallory):
    notice = Notice.objects.get()
    inbox = [f"/?{query}" for query in ("", "tab=all", f"q={MARKUP}", f"tab={MARKUP}", f"level={MARKUP}", "before=9")]
    ids = {"auth_user": mallory.pk, "auth_group": mallory.groups.get().pk}
    ids["notifications_topic"] = Mute.objects.get().topic_id
    own_pages = ("change", "delete", "history")
    admin = [reverse(f"admin:{name}_{page}", args=[pk]) for name, pk in ids.items() for page in own_pages]
    admin += [reverse(f"admin:{name}_changelist") for name in ids]
    admin += [reverse("admin:notifications_subscription_changelist"), reverse("admin:index")]
    admin += [reverse("admin:notifications_notice_change", args=[notice.pk])]
    admin += [reverse("admin:notifications_notice_changelist"), f"/admin/notifications/notice/?q={MARKUP}"]
    own = ["/send/", "/preferences/", "/bell/", "/echo/", "/accounts/password/", f"/accounts/login/?next={MARKUP}"]
    pages = [*inbox, *own, *admin, reverse("notice", args=[notice.pk]), reverse("why", args=[notice.pk])]

    for address in pages:
        answer = client.get(address, headers={"Accept": "text/html"})
        html = answer.content.decode()

        assert answer.status_code in (200, 302, 400), address
        assert "<xss" not in html, address
        assert 'href="javascript:' not in html, address
        assert "Content-Security-Policy" in answer.headers, address


def test_markup_is_text_in_every_message(client, mallory):
    asked = [
        ("/send/", {"title": MARKUP, "level": "info", "wide": "everyone"}),
        ("/send/", {"title": MARKUP, "level": MARKUP, "users": MARKUP, "groups": MARKUP}),
        ("/unmute/", {"topic": "deploys"}),
        ("/unmute/", {"topic": MARKUP}),
        ("/undo/", {"change": MARKUP}),
        ("/admin/notifications/notice/add/", {"title": MARKUP, "level": "info", "everyone": "on"}),
        ("/admin/auth/user/", {"action": "send_to_selected", "_selected_action": mallory.pk}),
        ("/admin/auth/group/", {"action": "send_to_selected", "_selected_action": mallory.groups.get().pk}),
        ("/admin/notifications/topic/", {"action": "delete_selected", "_selected_action": Mute.objects.get().topic_id}),
    ]

    for address, form in asked:
        html = client.post(address, form, headers={"Accept": "text/html"}, follow=True).content.decode()

        assert "&lt;xss" in html, address
        assert "<xss" not in html, address


def test_what_is_for_others_is_answered_like_what_is_not_there(client):
    ada, bob = person("ada"), person("bob")
    ops, _ = group("ops", bob), topic("deploys", bob)
    publish("Mine", [f"user:{ada.pk}"])
    foreign = publish("PRIVATE", [f"user:{bob.pk}", f"group:{ops.pk}", "topic:deploys"], body="SECRET")
    missing = foreign.pk + 1000
    client.force_login(ada)

    def answers(pk, group_id, slug, user_id):
        html = {"Accept": "text/html"}
        gets = [f"/notices/{pk}/", f"/notices/{pk}/why/", f"/muted/?id={pk}"]
        gets += ["/?tab=all&q=SECRET", f"/?before={pk + 1}"]
        gets += [f"/?audience={each}" for each in (f"group:{group_id}", f"topic:{slug}", f"user:{user_id}")]
        deeds = [(verb, {"id": pk}) for verb in ("read", "unread", "archive", "unarchive", "seen")]
        deeds += [("mute", {"topic": slug, "for": "day"}), ("unmute", {"topic": slug})]
        deeds += [("archive", {"matching": "q=SECRET", "through": pk})]
        deeds += [("read-all", {"through": 99, "matching": "q=SECRET"})]
        found = [client.get(address, headers=html) for address in gets]
        found += [client.post(f"/{verb}/", form) for verb, form in deeds]
        plain = re.compile(rf"\d+|{slug}|csrf\w*\W+value=\"\w+")  # what was asked for is said again
        return [(each.status_code, plain.sub("", each.content.decode())) for each in found]

    asked = answers(foreign.pk, ops.pk, "deploys", bob.pk)

    assert asked == answers(missing, ops.pk + 1000, "nowhere", bob.pk + 1000)
    assert not any("PRIVATE" in text for _status, text in asked)
    assert "Mine" in client.get("/").content.decode(), "she sees her own"
