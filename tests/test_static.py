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


A_FILE = "/static/admin/css/base.css"


@pytest.fixture
def client(settings, client):
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = True  # as with DEBUG: nothing is collected here
    return client


def test_a_file_is_given_out_whole_in_part_and_not_again(client):
    whole = client.get(A_FILE)
    part = client.get(A_FILE, HTTP_RANGE="bytes=10-19")
    same = client.get(A_FILE, HTTP_IF_NONE_MATCH=whole["ETag"])
    head = client.head(A_FILE)

    assert [answer.status_code for answer in (whole, part, same, head)] == [200, 206, 304, 200]
    assert whole["Content-Type"].startswith("text/css")
    assert int(whole["Content-Length"]) == len(whole.content) == int(head["Content-Length"])
    assert part.content == whole.content[10:20]
    assert head.content == same.content == b""
    assert "Content-Type" not in same, "it would become the type of what the browser has"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_file_is_only_read(client, method):
    assert getattr(client, method)(A_FILE).status_code == 405


@pytest.mark.parametrize(
    "path", ["../../manage.py", "%2e%2e/%2e%2e/manage.py", "..%2f..%2fmanage.py", "/etc/passwd", "admin/css", "a%00b"]
)
def test_what_is_no_static_file_is_not_found(client, path):
    assert client.get(f"/static/{path}").status_code == 404
