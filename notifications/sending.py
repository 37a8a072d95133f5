"""Sending and recalling: the only door in. Views, the admin, commands and other code all call this."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.db import Error as DatabaseError
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications.audiences import Audience, check_exists
from notifications.log import CommitFailed, Published, publish_pending, publish_with
from notifications.models import FIRST_YEAR, LAST_YEAR, Level, Notice, Posting, Source
from notifications.texts import forbidden_in, is_visible

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

MAX_TITLE = 200  # characters
MAX_BODY_BYTES = 8192
MAX_URL = 2000
MAX_KEY = 200
# A moment that passed while somebody was still typing means "now"; an older one is a mistake.
LATE = timedelta(minutes=5)
LOOK_SECONDS = 5  # how long a database that went away during a commit is asked what came of it
AT_A_SCREEN = (Source.ADMIN, Source.VIEW, Source.API)  # where a person's own permissions count


class InvalidNotice(ValueError):
    """A value was refused and nothing was stored. `field` says which one, the message why, in the caller's language."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class SendingRefused(ValueError):
    """The sender has no permission for this, and nothing was stored."""


class OutcomeUnknown(OperationalError):
    """The database went away during the commit, and did not come back to say whether the notice is stored."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "the database went away while it stored the notice; whether it is stored is not known: "
                "look for it before you send it again"
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A notice to be sent. The values are those of `send_notice`."""

    title: str
    audiences: Sequence[Audience | str]
    body: str = ""
    level: str = "info"
    url: str = ""
    key: str = ""
    publish_at: datetime | None = None
    expires_at: datetime | None = None


