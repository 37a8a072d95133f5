"""What is kept. Nothing here decides who is told, or when: see sending.py, log.py and inbox.py."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from notifications.texts import plain

# The years a moment may lie in. Python's end with 9999, and a page shows a moment in another time zone than it came in.
FIRST_YEAR, LAST_YEAR = 1970, 9000
_FIRST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_LAST = datetime(LAST_YEAR, 12, 31, 23, 59, 59, tzinfo=UTC)


class MomentField(models.DateTimeField):  # type: ignore[type-arg]  # generic for the type checker only
    """A moment that every page can show: a row of before they were checked is read as the nearest that is allowed."""

    def from_db_value(self, value: datetime | None, *_: Any) -> datetime | None:
        return value and min(max(value, _FIRST), _LAST)

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs  # the column is the same


class Log(models.Model):
    """The one row that orders everything: each published notice took its position from `head`.

    Whoever gives out positions holds this row locked until it commits, so positions become visible in order and
    a reader at position n has never yet to see an n-1.
    """

    epoch = models.UUIDField(default=uuid.uuid4, help_text="changes when the log is rebuilt")
    head = models.BigIntegerField(default=0, help_text="the newest position")
    # The version before this one knows nothing of it, and may still publish while hosts are upgraded one by one.
    filled = models.BigIntegerField(default=0, db_default=0, help_text="postings up to here carry their place")

    def __str__(self) -> str:
        return f"{self.epoch}:{self.head}"


class TopicQuerySet(models.QuerySet["Topic"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the topics, and take down what was put up for them: see `Topic.delete`."""
        with transaction.atomic():
            Posting.objects.filter(audience__in=[topic.audience for topic in self]).delete()
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]  # a template must not call it
    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django's: Topic.objects has none


class Topic(models.Model):
    """What people may subscribe to."""

    slug = models.SlugField(_("slug"), unique=True, max_length=100)
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True)

    objects = TopicQuerySet.as_manager()

    class Meta:
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def audience(self) -> str:
        """As a posting names it."""
        return f"topic:{self.slug}"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the topic, and take down what was put up for it.

        Postings name it by its slug: whoever subscribes to a new topic with the same slug must not see them.
        """
        with transaction.atomic():
            Posting.objects.filter(audience=self.audience).delete()
            return super().delete(*args, **kwargs)

    delete.alters_data = True  # type: ignore[attr-defined]  # a template must not call it


class Subscription(models.Model):
    """One person has subscribed to one topic."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user"), related_name="subscriptions"
    )
    topic = models.ForeignKey(Topic, models.CASCADE, verbose_name=_("topic"), related_name="subscriptions")

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [models.UniqueConstraint(fields=["user", "topic"], name="one_subscription_each")]

    def __str__(self) -> str:
        return f"{self.user} · {self.topic}"


class Level(models.TextChoices):
    INFO = "info", _("Info")
    SUCCESS = "success", _("Success")
    WARNING = "warning", _("Warning")
    ERROR = "error", _("Error")


class Rung(models.TextChoices):
    """How far a notice may go to get somebody's attention: one ladder, each rung with those below it."""

    NOTHING = "nothing", _("Nothing")
    ROW = "row", _("Row only")
    ANNOUNCE = "announce", _("Announce")
    TOAST = "toast", _("Toast")
    SOUND = "sound", _("Sound")
    DESKTOP = "desktop", _("Desktop alert")


class Source(models.TextChoices):
    ADMIN = "admin", _("admin")
    VIEW = "view", _("send form")
    COMMAND = "command", _("command")
    API = "api", _("API")
    PYTHON = "python", _("Python")


# As in notice_row.js: no `//host` and no `/\\host`, and no tab in between, which browsers pass over.
LINK = re.compile(r"(https?://|/(?![/\\]))[^\0-\x20]*", re.IGNORECASE | re.ASCII)


class NoticeQuerySet(models.QuerySet["Notice"]):
    def waiting(self, now: datetime | None = None) -> NoticeQuerySet:
        """To be (re)published at once or later. Not what ended before it was shown, nor what cannot be published."""
        ended = Q(recalled_at__isnull=False) | Q(expires_at__lte=now or timezone.now())
        return self.filter(position=None, error="").exclude(Q(published=None) & ended)

    def due(self, now: datetime | None = None) -> NoticeQuerySet:
        return self.waiting(now).filter(Q(publish_at=None) | Q(publish_at__lte=now or timezone.now()))

    def live(self) -> NoticeQuerySet:
        """Published, not recalled, not expired."""
        now = timezone.now()
        return self.filter(published__isnull=False, recalled_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=now))


