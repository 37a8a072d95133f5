"""What a person sees on an open page while somebody changes what they may see."""

from __future__ import annotations

import uuid

from playwright.sync_api import expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import (
    connection,
    expect_live,
    expect_offline,
    expect_unread,
    has_not_reloaded,
    remember,
    titles,
)


def test_who_joins_a_group_sees_its_notices_without_a_reload_and_who_leaves_it_sees_them_no_more(
    open_inbox, ada, meet, backstage
):
    name = f"operations-{uuid.uuid4()}"
    meet(groups=[name])
    audience = f"group:{backstage.group_id(name)}"
    backstage.send("From before", audience)
    page = open_inbox(ada)
    remember(page)
    expect(titles(page)).to_have_count(0)

    backstage.do("User.objects.get(pk=pk).groups.add(Group.objects.get(name=name))", pk=ada.id, name=name)
    expect(titles(page)).to_have_text(["From before"])
    backstage.send("From now on", audience)
    expect(titles(page)).to_have_text(["From now on", "From before"])
    expect_unread(page, 2)
    backstage.do("User.objects.get(pk=pk).groups.clear()", pk=ada.id)

    expect(titles(page)).to_have_count(0)
    expect_unread(page, 0)
    expect_live(page)
    assert has_not_reloaded(page)


def test_whose_account_is_closed_is_told_so(open_inbox, ada, backstage):
    page = open_inbox(ada)

    backstage.do("user = User.objects.get(pk=pk); user.is_active = False; user.save()", pk=ada.id)

    expect(connection(page)).to_have_text("Your access was withdrawn.")


def test_what_is_read_elsewhere_while_a_page_is_away_is_read_there_when_it_is_back(open_inbox, ada, send, complaints):
    complaints.allow(*LOST_CONNECTION)
    page, other = open_inbox(ada), open_inbox(ada)
    send("One", ada)
    send("Two", ada)
    expect_unread(page, 2)
    page.context.set_offline(True)
    expect_offline(page)
    other.get_by_role("button", name="Mark read").first.click()
    expect_unread(other, 1)

    page.context.set_offline(False)

    expect_live(page)
    expect_unread(page, 1)
    expect(page.locator('.notice[data-read="false"]')).to_have_count(1)
