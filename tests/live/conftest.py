"""Fixtures for what is claimed about real server processes, real sockets and a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.backstage import Backstage
from tests.live.kinds import DAPHNE, UVICORN, Kind
from tests.live.listener import Listener
from tests.live.page import Page
from tests.servers import NoticeServer

if TYPE_CHECKING:
    from tests.conftest import Serve

OpenPage = Callable[..., Awaitable[Page]]


# One server for a whole module, where nothing is broken on purpose ------------------------------------------


@pytest.fixture(scope="module", params=[UVICORN, DAPHNE], ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, kind: Kind, serve_module: Serve) -> NoticeServer:
    """A running server of each kind, with the module's SETTINGS."""
    return serve_module(kind.name, **getattr(request.module, "SETTINGS", {}))


@pytest.fixture(scope="module")
def backstage(server: NoticeServer) -> Iterator[Backstage]:
    with Backstage(server) as backstage:
        yield backstage


# Pages ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def open_page() -> AsyncIterator[OpenPage]:
    """`await open_page(server, session)`: a page that has been welcomed. No page may get a notice twice."""
    pages: list[Page] = []

    async def open_page(server: NoticeServer, session: str | None, **options: object) -> Page:
        page = Page(server, session, **options)  # type: ignore[arg-type]
        pages.append(page)
        return await page.open()

    yield open_page
    await asyncio.gather(*(page.leave() for page in pages))
    for page in pages:
        assert not page.doubled or page.all("reset"), "a page got a notice twice"


@pytest.fixture
async def listen() -> AsyncIterator[OpenPage]:
    """`await listen(server, session)`: a page that listens to `/events/`, or was refused there."""
    listeners: list[Listener] = []

    async def listen(
        server: NoticeServer,
        session: str | None,
        *,
        once: bool = False,
        headers: dict[str, str] | None = None,
        **options: object,
    ) -> Page:
        listener = Listener(server, session, **options)  # type: ignore[arg-type]
        listener.once, listener.more_headers = once, headers or {}
        listeners.append(listener)
        return await listener.open()

    yield listen
    await asyncio.gather(*(listener.leave() for listener in listeners))
    for listener in listeners:
        assert not listener.doubled or listener.all("reset"), "a page got a notice twice"


@pytest.fixture
def behind() -> Iterator[Callable[[NoticeServer], Backstage]]:
    """`behind(server)`: backstage of a server that the test started itself."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Backstage(server))


# Logs -------------------------------------------------------------------------------------------------------


class Logs:
    """What the servers have printed since it was last asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def news(self) -> str:
        news = ""
        for path in self._folder.glob("server*/server-*.log"):
            text = path.read_text(errors="replace")
            news += text[self._read.get(path, 0) :]
            self._read[path] = len(text)
        return news


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    return Logs(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True, scope="module")
def no_traceback_when_a_server_stops(logs: Logs) -> Iterator[None]:
    yield
    assert "Traceback" not in logs.news()


@pytest.fixture(autouse=True)
def no_traceback_in_any_log(logs: Logs) -> Iterator[None]:
    yield
    assert "Traceback" not in logs.news()
