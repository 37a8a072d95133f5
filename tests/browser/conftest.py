"""Fixtures for what people see and do in a real browser, on a real server.

Each device is a browser context. Whatever a page says on its console, each breach of the
Content-Security-Policy, each failing script and each dialog fails the test (see `complaints`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.complaints import TELL_BREACHES, Complaints
from tests.browser.gestures import expect_live
from tests.conftest import server_factory
from tests.live.backstage import Backstage
from tests.machine import find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

    from tests.conftest import Serve
    from tests.servers import NoticeServer

# A machine that is busy is slow, not wrong; what is promised in seconds says so itself.
expect.set_options(timeout=15_000)


@dataclass(frozen=True)
class Person:
    """Somebody with an account, signed in on every device they use."""

    id: int
    name: str
    session: str

    @property
    def audience(self) -> str:
        return f"user:{self.id}"


Meet = Callable[..., Person]
Send = Callable[..., dict[str, Any]]
Visit = Callable[..., "Page"]
OpenInbox = Callable[..., "Page"]


# The browser ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """For the tests in this folder only: it keeps an event loop running in this thread while it lives."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium without a window; a start of its own for each module would cost 1.7 s of CPU."""
    yield from launch(playwright, find_browser())


@pytest.fixture(scope="package")
def whole_browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium as people have it, which also shows desktop alerts."""
    yield from launch(playwright, find_browser(whole=True))


def launch(playwright: Playwright, executable: str | None) -> Iterator[Browser]:
    assert executable is not None, "No browser: run `make test`, which installs one"
    # Containers have a small /dev/shm. (Playwright's default is no sandbox, which would refuse to run as root.)
    # Without a graphics process, pages cost a tenth less.
    arguments = ["--disable-dev-shm-usage", "--disable-gpu"]
    browser = playwright.chromium.launch(executable_path=executable, args=arguments)
    yield browser
    browser.close()


# The server -------------------------------------------------------------------------------------------------

serve_session = pytest.fixture(server_factory, name="serve_session", scope="session")


@pytest.fixture(scope="session")
def server(serve_session: Serve) -> NoticeServer:
    """`manage.py serve` with its embedded Valkey; a module that stops it has one of its own."""
    return serve_session(layer="embedded")


@pytest.fixture(scope="session")
def backstage(server: NoticeServer) -> Iterator[Backstage]:
    with Backstage(server) as backstage:
        yield backstage


@pytest.fixture
def send(backstage: Backstage) -> Send:
    """`send("Backup finished", ada, brian)`; to nobody in particular: to everyone."""

    def send(title: str, *people: Person, **values: Any) -> dict[str, Any]:
        return backstage.send(title, *(person.audience for person in people), **values)

    return send


# People -----------------------------------------------------------------------------------------------------


@pytest.fixture
def meet(backstage: Backstage) -> Meet:
    """`meet(first_name="Ada")`: somebody new, whose inbox is empty whatever other tests have sent."""
    return lambda **fields: Person(**backstage.newcomer(**fields))


@pytest.fixture
def ada(meet: Meet) -> Person:
    return meet(first_name="Ada", last_name="Lovelace")


@pytest.fixture
def brian(meet: Meet) -> Person:
    return meet(first_name="Brian")


@pytest.fixture
def admin(meet: Meet) -> Person:
    """Somebody who may do everything."""
    return meet(first_name="Grace", is_staff=True, is_superuser=True)


# Their devices ----------------------------------------------------------------------------------------------


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """What no page may do. A test that provokes some of it says `complaints.allow("status of 404")`."""
    complaints = Complaints()
    yield complaints
    assert not complaints.unexpected


@pytest.fixture(scope="package")
def idle_devices() -> defaultdict[str, list[BrowserContext]]:
    """By the address of their server, for the next tests: a new one costs as much as a page (0.1 to 0.7 s of CPU)."""
    return defaultdict(list)


@pytest.fixture
def visit(
    request: pytest.FixtureRequest,
    browser: Browser,
    idle_devices: defaultdict[str, list[BrowserContext]],
    server: NoticeServer,
    complaints: Complaints,
) -> Iterator[Visit]:
    """`visit(ada, "/echo/")`: a page on a device of its own; None is somebody who is not signed in.

    Options are those of a browser context: `viewport`, `color_scheme`, `java_script_enabled`, … With
    `for_good=True` the device is not used again, because the test changes it (its clock). With `whole=True` it has
    a whole browser. The service worker is another test's (`service_workers="allow"`): Playwright cannot play the
    server to a page that has one.
    """
    reusable: list[BrowserContext] = []
    used_up: list[BrowserContext] = []

    def visit(
        person: Person | None, path: str | None = "/", *, for_good: bool = False, whole: bool = False, **options: Any
    ) -> Page:
        special = for_good or whole or bool(options)
        idle = idle_devices[server.url]
        if idle and not special:
            context = idle.pop()
        else:
            context = new_device(request.getfixturevalue("whole_browser") if whole else browser, **options)
        (used_up if special else reusable).append(context)
        complaints.listen_to(context)
        if person:
            context.add_cookies([{"name": "sessionid", "value": person.session, "url": server.url}])
        page = context.new_page()
        if path:
            page.goto(path)
        return page

    def new_device(browser: Browser, **options: Any) -> BrowserContext:
        context = browser.new_context(base_url=server.url, **{"service_workers": "block"} | options)
        context.add_init_script(TELL_BREACHES)
        return context

    yield visit
    for context in used_up:
        complaints.stop_listening_to(context)  # tabs that close one by one take the lead, and are cut off
        context.close()
    for context in reusable:
        complaints.stop_listening_to(context)
        for page in context.pages:
            page.close()
        context.set_offline(False)
        context.clear_cookies()
        idle_devices[server.url].append(context)


@pytest.fixture
def open_inbox(visit: Visit) -> OpenInbox:
    """`open_inbox(ada)`: the notification page, connected."""

    def open_inbox(person: Person, path: str = "/", **options: Any) -> Page:
        page = visit(person, path, **options)
        expect_live(page)
        return page

    return open_inbox


@pytest.fixture
def browse(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`browse(server, "ada", "/")`: a page of a server that the test has started, on a device of its own.

    A script that fails on any page fails the test.
    """
    contexts: list[BrowserContext] = []
    failures: list[str] = []

    def browse(server: NoticeServer, person: str | None, path: str = "/", **options: Any) -> Page:
        context = browser.new_context(base_url=server.url, **options)
        contexts.append(context)
        context.on("weberror", lambda failure: failures.append(str(failure.error)))
        if person:
            context.add_cookies([server.cookie(person)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto(path)
        return page

    yield browse
    for context in contexts:
        context.close()
    assert not failures, "a script failed on a page"
