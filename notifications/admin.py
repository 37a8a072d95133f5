"""The admin: compose, watch, recall; and "Send a notice to the selected…" on people and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import Fieldset
from django.contrib.admin.widgets import AdminSplitDateTime, AutocompleteSelectMultiple
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from notifications import inbox
from notifications.admin_lists import SafeLists
from notifications.audiences import Audience, describe, people_in
from notifications.forms import ComposeForm, WriteForm
from notifications.models import Notice, ServerProcess, Source, Subscription, Topic
from notifications.sending import SendingRefused, recall_notice, send_notice

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

STATUS_WORDS: dict[str, _StrPromise] = {
    "live": _("Live"),
    "waiting": _("Waiting"),
    "scheduled": _("Scheduled"),
    "expired": _("Expired"),
    "recalled": _("Recalled"),
    "failed": _("Failed"),
}


class AdminComposeForm(ComposeForm):
    """The compose form with the admin's own pickers and calendars."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, relation in (
            ("users", Subscription._meta.get_field("user")),
            ("groups", User._meta.get_field("groups")),
            ("topics", Subscription._meta.get_field("topic")),
        ):
            field = self.fields[name]
            field.widget = AutocompleteSelectMultiple(relation, admin.site)
            field.widget.choices = field.choices  # type: ignore[attr-defined]
        for name in ("publish_at", "expires_at"):
            self.fields[name].widget = widget = AdminSplitDateTime()
            for part, word in zip(widget.widgets, (gettext("Date:"), gettext("Time:")), strict=True):
                part.attrs["aria-label"] = f"{self.fields[name].label} {word}"  # Django's own words label nothing
        for name in ("title", "url", "key"):
            self.fields[name].widget.attrs["class"] = "vTextField"
        self.fields["body"].widget.attrs["class"] = "vLargeTextField"


@admin.register(Notice)
class NoticeAdmin(SafeLists):
    """A notice is written once: adding sends it, and afterwards it can be read, recalled or sent again."""

    class Media:
        css = {"all": ["notifications/admin.css"]}

    list_display = ("when", "title", "to", "level", "source", "sender", "status", "read_by")
    list_display_links = ("title",)
    list_filter = ("level", "source", "published_at")
    list_select_related = ("sender",)
    list_per_page = 25  # each row counts its readers
    search_fields = ("title", "body", "key")
    actions = ("recall", "send_again")
    change_list_template = "admin/notifications/notice/change_list.html"
    add_fieldsets = (
        (None, {"fields": ("title", "body", "level", "url")}),
        (_("For whom"), {"fields": ("everyone", "staff", "users", "groups", "topics")}),
        (_("When"), {"fields": ("publish_at", "expires_at", "key")}),
    )
    sent_fields = (
        "title",
        "body",
        "to",
        "level",
        "url",
        "sender",
        "source",
        "key",
        "status",
        "error",
        "created_at",
        "publish_at",
        "published_at",
        "expires_at",
        "recalled_at",
        "read_by",
    )

    # Who may what -----------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.send_notice")

    def has_view_permission(self, request: HttpRequest, obj: Notice | None = None) -> bool:
        return self.has_add_permission(request) or super().has_view_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Notice | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Notice | None = None) -> bool:
        return False  # recall it: what was sent stays on record

    def has_send_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def has_recall_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.recall_notice")

    # Compose ----------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Notice | None = None) -> Any:
        return self.add_fieldsets if obj is None else ((None, {"fields": self.sent_fields}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Notice | None = None) -> Any:
        return () if obj is None else self.sent_fields

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AdminComposeForm(request.POST or None, initial=request.GET.dict())
        if request.method == "POST" and form.is_valid():
            notice = form.send(audiences=form.audiences(), sender=_person(request), source=Source.ADMIN)
            if notice is not None:
                self.log_addition(request, notice, [{"added": {}}])
                self.message_user(request, _sentence_of(notice, form.audiences()), messages.SUCCESS)
                again = "_addanother" in request.POST
                return HttpResponseRedirect(reverse(f"admin:notifications_notice_{'add' if again else 'changelist'}"))
        fieldsets = [
            Fieldset(form, name, model_admin=self, **options)  # type: ignore[arg-type]  # any form will do
            for name, options in self.add_fieldsets
        ]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Send a notice"),
            "form": form,
            "fieldsets": fieldsets,
            "media": self.media + form.media,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/notifications/notice/compose.html", context)

    # The list ---------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notice]:
        return super().get_queryset(request).prefetch_related("postings")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        fresh = timezone.now() - timedelta(seconds=ServerProcess.STALE_SECONDS)
        processes = ServerProcess.objects.filter(seen_at__gt=fresh)
        open_now = processes.aggregate(open=Sum("connections"))["open"] or 0
        context = {"open_now": open_now, "server_processes": processes.count(), **(extra_context or {})}
        return super().changelist_view(request, context)

    @admin.display(description=_("when"), ordering="published_at")
    def when(self, notice: Notice) -> Any:
        return notice.published_at or notice.publish_at or notice.created_at

    @admin.display(description=_("to"))
    def to(self, notice: Notice) -> str:
        return ", ".join(describe(Audience.parse(posting.audience) for posting in notice.postings.all()))

    @admin.display(description=_("status"))
    def status(self, notice: Notice) -> str:
        return format_html(
            '<span class="notice-status" data-status="{}">{}</span>', notice.status, STATUS_WORDS[notice.status]
        )

    @admin.display(description=_("read by"))
    def read_by(self, notice: Notice) -> int:
        return inbox.readers_of(notice).count()

    # Actions ----------------------------------------------------------------------------------------------

    @admin.action(description=_("Recall the selected notices"), permissions=["recall"])
    def recall(self, request: HttpRequest, notices: QuerySet[Notice]) -> None:
        recalled = 0
        for notice in notices:
            if recall_notice(notice, by=_person(request)):
                recalled += 1
                self.log_change(request, notice, gettext("Recalled."))
        words = ngettext("%(count)d notice recalled.", "%(count)d notices recalled.", recalled)
        self.message_user(request, words % {"count": recalled}, messages.SUCCESS)

    @admin.action(description=_("Send the selected notices again"), permissions=["send"])
    def send_again(self, request: HttpRequest, notices: QuerySet[Notice]) -> None:
        sent = 0
        for notice in notices.order_by("id"):
            try:
                again = send_notice(
                    title=notice.title,
                    body=notice.body,
                    level=notice.level,
                    url=notice.url,
                    audiences=[posting.audience for posting in notice.postings.all()],
                    sender=_person(request),
                    source=Source.ADMIN,
                )
            except ValueError as error:
                self.message_user(request, f"{notice.title}: {error}", messages.ERROR)
                continue
            self.log_addition(request, again, [{"added": {}}])
            sent += 1
        if sent:
            words = ngettext("%(count)d notice sent again.", "%(count)d notices sent again.", sent)
            self.message_user(request, words % {"count": sent}, messages.SUCCESS)


class SubscriptionInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Subscription
    autocomplete_fields = ("user",)
    extra = 1


@admin.register(Topic)
class TopicAdmin(SafeLists):
    list_display = ("name", "slug", "description")
    search_fields = ("name", "slug")
    inlines = (SubscriptionInline,)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Topic | None = None) -> dict[str, Sequence[str]]:
        return {"slug": ("name",)} if obj is None else {}

    def get_readonly_fields(self, request: HttpRequest, obj: Topic | None = None) -> tuple[str, ...]:
        return () if obj is None else ("slug",)  # what was sent to the topic is addressed by it


