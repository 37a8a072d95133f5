"""The admin: compose, watch, recall; and "Send a notice to the selected…" on people and groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import Fieldset
from django.contrib.admin.widgets import AdminSplitDateTime, AutocompleteSelectMultiple
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from notifications import inbox
from notifications.admin_lists import DatesFilter, SafeLists
from notifications.audiences import Audience, describe_each, describe_some, people_in
from notifications.forms import ComposeForm, PeopleField, WriteForm, may_see_people
from notifications.models import Mute, Notice, Posting, ServerProcess, Source, Subscription, Topic
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

    def __init__(self, *args: Any, sender: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(PeopleField, self.fields["users"]).names_people = may_see_people(sender)
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
    list_filter = ("level", "source", ("published_at", DatesFilter))
    list_select_related = ("sender",)
    list_per_page = 25  # each row counts its readers
    list_max_show_all = 25
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
        # Only texts: whatever an address says, a text field can show it.
        initial = {name: request.GET[name] for name in WriteForm.base_fields | {"key": None} if name in request.GET}
        form = AdminComposeForm(request.POST or None, initial=initial, sender=_person(request))
        if request.method == "POST" and form.is_valid():
            people = people_in(form.audiences()).count()  # before: what is stored must not be called not done
            notice = form.send(audiences=form.audiences(), sender=_person(request), source=Source.ADMIN)
            if notice is not None:
                self.log_addition(request, notice, [{"added": {}}])
                self.message_user(request, _sentence_of(notice, people), messages.SUCCESS)
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
        """Whoever may only send sees what they have sent themselves; the others' is between those and their readers."""
        notices = super().get_queryset(request)
        return notices if super().has_view_permission(request) else notices.filter(sender=_person(request))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        fresh = timezone.now() - timedelta(seconds=ServerProcess.STALE_SECONDS)
        processes = ServerProcess.objects.filter(seen_at__gt=fresh)
        open_now = processes.aggregate(open=Sum("connections"))["open"] or 0
        context = {"open_now": open_now, "server_processes": processes.count(), **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        _look_up(changes.result_list)
        return changes

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Notice | None:
        notice = super().get_object(request, object_id, from_field)
        _look_up([notice] if notice else [])
        return notice

    @admin.display(description=_("when"), ordering="published_at")
    def when(self, notice: Notice) -> Any:
        return notice.published_at or notice.publish_at or notice.created_at

    @admin.display(description=_("to"))
    def to(self, notice: Notice) -> str:
        return notice.to_words

    @admin.display(description=_("status"))
    def status(self, notice: Notice) -> str:
        return format_html(
            '<span class="notice-status" data-status="{}">{}</span>', notice.status, STATUS_WORDS[notice.status]
        )

    @admin.display(description=_("read by"))
    def read_by(self, notice: Notice) -> int:
        return notice.readers

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


@admin.register(Topic)
class TopicAdmin(SafeLists):
    list_display = ("name", "slug", "description", "subscribers")
    search_fields = ("name", "slug")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Topic]:
        topics: QuerySet[Topic] = super().get_queryset(request)
        return topics.annotate(subscriber_count=Count("subscriptions"))

    def get_fields(self, request: HttpRequest, obj: Topic | None = None) -> tuple[str, ...]:
        return ("name", "slug", "description", *(("subscribers",) if obj else ()))

    def get_prepopulated_fields(self, request: HttpRequest, obj: Topic | None = None) -> dict[str, Sequence[str]]:
        return {"slug": ("name",)} if obj is None else {}

    def get_readonly_fields(self, request: HttpRequest, obj: Topic | None = None) -> tuple[str, ...]:
        return () if obj is None else ("slug", "subscribers")  # what was sent to the topic is addressed by its slug

    @admin.display(description=_("subscribers"))
    def subscribers(self, topic: Topic) -> str:
        """How many, with a link to the list of them: among the fields of the topic, 400 would be too many to save."""
        address = reverse("admin:notifications_subscription_changelist")
        count = topic.subscriber_count  # type: ignore[attr-defined]  # annotated above
        return format_html('<a href="{}?topic__id__exact={}">{}</a>', address, topic.pk, count)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Counted, not listed. No permission for subscriptions is asked for: nothing is left to subscribe to."""
        topics = list(objs)
        going = {
            gettext("topics"): len(topics),
            gettext("subscriptions"): Subscription.objects.filter(topic__in=topics).count(),
            gettext("mutes"): Mute.objects.filter(topic__in=topics).count(),
            gettext("postings"): Posting.objects.filter(audience__in=[topic.audience for topic in topics]).count(),
        }
        return list(map(str, topics)), {name: count for name, count in going.items() if count}, set(), []


@admin.register(Subscription)
class SubscriptionAdmin(SafeLists):
    """Who has subscribed to what. A subscription is made or ended; the person or the topic of one never changes."""

    list_display = ("user", "topic")
    list_filter = ("topic",)
    list_select_related = ("user", "topic")
    search_fields = ("user__username", "topic__name", "topic__slug")
    autocomplete_fields = ("user", "topic")

    def has_change_permission(self, request: HttpRequest, obj: Subscription | None = None) -> bool:
        return False


# "Send a notice to the selected…" -------------------------------------------------------------------------


def _send_to_selected(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, selected: QuerySet[Any], kind: Literal["user", "group"]
) -> HttpResponse | None:
    """An intermediate page with the text of the notice; its submit comes back here with the same selection.

    Whoever has chosen all of a list chooses again with the submit: it says that all were chosen, not which. The
    sentence at the end counts those who have got it.
    """
    audiences = [Audience(kind, str(pk)) for pk in selected.order_by("pk").values_list("pk", flat=True)]
    form = WriteForm(request.POST if "send" in request.POST else None)
    if "send" in request.POST and form.is_valid():
        people = people_in(audiences).count()  # before: what is stored must not be called not done
        notice = form.send(audiences=audiences, sender=_person(request), source=Source.ADMIN)
        if notice is not None:
            model_admin.message_user(request, _sentence_of(notice, people), messages.SUCCESS)
            return None
    across = _is_across(request)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": gettext("Send a notice"),
        "form": form,
        "to": describe_some(audiences, len(audiences)),
        "selected": [audience.key for audience in (audiences[:1] if across else audiences)],
        "across": across,
        "action": request.POST["action"],
    }
    return TemplateResponse(request, "admin/notifications/send_to_selected.html", context)


def _is_across(request: HttpRequest) -> bool:
    """Whether all of the list was chosen, and not only rows of the page."""
    return request.POST.get("select_across") not in (None, "", "0")


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
    """Accounts. Nobody gives themselves or others more rights than they have: only superusers give rights at all."""

    actions = ("send_to_selected",)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        rights = ("is_staff", "is_superuser", "groups", "user_permissions")
        return () if _person(request).is_superuser else rights

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who may change an account may sign in as its owner, by a new password or e-mail address."""
        return super().has_change_permission(request, obj) and _has_no_less_rights(_person(request), obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _has_no_less_rights(_person(request), obj)

    @admin.action(description=_("Send a notice to the selected people"), permissions=["send_notice"])
    def send_to_selected(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        # All of a list are those who can be sent to; one chosen by hand who cannot is named in an error.
        chosen = users.filter(is_active=True) if _is_across(request) else users
        return _send_to_selected(self, request, chosen, "user")


@admin.register(Group)
class GroupsAdmin(SendToSelected, SafeLists, GroupAdmin):  # type: ignore[misc]  # its own pickers pass through ours
    actions = ("send_to_selected",)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> tuple[str, ...]:
        return () if _person(request).is_superuser else ("permissions",)

    @admin.action(description=_("Send a notice to the selected groups"), permissions=["send_notice"])
    def send_to_selected(self, request: HttpRequest, groups: QuerySet[Group]) -> HttpResponse | None:
        return _send_to_selected(self, request, groups, "group")


def _has_no_less_rights(person: User, other: User | None) -> bool:
    """Whether ``person`` may do all that ``other`` may, or may once their account is active again."""
    if other is None or person.is_superuser:
        return True
    held = Permission.objects.filter(Q(user=other) | Q(group__user=other)).select_related("content_type")
    others = {f"{each.content_type.app_label}.{each.codename}" for each in held}
    return not other.is_superuser and others <= person.get_all_permissions()


def _look_up(notices: Collection[Notice]) -> None:
    """Give each its two cells that take a query, with as many queries for a page as for one notice."""
    words, readers = describe_each(notices), inbox.count_readers(notices)
    for notice in notices:
        notice.to_words, notice.readers = words[notice.pk], readers[notice.pk]


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise SendingRefused(gettext("sign in first"))
    return request.user


def _sentence_of(notice: Notice, people: int) -> str:
    words = ngettext("“%(title)s” was sent to %(count)d person.", "“%(title)s” was sent to %(count)d people.", people)
    return words % {"title": notice.title, "count": people}
