"""One place in the log, ready to be written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from django.contrib.auth.models import User

from notifications.entries import entry_of
from notifications.models import Notice


def published(**values):
    given = {
        "pk": 3,
        "title": "Disk is full",
        "published": 7,
        "position": 7,
        "published_at": datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
    }
    return Notice(**given | values)


def test_an_entry_knows_where_it_stands_and_for_whom_it_is():
    entry = entry_of(published(), ["user:1", "group:2"])

    assert (entry.position, entry.published, entry.notice_id) == (7, 7, 3)
    assert entry.audiences == ("user:1", "group:2")
    assert entry.published_at == datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC).timestamp()
    assert not entry.is_change


def test_a_recalled_notice_is_a_change_at_its_new_place():
    recalled = published(position=9, recalled_at=datetime(2026, 1, 3, tzinfo=UTC))

    entry = entry_of(recalled, ["everyone"])

    assert entry.is_change
    frame = json.loads(entry.text)
    assert (frame["position"], frame["notice"]["published"], frame["notice"]["recalled"]) == (9, 7, True)


def test_the_text_is_the_whole_frame_with_times_in_utc():
    cet = timezone(timedelta(hours=1))
    notice = published(
        body="42 GB\nleft",
        level="warning",
        url="/disks/",
        expires_at=datetime(2026, 1, 3, 1, 0, tzinfo=cet),
    )

    frame = json.loads(entry_of(notice, ["everyone"]).text)

    assert frame == {
        "type": "notice",
        "position": 7,
        "notice": {
            "id": 3,
            "title": "Disk is full",
            "body": "42 GB\nleft",
            "level": "warning",
            "url": "/disks/",
            "sender": "",
            "published_at": "2026-01-02T03:04:05.678Z",
            "expires_at": "2026-01-03T00:00:00.000Z",
            "published": 7,
            "recalled": False,
        },
    }


def test_the_text_names_the_sender_as_people_know_them():
    ada, brian = User(username="ada", first_name="Ada", last_name="Lovelace"), User(username="brian")

    senders = [json.loads(entry_of(published(sender=user), []).text)["notice"]["sender"] for user in (ada, brian)]

    assert senders == ["Ada Lovelace", "brian"]


def test_nothing_in_the_text_tells_for_whom_it_is():
    entry = entry_of(published(key="secret-key"), ["user:4242"])

    assert "4242" not in entry.text
    assert "secret-key" not in entry.text
