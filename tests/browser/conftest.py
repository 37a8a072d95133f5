"""Fixtures for what people see and do in a real browser, on a real server.

Each device is a browser context. Whatever a page says on its console, each breach of the
Content-Security-Policy, each failing script and each dialog fails the test (see `complaints`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.complaints import TELL_BREACHES, Complaints
from tests.browser.gestures import expect_live
from tests.conftest import server_factory
from tests.live.backstage import Backstage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

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


@pytest.fixture(scope="module")
def idle_devices(browser: Browser) -> list[BrowserContext]:
    """Used again by the module's next tests: a new browser context costs as much as two pages (0.5 s of CPU)."""
    return []


@pytest.fixture
def visit(
    browser: Browser, idle_devices: list[BrowserContext], server: NoticeServer, complaints: Complaints
) -> Iterator[Visit]:
    """`visit(ada, "/echo/")`: a page on a device of its own; None is somebody who is not signed in.

    Options are those of a browser context: `viewport`, `color_scheme`, `java_script_enabled`, … With
    `for_good=True` the device is not used again, because the test changes it (its clock). The service worker is
    another test's (`service_workers="allow"`): Playwright cannot play the server to a page that has one.
    """
    reusable: list[BrowserContext] = []
    used_up: list[BrowserContext] = []

    def visit(person: Person | None, path: str | None = "/", *, for_good: bool = False, **options: Any) -> Page:
        special = for_good or bool(options)
        context = idle_devices.pop() if idle_devices and not special else new_device(**options)
        (used_up if special else reusable).append(context)
        complaints.listen_to(context)
        if person:
            context.add_cookies([{"name": "sessionid", "value": person.session, "url": server.url}])
        page = context.new_page()
        if path:
            page.goto(path)
        return page

    def new_device(**options: Any) -> BrowserContext:
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
        idle_devices.append(context)


@pytest.fixture
def open_inbox(visit: Visit) -> OpenInbox:
    """`open_inbox(ada)`: the notification page, connected."""

    def open_inbox(person: Person, path: str = "/", **options: Any) -> Page:
        page = visit(person, path, **options)
        expect_live(page)
        return page

    return open_inbox
