"""People of the staff with some rights: what they see of others, and that they cannot get more rights by themselves."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from notifications.models import Notice
from tests.people import group, person, publish

pytestmark = pytest.mark.django_db

LIST = "/admin/notifications/notice/"
ADD = "/admin/notifications/notice/add/"


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def sara(client):
    """`sara("send_notice")`: somebody of the staff with these permissions, signed in."""

    def sara(*may):
        user = person("sara", may=may, is_staff=True)
        client.force_login(user)
        return user

    return sara


# Notices of others ----------------------------------------------------------------------------------------


def test_who_may_only_send_sees_only_what_they_have_sent(client, sara):
    me, other, bob = sara("send_notice", "recall_notice"), person("other", may=["send_notice"]), person("bob")
    mine = publish("Mine", sender=me, source="admin")
    private = publish("PRIVATE", [f"user:{bob.pk}"], sender=other, source="admin")
    nobodys = publish("From cron", source="command")

    page = client.get(LIST)

    assert [notice.title for notice in page.context["cl"].result_list] == ["Mine"]
    assert client.get(f"{LIST}{mine.pk}/change/").status_code == 200
    for hidden in (private, nobodys):
        for what in ("change", "history"):
            answer = client.get(f"{LIST}{hidden.pk}/{what}/", follow=True)
            assert "PRIVATE" not in answer.content.decode()
            assert f"{LIST}{hidden.pk}/" not in answer.request["PATH_INFO"]
    for action in ("recall", "send_again"):
        client.post(LIST, {"action": action, "_selected_action": [private.pk]})
    assert (Notice.objects.count(), Notice.objects.get(pk=private.pk).recalled_at) == (3, None)


@pytest.mark.parametrize("may", [("view_notice",), ("send_notice", "view_notice")])
def test_who_may_view_notices_sees_all(client, sara, may):
    me = sara(*may)
    publish("Mine", sender=me)
    publish("From cron", source="command")

    page = client.get(LIST)

    assert [notice.title for notice in page.context["cl"].result_list] == ["From cron", "Mine"]


@pytest.mark.parametrize(("may", "is_named"), [([], False), (["view_user"], True), (["change_user"], True)])
def test_the_compose_form_names_only_people_whom_the_sender_may_see(client, sara, may, is_named):
    sara("send_notice", *may)
    bob = person("secret-bob")

    asked = client.get(ADD, {"users": bob.pk})
    refused = client.post(ADD, {"title": "", "level": "info", "users": [bob.pk]})

    assert "secret-bob" not in asked.content.decode()
    assert ("secret-bob" in refused.content.decode()) == is_named
    assert f'<option value="{bob.pk}" selected>' in refused.content.decode(), "it stays chosen"


@pytest.mark.parametrize(("may", "is_named"), [([], False), (["view_user"], True)])
def test_the_send_page_suggests_names_only_to_who_may_see_people(client, sara, may, is_named):
    sara("send_notice", *may)
    person("secret-bob")

    answer = client.post("/send/", {"title": "x", "level": "info", "users": "secret-rob"})

    assert answer.status_code == 422
    assert ("secret-bob" in answer.content.decode()) == is_named


# Rights ---------------------------------------------------------------------------------------------------

FIELDS = {"username": "kim", "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "10:00"}


def change(client, user, **values):
    return client.post(reverse("admin:auth_user_change", args=[user.pk]), FIELDS | {"username": user.username} | values)


def rights_of(user):
    user = User.objects.get(pk=user.pk)
    return user.is_superuser, user.is_staff, user.groups.count(), user.user_permissions.count()


def all_rights():
    powerful = group("powerful")
    powerful.permissions.set(Permission.objects.all())
    everything = [permission.pk for permission in Permission.objects.all()]
    return {"is_superuser": "on", "is_staff": "on", "groups": [powerful.pk], "user_permissions": everything}


@pytest.mark.parametrize("who", ["themselves", "a reader"])
def test_who_may_change_people_gives_nobody_any_rights(client, sara, who):
    me = sara("change_user", "view_user", "add_user")
    somebody = me if who == "themselves" else person("kim")
    before = rights_of(somebody)

    answer = change(client, somebody, first_name="Kim", **all_rights())

    assert answer.status_code == 302
    assert User.objects.get(pk=somebody.pk).first_name == "Kim", "what they may change is changed"
    assert rights_of(somebody) == before


def test_who_may_add_people_adds_readers(client, sara):
    sara("change_user", "view_user", "add_user")
    form = {
        "username": "new",
        "usable_password": "true",
        "password1": "a long enough one",
        "password2": "a long enough one",
    }

    client.post(reverse("admin:auth_user_add"), form | all_rights())

    assert rights_of(User.objects.get(username="new")) == (False, False, 0, 0)


def may_all(other):
    other.user_permissions.set(Permission.objects.all())


def is_in_a_powerful_group(other):
    other.groups.add(group("powerful"))
    Group.objects.get(name="powerful").permissions.set(Permission.objects.filter(codename="delete_user"))


def was_deactivated(other):
    other.is_superuser, other.is_active = True, False
    other.save()


def is_superuser(other):
    other.is_superuser = True
    other.save()


@pytest.mark.parametrize("make", [is_superuser, may_all, is_in_a_powerful_group, was_deactivated])
def test_an_account_with_more_rights_is_changed_and_deleted_by_nobody_with_fewer(client, sara, make):
    sara("change_user", "view_user", "delete_user" if make is not is_in_a_powerful_group else "add_user")
    other = person("kim", is_staff=True, email="kim@example.org", password="unchanged")
    make(other)
    password = reverse("admin:auth_user_password_change", args=[other.pk])

    answers = [
        change(client, other, email="mine@example.org"),
        client.post(
            password, {"usable_password": "true", "password1": "a long enough one", "password2": "a long enough one"}
        ),
        client.post(reverse("admin:auth_user_delete", args=[other.pk]), {"post": "yes"}),
    ]
    client.post(
        reverse("admin:auth_user_changelist"),
        {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"},
    )

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    other = User.objects.get(username="kim")
    assert (other.email, other.password) == ("kim@example.org", "unchanged")


def test_a_reader_gets_a_new_password_from_who_may_change_people(client, sara):
    sara("change_user", "view_user")
    kim = person("kim")
    form = {"usable_password": "true", "password1": "a long enough one", "password2": "a long enough one"}

    client.post(reverse("admin:auth_user_password_change", args=[kim.pk]), form)

    assert User.objects.get(pk=kim.pk).check_password("a long enough one")


def test_who_may_change_groups_gives_them_no_permissions(client, sara):
    sara("change_group", "view_group", "add_group")
    ops = group("ops")
    everything = [permission.pk for permission in Permission.objects.all()]

    client.post(reverse("admin:auth_group_change", args=[ops.pk]), {"name": "renamed", "permissions": everything})
    client.post(reverse("admin:auth_group_add"), {"name": "new", "permissions": everything})

    assert {each.name: each.permissions.count() for each in Group.objects.all()} == {"renamed": 0, "new": 0}


def test_a_superuser_gives_rights(client):
    client.force_login(person("root", is_staff=True, is_superuser=True))
    kim, ops = person("kim"), group("ops")
    rights = all_rights()

    change(client, kim, **rights)
    client.post(
        reverse("admin:auth_group_change", args=[ops.pk]), {"name": "ops", "permissions": rights["user_permissions"]}
    )

    assert rights_of(kim) == (True, True, 1, Permission.objects.count())
    assert ops.permissions.count() == Permission.objects.count()


# Names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["\u202eNIMDA", "x\u2066", "a\u2028b"], ids=ascii)
def test_a_name_that_turns_what_stands_around_it_is_refused(client, name):
    client.force_login(person("root", is_staff=True, is_superuser=True))
    kim, ops = person("kim"), group("ops")
    forms = [
        (reverse("admin:auth_user_change", args=[kim.pk]), FIELDS | {"first_name": name}, "first_name"),
        (reverse("admin:auth_group_change", args=[ops.pk]), {"name": name}, "name"),
        (reverse("admin:notifications_topic_add"), {"name": name, "slug": "x"}, "name"),
    ]

    for address, form, field in forms:
        errors = client.post(address, form).context["adminform"].form.errors

        assert list(errors) == [field]
        assert f"U+{next(ord(each) for each in name if ord(each) > 127):04X}, character" in errors[field][0]
