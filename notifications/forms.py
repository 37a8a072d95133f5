"""What a person fills in: to send a notice, on the site and in the admin, and to say how much they want to hear."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from notifications.attention import time_zones
from notifications.audiences import EVERYONE, STAFF, Audience, UnknownAudience, is_id, users_called
from notifications.models import Level, Notice, Preferences, Topic
from notifications.sending import (
    MAX_KEY,
    MAX_TITLE,
    MAX_URL,
    InvalidNotice,
    OutcomeUnknown,
    SendingRefused,
    send_notice,
)
from notifications.times import UnknownTime, on_our_clock


class Wide(TextChoices):
    """The audiences that need no name."""

    EVERYONE = "everyone", _("Everyone")
    STAFF = "staff", _("Staff")


class OneField(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic for the type checker only
    """One row by its id. An id that no row can have is no choice, and no database is asked for it."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value and not is_id(value):
            raise _no_choice(self, value)
        return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        shown = super().prepare_value(value)
        return None if isinstance(shown, str) and not is_id(shown) else shown


class SeveralField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Several rows by their ids, likewise."""

    def clean(self, value: Any) -> Any:
        for each in value or ():
            if isinstance(each, str) and not is_id(each):
                raise _no_choice(self, each)
        return super().clean(value)

    def prepare_value(self, value: Any) -> Any:
        shown = super().prepare_value(value)
        return [each for each in shown if is_id(str(each))] if isinstance(shown, list) else shown


def _no_choice(field: forms.Field, value: str) -> forms.ValidationError:
    words = {"value": value[:100], "pk": value[:100]}
    name = "invalid_pk_value" if "invalid_pk_value" in field.error_messages else "invalid_choice"
    return forms.ValidationError(field.error_messages[name], code=name, params=words)


class PeopleField(SeveralField):
    """People by their ids. Who may not see the accounts of others learns no name by asking for an id."""

    names_people = True

    def label_from_instance(self, person: Any) -> str:
        return super().label_from_instance(person) if self.names_people else f"#{person.pk}"


def may_see_people(viewer: User) -> bool:
    """Whether somebody may look at the accounts of others, as the admin has it."""
    return viewer.has_perm("auth.view_user") or viewer.has_perm("auth.change_user")


class WriteForm(forms.Form):
    """The text of a notice. What it may hold is decided by `send_notice`, whose refusals become field errors."""

    title = forms.CharField(label=_("Title"), max_length=MAX_TITLE)
    body = forms.CharField(
        label=_("Body"),
        required=False,
        widget=forms.Textarea({"rows": 5}),
        help_text=_("Plain text, up to 8 KiB."),
    )
    level = forms.ChoiceField(label=_("Level"), choices=Level.choices, initial=Level.INFO)
    url = forms.CharField(
        label=_("Link"),
        required=False,
        max_length=MAX_URL,
        help_text=_("https://… or a path on this site, such as /reports/7/"),
    )

    def send(self, *, audiences: list[Audience], sender: User, source: str) -> Notice | None:
        """Send what was filled in; None, with an error on the field it concerns, when it is refused."""
        values = {
            name: self.cleaned_data[name]
            for name in ("title", "body", "level", "url", "key", "publish_at", "expires_at")
            if self.cleaned_data.get(name)
        }
        try:
            return send_notice(audiences=audiences, sender=sender, source=source, **values)
        except InvalidNotice as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))
        except UnknownAudience as error:
            self.add_error("users" if error.kind == "user" and "users" in self.fields else None, str(error))
        except (SendingRefused, OutcomeUnknown) as error:
            self.add_error(None, str(error))
        return None


# 03/04/2027 is the 3rd of April to one, the 4th of March to another. The second is how the Chinese calendar writes.
YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日")


class TimeOfDayField(forms.TimeField):
    """Also with an offset, `02:30+01:00`, for an hour that comes twice."""

    def __init__(self, **options: Any) -> None:
        super().__init__(input_formats=("%H:%M", "%H:%M:%S", "%H:%M%z", "%H:%M:%S%z"), **options)

    def strptime(self, value: str, format: str) -> time:
        return datetime.strptime(value, format).timetz()


class MomentField(forms.SplitDateTimeField):
    """A day and an hour; one that comes twice, or not at all, is refused with the two to choose from."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        day = {"invalid": _("Write the day year first, such as 2027-04-03.")}
        hour = {"invalid": self.error_messages["invalid_time"]}
        self.fields = (
            forms.DateField(required=False, input_formats=YEAR_FIRST, error_messages=day),
            TimeOfDayField(required=False, error_messages=hour),
        )

    def compress(self, data_list: Any) -> datetime | None:
        if not data_list or any(part in self.empty_values for part in data_list):
            return super().compress(data_list)  # which says what is missing
        moment = datetime.combine(*data_list)
        try:
            return moment if moment.tzinfo else on_our_clock(moment)
        except UnknownTime as error:
            raise forms.ValidationError(str(error), code="invalid") from error


