"""What a page is told, and when it is closed, while its reader's access changes under it."""

from __future__ import annotations

import time
import urllib.parse
import urllib.request
import uuid

import pytest

from tests.live.backstage import Backstage

SOON = 2  # seconds, for what rings
LOOK_SECONDS = 3


@pytest.fixture(scope="module")
def server(serve_module, kind):
    """Its own look at everybody comes too late for these tests: what they wait for has to ring."""
    return serve_module(kind.name, ACCESS_LOOK_SECONDS=600)


@pytest.fixture
def operations(backstage):
    """A new group's name and audience."""
    name = f"operations-{uuid.uuid4()}"
    backstage.do("Group.objects.create(name=name)", name=name)
    return name, f"group:{backstage.group_id(name)}"


async def is_told_of(page, backstage, *to):
    """Whether a notice that is sent now reaches the page, which certainly gets the one after it."""
    title = f"Told {uuid.uuid4()}"
    backstage.send(title, *to)
    backstage.send(f"After {title}")
    await page.receives(f"After {title}", seconds=SOON)
    return title in page.titles


# It ends ----------------------------------------------------------------------------------------------------


async def test_signing_out_closes_the_pages_of_that_session_only(server, backstage, open_page):
    ada = backstage.newcomer()
    other = backstage.sign_in_again(ada["id"])
    page, elsewhere = await open_page(server, ada["session"]), await open_page(server, other)

    sign_out(server, ada["session"])

    assert await page.closes(SOON) == 4005
    assert await is_told_of(elsewhere, backstage, "everyone")


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("user = User.objects.get(pk=pk); user.set_password('another'); user.save()", 4005),
        ("user = User.objects.get(pk=pk); user.is_active = False; user.save()", 4503),
        ("User.objects.get(pk=pk).delete()", 4503),
    ],
    ids=["a new password", "deactivated", "deleted"],
)
async def test_a_person_who_may_not_be_here_any_more_is_shown_out(server, kind, backstage, open_page, what, code):
    ada, brian = backstage.newcomer(), backstage.newcomer()
    pages, others = (
        [await open_page(server, ada["session"]) for _ in range(2)],
        await open_page(server, brian["session"]),
    )

    backstage.do(what, pk=ada["id"])

    for page in pages:
        assert await page.closes(SOON) == code
    assert await is_told_of(others, backstage, "everyone")
    assert not kind.says_why or pages[0].closed[1]


async def test_a_sign_in_of_the_same_person_disturbs_nobody(server, backstage, open_page):
    ada = backstage.newcomer()
    page = await open_page(server, ada["session"])

    backstage.do("User.objects.get(pk=pk).save(update_fields=['last_login'])", pk=ada["id"])

    assert await is_told_of(page, backstage, "everyone")
    assert not page.all("reset")


# It changes -------------------------------------------------------------------------------------------------


async def test_a_notice_for_a_group_reaches_somebody_who_has_just_joined_it(server, backstage, open_page, operations):
    ada, (name, audience) = backstage.newcomer(), operations
    page = await open_page(server, ada["session"])
    assert not await is_told_of(page, backstage, audience)

    backstage.do("User.objects.get(pk=pk).groups.add(Group.objects.get(name=name))", pk=ada["id"], name=name)
    await page.frame("reset", SOON)  # what the group was told before is in the inbox now

    assert await is_told_of(page, backstage, audience)
    assert page.is_open


LEAVING = {
    "leaves": "User.objects.get(pk=pk).groups.remove(Group.objects.get(name=name))",
    "is put out": "Group.objects.get(name=name).user_set.set([])",
    "everybody is put out": "Group.objects.get(name=name).user_set.clear()",
    "the group is deleted": "Group.objects.get(name=name).delete()",
}


@pytest.mark.parametrize("how", LEAVING.values(), ids=LEAVING.keys())
async def test_who_leaves_a_group_is_told_nothing_more_of_it(server, backstage, open_page, operations, how):
    (name, audience), ada = operations, backstage.newcomer(groups=[operations[0]])
    page = await open_page(server, ada["session"])
    assert await is_told_of(page, backstage, audience)

    backstage.do(how, pk=ada["id"], name=name)
    await page.frame("reset", SOON)

    if "delete()" not in how:  # nobody can be told something that is for a group which is no more
        assert not await is_told_of(page, backstage, audience)
    assert page.is_open


async def test_subscribing_and_unsubscribing_take_effect_at_once(server, backstage, open_page):
    ada, slug = backstage.newcomer(), f"deploys-{uuid.uuid4()}"
    backstage.do("Topic.objects.create(slug=slug, name=slug)", slug=slug)
    page = await open_page(server, ada["session"])

    backstage.do("Subscription.objects.create(user_id=pk, topic=Topic.objects.get(slug=slug))", pk=ada["id"], slug=slug)
    await page.frame("reset", SOON)
    assert await is_told_of(page, backstage, f"topic:{slug}")
    backstage.do("Subscription.objects.get(user_id=pk).delete()", pk=ada["id"])
    await page.frame("reset", SOON)

    assert not await is_told_of(page, backstage, f"topic:{slug}")


