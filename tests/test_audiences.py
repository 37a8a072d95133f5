"""Who is meant: audiences in words, and the people they reach."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from hypothesis import given
from hypothesis import strategies as st

from notifications.audiences import (
    EVERYONE,
    STAFF,
    Audience,
    UnknownAudience,
    audiences_of,
    check_exists,
    describe,
    groups_called,
    people_in,
    topics_called,
    users_called,
)
from tests.people import group, person, topic

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("text", ["everyone", "staff", "user:42", "group:7", "topic:deploys"])
def test_an_audience_is_written_as_it_was_read(text):
    assert str(Audience.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "nobody",
        "everyone:1",
        "staff:x",
        "user",
        "user:",
        "user:ada",
        "user:-1",
        "user:4²",
        "group:",
        "group:1.5",
        "topic",
        "topic:",
        "Everyone",
        " everyone",
        "role:admin",
    ],
)
def test_a_text_that_names_no_audience_is_refused_by_name(text):
    with pytest.raises(UnknownAudience) as refusal:
        Audience.parse(text)

    assert repr(text) in str(refusal.value) or repr(text.partition(":")[2]) in str(refusal.value)


@given(st.text())
def test_whatever_is_parsed_is_an_audience_or_refused(text):
    try:
        audience = Audience.parse(text)
    except UnknownAudience:
        return

    assert audience == Audience.parse(str(audience))


def test_a_refused_audience_names_the_choices():
    with pytest.raises(UnknownAudience) as refusal:
        Audience.parse("grp:ops")

    assert str(refusal.value) == (
        "no audience called 'grp:ops'; the nearest: everyone, staff, user:ID, group:ID, topic:SLUG"
    )


def test_a_person_belongs_to_everyone_to_themselves_and_to_their_groups_and_topics():
    ada, brian = person("ada", is_staff=True), person("brian")
    ops, _ = group("ops", ada), group("sales", brian)
    topic("deploys", ada)
    topic("lunch", brian)

    audiences = audiences_of(ada)

    assert audiences == {"everyone", "staff", f"user:{ada.pk}", f"group:{ops.pk}", "topic:deploys"}


def test_somebody_who_is_not_staff_is_not_in_the_audience_staff():
    assert "staff" not in audiences_of(person("ada"))


def test_an_inactive_account_belongs_to_no_audience():
    ada = person("ada", is_staff=True)
    group("ops", ada)
    assert len(audiences_of(ada)) == 4

    ada.is_active = False

    assert audiences_of(ada) == frozenset()


def test_a_stranger_belongs_to_no_audience():
    assert audiences_of(AnonymousUser()) == frozenset()


def test_people_groups_and_topics_are_found_by_name():
    ada, brian = person("ada"), person("brian")
    ops = group("ops")
    topic("deploys")

    found = [*users_called(["brian", "ada"]), *groups_called(["ops"]), *topics_called(["deploys"])]

    assert found == [Audience.user(brian), Audience.user(ada), Audience.group(ops), Audience("topic", "deploys")]


def test_a_name_given_twice_is_one_audience():
    ada = person("ada")

    assert users_called(["ada", "ada"]) == [Audience.user(ada)]


@pytest.mark.parametrize(
    ("called", "kind", "asked", "nearest"),
    [
        (users_called, "user", "brain", ["brian"]),
        (groups_called, "group", "opps", ["ops"]),
        (topics_called, "topic", "deploy", ["deploys"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_names_that_exist(called, kind, asked, nearest):
    person("brian")
    group("ops")
    topic("deploys")

    with pytest.raises(UnknownAudience) as refusal:
        called([asked])

    assert refusal.value.nearest == nearest
    assert str(refusal.value) == f"no {kind} called {asked!r}; the nearest: {nearest[0]}"


@pytest.mark.parametrize("called", [users_called, groups_called, topics_called])
@pytest.mark.parametrize("name", ["", "\0", "\udcff", "x" * 100_000, "😀"])
def test_a_name_that_no_database_could_hold_is_unknown_like_any_other(called, name):
    with pytest.raises(UnknownAudience):
        called([name])


def test_an_inactive_person_is_unknown():
    person("ada", is_active=False)

    with pytest.raises(UnknownAudience, match="no user called 'ada'"):
        users_called(["ada"])


@pytest.mark.parametrize(
    "missing",
    [
        "user:999999",
        "user:007",
        "user:99999999999999999999999",
        "group:999999",
        "group:99999999999999999999999",
        "topic:gone",
        "topic:\0",
        "topic:\udcff",
    ],
)
def test_an_audience_that_does_not_exist_is_refused(missing):
    ada = person("ada", pk=7)
    ops = group("ops", ada)
    topic("deploys")
    there = [EVERYONE, STAFF, Audience.user(ada), Audience.group(ops), Audience("topic", "deploys")]
    check_exists(there)

    with pytest.raises(UnknownAudience, match=r"no (user|group|topic) called"):
        check_exists([*there, Audience.parse(missing)])


def test_checking_many_audiences_takes_one_query_for_each_kind(django_assert_num_queries):
    people = [person(f"user{n}") for n in range(20)]
    groups = [group(f"group{n}") for n in range(20)]
    topics = [topic(f"topic{n}") for n in range(20)]
    audiences = [*map(Audience.user, people), *map(Audience.group, groups), *map(Audience.topic, topics)]

    with django_assert_num_queries(3):
        check_exists(audiences)


def test_each_active_person_is_reached_once_however_many_audiences_name_them():
    ada, brian = person("ada", is_staff=True), person("brian")
    gone = person("gone", is_active=False, is_staff=True)
    ops = group("ops", ada, brian, gone)
    deploys = topic("deploys", ada)

    reached = people_in([STAFF, Audience.user(ada), Audience.group(ops), Audience.topic(deploys)])

    assert sorted(reached.values_list("username", flat=True)) == ["ada", "brian"]


@pytest.mark.parametrize(
    ("audience", "names"), [("everyone", ["ada", "brian", "staff"]), ("staff", ["staff"]), ("topic:gone", [])]
)
def test_an_audience_reaches_whom_it_says(audience, names):
    person("ada")
    person("brian")
    person("staff", is_staff=True)

    reached = people_in([Audience.parse(audience)])

    assert sorted(reached.values_list("username", flat=True)) == names


def test_no_audience_reaches_nobody():
    person("ada")

    assert not people_in([]).exists()


def test_audiences_are_described_in_words_a_person_knows():
    ada, ops = person("ada"), group("Operations")
    audiences = [EVERYONE, STAFF, Audience.user(ada), Audience.group(ops), Audience("topic", "deploys")]

    assert describe(audiences) == ["everyone", "staff", "ada", "group Operations", "topic deploys"]


def test_audiences_of_people_and_groups_that_are_gone_are_still_described():
    assert describe([Audience("user", "999"), Audience("group", "999")]) == ["user:999", "group 999"]


def test_twelve_hundred_named_people_are_found_checked_counted_and_described(django_assert_num_queries):
    User = type(person("ada"))
    User.objects.bulk_create(User(username=f"user{n}") for n in range(1200))
    names = [f"user{n}" for n in range(1200)]

    with django_assert_num_queries(1):
        audiences = users_called(names)
    with django_assert_num_queries(1):
        check_exists(audiences)
    with django_assert_num_queries(1):
        assert people_in(audiences).count() == 1200
    with django_assert_num_queries(1):
        assert describe(audiences) == names


@pytest.mark.parametrize(("asked", "there"), [("ANN", "ann"), ("Bran", "brAN"), ("ZOË", "zoë")])
def test_the_nearest_names_are_found_whatever_the_case(asked, there):
    person(there)

    with pytest.raises(UnknownAudience, match=f"no user called '{asked}'; the nearest: {there}"):
        users_called([asked])
