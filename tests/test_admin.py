"""The admin: compose, watch, recall, send again, and send to the selected."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notifications import admin
from notifications.audiences import Audience
from notifications.deeds import mark_read
from notifications.models import Notice, ServerProcess
from notifications.sending import recall_notice
from tests.people import group, person, publish, send, topic

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
on_commit = pytest.mark.django_db(transaction=True)

ADD = "/admin/notifications/notice/add/"
LIST = "/admin/notifications/notice/"
FORM = {"title": "Backup finished", "level": "info", "everyone": "on"}


@pytest.fixture(autouse=True)
def static_files_under_their_own_names(settings):
    """Nothing is collected for the tests inside this process."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def sign_in(client):
    """`sign_in("send_notice")`: somebody of the staff with these permissions uses the admin."""

    def sign_in(*may, **fields):
        user = person("sara", may=may, is_staff=True, **fields)
        client.force_login(user)
        return user

    return sign_in


def act(client, action, notices, **values):
    form = {"action": action, "_selected_action": [notice.pk for notice in notices]}
    return client.post(LIST, form | values, follow=True)


def text_of(answer):
    return answer.content.decode()


# Compose --------------------------------------------------------------------------------------------------


@on_commit
def test_a_composed_notice_is_sent_in_the_name_of_whoever_composed_it(client, sign_in):
    sara = sign_in("send_notice")
    ada, ops, deploys = person("ada"), group("ops"), topic("deploys")

    answer = client.post(
        ADD,
        {
            "title": "Disk is full",
            "body": "42 GB left",
            "level": "warning",
            "url": "/disks/",
            "users": [ada.pk],
            "groups": [ops.pk],
            "topics": [deploys.pk],
            "key": "disk",
        },
        follow=True,
    )

    notice = Notice.objects.get()
    assert (notice.title, notice.body, notice.level, notice.url, notice.key) == (
        "Disk is full",
        "42 GB left",
        "warning",
        "/disks/",
        "disk",
    )
    assert (notice.source, notice.sender, notice.position) == ("admin", sara, 1)
    assert {str(posting) for posting in notice.postings.all()} == {
        f"user:{ada.pk}",
        f"group:{ops.pk}",
        "topic:deploys",
    }
    assert answer.redirect_chain == [(LIST, 302)]
    assert "“Disk is full” was sent to 1 person." in text_of(answer)
    assert LogEntry.objects.get().user == sara


def test_a_notice_is_scheduled_and_ended_in_the_admin(client, sign_in):
    sign_in("send_notice")
    later = timezone.localtime() + timedelta(days=1)

    client.post(
        ADD,
        FORM
        | {
            "publish_at_0": f"{later:%Y-%m-%d}",
            "publish_at_1": "09:00",
            "expires_at_0": f"{later:%Y-%m-%d}",
            "expires_at_1": "21:00",
        },
    )

    notice = Notice.objects.get()
    assert notice.status == "scheduled"
    assert notice.expires_at - notice.publish_at == timedelta(hours=12)


def test_one_notice_after_another_is_written(client, sign_in):
    sign_in("send_notice")

    answer = client.post(ADD, FORM | {"_addanother": "1"})

    assert answer["Location"] == ADD
    assert Notice.objects.count() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"body": "x" * 8193}, "body"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"level": "fatal"}, "level"),
        ({"everyone": ""}, "__all__"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "10:00"}, "expires_at"),
        ({"users": ["999"]}, "users"),
    ],
    ids=str,
)
def test_what_is_refused_is_said_and_nothing_is_sent(client, sign_in, values, field):
    sign_in("send_notice")

    answer = client.post(ADD, FORM | values)

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert "Nothing was sent" in text_of(answer)
    assert not Notice.objects.exists()


@pytest.mark.parametrize("may", [(), ("recall_notice",), ("view_notice",)])
def test_whoever_may_not_send_cannot_compose(client, sign_in, may):
    sign_in(*may)

    assert client.get(ADD).status_code == 403
    assert client.post(ADD, FORM).status_code == 403
    assert not Notice.objects.exists()


