"""One place in the log, ready to be written to any socket."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from notifications.frames import NoticeBody, NoticeFrame, encode
from notifications.models import Notice


class Entry(Struct, frozen=True, array_like=True):
    """What a hub needs of one published notice; `text` is the frame, the same for everybody."""

    position: int
    published: int
    published_at: float  # seconds since 1970
    notice_id: int
    audiences: tuple[str, ...]
    text: str

    @property
    def is_change(self) -> bool:
        """It was shown before, and was recalled since."""
        return self.position != self.published


def entry_of(notice: Notice, audiences: Iterable[str]) -> Entry:
    """The entry of a published ``notice`` as it stands now."""
    assert notice.position is not None
    assert notice.published is not None
    assert notice.published_at is not None
    body = NoticeBody(
        id=notice.pk,
        title=notice.title,
        body=notice.body,
        level=notice.level,
        url=notice.url,
        sender=notice.sender_name,
        published_at=_iso(notice.published_at),
        expires_at=_iso(notice.expires_at) if notice.expires_at else None,
        published=notice.published,
        recalled=notice.recalled_at is not None,
    )
    return Entry(
        position=notice.position,
        published=notice.published,
        published_at=notice.published_at.timestamp(),
        notice_id=notice.pk,
        audiences=tuple(audiences),
        text=encode(NoticeFrame(position=notice.position, notice=body)),
    )


def gap_of(notice: Notice) -> Entry:
    """An entry for nobody, in the place of a ``notice`` that cannot be shown: whoever follows the log steps over it."""
    assert notice.position is not None
    published_at = notice.published_at.timestamp() if notice.published_at else 0.0
    return Entry(notice.position, notice.published or notice.position, published_at, notice.pk, (), "")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