async def test_who_is_no_staff_any_more_is_told_nothing_that_is_for_the_staff(server, backstage, open_page):
    ada = backstage.newcomer(is_staff=True)
    page = await open_page(server, ada["session"])
    assert await is_told_of(page, backstage, "staff")

    backstage.do("user = User.objects.get(pk=pk); user.is_staff = False; user.save()", pk=ada["id"])
    await page.frame("reset", SOON)

    assert not await is_told_of(page, backstage, "staff")


async def test_a_page_that_comes_back_with_other_audiences_begins_afresh(server, backstage, open_page, operations):
    (name, _), ada = operations, backstage.newcomer()
    page = await open_page(server, ada["session"])
    await page.leave()
    backstage.do("User.objects.get(pk=pk).groups.add(Group.objects.get(name=name))", pk=ada["id"], name=name)

    await page.come_back()

    await page.frame("reset", SOON)
    assert not page.all("welcome")[-1]["resumed"]


async def test_a_page_that_comes_back_after_something_was_read_elsewhere_begins_afresh(server, backstage, open_page):
    ada = backstage.newcomer()
    page, other = await open_page(server, ada["session"]), await open_page(server, ada["session"])
    sent = backstage.send("Read elsewhere")
    await page.receives("Read elsewhere")
    await page.leave()
    await other.say({"type": "read", "ids": [sent["id"]]})
    await other.frame("inbox")

    await page.come_back()
    await page.frame("reset", SOON)
    await other.come_back()

    assert not other.all("reset"), "the one on which it was read knows of it"


# What rings for nobody --------------------------------------------------------------------------------------

UNHEARD = {
    "deactivated": ("User.objects.filter(pk=pk).update(is_active=False)", 4503),
    "the session is deleted": ("Session.objects.filter(pk=session).delete()", 4005),
    "a new password": ("User.objects.filter(pk=pk).update(password='another')", 4005),
}


@pytest.fixture(scope="module")
def watchful(serve_module):
    return serve_module(ACCESS_LOOK_SECONDS=LOOK_SECONDS)


@pytest.fixture(scope="module")
def beside_the_watchful(watchful):
    with Backstage(watchful) as backstage:
        yield backstage


@pytest.mark.parametrize(("what", "code"), UNHEARD.values(), ids=UNHEARD.keys())
async def test_a_change_that_sends_no_signal_is_found(watchful, beside_the_watchful, open_page, what, code):
    ada = beside_the_watchful.newcomer()
    page = await open_page(watchful, ada["session"])
    changed = time.monotonic()

    beside_the_watchful.do(what, pk=ada["id"], session=ada["session"])

    assert await page.closes(LOOK_SECONDS + 2) == code
    assert time.monotonic() - changed < LOOK_SECONDS + 1


async def test_a_membership_that_changed_in_silence_is_found(watchful, beside_the_watchful, open_page):
    name, backstage = f"operations-{uuid.uuid4()}", beside_the_watchful
    ada = backstage.newcomer(groups=[name])
    page = await open_page(watchful, ada["session"])

    backstage.do("User.groups.through.objects.filter(user=pk).delete()", pk=ada["id"])
    await page.frame("reset", LOOK_SECONDS + 2)

    assert not await is_told_of(page, backstage, f"group:{backstage.group_id(name)}")


async def test_what_was_read_where_no_bell_was_heard_is_found(watchful, beside_the_watchful, open_page):
    ada = beside_the_watchful.newcomer()
    page = await open_page(watchful, ada["session"])

    beside_the_watchful.do("ReadMark.objects.filter(user=pk).update(changes=1)", pk=ada["id"])

    await page.frame("reset", LOOK_SECONDS + 3)


async def test_a_session_that_was_extended_keeps_its_page(watchful, beside_the_watchful, open_page):
    ada = beside_the_watchful.newcomer(seconds=LOOK_SECONDS + 2)
    page = await open_page(watchful, ada["session"])
    later = "Session.objects.filter(pk=session).update(expire_date=timezone.now() + timedelta(hours=1))"

    beside_the_watchful.do(later, session=ada["session"])

    with pytest.raises(AssertionError, match="not within"):
        await page.closes(LOOK_SECONDS + 4)


def sign_out(server, session):
    """Press the button, as the person in that browser does."""
    opener = urllib.request.build_opener()
    opener.addheaders = [("Cookie", f"sessionid={session}")]
    page = opener.open(f"{server.url}/", timeout=10)
    token = next(part for part in page.headers.get_all("Set-Cookie") if "csrftoken" in part).split(";")[0]
    opener.addheaders = [("Cookie", f"sessionid={session}; {token}"), ("X-CSRFToken", token.split("=")[1])]
    opener.open(f"{server.url}/accounts/logout/", data=urllib.parse.urlencode({}).encode() or b" ", timeout=10)
