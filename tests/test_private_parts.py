"""What we use of Uvicorn and websockets beyond their documented interfaces is still there, under the names we use.

pyproject.toml keeps both below the next version that may change it. Whoever raises the bound runs this first.
"""

from __future__ import annotations

import inspect
import re
import tomllib

import pytest
import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState
from uvicorn.supervisors import multiprocess
from websockets.protocol import OPEN, SERVER, Protocol

from notifications.live.http import PromptHttpProtocol
from notifications.live.server import Server, Worker
from tests.machine import ROOT


async def nothing(scope, receive, send):
    """An application that does nothing."""


@pytest.fixture
def config():
    config = uvicorn.Config(nothing, lifespan="on", ws="none")
    config.load()
    return config


def used(text, receiver):
    """The attributes of ``receiver`` that a piece of our code names."""
    return set(re.findall(rf"(?<![\w.]){re.escape(receiver)}\.(\w+)", text))


def missing(names, there):
    return {name for name in names if not hasattr(there, name)}


def overridden(ours):
    """The methods that call the one of the same name they replace."""
    calls = {name: f"super().{name}" for name in vars(ours)}
    return {name for name, call in calls.items() if call in inspect.getsource(ours)}


async def test_the_http_protocol_has_what_ours_builds_on(config):
    stock = HttpToolsProtocol(config, ServerState(), {})
    stock.connection_made(Transport())
    stock.on_message_begin()

    assert not missing(overridden(PromptHttpProtocol) | {"handle_websocket_upgrade"}, stock)
    assert not missing(used(inspect.getsource(PromptHttpProtocol), "self") - set(dir(PromptHttpProtocol)), stock)
    of_cycle = used(inspect.getsource(PromptHttpProtocol), "self._served")
    assert {"response_complete", "disconnected", "message_event"} <= of_cycle
    assert of_cycle <= used(inspect.getsource(RequestResponseCycle), "self")


class Transport:
    """Just enough of one for a connection to be made."""

    def get_extra_info(self, name):
        return None


async def test_the_server_has_what_ours_builds_on(config):
    stock = uvicorn.Server(config)

    assert not missing(overridden(Server), stock)
    in_serve = used(inspect.getsource(uvicorn.Server), "self")  # set by `serve` and `startup`
    assert used(inspect.getsource(Server), "self") <= in_serve | set(dir(stock))
    assert LifespanOn(config).state == {}
    assert ServerState().connections == set()
    assert config.timeout_graceful_shutdown is None


def test_the_supervisor_starts_the_process_that_it_finds_under_the_name_we_replace():
    assert "Process(" in inspect.getsource(multiprocess.Multiprocess)
    assert issubclass(Worker, multiprocess.Process)
    assert {"_server", "config"} <= used(inspect.getsource(multiprocess.Process), "self")
    assert {"target", "server"} <= vars(multiprocess.Process).keys()


def test_the_frame_parser_has_what_our_websocket_asks_of_it():
    names = used((ROOT / "notifications/live/websocket.py").read_text(), "self._frames")

    assert {"parser_exc", "reader", "max_message_size"} <= names
    assert not missing(names, Protocol(SERVER, state=OPEN))
    assert hasattr(Protocol(SERVER, state=OPEN).reader, "buffer")


@pytest.mark.parametrize("name", ["uvicorn", "websockets"])
def test_a_version_that_may_have_changed_it_is_not_installed_by_itself(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    [asked] = [each for each in project["dependencies"] if re.match(rf"{name}\b", each)]
    assert ",<" in asked


def test_this_test_would_notice():
    assert missing({"parser_exc", "parser_error"}, Protocol(SERVER)) == {"parser_error"}
    assert used("self._frames.fail(self._frames_of.x, other.self._frames.y)", "self._frames") == {"fail"}
