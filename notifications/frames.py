"""Every frame on the notice socket, both ways, and every close code. No Django, no I/O.

README.md lists them (a test compares its tables with this file); docs/protocol.md tells how to write a client.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

MAX_CLIENT_BYTES = 12_288  # a client's longest frame: `read` with 500 ids of 19 digits, a bigint's most
MAX_IDS = 500

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what a database's bigint can hold


class CloseCode(IntEnum):
    """Application close codes (4000–4999 is the private range of RFC 6455 §7.4.2).

    4000–4499: come back. 4500–4999: do not.
    """

    DRAINING = 4001
    SESSION_EXPIRED = 4005
    TOO_SLOW = 4008
    NO_ANSWER = 4012
    TOO_MANY_FRAMES = 4013
    BAD_FRAMES = 4400
    NOT_SIGNED_IN = 4501
    ACCESS_WITHDRAWN = 4503
    TOO_MANY_CONNECTIONS = 4504


class NoticeBody(Struct, frozen=True):
    """A notice as a page shows it. Times are ISO 8601 in UTC. Nothing in it depends on who reads it."""

    id: int
    title: str
    body: str
    level: str
    url: str
    sender: str
    published_at: str
    expires_at: str | None
    published: int
    recalled: bool


# From the server ------------------------------------------------------------------------------------------


class Welcome(Struct, tag="welcome", frozen=True, omit_defaults=True):
    """`cursor`: what the client holds now; what follows comes after it. `stamp`: come back with it, too.

    `unread` and `unseen` are true as of `position`, and 1000 stands for that many or more; who comes back with the
    right stamp has kept count, and is not told them.
    `heartbeat` is in seconds.
    """

    cursor: str
    stamp: str
    position: int
    resumed: bool
    heartbeat: float
    unread: int | None = None
    unseen: int | None = None
    delayed: bool = False  # see Heartbeat


class NoticeFrame(Struct, tag="notice", frozen=True):
    position: int
    notice: NoticeBody


class Inbox(Struct, tag="inbox", frozen=True, omit_defaults=True):
    """What a person did, in this or another tab: with these ids, or with all that was `published` ≤ `read_through`.

    What was `archived` has left the inbox and is read; what was `unarchived` is back in it. `seen` was on a screen,
    and so was everything `published` ≤ `seen_through`.
    `unread` and `unseen` are true as of `position`: a notice published later is not in them; 1000 stands for that
    many or more. What was only seen leaves `unread` as it was, and out of the frame where it was not counted.
    `changes` takes the place of the first part of the stamp. (Not of all of it: of other audiences a page hears by a
    `reset`.)
    """

    position: int
    changes: int
    unread: int | None = None
    unseen: int | None = None
    read: list[int] | None = None
    read_through: int | None = None
    marked_unread: list[int] | None = None
    archived: list[int] | None = None
    unarchived: list[int] | None = None
    seen: list[int] | None = None
    seen_through: int | None = None


class Heartbeat(Struct, tag="heartbeat", frozen=True, omit_defaults=True):
    """Answer with `alive`. `delayed`: no doorbell works just now, and notices come up to 2 s late."""

    position: int
    delayed: bool = False


class Reset(Struct, tag="reset", frozen=True):
    """Replaying notices does not lead from what the client holds to what is: fetch the inbox afresh, go on from there.

    Too much was missed, the cursor or the stamp means nothing here, the reader's audiences have just changed, or they
    did something that no frame tells of: to more than 500 notices, took something back, muted a topic.
    """


class Bye(Struct, tag="bye", frozen=True):
    """Sent just before a planned close; come back after `retry_ms` milliseconds."""

    code: int
    retry_ms: int


class Error(Struct, tag="error", frozen=True):
    code: str
    detail: str


ServerFrame = Welcome | NoticeFrame | Inbox | Heartbeat | Reset | Bye | Error

_encoder = msgspec.json.Encoder()


def encode(frame: ServerFrame) -> str:
    return _encoder.encode(frame).decode()


# From the client ------------------------------------------------------------------------------------------


class Read(Struct, tag="read", frozen=True):
    ids: Annotated[list[Whole], Meta(max_length=MAX_IDS)]


class ReadAll(Struct, tag="read_all", frozen=True):
    through: Whole


class Seen(Struct, tag="seen", frozen=True):
    """These notices were on a screen, and everything `published` ≤ `through`: when the page counted none unseen."""

    ids: Annotated[list[Whole], Meta(max_length=MAX_IDS)]
    through: Whole = 0


class Alive(Struct, tag="alive", frozen=True):
    """The answer to a heartbeat: the position that the page has reached."""

    position: Whole


ClientFrame = Read | ReadAll | Seen | Alive
CLIENT_FRAMES: dict[str, type[ClientFrame]] = {"read": Read, "read_all": ReadAll, "seen": Seen, "alive": Alive}


class BadFrame(ValueError):
    """What a client sent is no frame of ours; the message says what is wrong and what there is."""


_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def decode(text: str) -> ClientFrame:
    """The client's frame.

    Raises:
        BadFrame: too long, not JSON, of an unknown type, or with a wrong or missing value.
    """
    size = len(text.encode(errors="replace"))
    if size > MAX_CLIENT_BYTES:
        raise BadFrame(f"the frame has {size} bytes; {MAX_CLIENT_BYTES} is the most")
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise BadFrame(f"{error}; the types are {', '.join(CLIENT_FRAMES)}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:  # a lone surrogate is no text
        raise BadFrame(f"not JSON: {error}") from error
