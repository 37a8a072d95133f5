"""What may an address or a form ask of the admin? Only what its own filters and pickers produce."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from notifications.audiences import is_id
from notifications.forms import OneField, SeveralField
from notifications.texts import forbidden_in

# As Django's filters write them into an address: choices, yes/no, dates and relations.
LOOKUPS = ("exact", "isnull", "gte", "lt", "id__exact")


class SafeLists(admin.ModelAdmin):  # type: ignore[type-arg]
    """An admin whose list takes only the look-ups of its own filters.

    Django lets an address filter by every field and every look-up. A regular expression is enough to stop a process
    on SQLite: there it runs in Python, and one such as ``^(a+)+$`` holds the interpreter's lock for minutes.

    An id that no row can have, in a form or among the selected, is one that does not exist.
    """

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        fields = [each if isinstance(each, str) else each[0] for each in self.get_list_filter(request)]  # type: ignore[arg-type,index]
        allowed = {f"{field}__{kind}" for field in fields for kind in LOOKUPS}
        return lookup in allowed and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError, DataError) as error:  # no date, or a number that no database holds
            raise IncorrectLookupParameters(str(error)) from error

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, search_term.replace("\0", ""))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.CharField):  # the names of people, groups and topics stand in everybody's pages
            field.validators = [*field.validators, check_text]
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(db_field, request, **{"form_class": OneField} | kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **{"form_class": SeveralField} | kwargs)

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        form = request.POST.copy()
        form.setlist(ACTION_CHECKBOX_NAME, [pk for pk in form.getlist(ACTION_CHECKBOX_NAME) if is_id(pk)])
        request.POST = form  # type: ignore[assignment]  # a copy, which may be changed
        return super().response_action(request, *args, **kwargs)  # Django 6.1 also says where the action stands


def check_text(text: str) -> None:
    """A validator: no characters that turn the order of a text, and no control characters but the ends of lines."""
    if found := forbidden_in(text, allowed="\r\n\t"):
        character, place = found
        values = {"code": f"{ord(character):04X}", "place": place}
        raise ValidationError(_("A control character: U+%(code)s, character %(place)d.") % values)


class DatesFilter(admin.DateFieldListFilter):
    """Django's filter by date. A moment without a zone is in TIME_ZONE, instead of a warning in the log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in (self.lookup_kwarg_since, self.lookup_kwarg_until):
            if values := cast(list[Any], self.used_parameters.get(name)):
                self.used_parameters[name] = [_with_zone(value) for value in values]


def _with_zone(value: Any) -> Any:
    """What is no date stays as it is: the look-up refuses it."""
    moment = parse_datetime(value) or parse_date(value)
    if moment is None:
        return value
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # its zone comes next
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
