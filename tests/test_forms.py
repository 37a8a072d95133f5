"""What a person fills in, and which field says what was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from notifications.audiences import EVERYONE, STAFF, Audience
from notifications.forms import ComposeForm, SendForm, WriteForm
from notifications.models import Notice
from tests.people import group, person, topic

pytestmark = pytest.mark.django_db


@pytest.fixture
def sender():
    return person("sender", may=["send_notice"])


def filled(form=SendForm, **values):
    return form({"title": "Backup finished", "level": "info", "wide": ["everyone"], "everyone": "on"} | values)


def sent(form, sender):
    assert form.is_valid(), form.errors
    return form.send(audiences=form.audiences(), sender=sender, source="view")


def test_a_filled_in_form_sends_a_notice(sender):
    form = filled(body="42 GB", level="warning", url="/reports/7/")

    notice = sent(form, sender)

    assert (notice.title, notice.body, notice.level, notice.url) == (
        "Backup finished",
        "42 GB",
        "warning",
        "/reports/7/",
    )
    assert (notice.sender, notice.source) == (sender, "view")


def test_people_are_named_with_commas_or_spaces_or_both():
    ada, brian, cleo = person("ada"), person("brian"), person("cleo")

    form = filled(wide=[], users="ada, brian,cleo ada\n")

    assert form.is_valid(), form.errors
    assert form.audiences() == [Audience.user(ada), Audience.user(brian), Audience.user(cleo)]


def test_all_kinds_of_audience_add_up():
    ada, ops, deploys = person("ada"), group("ops"), topic("deploys")

    form = filled(wide=["everyone", "staff"], users="ada", groups=[ops.pk], topics=[deploys.pk])

    assert form.is_valid(), form.errors
    assert form.audiences() == [
        EVERYONE,
        STAFF,
        Audience.user(ada),
        Audience.group(ops),
        Audience.topic(deploys),
    ]


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"title": ""}, "title", "required"),
        ({"title": "   "}, "title", "required"),
        ({"title": "x" * 201}, "title", "200"),
        ({"title": "one\ntwo"}, "title", "U+000A"),
        ({"title": "bell\x07"}, "title", "U+0007"),
        ({"title": "nul\0"}, "title", "Null"),
        ({"body": "x" * 8193}, "body", "8193 bytes; 8192"),
        ({"body": "bell\x07"}, "body", "U+0007"),
        ({"level": "fatal"}, "level", "fatal"),
        ({"url": "javascript:alert(1)"}, "url", "javascript:alert(1)"),
        ({"url": "//evil.example"}, "url", "//evil.example"),
        ({"url": "data:text/html,x"}, "url", "http://…, https://…"),
        ({"url": "/" + "x" * 2000}, "url", "2000"),
        ({"wide": []}, "__all__", "at least one audience"),
        ({"wide": ["nobody"]}, "wide", "nobody"),
        ({"users": "brain"}, "users", "no user called 'brain'"),
        ({"users": "gone"}, "users", "no user called 'gone'"),
        ({"groups": ["999"]}, "groups", "999"),
        ({"topics": ["x"]}, "topics", "x"),
    ],
    ids=repr,
)
def test_what_is_refused_is_said_beside_its_field_and_nothing_is_stored(sender, values, field, says):
    person("brian")
    person("gone", is_active=False)

    form = filled(**values)
    notice = form.send(audiences=form.audiences(), sender=sender, source="view") if form.is_valid() else None

    assert notice is None
    assert says in str(form.errors.as_data()[field])
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    ("may", "says"),
    [
        (["view_user"], "no user called 'brain'; the nearest: brian"),
        (["change_user"], "no user called 'brain'; the nearest: brian"),
        (["send_notice"], "no user called 'brain'"),
    ],
)
def test_only_who_may_see_the_accounts_of_others_is_told_the_nearest_names(may, says):
    person("brian")

    form = SendForm({"title": "x", "level": "info", "users": "brain"}, sender=person("ada", may=may))

    assert form.errors["users"] == [says]


def test_somebody_without_the_permission_is_told_so_and_nothing_is_stored():
    form = filled()

    assert sent(form, person("ada")) is None

    assert "ada may not send notices" in str(form.non_field_errors())
    assert not Notice.objects.exists()


def test_somebody_who_was_deactivated_while_the_form_was_open_cannot_be_sent_to(sender):
    ada = person("ada")
    form = filled(users="ada")
    assert form.is_valid()
    ada.is_active = False
    ada.save()

    assert form.send(audiences=form.audiences(), sender=sender, source="view") is None

    assert f"no user called '{ada.pk}'" in form.errors["users"]


def test_a_group_that_was_deleted_while_the_form_was_open_cannot_be_sent_to(sender):
    ops = group("ops")
    form = filled(WriteForm)
    assert form.is_valid()

    assert form.send(audiences=[Audience("group", str(ops.pk + 1))], sender=sender, source="admin") is None

    assert "no group called" in str(form.non_field_errors())


# The admin's form -----------------------------------------------------------------------------------------


def test_the_admins_form_schedules_ends_and_replaces(sender):
    later, end = timezone.localtime() + timedelta(days=1), timezone.localtime() + timedelta(days=2)

    form = filled(
        ComposeForm,
        publish_at_0=f"{later:%Y-%m-%d}",
        publish_at_1="09:00:00",
        expires_at_0=f"{end:%Y-%m-%d}",
        expires_at_1="10:00",
        key="maintenance",
    )
    notice = sent(form, sender)

    assert notice.publish_at == later.replace(hour=9, minute=0, second=0, microsecond=0)
    assert notice.expires_at == end.replace(hour=10, minute=0, second=0, microsecond=0)
    assert notice.key == "maintenance"


def test_the_admins_form_adds_up_all_kinds_of_audience():
    ada, ops, deploys = person("ada"), group("ops"), topic("deploys")

    form = filled(ComposeForm, staff="on", users=[ada.pk], groups=[ops.pk], topics=[deploys.pk])

    assert form.is_valid(), form.errors
    assert [str(audience) for audience in form.audiences()] == [
        "everyone",
        "staff",
        f"user:{ada.pk}",
        f"group:{ops.pk}",
        "topic:deploys",
    ]


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"everyone": ""}, "__all__", "at least one audience"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "10:00"}, "expires_at", "past"),
        ({"publish_at_0": "2020-01-01", "publish_at_1": "10:00"}, "publish_at", "past"),
        ({"publish_at_0": "2999-02-30", "publish_at_1": "10:00"}, "publish_at", "year first"),
        ({"publish_at_0": "2999-02-03"}, "publish_at", "valid time"),
        ({"key": "k" * 201}, "key", "200"),
        ({"key": "bell\x07"}, "key", "U+0007"),
    ],
    ids=repr,
)
def test_what_the_admins_form_refuses_is_said_beside_its_field(sender, values, field, says):
    form = filled(ComposeForm, **values)

    notice = form.send(audiences=form.audiences(), sender=sender, source="admin") if form.is_valid() else None

    assert notice is None
    assert says in str(form.errors.as_data()[field])
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    ("day", "choices"),
    [
        ("2027-03-28", "2027-03-28T01:30+01:00 or 2027-03-28T03:30+02:00"),
        ("2027-10-31", "2027-10-31T02:30+02:00 or 2027-10-31T02:30+01:00"),
    ],
)
def test_an_hour_that_clocks_skip_or_show_twice_is_refused_with_the_two_choices(settings, day, choices):
    settings.TIME_ZONE = "Europe/Berlin"

    form = filled(ComposeForm, publish_at_0=day, publish_at_1="02:30")

    assert choices in str(form.errors["publish_at"])


def test_the_hour_that_comes_twice_can_be_chosen_by_its_offset(settings):
    settings.TIME_ZONE = "Europe/Berlin"

    form = filled(ComposeForm, publish_at_0="2027-10-31", publish_at_1="02:30+01:00")

    assert form.is_valid(), form.errors
    assert form.cleaned_data["publish_at"] == datetime(2027, 10, 31, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("day", ["2997-04-03", "2997/04/03", "2997年04月03日"])
def test_a_day_may_be_written_as_the_calendar_writes_it_in_either_language(day):
    form = filled(ComposeForm, publish_at_0=day, publish_at_1="10:00")

    assert form.is_valid(), form.errors
    assert form.cleaned_data["publish_at"] == datetime(2997, 4, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize("day", ["03/04/2997", "3.4.2997", "04/03/97", "2999-02-30"])
def test_another_day_is_asked_for_year_first(day):
    form = filled(ComposeForm, publish_at_0=day, publish_at_1="10:00")

    assert "Write the day year first, such as 2027-04-03." in str(form.errors["publish_at"])


def test_an_inactive_person_cannot_be_picked():
    gone = person("gone", is_active=False)

    form = filled(ComposeForm, users=[gone.pk])

    assert not form.is_valid()
    assert "users" in form.errors
