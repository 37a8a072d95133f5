"""Who a notice is for, as one string: `everyone`, `staff`, `user:42`, `group:7`, `topic:deploys`."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Count, Q, QuerySet, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import RowNumber
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.models import Notice, Posting, Subscription, Topic

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

Kind = Literal["everyone", "staff", "user", "group", "topic"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_NOT_FOUND = {
    "audience": gettext_lazy("no audience called %(name)r"),
    "user": gettext_lazy("no user called %(name)r"),
    "group": gettext_lazy("no group called %(name)r"),
    "topic": gettext_lazy("no topic called %(name)r"),
}


class UnknownAudience(ValueError):
    """Nobody, no group or no topic goes by that name. `name` is what was asked for, `nearest` what exists."""

    def __init__(self, kind: str, name: str, nearest: Iterable[str] = ()) -> None:
        self.kind, self.name, self.nearest = kind, name, list(nearest)
        hint = _("; the nearest: %(names)s") % {"names": ", ".join(self.nearest)} if self.nearest else ""
        super().__init__(_NOT_FOUND[kind] % {"name": name} + hint)


@dataclass(frozen=True, slots=True)
class Audience:
    """One rule that says who is meant. `str(audience)` is what is stored and what a hub looks up."""

    kind: Kind
    key: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}" if self.key else self.kind

    @classmethod
    def parse(cls, text: str) -> Audience:
        """The audience that ``text`` names.

        Raises:
            UnknownAudience: ``text`` is none of `everyone`, `staff`, `user:ID`, `group:ID`, `topic:SLUG`.
        """
        kind, _, key = text.partition(":")
        if kind not in KINDS or bool(key) == (kind in ("everyone", "staff")):
            raise UnknownAudience("audience", text, ["everyone", "staff", "user:ID", "group:ID", "topic:SLUG"])
        if kind in ("user", "group") and not is_id(key):
            raise UnknownAudience(kind, key)
        return cls(kind, key)

    @classmethod
    def user(cls, user: User) -> Audience:
        return cls("user", str(user.pk))

    @classmethod
    def group(cls, group: Group) -> Audience:
        return cls("group", str(group.pk))

    @classmethod
    def topic(cls, topic: Topic) -> Audience:
        return cls.parse(topic.audience)


def is_id(text: str) -> bool:
    """Whether a row may have this id: digits that every database can be asked for. A bigint has 18 for certain."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


EVERYONE = Audience("everyone")
STAFF = Audience("staff")


def users_called(names: Iterable[str]) -> list[Audience]:
    """The audiences of active users with these user names.

    Raises:
        UnknownAudience: nobody active has one of the names.
    """
    User = get_user_model()
    field = User.USERNAME_FIELD
    active = User.objects.filter(is_active=True)
    return [Audience("user", str(pk)) for pk in _keys_of("user", active, field, names)]


def groups_called(names: Iterable[str]) -> list[Audience]:
    """The audiences of the groups with these names. Raises `UnknownAudience` like `users_called`."""
    return [Audience("group", str(pk)) for pk in _keys_of("group", Group.objects.all(), "name", names)]


def topics_called(slugs: Iterable[str]) -> list[Audience]:
    """The audiences of the topics with these slugs. Raises `UnknownAudience` like `users_called`."""
    slugs = list(slugs)
    _keys_of("topic", Topic.objects.all(), "slug", slugs)
    return [Audience("topic", slug) for slug in slugs]


def _keys_of(kind: str, rows: QuerySet, field: str, names: Iterable[str]) -> list[object]:  # type: ignore[type-arg]
    names = list(dict.fromkeys(names))
    _check_storable(kind, names)
    found = dict(rows.filter(**{f"{field}__in": any_of(names)}).values_list(field, "pk")) if names else {}
    for name in names:
        if name not in found:
            raise UnknownAudience(kind, name, _nearest(rows, field, name))
    return [found[name] for name in names]