def test_whoever_may_not_open_the_admin_is_sent_to_sign_in(client):
    client.force_login(person("ada", may=["send_notice"]))

    answer = client.post(ADD, FORM)

    assert answer["Location"].startswith("/admin/login/")
    assert not Notice.objects.exists()


def test_people_groups_and_topics_are_picked_with_autocomplete(client, sign_in):
    sign_in("send_notice")

    html = text_of(client.get(ADD))

    pickers = re.findall(r'<select name="(\w+)"[^>]*class="admin-autocomplete"', html)
    assert pickers == ["users", "groups", "topics"]


@pytest.mark.parametrize(
    ("field", "model", "found"), [("user", "subscription", "ada"), ("topic", "subscription", "Deploys")]
)
def test_whoever_may_send_finds_names_in_the_pickers(client, sign_in, field, model, found):
    sign_in("send_notice", is_superuser=True)
    person("ada")
    topic("deploys")
    asked = {"app_label": "notifications", "model_name": model, "field_name": field, "term": found[:3].lower()}

    answer = client.get("/admin/autocomplete/", asked)

    assert found in [result["text"] for result in answer.json()["results"]]


# What was sent --------------------------------------------------------------------------------------------


def test_a_sent_notice_can_be_read_and_not_changed(client, sign_in):
    sign_in("send_notice", "recall_notice", "view_notice", is_superuser=True)
    notice = publish("As it was sent")
    address = f"{LIST}{notice.pk}/change/"

    page = client.get(address)
    answer = client.post(address, FORM | {"title": "Changed"})

    assert page.status_code == 200
    assert "As it was sent" in text_of(page)
    assert 'name="title"' not in text_of(page)
    assert answer.status_code == 403
    assert Notice.objects.get().title == "As it was sent"


def test_a_sent_notice_cannot_be_deleted(client, sign_in):
    sign_in(is_superuser=True)
    notice = publish()

    assert client.post(f"{LIST}{notice.pk}/delete/", {"post": "yes"}).status_code == 403
    act(client, "delete_selected", [notice], post="yes")

    assert Notice.objects.exists()


def test_the_list_says_when_to_whom_by_whom_its_status_and_how_many_have_read_it(client, sign_in):
    sara = sign_in("send_notice", "view_notice")
    ada, brian = person("ada"), person("brian")
    ops = group("Operations", ada, brian)
    notice = publish("Disk", [f"group:{ops.pk}"], level="warning", sender=sara, source="admin")
    mark_read(ada, [notice.pk])
    recall_notice(publish("Wrong"))
    send("Later", publish_at=timezone.now() + timedelta(hours=1))
    Notice.objects.filter(pk=publish("Over").pk).update(expires_at=timezone.now())

    page = client.get(LIST)

    cl = page.context["cl"]
    assert list(cl.list_display[-8:]) == ["when", "title", "to", "level", "source", "sender", "status", "read_by"]
    html = text_of(page)
    assert "group Operations" in html
    assert '<td class="field-read_by">1</td>' in html
    assert [f'data-status="{word}"' in html for word in ("live", "recalled", "scheduled", "expired")] == [True] * 4
    assert "sara" in html


def test_a_notice_from_someone_with_markup_in_it_is_shown_as_text(client, sign_in):
    sign_in("send_notice", "view_notice")
    group("<i>ops</i>")
    publish("<script>alert(1)</script>")

    html = text_of(client.get(LIST))

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert(1)" not in html


def test_the_list_says_how_many_pages_are_open_now(client, sign_in):
    sign_in("send_notice")
    now = timezone.now()
    for connections, seen_at in [(3, now), (4, now), (90, now - timedelta(minutes=5))]:
        ServerProcess.objects.create(
            id=uuid.uuid4(), name="here:1", state="live", connections=connections, position=1, seen_at=seen_at
        )

    assert "7 pages are open now." in text_of(client.get(LIST))


