"""The site as an app: what it shows without a network, and to whom."""

from __future__ import annotations

import pytest
from playwright.sync_api import Error, expect

from tests.browser.complaints import LOST_CONNECTION
from tests.browser.gestures import connection, expect_live, expect_unseen, row, sign_in, until
from tests.conftest import PASSWORD

KEPT = """async () => {
    const kept = await (await caches.open("inbox")).match("/")
    return kept ? kept.text() : ""
}"""


@pytest.fixture
def app(visit, server, complaints):
    """`app("cleo")`: her inbox, kept for when there is no network."""
    complaints.allow(*LOST_CONNECTION, "Failed to fetch", "could not be fetched afresh")

    def app(name="cleo"):
        page = visit(None, "/accounts/login/", service_workers="allow")
        sign_in(page, name, PASSWORD)
        until_kept(page)
        return page

    return app


def until_kept(page):
    expect_live(page)
    until(page, lambda: page.evaluate(KEPT))


def is_reached(page, path="/"):
    """Whether anything is shown at this address; without a network, the browser itself says that there is none."""
    try:
        page.goto(path)
    except Error:
        return False
    return True


def test_without_a_network_the_last_inbox_can_be_read(app, server):
    server.manage("send_notice", "Read me on the train", "--user", "cleo")
    page = app()

    page.context.set_offline(True)
    page.reload()

    expect(row(page, "Read me on the train")).to_be_visible()
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "live")
    is_styled = "getComputedStyle(document.querySelector('.bar')).display === 'flex'"
    assert page.evaluate(is_styled)
    assert is_reached(page, "/?tab=unread"), "the whole inbox is better than nothing"
    assert not is_reached(page, "/preferences/")


def test_the_network_comes_first_as_soon_as_there_is_one(app, server):
    page = app()
    page.context.set_offline(True)
    page.reload()
    server.manage("send_notice", "Sent meanwhile", "--user", "cleo")

    page.context.set_offline(False)
    answer = page.reload()

    # The answer itself: a page that was kept would soon show it, too.
    assert "Sent meanwhile" in answer.text()
    expect_live(page)
    until(page, lambda: "Sent meanwhile" in page.evaluate(KEPT))


def test_signing_out_forgets_what_could_be_read(app):
    page = app()

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_label("Password")).to_be_visible()
    until(page, lambda: not page.evaluate(KEPT))
    page.context.set_offline(True)
    assert not is_reached(page)


def test_a_session_that_has_ended_forgets_too(app):
    page = app()
    page.context.clear_cookies()

    page.goto("/")

    expect(page.get_by_label("Password")).to_be_visible()
    until(page, lambda: not page.evaluate(KEPT))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("user.set_password('another one')", "Your session has ended."),
        ("user.is_active = False", "Your access was withdrawn."),
    ],
    ids=["password", "deactivated"],
)
def test_who_loses_their_session_or_access_elsewhere_leaves_nothing_to_read_offline(
    visit, ada, send, backstage, complaints, change, words
):
    complaints.allow(*LOST_CONNECTION, "Failed to fetch", "could not be fetched afresh")
    send("For Ada only", ada)
    page = visit(ada, "/", service_workers="allow")
    until_kept(page)
    assert "For Ada only" in page.evaluate(KEPT)

    backstage.do(f"user = User.objects.get(pk=pk); {change}; user.save()", pk=ada.id)

    expect(connection(page)).to_have_text(words)
    until(page, lambda: not page.evaluate(KEPT))
    page.context.set_offline(True)
    assert not is_reached(page)


def test_whoever_signs_in_next_never_reads_what_the_last_one_could(app, server):
    server.manage("send_notice", "For cleo only", "--user", "cleo")
    page = app("cleo")
    assert "For cleo only" in page.evaluate(KEPT)

    page.context.clear_cookies()
    page.goto("/accounts/login/")
    sign_in(page, "brian", PASSWORD)
    until_kept(page)

    assert "For cleo only" not in page.evaluate(KEPT)
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("#account-name")).to_have_text("brian")


def test_only_one_page_and_the_files_it_needs_are_kept(app):
    page = app()
    page.goto("/preferences/")
    page.goto("/?tab=archived")
    page.goto("/echo/")

    kept = page.evaluate(
        """async () => {
            const names = await caches.keys()
            const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()))
            return requests.flat().map(({ url }) => new URL(url).pathname)
        }"""
    )

    assert [path for path in kept if not path.startswith("/static/notifications/")] == ["/"]
    assert any(path.startswith("/static/notifications/main.") for path in kept)
    assert not any("admin" in path for path in kept)


def test_the_browser_finds_no_fault_with_the_manifest(app):
    page = app()
    devtools = page.context.new_cdp_session(page)

    found = devtools.send("Page.getAppManifest")

    assert found["url"].endswith("/manifest.webmanifest")
    assert found["errors"] == []
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [each for each in errors if each["errorId"] != "in-incognito"] == []  # which every test's browser is


def test_the_icon_of_the_tab_and_of_the_app_say_that_something_is_unseen(open_inbox, ada, send):
    page = open_inbox(ada, for_good=True)
    page.add_init_script(
        "window.badges = []; navigator.setAppBadge = async (n) => { badges.push(n) };"
        "navigator.clearAppBadge = async () => { badges.push(0) }"
    )
    page.reload()
    expect_live(page)
    icon = page.locator('link[rel="icon"]')
    plain = icon.get_attribute("href")
    page.get_by_role("button", name="Pause").click()

    send("Not seen yet", ada)
    expect_unseen(page, 1)
    assert "circle" in icon.get_attribute("href"), "the dot"
    until(page, lambda: page.evaluate("badges.at(-1)") == 1)

    page.get_by_role("button", name="1 new notice").click()
    expect_unseen(page, 0)
    assert icon.get_attribute("href") == plain
    until(page, lambda: page.evaluate("badges.at(-1)") == 0)