class Notice(models.Model):
    """The thing sent.

    `published` is the position at which it first appeared, and never changes. `position` is where it stands in
    the log now: a recall moves it to a new head, so that everybody who is behind sees it once, as it is.
    A notice without a position is waiting to be (re)published.
    """

    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("body"), blank=True)
    level = models.CharField(_("level"), max_length=10, choices=Level.choices, default=Level.INFO)
    url = models.CharField(_("link"), max_length=2000, blank=True)
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("sender"),
        null=True,
        blank=True,
        related_name="notices_sent",
    )
    source = models.CharField(_("source"), max_length=10, choices=Source.choices, default=Source.PYTHON)
    key = models.CharField(_("key"), max_length=200, blank=True, db_index=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    publish_at = MomentField(_("publish at"), null=True, blank=True)
    expires_at = MomentField(_("expires"), null=True, blank=True)
    recalled_at = models.DateTimeField(_("recalled"), null=True, blank=True)
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    published = models.BigIntegerField(null=True, blank=True, editable=False)
    position = models.BigIntegerField(null=True, blank=True, editable=False)
    # A digest of the key and the audiences; NULL without a key. A newer notice of the same subject supersedes this one.
    subject = models.CharField(max_length=32, null=True, blank=True, editable=False)  # noqa: DJ001  # index without NULL
    error = models.TextField(
        _("error"), blank=True, default="", db_default="", editable=False, help_text="why it cannot be published"
    )

    objects = NoticeQuerySet.as_manager()

    # How many server processes heard of it, once this very object was sent; None if Redis did not answer.
    heard_by: int | None = None
    # For the admin, which looks them up for a page of notices at once.
    to_words: str = ""
    readers: int = 0

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("send_notice", _("Can send notices")), ("recall_notice", _("Can recall notices"))]
        # Partial, so that PostgreSQL does not take these columns for what a foreign key may point to: an UPDATE of such
        # a column waits for each transaction that writes a receipt of the notice.
        constraints = [
            models.UniqueConstraint(
                fields=["published"], condition=Q(published__isnull=False), name="one_notice_at_published"
            ),
            models.UniqueConstraint(
                fields=["position"], condition=Q(position__isnull=False), name="one_notice_at_position"
            ),
        ]
        indexes = [
            models.Index(
                fields=["subject"], condition=Q(recalled_at=None, subject__isnull=False), name="notice_live_subject"
            ),
            models.Index(fields=["publish_at"], condition=Q(position=None), name="notice_waiting"),
            models.Index(fields=["published_at"], name="notice_published_at"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_live(self) -> bool:
        return self.status == "live"

    @property
    def status(self) -> str:
        """One of failed, recalled, expired, live, scheduled, waiting."""
        now: datetime = timezone.now()
        if self.error:
            return "failed"
        if self.recalled_at:
            return "recalled"
        if self.expires_at and self.expires_at <= now:
            return "expired"
        if self.published is not None:
            return "live"
        return "scheduled" if self.publish_at and self.publish_at > now else "waiting"

    @property
    def is_link(self) -> bool:
        """Whether a click may follow `url`. `send_notice` refuses the others; a page should not have to trust that."""
        return LINK.fullmatch(self.url) is not None

    @property
    def sender_name(self) -> str:
        if self.sender is None:
            return ""
        return plain(self.sender.get_full_name()).strip() or plain(self.sender.get_username())


class Posting(models.Model):
    """One notice put up for one audience.

    `published` is the notice's, once it has one and until its recall has a place in the log: what an audience was
    sent stands together in one index, newest last, and what was recalled is not in anybody's way there.
    """

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="postings")
    audience = models.CharField(_("audience"), max_length=120)
    published = models.BigIntegerField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("postings")
        constraints = [models.UniqueConstraint(fields=["notice", "audience"], name="one_posting_each")]
        indexes = [models.Index(fields=["audience", "published"], name="posting_by_audience")]

    def __str__(self) -> str:
        return self.audience


class Receipt(models.Model):
    """One person's dealings with one notice. That there is one means: they have seen it (see `ReadMark`, too).

    A notice is read if `read_at` says so, or by the person's read mark, unless it was marked unread since; see
    `ReadMark`. What is archived is read. `published` is the notice's, so that what was archived, marked unread, or
    seen and not read, stands in order in an index of its own; the version before this one wrote receipts without it.
    """

    # The unique index serves. One of users alone would look as good to a PostgreSQL that has no statistics yet.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="receipts", db_index=False)
    notice = models.ForeignKey(Notice, models.CASCADE, related_name="receipts")
    published = models.BigIntegerField(null=True)
    read_at = models.DateTimeField(null=True)
    unread_change = models.BigIntegerField(null=True, help_text="the change that marked it unread")
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "notice"], name="one_receipt_each"),
            models.CheckConstraint(
                condition=Q(read_at__isnull=False, unread_change=None, archived_at=None)
                | Q(published__isnull=False, read_at=None, archived_at=None)
                | Q(published__isnull=False, read_at__isnull=False, unread_change=None),
                name="receipt_is_one_of_a_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "published"], condition=Q(read_at=None), name="receipt_seen"),
            models.Index(fields=["user", "published"], condition=Q(archived_at__isnull=False), name="receipt_archived"),
            models.Index(fields=["user", "published"], condition=Q(unread_change__isnull=False), name="receipt_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.notice}"


class ReadMark(models.Model):
    """Where one person stands in the log.

    What was sent to everyone at or below `joined` was before their time; see marks.py.

    Everything published at or below `through` is read by them, except what they have marked unread by a change later
    than `through_change`, which moved the mark. "Mark all read" is one row.

    Everything published at or below `seen_through` was on a screen, although no receipt says so: whoever has seen a
    broadcast moves one number of their own row. What is read is seen, so the higher of both marks counts.

    `changes` counts each time this person has changed their inbox, here or by receipts: a page that knows another
    number has missed some of it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="read_mark")
    through = models.BigIntegerField(default=0)
    # The version before this one knows nothing of it, and may still write while hosts are upgraded one by one.
    through_change = models.BigIntegerField(default=0, db_default=0)
    seen_through = models.BigIntegerField(default=0, db_default=0)
    joined = models.BigIntegerField(null=True, help_text="the head of the log when the account was made")
    changes = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.user} · {self.through}"

    @property
    def seen_floor(self) -> int:
        """Up to here everything was seen; above it a receipt says so."""
        return max(self.through, self.seen_through)


class Preferences(models.Model):
    """How much of their attention one person gives to notices, and when; without a row, as the defaults say."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="preferences")
    info = models.CharField(_("Info"), max_length=10, choices=Rung.choices, default=Rung.ANNOUNCE)
    success = models.CharField(_("Success"), max_length=10, choices=Rung.choices, default=Rung.ANNOUNCE)
    warning = models.CharField(_("Warning"), max_length=10, choices=Rung.choices, default=Rung.TOAST)
    error = models.CharField(_("Error"), max_length=10, choices=Rung.choices, default=Rung.TOAST)
    quiet_from = models.TimeField(_("Quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("Quiet until"), null=True, blank=True)
    time_zone = models.CharField(_("Time zone"), max_length=64, blank=True, help_text="as IANA names it; empty: ours")
    volume = models.PositiveSmallIntegerField(_("Volume of the sound"), default=50, help_text="0 to 100")
    shortcuts = models.BooleanField(_("Keyboard shortcuts"), default=True)

    class Meta:
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return str(self.user)


class Undo(models.Model):
    """How things were before the last thing that a person did in their inbox."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    change = models.BigIntegerField(help_text="the change that it takes back")
    at = models.DateTimeField()
    before = models.JSONField(help_text="receipts, and the read mark if it was moved")

    def __str__(self) -> str:
        return f"{self.user} · {self.change}"


class Mute(models.Model):
    """One person wants no attention for one topic, until then or for good. Its notices still come into the inbox."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="mutes")
    topic = models.ForeignKey(Topic, models.CASCADE, related_name="mutes")
    until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "topic"], name="one_mute_each")]

    def __str__(self) -> str:
        return f"{self.user} · {self.topic}"


class ServerProcess(models.Model):
    """One server process as its hub last described it; older than `STALE_SECONDS` means it is gone."""

    STALE_SECONDS = 60

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200, help_text="host:pid")
    state = models.CharField(max_length=10)
    connections = models.PositiveIntegerField()
    position = models.BigIntegerField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