def send_notice(
    *,
    title: str,
    audiences: Iterable[Audience | str],
    body: str = "",
    level: str = "info",
    url: str = "",
    sender: User | None = None,
    source: str = "python",
    key: str = "",
    publish_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Notice:
    """Store a notice, and publish it once the caller's transaction commits.

    The row is the promise; the bell is a courtesy. If Redis is away the notice is stored all the same and open
    pages show it within seconds; if this process dies after the commit, a server publishes it.

    Args:
        title: one line, 200 characters at most.
        audiences: who it is for, e.g. ``[EVERYONE]`` or ``["group:7", Audience.user(ada)]``.
        body: plain text, 8 KiB at most; lines are kept.
        level: info, success, warning or error.
        url: an http(s) address, or a path on this site.
        sender: who sends it. With the sources admin, view and api this person's permissions are checked.
        source: admin, view, command, api or python.
        key: publishing it recalls earlier notices with the same key for the same audiences.
        publish_at: not before this moment (aware).
        expires_at: leaves every inbox at this moment (aware).

    Raises:
        InvalidNotice: a value is out of bounds; the message names it and the choices.
        UnknownAudience: an audience does not exist.
        SendingRefused: the sender may not send.
        OutcomeUnknown: the database went away during the commit; any other database error: nothing was stored.
    """
    draft = Draft(
        title=title,
        audiences=tuple(audiences),
        body=body,
        level=level,
        url=url,
        key=key,
        publish_at=publish_at,
        expires_at=expires_at,
    )
    return send_notices([draft], sender=sender, source=source)[0]


def send_notices(drafts: Iterable[Draft], *, sender: User | None = None, source: str = "python") -> list[Notice]:
    """Send many notices in one transaction: all or none. Values and errors are those of `send_notice`."""
    _check_choice("source", source, Source.values)
    if source in AT_A_SCREEN:
        _check_permission(
            sender,
            "notifications.send_notice",
            _("%(person)s may not send notices: the permission %(permission)s is missing"),
        )
    drafts = check_drafts(drafts)
    if transaction.get_connection().in_atomic_block:  # the caller's, which may go on for long, or be rolled back
        with transaction.atomic():
            notices = _store(drafts, sender, source)
            _publish_on_commit(notices)
        return notices
    published: Published | None
    try:
        notices, published = publish_with(lambda: _store(drafts, sender, source))
    except CommitFailed as failure:
        if not _is_stored(failure.notices):
            raise
        notices, published = failure.notices, None
    _publish(notices, published)
    return notices


def _is_stored(notices: list[Notice]) -> bool:
    """Whether a commit that failed has stored ``notices`` all the same.

    Raises:
        OutcomeUnknown: the database did not answer for `LOOK_SECONDS`.
    """
    give_up = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            return all(_is_committed(notice) for notice in notices[:1])  # all or none
        except DatabaseError as error:
            connection.close()
            if time.monotonic() > give_up:
                raise OutcomeUnknown from error
            time.sleep(0.2)


def _is_committed(notice: Notice) -> bool:
    """Inserting the same id waits for a transaction that still commits, where looking would not see its row."""
    try:
        with transaction.atomic():
            Notice.objects.bulk_create([Notice(pk=notice.pk, title=notice.title)])
            transaction.set_rollback(True)
    except IntegrityError:
        return Notice.objects.filter(pk=notice.pk, created_at=notice.created_at, title=notice.title).exists()
    return False


def _store(drafts: list[Draft], sender: User | None, source: str) -> list[Notice]:
    notices = Notice.objects.bulk_create(
        Notice(
            title=draft.title,
            body=draft.body,
            level=draft.level,
            url=draft.url,
            key=draft.key,
            subject=subject_of(draft.key, draft.audiences),
            publish_at=draft.publish_at,
            expires_at=draft.expires_at,
            sender=sender,
            source=source,
        )
        for draft in drafts
    )
    # 3 parameters each, and PostgreSQL takes 65,535 of them.
    Posting.objects.bulk_create(
        (
            Posting(notice=notice, audience=str(audience))
            for notice, draft in zip(notices, drafts, strict=True)
            for audience in draft.audiences
        ),
        batch_size=10_000,
    )
    return notices


def check_drafts(drafts: Iterable[Draft]) -> list[Draft]:
    """The drafts as they would be sent: texts tidied, audiences parsed. Stores nothing; raises like `send_notice`."""
    checked = [_checked(draft) for draft in drafts]
    check_exists(audience for draft in checked for audience in draft.audiences if isinstance(audience, Audience))
    return checked


def recall_notice(notice: Notice, *, by: User | None = None) -> bool:
    """Take ``notice`` back: it leaves every inbox, and every open page at once.

    Args:
        by: the person who asks, whose permission is checked; None for code that decides by itself.

    Returns:
        False if it was recalled before; then nothing changes.

    Raises:
        SendingRefused: ``by`` may not recall notices.
    """
    if by is not None:
        _check_permission(
            by,
            "notifications.recall_notice",
            _("%(person)s may not recall notices: the permission %(permission)s is missing"),
        )
    with transaction.atomic():
        recalled = Notice.objects.filter(pk=notice.pk, recalled_at=None).update(
            recalled_at=timezone.now(), position=None
        )
        if recalled:
            _publish_on_commit([notice])
    notice.refresh_from_db()
    return bool(recalled)


def subject_of(key: str, audiences: Iterable[Audience | str]) -> str | None:
    """What a notice is about, and for whom: a newer one with the same subject takes its place. None without a key."""
    if not key:
        return None
    words = "\0".join([key, *sorted({str(audience) for audience in audiences})])
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


def _publish_on_commit(notices: list[Notice]) -> None:
    def publish() -> None:
        _publish(notices)

    # Robust: whatever fails here, the caller's transaction is committed, and its other hooks are still to run.
    transaction.on_commit(publish, robust=True)


def _publish(notices: Iterable[Notice], published: Published | None = None) -> None:
    """Publish what is not ``published`` yet, and note who heard of it."""
    try:
        published = published or publish_pending()
    except DatabaseError as error:
        # The rows are committed: a server's next look at the log publishes them.
        logger.error("Stored, but not published yet: %s", error)
        return
    except Exception:  # a fault of ours, but what called us has committed
        logger.exception("Stored, but not published yet")
        return
    for notice in notices:
        notice.heard_by = published.heard_by


def _check_permission(person: User | None, permission: str, refusal: str) -> None:
    if person is None or not person.has_perm(permission):
        raise SendingRefused(refusal % {"person": person or _("nobody"), "permission": permission})


def _parsed(audiences: Iterable[Audience | str]) -> list[Audience]:
    parsed = [a if isinstance(a, Audience) else Audience.parse(a) for a in audiences]
    if not parsed:
        raise InvalidNotice("audiences", _("choose at least one audience"))
    return list(dict.fromkeys(parsed))


def _checked(draft: Draft) -> Draft:
    """The draft with its texts tidied. Raises `InvalidNotice`."""
    title = draft.title.strip()
    body = draft.body.replace("\r\n", "\n").strip()
    if not title:
        raise InvalidNotice("title", _("the title is empty"))
    _check_text("title", title)
    if not is_visible(title):
        raise InvalidNotice("title", _("the title has no visible character"))
    _check_text("key", draft.key)
    _check_text("body", body, allowed="\n\t")
    _check_length("title", title, MAX_TITLE)
    _check_length("key", draft.key, MAX_KEY)
    if (size := len(body.encode())) > MAX_BODY_BYTES:
        sentence = _("the body has %(size)d bytes; %(most)d is the most")
        raise InvalidNotice("body", sentence % {"size": size, "most": MAX_BODY_BYTES})
    _check_choice("level", draft.level, Level.values)
    _check_url(draft.url)
    _check_times(draft.publish_at, draft.expires_at)
    return replace(draft, title=title, body=body, audiences=_parsed(draft.audiences))


def _check_text(field: str, text: str, allowed: str = "") -> None:
    """No control characters: PostgreSQL cannot store NUL, terminals obey others, and some turn a text around."""
    if found := forbidden_in(text, allowed):
        character, place = found
        values = {"field": _name_of(field), "code": ord(character), "place": place}
        raise InvalidNotice(
            field, _("the %(field)s has a control character: U+%(code)04X, character %(place)d") % values
        )


def _check_length(field: str, text: str, most: int) -> None:
    if len(text) > most:
        sentence = _("the %(field)s has %(size)d characters; %(most)d is the most")
        raise InvalidNotice(field, sentence % {"field": _name_of(field), "size": len(text), "most": most})


def _check_choice(field: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        sentence = _("%(field)s %(value)r: choose one of %(choices)s")
        values = {"field": _name_of(field), "value": value, "choices": ", ".join(choices)}
        raise InvalidNotice(field, sentence % values)


def _name_of(field: str) -> str:
    """What a person calls it."""
    return str(Notice._meta.get_field(field).verbose_name)  # type: ignore[union-attr]  # none of them is a relation


def _check_url(url: str) -> None:
    """A link may lead to a web page or stay on this site; `javascript:` and `//elsewhere` may not pass."""
    if not url:
        return
    _check_text("url", url)
    _check_length("url", url, MAX_URL)
    sentence = _("link %(url)r: use http://…, https://… or a path that begins with /")
    refused = InvalidNotice("url", sentence % {"url": url})
    try:
        parts = urlsplit(url)
        is_web_page = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError as error:
        raise refused from error
    is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
    if not (is_web_page or is_path) or any(character in url for character in ' "<>\\'):
        raise refused


def _check_times(publish_at: datetime | None, expires_at: datetime | None) -> None:
    now = timezone.now()
    _check_moment("publish_at", publish_at)
    _check_moment("expires_at", expires_at)
    if publish_at and publish_at < now - LATE:
        raise InvalidNotice("publish_at", _("publish_at %(moment)s is in the past") % {"moment": _shown(publish_at)})
    if expires_at and expires_at <= now:
        raise InvalidNotice("expires_at", _("expires_at %(moment)s is in the past") % {"moment": _shown(expires_at)})
    if expires_at and publish_at and expires_at <= publish_at:
        raise InvalidNotice("expires_at", _("expires_at is not after publish_at"))


def _check_moment(field: str, moment: datetime | None) -> None:
    if moment is None:
        return
    values = {"field": field, "moment": moment, "first": FIRST_YEAR, "last": LAST_YEAR}
    if timezone.is_naive(moment):
        raise InvalidNotice(field, _("%(field)s %(moment)s: give a time zone") % values)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:  # as it was given: in another zone it may be no moment at all
        raise InvalidNotice(field, _("%(field)s %(moment)s: choose one of the years %(first)d to %(last)d") % values)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