def test_a_page_of_notices_asks_as_many_queries_as_one_notice(client, sign_in):
    sign_in("view_notice")
    ada, ops, deploys = person("ada"), group("ops"), topic("deploys")
    audiences = [Audience.user(ada), Audience.group(ops), Audience.topic(deploys), "staff"]
    publish("first", audiences)
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    for n in range(24):
        publish(f"notice {n}", audiences)

    with CaptureQueriesContext(connection) as many:
        page = client.get(LIST)

    assert len(page.context["cl"].result_list) == 25
    assert len(many) == len(one)


def test_a_notice_to_many_people_names_the_first_and_counts_the_rest(client, sign_in):
    sara = sign_in("view_notice")
    User.objects.bulk_create(User(username=f"user{n}") for n in range(4_999))
    everybody = User.objects.order_by("pk").values_list("pk", flat=True)
    notice = publish("Many", [f"user:{pk}" for pk in everybody])
    mark_read(sara, [notice.pk])

    for address in (LIST, f"{LIST}{notice.pk}/change/"):
        page = client.get(address)
        assert "sara, user0, user1 and 4,997 more" in text_of(page)
        assert "user7" not in text_of(page)
    assert client.get(LIST).context["cl"].result_list[0].readers == 1


def test_the_people_are_counted_before_a_notice_is_stored(client, sign_in, monkeypatch):
    sign_in("send_notice")

    def fails(audiences):
        raise OperationalError("the database went away")

    monkeypatch.setattr(admin, "people_in", fails)
    client.raise_request_exception = False

    assert client.post(ADD, FORM).status_code == 503
    assert not Notice.objects.exists(), "what is answered as not done was not done"


def test_notices_are_found_by_their_words(client, sign_in):
    sign_in("view_notice")
    publish("Disk is full")
    publish("Backup finished")

    page = client.get(LIST, {"q": "disk"})

    assert [notice.title for notice in page.context["cl"].result_list] == ["Disk is full"]


def test_whoever_may_only_look_sees_the_list_and_no_way_to_send_or_recall(client, sign_in):
    sign_in("view_notice")
    notice = publish()

    page = client.get(LIST)

    assert page.status_code == 200
    assert ADD not in text_of(page)
    act(client, "recall", [notice])
    act(client, "send_again", [notice])
    assert Notice.objects.get().recalled_at is None


# Recall and send again ------------------------------------------------------------------------------------


@on_commit
def test_the_selected_notices_are_recalled(client, sign_in):
    sign_in("view_notice", "recall_notice")
    notices = [publish("one"), publish("two"), publish("stays")]
    recall_notice(notices[1])

    answer = act(client, "recall", notices[:2])

    assert "1 notice recalled." in text_of(answer)
    assert [notice.status for notice in Notice.objects.order_by("id")] == ["recalled", "recalled", "live"]
    assert Notice.objects.get(title="one").position == 5


def test_whoever_may_send_may_not_recall_for_that_reason(client, sign_in):
    sign_in("send_notice")
    notice = publish()

    act(client, "recall", [notice])

    assert Notice.objects.get().recalled_at is None


@on_commit
def test_the_selected_notices_are_sent_again_as_new_ones_in_ones_own_name(client, sign_in):
    sara = sign_in("send_notice", "view_notice")
    ada = person("ada")
    first = publish("Again", ["staff", f"user:{ada.pk}"], body="42", level="error", url="/x/", key="disk")
    recall_notice(first)

    answer = act(client, "send_again", [first])

    again = Notice.objects.get(recalled_at=None)
    assert (again.title, again.body, again.level, again.url) == ("Again", "42", "error", "/x/")
    assert {str(posting) for posting in again.postings.all()} == {"staff", f"user:{ada.pk}"}
    assert (again.sender, again.source, again.status) == (sara, "admin", "live")
    assert "1 notice sent again." in text_of(answer)


def test_what_cannot_be_sent_again_is_named_and_the_others_are_sent(client, sign_in):
    sign_in("send_notice", "view_notice")
    ops = group("ops")
    lost, fine = publish("Lost", [f"group:{ops.pk}"]), publish("Fine")
    ops.delete()

    answer = act(client, "send_again", [lost, fine])

    assert "Lost: no group called" in text_of(answer)
    assert "1 notice sent again." in text_of(answer)
    assert sorted(notice.title for notice in Notice.objects.all()) == ["Fine", "Fine", "Lost"]