def any_of(values: Collection[str] | Collection[int]) -> RawSQL:
    """These values as a subquery with a single parameter, however many they are.

    One parameter for each would end at 32,766 (SQLite) or 65,535 (PostgreSQL), and an OR for each at 1,000 (SQLite).
    """
    if connection.vendor == "postgresql":
        array = "bigint[]" if all(isinstance(value, int) for value in values) else "text[]"
        return RawSQL(f"SELECT unnest(%s::{array})", [list(values)])  # noqa: S611  # one of two constants
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(list(values))])


def _nearest(rows: QuerySet, field: str, name: str) -> list[str]:  # type: ignore[type-arg]
    """Up to three names that exist and resemble ``name``, in capitals or not.

    1,000 candidates are compared in a few milliseconds; those that begin alike come first.
    """
    alike = Q(**{f"{field}__istartswith": name[:2]})
    candidates: dict[str, list[str]] = {}
    for some in (rows.filter(alike), rows.exclude(alike)):
        for candidate in some.values_list(field, flat=True)[:1000]:
            candidates.setdefault(candidate.casefold(), []).append(candidate)
    close = difflib.get_close_matches(name.casefold(), candidates, n=3, cutoff=0.5)
    return [candidate for folded in close for candidate in candidates[folded]][:3]


def _check_storable(kind: str, names: Iterable[str]) -> None:
    """No database can be asked for NUL, nor for what a shell's broken UTF-8 becomes: a lone surrogate."""
    for name in names:
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise UnknownAudience(kind, name)


def check_exists(audiences: Iterable[Audience]) -> None:
    """One query for each kind of audience that names a row.

    Raises:
        UnknownAudience: an audience names a row that does not exist, or a user who is not active.
    """
    wanted: dict[str, set[str]] = {}
    for audience in audiences:
        wanted.setdefault(audience.kind, set()).add(audience.key)
    if users := wanted.get("user"):
        active = get_user_model().objects.filter(is_active=True)
        _check_all_found("user", users, active.filter(pk__in=any_of(_ids(users))).values_list("pk", flat=True))
    if groups := wanted.get("group"):
        there = Group.objects.filter(pk__in=any_of(_ids(groups)))
        _check_all_found("group", groups, there.values_list("pk", flat=True))
    if topics := wanted.get("topic"):
        _check_storable("topic", topics)
        _check_all_found("topic", topics, Topic.objects.filter(slug__in=any_of(topics)).values_list("slug", flat=True))


def _ids(keys: Iterable[str]) -> list[int]:
    """The ids that a database can be asked for."""
    return [int(key) for key in keys if is_id(key)]


def _check_all_found(kind: str, keys: set[str], found: Iterable[object]) -> None:
    if missing := sorted(keys - {str(key) for key in found}):
        raise UnknownAudience(kind, missing[0])


def audiences_of(user: User | AnonymousUser) -> frozenset[str]:
    """Every audience that ``user`` belongs to now; none for somebody who may not receive anything."""
    return audiences_of_each([user])[user.pk] if user.is_authenticated else frozenset()


def audiences_of_each(users: Iterable[User]) -> dict[int, frozenset[str]]:
    """The audiences of each of these people, by their ids, with two queries for all of them."""
    audiences = {user.pk: _plain_audiences_of(user) for user in users}
    active = [pk for pk, found in audiences.items() if found]
    memberships = Group.user_set.through.objects.filter(user__in=active).values_list("user", "group")
    for pk, group in memberships:
        audiences[pk].add(f"group:{group}")
    subscriptions = Subscription.objects.filter(user__in=active).values_list("user", "topic__slug")
    for pk, slug in subscriptions:
        audiences[pk].add(f"topic:{slug}")
    return {pk: frozenset(found) for pk, found in audiences.items()}


def _plain_audiences_of(user: User) -> set[str]:
    """Those that are no memberships."""
    if not user.is_active:
        return set()
    return {str(EVERYONE), str(Audience.user(user)), *([str(STAFF)] if user.is_staff else [])}


def people_in(audiences: Iterable[Audience]) -> QuerySet[User]:
    """The active users whom these audiences reach now, each once. 100,000 named people are one condition."""
    return get_user_model().objects.filter(reached_by_any(audiences), is_active=True)


