"""What a page is told while it is open, and after it was away. The differences of the servers are in kinds.py."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.live.page import ECHO, NOTICES, dial

MANY = 300  # as many as are replayed; one more, and the page fetches its inbox afresh


async def close_of(socket):
    """Code and words of the close, after everything that came before it."""
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code, socket.close_reason


# Notices --------------------------------------------------------------------------------------------------


async def test_a_notice_arrives_with_everything_that_a_page_shows(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])
    before = page.position

    sent = backstage.send(
        "Backup <b>finished</b> ✓", body="12 GiB\nin 4 min", level="success", url="https://backup.example/7"
    )

    frame = await page.receives("Backup <b>finished</b> ✓")
    published_at = frame["notice"].pop("published_at")
    assert published_at.endswith("Z")
    assert frame == {
        "type": "notice",
        "position": before + 1,
        "notice": {
            "id": sent["id"],
            "title": "Backup <b>finished</b> ✓",
            "body": "12 GiB\nin 4 min",
            "level": "success",
            "url": "https://backup.example/7",
            "sender": "",
            "expires_at": None,
            "published": before + 1,
            "recalled": False,
        },
    }


async def test_notices_arrive_in_the_order_they_were_sent(server, open_page, backstage):
    pages = [await open_page(server, server.sessions[name]) for name in ("ada", "brian")]

    first = backstage.send_many("First", 30, at_once=1)
    then = backstage.send_many("Then", 100)

    for page in pages:
        await page.receives(then[-1])
        assert page.titles == first + then


async def test_a_notice_reaches_those_whom_it_is_for_and_nobody_else(server, open_page, backstage):
    ops, deploys = f"ops-{uuid.uuid4()}", f"deploys-{uuid.uuid4()}"
    people = {
        "reader": backstage.newcomer(),
        "staff": backstage.newcomer(is_staff=True),
        "operator": backstage.newcomer(groups=[ops]),
        "subscriber": backstage.newcomer(topics=[deploys]),
        "another": backstage.newcomer(groups=[f"other-{ops}"], topics=[f"other-{deploys}"]),
    }
    pages = {name: await open_page(server, person["session"]) for name, person in people.items()}

    backstage.send("For the staff", "staff")
    backstage.send("For one user", f"user:{people['reader']['id']}")
    backstage.send("For a group", f"group:{backstage.group_id(ops)}")
    backstage.send("For a topic", f"topic:{deploys}")
    backstage.send("For two", "staff", f"topic:{deploys}")
    backstage.send("For everyone")

    for page in pages.values():
        await page.receives("For everyone")  # sent last: what was for this page is here by now
    assert {name: page.titles[:-1] for name, page in pages.items()} == {
        "reader": ["For one user"],
        "staff": ["For the staff", "For two"],
        "operator": ["For a group"],
        "subscriber": ["For a topic", "For two"],
        "another": [],
    }


async def test_somebody_in_two_audiences_of_a_notice_gets_it_once(server, open_page, backstage):
    ada = backstage.newcomer(is_staff=True)
    page = await open_page(server, ada["session"])

    backstage.send("Twice meant", "everyone", "staff", f"user:{ada['id']}")
    backstage.send("Afterwards")

    await page.receives("Afterwards")
    assert page.titles == ["Twice meant", "Afterwards"]


async def test_a_recalled_notice_leaves_the_open_page(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])
    sent = backstage.send("A mistake")
    shown = await page.receives("A mistake")
    assert not shown["notice"]["recalled"]

    backstage.recall(sent["id"])

    await page.until(lambda: len(page.titles) == 2)
    gone = page.frames[-1]
    assert gone["notice"] == shown["notice"] | {"recalled": True}
    assert gone["position"] == shown["position"] + 1


# Coming back ----------------------------------------------------------------------------------------------


async def test_a_page_that_was_away_gets_what_it_missed_and_then_goes_on(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])
    backstage.send("Seen")
    await page.receives("Seen")
    await page.leave()
    missed = backstage.send_many("Missed", 5, at_once=1)

    await page.come_back()
    backstage.send("Afterwards")

    await page.receives("Afterwards")
    assert page.titles == ["Seen", *missed, "Afterwards"]
    welcome = page.all("welcome")[-1]
    assert welcome["resumed"]
    assert welcome["position"] == int(welcome["cursor"].split(":")[1]) + 5


async def test_a_page_that_comes_and_goes_gets_every_notice_once(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])

    sent = []
    for number in range(15):
        sent += backstage.send_many(f"Round {number}", 3, at_once=1)  # some before, some after it has left
        await page.come_back()

    await page.receives(sent[-1])
    assert page.titles == sent
    assert not page.doubled


async def test_a_page_that_was_away_gets_only_what_was_for_it(server, open_page, backstage):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    page = await open_page(server, ada["session"])
    await page.leave()
    backstage.send("For brian", f"user:{brian['id']}")
    backstage.send("For ada", f"user:{ada['id']}")

    await page.come_back()

    await page.receives("For ada")
    assert page.titles == ["For ada"]


async def test_what_was_recalled_while_a_page_was_away_is_taken_back_there(server, open_page, backstage):
    page = await open_page(server, server.sessions["ada"])
    held = backstage.send("Held")
    await page.receives("Held")
    await page.leave()
    never_seen = backstage.send("Never seen")
    backstage.recall(held["id"])
    backstage.recall(never_seen["id"])
    backstage.send("Last")

    await page.come_back()

    await page.receives("Last")
    assert [(f["notice"]["title"], f["notice"]["recalled"]) for f in page.all("notice")][:2] == [
        ("Held", False),
        ("Held", True),
    ]


async def test_as_much_as_can_be_replayed_is_replayed(server, open_page, backstage):
    ada = backstage.newcomer()
    page, staying = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    await page.leave()
    missed = backstage.send_many("Missed", MANY, f"user:{ada['id']}")
    await staying.receives(missed[-1])

    await page.come_back()

    await page.receives(missed[-1])
    assert page.titles == missed
    assert not page.all("reset")


async def test_a_page_that_missed_too_much_fetches_its_inbox_afresh_and_goes_on(server, open_page, backstage):
    ada = backstage.newcomer()
    page, staying = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    await page.leave()
    missed = backstage.send_many("Missed", MANY + 1, f"user:{ada['id']}")
    await staying.receives(missed[-1])

    await page.come_back()
    await page.frame("reset")
    backstage.send("Afterwards", f"user:{ada['id']}")

    await page.receives("Afterwards")
    assert page.titles == ["Afterwards"], "all or nothing: half a replay would hide what is missing"


@pytest.mark.parametrize(
    "cursor",
    [
        "00000000-0000-4000-8000-000000000000:0",
        "00000000-0000-4000-8000-000000000000:{position}",
        "{epoch}:{ahead}",
        "{epoch}:9223372036854775807",
        "{epoch}:99999999999999999999",
        "{epoch}:-1",
        "{epoch}:",
        "{epoch}",
        ":3",
        "3",
        "nonsense",
        "%00",
        "%ff%fe",
        "' OR 1=1 --",
        "1e3:1e3",
        "{epoch}:٣",
    ],
)
async def test_a_cursor_that_means_nothing_here_is_answered_by_a_reset(server, open_page, backstage, cursor):
    here = await open_page(server, server.sessions["ada"])
    epoch, position = here.cursor.split(":")
    cursor = cursor.format(epoch=epoch, position=position, ahead=int(position) + 1)

    page = await open_page(server, server.sessions["ada"], cursor=cursor.replace(" ", "%20"))

    welcome = await page.frame("welcome")
    await page.frame("reset")
    assert not welcome["resumed"]
    assert welcome["cursor"] == here.cursor, "it goes on from here"
    backstage.send("Afterwards")
    await page.receives("Afterwards")


async def test_a_cursor_at_the_head_asks_for_nothing(server, open_page, backstage):
    first = await open_page(server, server.sessions["ada"])

    page = await open_page(server, server.sessions["ada"], cursor=first.cursor)

    assert (await page.frame("welcome"))["resumed"]
    backstage.send("Afterwards")
    await page.receives("Afterwards")
    assert [frame["type"] for frame in page.frames] == ["welcome", "notice"]


# Read state -----------------------------------------------------------------------------------------------


async def test_what_is_read_on_one_page_is_read_on_the_others_of_the_same_person(server, open_page, backstage):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    desk, phone = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    brians = await open_page(server, brian["session"])
    one, two = backstage.send("One"), backstage.send("Two")
    await desk.receives("Two")

    await desk.say({"type": "read", "ids": [one["id"]]})

    for page in (desk, phone):
        frame = await page.frame("inbox")
        assert frame.pop("changes") == 1
        assert page.stamp == backstage.inbox_of(ada["id"])["stamp"]
        assert frame == {"type": "inbox", "unread": 1, "unseen": 1, "position": page.position, "read": [one["id"]]}
    await brians.say({"type": "read", "ids": [two["id"]]})
    assert (await brians.frame("inbox"))["read"] == [two["id"]], "the first that brian's page hears of is brian's own"


async def test_everything_is_read_at_once(server, open_page, backstage):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    desk, phone = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    backstage.send_many("Old", 3)
    await desk.receives("Old 2")
    through = desk.position
    backstage.send("New")

    await desk.say({"type": "read_all", "through": through})

    for page in (desk, phone):
        frame = await page.frame("inbox")
        assert frame.pop("changes") == 1
        assert page.stamp == backstage.inbox_of(ada["id"])["stamp"]
        counts = {"unread": 1, "unseen": 1, "position": through + 1}
        assert frame == {"type": "inbox", **counts, "read_through": through}
    assert backstage.inbox_of(ada["id"])["unread"] == 1
    assert backstage.inbox_of(brian["id"])["unread"] == 4


async def test_what_was_on_a_screen_is_seen_on_all_pages_of_the_same_person(server, open_page, backstage):
    ada = backstage.newcomer()
    desk, phone = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    backstage.send("One")
    two, three = backstage.send("Two"), backstage.send("Three")
    await desk.receives("Three")
    through = desk.position - 2

    await desk.say({"type": "seen", "ids": [], "through": through})
    await desk.until(lambda: len(desk.all("inbox")) == 1)
    await desk.say({"type": "seen", "ids": [three["id"]]})
    await desk.until(lambda: len(desk.all("inbox")) == 2)

    for page in (desk, phone):
        await page.until(lambda page=page: len(page.all("inbox")) == 2)
        covered, named = page.all("inbox")
        assert covered == {
            "type": "inbox",
            "unseen": 0,
            "position": through,
            "changes": 1,
            "seen_through": through,
        }
        assert (named["seen"], named["unread"], named["unseen"]) == ([three["id"]], 3, 1)
        assert page.stamp == backstage.inbox_of(ada["id"])["stamp"], "no reset when it comes back"
    assert two["id"] not in named["seen"]


async def test_what_a_person_does_elsewhere_is_told_to_their_pages(server, open_page, backstage):
    """In a form without a script, in another program: the pages on the sockets hear of it, and of its being undone."""
    ada, brian = backstage.newcomer(), backstage.newcomer()
    page, brians = await open_page(server, ada["session"]), await open_page(server, brian["session"])
    one, two = backstage.send("One"), backstage.send("Two")
    await page.receives("Two")

    backstage.does(ada["id"], "mark_seen", [one["id"]])
    done = backstage.does(ada["id"], "archive", [one["id"]])
    backstage.does(ada["id"], "undo", done)

    await page.until(lambda: page.all("reset"))
    seen, archived = page.all("inbox")
    assert (seen["seen"], seen["unread"], seen["unseen"]) == ([one["id"]], 2, 1)
    assert (archived["archived"], archived["unread"], archived["unseen"]) == ([one["id"]], 1, 1)
    await brians.say({"type": "read", "ids": [two["id"]]})
    assert (await brians.frame("inbox"))["read"] == [two["id"]], "the first that brian's page hears of is brian's own"


async def test_reading_through_the_future_reads_what_there_is(server, open_page, backstage):
    ada = backstage.newcomer()
    page = await open_page(server, ada["session"])
    backstage.send("Here")
    await page.receives("Here")
    here = page.position

    await page.say({"type": "read_all", "through": 2**63 - 1})

    assert (await page.frame("inbox"))["read_through"] == here
    backstage.send("Later")
    await page.receives("Later")
    assert backstage.inbox_of(ada["id"])["unread"] == 1


async def test_a_notice_of_somebody_else_cannot_be_read(server, open_page, backstage):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    page = await open_page(server, ada["session"])
    brians = await open_page(server, brian["session"])
    sent = backstage.send("Private", f"user:{brian['id']}")
    await brians.receives("Private")

    await page.say({"type": "read", "ids": [sent["id"], 2**62, 0]})

    frame = await page.frame("inbox")
    assert (frame["unread"], frame["read"]) == (0, []), "not yours and not there are answered alike"
    assert backstage.inbox_of(brian["id"])["unread"] == 1
    assert not brians.all("inbox")


# Bad input ------------------------------------------------------------------------------------------------

BAD_FRAMES = {
    "nothing": ("", "not JSON"),
    "no JSON": ("hello", "not JSON"),
    "half of JSON": ('{"type":"read","ids":[1', "not JSON"),
    "deep JSON": ("[" * 4000, "object"),
    "a list": ("[]", "object"),
    "a number": ("1", "object"),
    "no type": ("{}", "type"),
    "a type that is no text": ('{"type":3}', "type"),
    "an unknown type": ('{"type":"send","title":"Hi"}', "'send'"),
    "a type of ours, not theirs": ('{"type":"welcome"}', "'welcome'"),
    "no ids": ('{"type":"read"}', "ids"),
    "ids that are no list": ('{"type":"read","ids":7}', "ids"),
    "ids that are texts": ('{"type":"read","ids":["7"]}', "ids[0]"),
    "ids that are true": ('{"type":"read","ids":[true]}', "ids[0]"),
    "ids below zero": ('{"type":"read","ids":[-1]}', "ids[0]"),
    "ids with a fraction": ('{"type":"read","ids":[1.5]}', "ids[0]"),
    "ids no database can hold": ('{"type":"read","ids":[9223372036854775808]}', "ids[0]"),
    "too many ids": (json.dumps({"type": "read", "ids": [1] * 501}), "500"),
    "no position": ('{"type":"alive"}', "position"),
    "a place that is no number": ('{"type":"read_all","through":"all"}', "through"),
    "half a character": ('{"type":"read_all","through":"\\ud800"}', ""),
    "a frame too long": (json.dumps({"type": "alive", "position": 1, "more": "x" * 12_288}), "12288"),
    "bytes": (b'{"type":"alive","position":1}', "binary"),
    "no bytes": (b"", "binary"),
}


@pytest.mark.parametrize(("frame", "words"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
async def test_a_bad_frame_is_answered_by_name_and_changes_nothing(server, open_page, backstage, frame, words):
    ada = backstage.newcomer()
    page = await open_page(server, ada["session"])
    backstage.send("Unread", f"user:{ada['id']}")

    await page.say(frame)

    error = await page.frame("error")
    assert error["code"] == "bad_frame"
    assert words in error["detail"]
    assert backstage.inbox_of(ada["id"])["unread"] == 1
    backstage.send("The page goes on")
    await page.receives("The page goes on")


async def test_the_longest_frame_is_read(server, open_page, backstage):
    ada = backstage.newcomer()
    page = await open_page(server, ada["session"])
    sent = backstage.send("Read among many", f"user:{ada['id']}")
    longest = json.dumps({"type": "read", "ids": [sent["id"]]})
    longest += " " * (12_288 - len(longest))

    await page.say(longest)

    assert (await page.frame("inbox"))["read"] == [sent["id"]]


async def test_a_page_that_keeps_sending_bad_frames_is_closed(server, kind, open_page):
    page = await open_page(server, server.sessions["ada"])

    for _ in range(5):
        await page.say("hello")

    assert await page.closes() == 4400
    assert len(page.all("error")) == 5
    assert not kind.says_why or "bad frames" in page.closed[1]


async def test_a_page_that_sends_too_many_frames_is_closed(server, kind, open_page):
    page = await open_page(server, server.sessions["ada"])

    for _ in range(29):
        await page.say({"type": "alive", "position": page.position})
    await page.say({"type": "read_all", "through": 0})
    assert await page.frame("inbox"), "three seconds' worth may come at once"
    for _ in range(30):
        await page.say({"type": "alive", "position": page.position})

    assert await page.closes() == 4013
    assert page.frames[-1]["code"] == "too_many_frames"
    assert "10 frames a second" in page.frames[-1]["detail"]
    assert not kind.says_why or "10 frames a second" in page.closed[1]


async def test_an_echo_that_is_asked_too_often_is_closed(server, kind):
    async with dial(server, ECHO) as socket:
        for _ in range(60):
            await socket.send("again")
        code, words = await close_of(socket)

    assert code == 4013
    assert not kind.says_why or "10 frames a second" in words


async def test_a_message_beyond_all_bounds_ends_that_socket_and_no_other(server, kind, open_page, backstage):
    other = await open_page(server, server.sessions["brian"])
    page = await open_page(server, server.sessions["ada"])

    await page.say("x" * 1_100_000)

    assert await page.closes() == kind.too_long
    backstage.send("The others go on")
    await other.receives("The others go on")


async def test_bytes_that_are_no_text_end_that_socket(server, kind):
    """RFC 6455 §8.1."""
    async with dial(server, NOTICES, server.sessions["ada"]) as socket:
        await socket.send(b"\xff\xfe", text=True)
        code, _ = await close_of(socket)

    assert code == kind.no_text
