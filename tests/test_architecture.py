"""The rooms of the house: imports point only down, and each thing has one place."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.machine import ROOT

# From the ground up; a module may import those above it in this list. A line is a storey: those on it keep apart.
STOREYS = [
    {"config.redis", "config.sqlite", "config.setting_up", "config.environment"},
    {"config.logs", "config.errors", "config.probes", "config.static", "config.settings"},
    {"notifications.texts"},
    {"notifications.models", "notifications.prepared", "notifications.sessions", "notifications.addresses"},
    {
        "notifications.audiences",
        "notifications.frames",
        "notifications.times",
        "notifications.filters",
        "notifications.management.shell",
        "notifications.attention",
    },
    {"notifications.entries", "notifications.walk"},
    {"notifications.doorbell"},
    {"notifications.log"},
    {"notifications.marks"},
    {"notifications.sending", "notifications.inbox", "notifications.access_bells"},
    {"notifications.deeds", "notifications.seeing"},
    {"notifications.muting"},
    {"notifications.apps"},
    {
        "notifications.live.database",
        "notifications.live.outbox",
        "notifications.live.occupancy",
        "notifications.live.rate",
        "notifications.live.embedded",
        "notifications.live.access",
        "notifications.live.wire",
    },
    {"notifications.live.websocket", "notifications.live.batch"},
    {"notifications.live.http"},
    {"notifications.live.connection"},
    {
        "notifications.live.warden",
        "notifications.live.crowd",
        "notifications.live.rounds",
        "notifications.live.sightings",
    },
    {"notifications.live.hub"},
    {"notifications.live.consumers"},
    {"notifications.live.events"},
    {"notifications.live.routing", "notifications.live.application"},
    {"config.asgi", "config.sign_in"},
    {"config.password"},
    {"notifications.live.server"},
    {"notifications.forms"},
    {"notifications.views.signed_in", "notifications.admin_lists"},
    {
        "notifications.views.inbox",
        "notifications.views.bell",
        "notifications.views.notice",
        "notifications.views.send",
        "notifications.views.echo",
        "notifications.views.test_notice",
        "notifications.views.health",
        "notifications.views.preferences",
        "notifications.views.app",
        "notifications.admin",
    },
    {"notifications.urls", "config.urls", "notifications.templatetags.notices"},
]
COMMANDS = "notifications.management.commands."
MIGRATIONS = "notifications.migrations."


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


FILES = {name_of(path): path for folder in ("config", "notifications") for path in (ROOT / folder).rglob("*.py")}
MODULES = {name: path for name, path in FILES.items() if path.name != "__init__.py" and not name.startswith(MIGRATIONS)}


def storey_of(name: str) -> int:
    if name.startswith(COMMANDS):
        return len(STOREYS)
    return next(number for number, storey in enumerate(STOREYS) if name in storey)


def without_type_checking(tree: ast.AST) -> list[ast.AST]:
    """Every node that is there when the program runs."""
    nodes = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        nodes += [node, *without_type_checking(node)]
    return nodes


def imports_of(path: Path) -> set[str]:
    """The names that ``path`` imports: modules, and what it takes from them."""
    names = set()
    for node in without_type_checking(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_every_module_has_its_place():
    listed = {name for storey in STOREYS for name in storey}

    assert {name for name in MODULES if not name.startswith(COMMANDS)} == listed


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_only_down(name):
    ours = imports_of(MODULES[name]) & MODULES.keys()

    wrong = {other for other in ours if storey_of(other) >= storey_of(name)}

    assert not wrong, f"{name} imports {wrong}"


def test_this_test_would_notice():
    """The premise: imports are found at all, and on every storey but the lowest."""
    assert "notifications.doorbell" in imports_of(MODULES["notifications.log"])
    assert "notifications.log" in imports_of(MODULES["notifications.inbox"])
    assert "notifications.live.hub" not in imports_of(MODULES["notifications.live.connection"])  # for types only
    assert storey_of("notifications.log") > storey_of("notifications.doorbell")


@pytest.mark.parametrize("name", sorted(FILES.keys() - MODULES.keys()))
def test_packages_open_empty(name):
    if not name.startswith(MIGRATIONS) or name.endswith("__init__"):
        assert FILES[name].read_text() == ""


def who_imports(*modules: str) -> set[str]:
    return {name for name, path in MODULES.items() if imports_of(path) & set(modules)}


def test_only_the_doorbell_touches_the_channel_layer():
    assert who_imports("channels.layers", "channels_redis.pubsub") == {"notifications.doorbell"}


def test_only_the_bottom_knows_how_to_reach_redis():
    names_its_errors = "config.logs"
    assert who_imports("redis") <= {"notifications.doorbell", "notifications.live.hub", names_its_errors}


@pytest.mark.parametrize(
    "name", ["notifications.frames", "notifications.texts", "notifications.live.outbox", "notifications.live.rate"]
)
def test_what_is_pure_stays_pure(name):
    impure = ("django", "channels", "asyncio", "redis", "socket", "os")

    assert not {each for each in imports_of(MODULES[name]) if each.split(".")[0] in impure}


def test_nothing_below_the_live_part_knows_of_the_event_loop_but_the_doorbell():
    ground = [name for storey in STOREYS[:9] for name in storey if not name.startswith("config.")]

    assert {name for name in ground if "asyncio" in imports_of(MODULES[name])} == {"notifications.doorbell"}


def test_only_the_sign_in_counts_attempts_and_loads_the_library_for_it():
    assert who_imports("limits") == who_imports("limits.strategies") == {"config.sign_in"}
    assert who_imports("config.sign_in") == {"config.password"}
    assert who_imports("config.password") == {"config.urls"}, "no command loads the library"


def test_there_is_one_door_through_which_notices_come_in():
    creating = re.compile(r"\bNotice\(|\bNotice\.objects\.(\w*create|\w*create_or_\w*)\(")

    doors = {name for name, path in MODULES.items() if creating.search(path.read_text())}
    doors.remove("notifications.models")  # where it is defined

    assert doors == {"notifications.sending"}


def test_signals_only_ring_for_another_look_at_access_and_keep_where_an_account_begins():
    signals = ("django.db.models.signals", "django.contrib.auth.signals", "django.dispatch")

    assert who_imports(*signals) == {"notifications.access_bells", "notifications.marks"}