# "Send a notice to the selected…" -------------------------------------------------------------------------


def _send_to_selected(
    model_admin: admin.ModelAdmin[Any],
    request: HttpRequest,
    selected: QuerySet[Any],
    audience_of: Callable[[Any], Audience],
) -> HttpResponse | None:
    """An intermediate page with the text of the notice; its submit comes back here with the same selection."""
    audiences = [audience_of(each) for each in selected.order_by("pk")]
    form = WriteForm(request.POST if "send" in request.POST else None)
    if "send" in request.POST and form.is_valid():
        notice = form.send(audiences=audiences, sender=_person(request), source=Source.ADMIN)
        if notice is not None:
            model_admin.message_user(request, _sentence_of(notice, audiences), messages.SUCCESS)
            return None
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": gettext("Send a notice"),
        "form": form,
        "to": describe(audiences),
        "selected": selected.values_list("pk", flat=True),
        "action": request.POST["action"],
    }
    return TemplateResponse(request, "admin/notifications/send_to_selected.html", context)


class SendToSelected:
    """What the lists of people and of groups share: who may use the action."""

    def has_send_notice_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.send_notice")


admin.site.site_header = admin.site.site_title = _("Notices")
admin.site.index_title = _("Administration")
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PeopleAdmin(SendToSelected, SafeLists, UserAdmin):  # type: ignore[type-arg]
    actions = ("send_to_selected",)

    @admin.action(description=_("Send a notice to the selected people"), permissions=["send_notice"])
    def send_to_selected(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        return _send_to_selected(self, request, users, Audience.user)


@admin.register(Group)
class GroupsAdmin(SendToSelected, SafeLists, GroupAdmin):
    actions = ("send_to_selected",)

    @admin.action(description=_("Send a notice to the selected groups"), permissions=["send_notice"])
    def send_to_selected(self, request: HttpRequest, groups: QuerySet[Group]) -> HttpResponse | None:
        return _send_to_selected(self, request, groups, Audience.group)


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise SendingRefused(gettext("sign in first"))
    return request.user


def _sentence_of(notice: Notice, audiences: list[Audience]) -> str:
    people = people_in(audiences).count()
    words = ngettext("“%(title)s” was sent to %(count)d person.", "“%(title)s” was sent to %(count)d people.", people)
    return words % {"title": notice.title, "count": people}
