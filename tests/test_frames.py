"""Every frame on the socket: what is written, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifications.frames import (
    CLIENT_FRAMES,
    MAX_CLIENT_BYTES,
    MAX_IDS,
    Alive,
    BadFrame,
    Bye,
    CloseCode,
    Error,
    Heartbeat,
    Inbox,
    NoticeBody,
    NoticeFrame,
    Read,
    ReadAll,
    Reset,
    Welcome,
    decode,
    encode,
)

BODY = NoticeBody(
    id=3,
    title="<b>",
    body="",
    level="info",
    url="",
    sender="Ada Lovelace",
    published_at="2026-01-01T00:00:00.000Z",
    expires_at=None,
    published=7,
    recalled=False,
)


@pytest.mark.parametrize(
    ("frame", "written"),
    [
        (
            Welcome(cursor="e:7", stamp="3-ab", position=9, resumed=True, unread=3, unseen=2, heartbeat=25.0),
            {
                "type": "welcome",
                "cursor": "e:7",
                "stamp": "3-ab",
                "position": 9,
                "resumed": True,
                "unread": 3,
                "unseen": 2,
                "heartbeat": 25.0,
            },
        ),
        (
            NoticeFrame(position=9, notice=BODY),
            {
                "type": "notice",
                "position": 9,
                "notice": {
                    "id": 3,
                    "title": "<b>",
                    "body": "",
                    "level": "info",
                    "url": "",
                    "sender": "Ada Lovelace",
                    "published_at": "2026-01-01T00:00:00.000Z",
                    "expires_at": None,
                    "published": 7,
                    "recalled": False,
                },
            },
        ),
        (
            Inbox(unread=2, unseen=1, position=9, changes=3, read=[1]),
            {"type": "inbox", "unread": 2, "unseen": 1, "position": 9, "changes": 3, "read": [1]},
        ),
        (
            Inbox(unread=0, unseen=0, position=9, changes=3, read_through=9),
            {"type": "inbox", "unread": 0, "unseen": 0, "position": 9, "changes": 3, "read_through": 9},
        ),
        (
            Inbox(unread=1, unseen=0, position=9, changes=4, marked_unread=[1], unarchived=[1]),
            {"type": "inbox", "unread": 1, "unseen": 0, "position": 9, "changes": 4}
            | {"marked_unread": [1], "unarchived": [1]},
        ),
        (
            Inbox(unread=1, unseen=0, position=9, changes=5, archived=[2], seen=[]),
            {"type": "inbox", "unread": 1, "unseen": 0, "position": 9, "changes": 5, "archived": [2], "seen": []},
        ),
        (Heartbeat(position=9), {"type": "heartbeat", "position": 9}),
        (Reset(), {"type": "reset"}),
        (Bye(code=4001, retry_ms=800), {"type": "bye", "code": 4001, "retry_ms": 800}),
        (
            Error(code="bad_frame", detail="…"),
            {"type": "error", "code": "bad_frame", "detail": "…"},
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_a_frame_is_written_as_the_protocol_says(frame, written):
    assert json.loads(encode(frame)) == written


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"type":"read","ids":[1,2]}', Read(ids=[1, 2])),
        ('{"type":"read","ids":[]}', Read(ids=[])),
        ('{"type":"read_all","through":7}', ReadAll(through=7)),
        ('{"type":"alive","position":9223372036854775807}', Alive(position=2**63 - 1)),
        ('{"position":0,"type":"alive","later":"versions may say more"}', Alive(position=0)),
    ],
)
def test_a_frame_of_a_client_is_understood(text, frame):
    assert decode(text) == frame


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{", "not JSON"),
        ('{"type":"alive","position":1} x', "not JSON"),
        ("[" * 2000, "array"),
        ("null", "object"),
        ("[]", "object"),
        ("{}", "type"),
        ('{"type":"shout"}', "'shout'"),
        ('{"type":7}', "type"),
        ('{"type":"alive"}', "position"),
        ('{"type":"alive","position":"1"}', "position"),
        ('{"type":"alive","position":1.5}', "position"),
        ('{"type":"alive","position":true}', "position"),
        ('{"type":"alive","position":null}', "position"),
        ('{"type":"alive","position":-1}', "position"),
        ('{"type":"alive","position":9223372036854775808}', "position"),
        ('{"type":"read","ids":7}', "ids"),
        ('{"type":"read","ids":["1"]}', "ids"),
        ('{"type":"read","ids":[-1]}', "ids"),
        ('{"type":"read_all"}', "through"),
        ('{"type":"seen"}', "ids"),
        ('{"type":"seen","ids":[],"through":-1}', "through"),
        ('{"type":"seen","ids":[1.5],"through":1}', "ids"),
    ],
)
def test_a_bad_frame_is_refused_with_what_is_wrong(text, says):
    with pytest.raises(BadFrame) as refusal:
        decode(text)

    assert says in str(refusal.value)


def test_a_refusal_names_the_frames_there_are():
    with pytest.raises(BadFrame, match="the types are read, read_all, seen, alive"):
        decode('{"type":"shout"}')


def test_a_read_frame_may_name_500_ids_and_no_more():
    assert len(decode(json.dumps({"type": "read", "ids": [1] * MAX_IDS})).ids) == MAX_IDS

    with pytest.raises(BadFrame, match="500"):
        decode(json.dumps({"type": "read", "ids": [1] * (MAX_IDS + 1)}))


def test_a_frame_may_have_12288_bytes_and_no_more():
    room = MAX_CLIENT_BYTES - len('{"type":"alive","position":1,"x":""}')
    assert decode('{"type":"alive","position":1,"x":"%s"}' % ("x" * room)) == Alive(position=1)

    with pytest.raises(BadFrame, match="12289 bytes; 12288 is the most"):
        decode('{"type":"alive","position":1,"x":"%s"}' % ("x" * room + "x"))


def test_bytes_are_counted_not_characters():
    with pytest.raises(BadFrame, match="12300 bytes"):
        decode("é" * 6150)


# Every text that Python can hold, lone surrogates among them.
anything = st.text(st.characters(codec=None, exclude_categories=()))


@given(anything)
@example("\ud800")
@example('{"type":"alive","position":1,"x":"\ud800"}')
@example('{"type":"\\ud800"}')
@example("[" * 4000)
@example('{"type":"read","ids":[1e999]}')
def test_any_other_text_is_a_bad_frame_and_nothing_worse(text):
    try:
        frame = decode(text)
    except BadFrame:
        return

    assert isinstance(frame, tuple(CLIENT_FRAMES.values()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from([*CLIENT_FRAMES, "notice"]), st.sampled_from(["ids", "through", "position"]), json_values)
def test_a_frame_with_any_value_is_understood_or_a_bad_frame(kind, name, value):
    try:
        frame = decode(json.dumps({"type": kind, name: value}))
    except BadFrame:
        return

    assert isinstance(frame, CLIENT_FRAMES[kind])


def test_a_close_code_says_by_its_range_whether_to_come_back():
    come_back = {"DRAINING", "SESSION_EXPIRED", "TOO_SLOW", "NO_ANSWER", "TOO_MANY_FRAMES", "BAD_FRAMES"}

    assert {code.name for code in CloseCode if 4000 <= code < 4500} == come_back
    assert {code.name for code in CloseCode if 4500 <= code < 5000} == {
        "NOT_SIGNED_IN",
        "ACCESS_WITHDRAWN",
        "TOO_MANY_CONNECTIONS",
    }


def test_as_many_ids_as_may_be_named_fit_into_one_frame_however_long_they_are():
    longest = [2**63 - 1] * MAX_IDS

    assert decode(json.dumps({"type": "read", "ids": longest})) == Read(ids=longest)