# Send to the selected -------------------------------------------------------------------------------------

WRITTEN = {"send": "1", "title": "For you", "level": "info"}


def choose(client, model, selected, **values):
    form = {"action": "send_to_selected", "_selected_action": [each.pk for each in selected]}
    return client.post(reverse(f"admin:auth_{model}_changelist"), form | values, follow=True)


@pytest.mark.parametrize("model", ["user", "group"])
def test_a_notice_is_sent_to_the_selected_after_a_page_that_asks_for_its_text(client, sign_in, model):
    sara = sign_in(is_superuser=True)
    people = [person("ada"), person("brian"), person("cleo")]
    selected = people[:2] if model == "user" else [group("ops", *people), group("sales")]

    page = choose(client, model, selected)
    assert page.status_code == 200
    assert page.context["to"] == ("ada, brian" if model == "user" else "group ops, group sales")
    assert not Notice.objects.exists()
    answer = choose(client, model, selected, **WRITTEN)

    notice = Notice.objects.get()
    assert (notice.title, notice.source, notice.sender) == ("For you", "admin", sara)
    assert {str(posting) for posting in notice.postings.all()} == {f"{model}:{each.pk}" for each in selected}
    assert f"was sent to {2 if model == 'user' else 3} people." in text_of(answer)


def test_what_is_refused_is_asked_for_again_with_the_same_selection(client, sign_in):
    sign_in(is_superuser=True)
    ada = person("ada")

    page = choose(client, "user", [ada], **WRITTEN | {"title": "x" * 201})

    assert list(page.context["form"].errors) == ["title"]
    assert list(page.context["selected"]) == [str(ada.pk)]
    assert not Notice.objects.exists()


@on_commit
def test_ten_thousand_selected_people_are_one_choice_and_not_a_field_each(client, sign_in):
    sara = sign_in(is_superuser=True)
    User.objects.bulk_create((User(username=f"user{n:05}") for n in range(10_000)), batch_size=5000)
    address = reverse("admin:auth_user_changelist") + "?q=user"
    first = User.objects.get(username="user00000")
    form = {"action": "send_to_selected", "_selected_action": [first.pk], "select_across": "1"}

    page = client.post(address, form)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', text_of(page))
    User.objects.filter(username__in=["user00001", "user00002"]).update(is_active=False)  # meanwhile
    answer = client.post(address, dict(hidden) | WRITTEN, follow=True)

    assert page.context["to"] == "user00000, user00001, user00002 and 9,997 more"
    assert [name for name, _ in hidden if name == "_selected_action"] == ["_selected_action"]
    assert len(page.content) < 50_000
    assert "was sent to 9998 people." in text_of(answer)
    assert (Notice.objects.get().postings.count(), Notice.objects.get().sender) == (9_998, sara)


def test_an_inactive_person_among_the_selected_is_named(client, sign_in):
    sign_in(is_superuser=True)
    gone = person("gone", is_active=False)

    page = choose(client, "user", [person("ada"), gone], **WRITTEN)

    assert "no user called" in str(page.context["form"].non_field_errors())
    assert not Notice.objects.exists()


@pytest.mark.parametrize("model", ["user", "group"])
def test_whoever_may_not_send_cannot_send_to_the_selected(client, sign_in, model):
    from django.contrib.auth.models import Permission

    sara = sign_in()
    sara.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "view_group"]))
    selected = [person("ada")] if model == "user" else [group("ops")]
    assert client.get(reverse(f"admin:auth_{model}_changelist")).status_code == 200

    choose(client, model, selected, **WRITTEN)

    assert not Notice.objects.exists()


def test_people_and_groups_are_still_edited_as_before(client, sign_in):
    sara = sign_in(is_superuser=True)
    ops = group("ops")

    assert client.get(f"/admin/auth/user/{sara.pk}/change/").status_code == 200
    assert client.get(f"/admin/auth/group/{ops.pk}/change/").status_code == 200
    assert client.get("/admin/notifications/topic/add/").status_code == 200
