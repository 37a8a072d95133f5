"""One's own password in a browser: changed, and set anew by a link from a mail."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, expect

from tests.browser.gestures import another_tab, connection, expect_live, sign_in, until
from tests.conftest import Serve
from tests.live.backstage import Backstage
from tests.servers import NoticeServer

OLD, NEW = "correct horse battery", "quite another staple"
PHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> NoticeServer:
    """One that sends mail, into a folder."""
    server = serve_module(layer="embedded", start=False)
    server.settings["EMAIL_URL"] = f"filemail:///{server.folder}/mail"
    return server.start()


@pytest.fixture(scope="module")
def backstage(server: NoticeServer) -> Iterator[Backstage]:
    with Backstage(server) as backstage:
        yield backstage


@pytest.fixture
def ada(meet, backstage):
    ada = meet(first_name="Ada")
    backstage.do("user = User.objects.get(pk=pk); user.set_password(password); user.save()", pk=ada.id, password=OLD)
    return ada


def expect_accessible(page):
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
    assert not found.response["violations"], found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_who_changes_their_password_stays_here_and_is_signed_out_elsewhere(visit, ada):
    page, elsewhere = (visit(None, "/accounts/login/", viewport=PHONE) for _ in range(2))
    for each in (page, elsewhere):
        sign_in(each, ada.name, OLD)
        expect_live(each)
    beside = another_tab(page)

    page.get_by_role("link", name="Password").click()
    expect(page.get_by_role("heading", name="Change your password")).to_be_visible()
    expect_accessible(page)
    page.get_by_label("Old password").fill("wrong")
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password confirmation").fill(NEW)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("Please look at these fields")
    page.get_by_label("Old password").fill(OLD)
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password confirmation").fill(NEW)
    page.get_by_role("button", name="Change password").click()

    expect(page.locator("#messages")).to_contain_text("Your password is changed.")
    expect(connection(elsewhere)).to_have_text("Your session has ended.")
    with contextlib.suppress(Error):  # by now it may be loading again by itself
        beside.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect_live(beside)


def test_who_has_forgotten_their_password_sets_a_new_one_by_a_mail(visit, server, backstage, ada):
    backstage.do("User.objects.filter(pk=pk).update(email='ada@example.org')", pk=ada.id)
    page = visit(None, "/accounts/login/", viewport=PHONE)

    page.get_by_role("link", name="Forgot your password?").click()
    expect_accessible(page)
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_role("button", name="Send the link").click()
    expect(page.locator("#messages")).to_contain_text("If an account has this address, a mail is on its way to it.")
    mails = server.folder / "mail"
    until(page, lambda: any(mails.glob("*")) and "/accounts/" in next(mails.glob("*")).read_text())
    page.goto(re.search(r"http://\S+", next(mails.glob("*")).read_text())[0])
    expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()
    expect_accessible(page)
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password confirmation").fill(NEW)
    page.get_by_role("button", name="Change password").click()

    expect(page.locator("#messages")).to_contain_text("Sign in with the new one.")
    sign_in(page, ada.name, NEW)
    expect_live(page)