def reached_by_any(audiences: Iterable[Audience], user: str = "") -> Q:
    """The condition of being in one of these audiences, for people, or for rows that name one: ``user="user__"``."""
    audiences = set(audiences)
    members = Q(pk=None)
    if users := [int(audience.key) for audience in audiences if audience.kind == "user"]:
        members |= Q((f"{user}pk__in", any_of(users)))
    for audience in audiences:
        match audience.kind:
            case "everyone":
                members |= Q((f"{user}is_active", True))
            case "staff":
                members |= Q((f"{user}is_staff", True))
            case "group":
                of_group = Group.user_set.through.objects.filter(group_id=audience.key)
                members |= Q((f"{user}pk__in", of_group.values("user")))
            case "topic":
                subscribed = Subscription.objects.filter(topic__slug=audience.key)
                members |= Q((f"{user}pk__in", subscribed.values("user")))
    return members


def in_words(audiences: Iterable[str]) -> dict[str, str]:
    """One person's own audiences as they know them: “Everyone”, “Only you”, the names of their groups and topics."""
    parsed = [Audience.parse(audience) for audience in audiences]
    groups = [each.key for each in parsed if each.kind == "group"]
    topics = [each.key for each in parsed if each.kind == "topic"]
    names: dict[str, str] = {"everyone": _("Everyone"), "staff": _("All staff"), "user": _("Only you")}
    words = {str(each): names[each.kind] for each in parsed if each.kind in names}
    if groups:
        words |= {f"group:{pk}": name for pk, name in Group.objects.filter(pk__in=groups).values_list("pk", "name")}
    if topics:
        words |= {f"topic:{s}": name for s, name in Topic.objects.filter(slug__in=topics).values_list("slug", "name")}
    return words


def describe(audiences: Iterable[Audience]) -> list[str]:
    """The audiences in words, for a person: `everyone`, `ada`, `group Operations`, `topic deploys`."""
    audiences = list(audiences)
    users = [int(a.key) for a in audiences if a.kind == "user"]
    groups = [int(a.key) for a in audiences if a.kind == "group"]
    User = get_user_model()
    usernames = dict(User.objects.filter(pk__in=any_of(users)).values_list("pk", User.USERNAME_FIELD)) if users else {}
    group_names = dict(Group.objects.filter(pk__in=any_of(groups)).values_list("pk", "name")) if groups else {}
    words = []
    for audience in audiences:
        match audience.kind:
            case "user":
                words.append(usernames.get(int(audience.key), str(audience)))
            case "group":
                words.append(_("group %(name)s") % {"name": group_names.get(int(audience.key), audience.key)})
            case "topic":
                words.append(_("topic %(name)s") % {"name": audience.key})
            case "staff":
                words.append(_("staff"))
            case "everyone":
                words.append(_("everyone"))
    return words


MOST_NAMED = 3  # audiences in a sentence or a cell; the rest is counted


def describe_some(audiences: Sequence[Audience], count: int) -> str:
    """The first few of ``count`` audiences in words, and how many more there are: `ada, brian, cleo and 4,997 more`."""
    return _with_more(describe(audiences[:MOST_NAMED]), count)


def describe_each(notices: Collection[Notice]) -> dict[int, str]:
    """For whom each of these notices is, likewise, by their ids. Four queries for all of them."""
    postings = Posting.objects.filter(notice__in=notices)
    counts = dict(postings.values_list("notice").annotate(Count("pk")))
    place = Window(RowNumber(), partition_by="notice", order_by="pk")
    some = postings.annotate(place=place).filter(place__lte=MOST_NAMED).order_by("pk")
    audiences = [(pk, Audience.parse(audience)) for pk, audience in some.values_list("notice", "audience")]
    words = describe(audience for _pk, audience in audiences)
    named: dict[int, list[str]] = {notice.pk: [] for notice in notices}
    for (pk, _audience), word in zip(audiences, words, strict=True):
        named[pk].append(word)
    return {pk: _with_more(names, counts.get(pk, 0)) for pk, names in named.items()}


def _with_more(words: list[str], count: int) -> str:
    if count <= len(words):
        return ", ".join(words)
    more = {"names": ", ".join(words), "more": number_format(count - len(words), use_l10n=True, force_grouping=True)}
    return _("%(names)s and %(more)s more") % more