class LaterMixin(forms.Form):
    """When a notice appears and ends, and what it replaces."""

    publish_at = MomentField(label=_("Publish at"), required=False, help_text=_("Empty: at once."))
    expires_at = MomentField(
        label=_("Expires"), required=False, help_text=_("Then it leaves every inbox. Empty: never.")
    )
    key = forms.CharField(
        label=_("Key"),
        required=False,
        max_length=MAX_KEY,
        help_text=_("Recalls earlier notices with the same key for the same audiences."),
    )


class SendForm(WriteForm):
    """The site's form: people by user name, groups and topics by ticking."""

    wide = forms.MultipleChoiceField(
        label=_("For"),
        choices=Wide.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("At least one of these, of the people, groups or topics below."),
    )
    users = forms.CharField(
        label=_("People"), required=False, help_text=_("User names, separated by commas or spaces.")
    )
    groups = SeveralField(
        label=_("Groups"),
        queryset=Group.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    topics = SeveralField(
        label=_("Topics"),
        queryset=Topic.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, sender: User | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sees_people = sender is not None and may_see_people(sender)

    def clean_users(self) -> list[Audience]:
        try:
            return users_called(self.cleaned_data["users"].replace(",", " ").split())
        except UnknownAudience as error:
            if not self.sees_people:
                error = UnknownAudience(error.kind, error.name)  # without the nearest names
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not self.audiences():
            raise forms.ValidationError(_("Choose at least one audience."))
        return cleaned

    def audiences(self) -> list[Audience]:
        data = self.cleaned_data
        return [
            *(Audience.parse(name) for name in data.get("wide", [])),
            *data.get("users", []),
            *(Audience.group(group) for group in data.get("groups", [])),
            *(Audience.topic(topic) for topic in data.get("topics", [])),
        ]


class ComposeForm(LaterMixin, WriteForm):
    """The admin's form. The pickers get their widgets in admin.py."""

    everyone = forms.BooleanField(label=_("Everyone"), required=False)
    staff = forms.BooleanField(label=_("Staff"), required=False)
    users = PeopleField(label=_("People"), queryset=get_user_model().objects.filter(is_active=True), required=False)
    groups = SeveralField(label=_("Groups"), queryset=Group.objects.all(), required=False)
    topics = SeveralField(label=_("Topics"), queryset=Topic.objects.all(), required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not self.audiences():
            raise forms.ValidationError(_("Choose at least one audience."))
        return cleaned

    def audiences(self) -> list[Audience]:
        data = self.cleaned_data
        return [
            *([EVERYONE] if data.get("everyone") else []),
            *([STAFF] if data.get("staff") else []),
            *(Audience.user(user) for user in data.get("users", [])),
            *(Audience.group(group) for group in data.get("groups", [])),
            *(Audience.topic(topic) for topic in data.get("topics", [])),
        ]


def _time_zone_choices() -> list[Any]:
    """Grouped by continent, the way people look for theirs."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in time_zones():
        area, _slash, place = name.partition("/")
        groups.setdefault(area, []).append((name, (place or area).replace("_", " ")))
    return [("UTC", "UTC"), *((area, zones) for area, zones in groups.items() if area != "UTC")]


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only
    """How far notices of each level may go, and when nothing may go further than its row."""

    LEVELS = ("info", "success", "warning", "error")
    QUIET = ("quiet_from", "quiet_until", "time_zone")

    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=_time_zone_choices, help_text=_("Whose clock the quiet hours go by.")
    )
    volume = forms.IntegerField(
        label=_("Volume of the sound"),
        min_value=0,
        max_value=100,
        widget=forms.NumberInput({"type": "range", "step": 5}),
    )

    class Meta:
        model = Preferences
        fields = (
            "info",
            "success",
            "warning",
            "error",
            "quiet_from",
            "quiet_until",
            "time_zone",
            "volume",
            "shortcuts",
        )
        widgets = {name: forms.TimeInput({"type": "time"}, format="%H:%M") for name in ("quiet_from", "quiet_until")}
        help_texts = {
            "quiet_from": _("Empty: no quiet hours."),
            "quiet_until": _("Earlier than the beginning: on the next morning."),
            "shortcuts": _("Single keys in the inbox, such as j, k and e. The key ? lists them."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.time_zone:
            self.initial["time_zone"] = settings.TIME_ZONE

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        begin, end = cleaned.get("quiet_from"), cleaned.get("quiet_until")
        if self.errors:
            return cleaned
        if begin is not None and end is None:
            self.add_error("quiet_until", _("Say also when the quiet hours end."))
        elif begin is None and end is not None:
            self.add_error("quiet_from", _("Say also when the quiet hours begin."))
        elif begin is not None and begin == end:
            self.add_error("quiet_until", _("Quiet hours must end at another time than they begin."))
        return cleaned

    @property
    def ladders(self) -> list[forms.BoundField]:
        return [self[name] for name in self.LEVELS]

    @property
    def quiet(self) -> list[forms.BoundField]:
        return [self[name] for name in self.QUIET]
