"""Browsers keep static files for ever, so each name must change with what it stands for."""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command
from django.test import override_settings

IMPORT = re.compile(r"""(?:from\s*|import\s*\(?\s*)["'](\./[^"']+)["']""")
HASHED = re.compile(r"\./\w+\.[0-9a-f]{12}\.js")


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """Our scripts as a server of a release gives them out, by their hashed names."""
    folder = tmp_path_factory.mktemp("static")
    storage = {"BACKEND": "config.static.HashedStaticFiles"}
    with override_settings(STATIC_ROOT=folder, STORAGES={"staticfiles": storage}):
        call_command("collectstatic", interactive=False, verbosity=0)
    return {path.name: path.read_text() for path in (folder / "notifications").glob("*.????????????.js")}


def test_every_module_is_imported_by_a_name_that_changes_with_it(collected):
    imports = [each for text in collected.values() for each in IMPORT.findall(text)]

    assert len(imports) > 10, "there are none to be looked at"
    assert [each for each in imports if not HASHED.fullmatch(each)] == []
    assert {each.removeprefix("./") for each in imports} <= collected.keys()
