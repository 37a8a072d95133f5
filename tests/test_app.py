"""What makes the site an app: its manifest, its service worker, and what every page says of them."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.urls import reverse

from notifications.views import app

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture(autouse=True)
def another_process():
    """What a process remembers of its static files is another one's in the next test."""
    app.shell.cache_clear()
    yield
    app.shell.cache_clear()


@pytest.fixture
def hashed(monkeypatch):
    """As if these files had been collected, and had these names since."""
    names = {
        "notifications/main.js": "notifications/main.1.js",
        "notifications/style.css": "notifications/style.1.css",
        "notifications/admin.css": "notifications/admin.1.css",
        "notifications/icon-512.png": "notifications/icon-512.1.png",
        "admin/js/core.js": "admin/js/core.1.js",
    }
    monkeypatch.setattr(staticfiles_storage, "hashed_files", names, raising=False)
    monkeypatch.setattr(app, "static", lambda name: f"/static/{names.get(name, name)}")
    return names


def told_to_the_worker(client):
    text = client.get(reverse("service_worker")).content.decode()
    return json.loads(re.match(r"self\.NOTICES = (\{.*?\n\})\n", text, re.DOTALL)[1])


# The manifest -----------------------------------------------------------------------------------------------


def test_the_manifest_says_how_the_app_is_called_drawn_and_opened(client):
    answer = client.get(reverse("manifest"))

    manifest = answer.json()
    assert answer["Content-Type"] == "application/manifest+json"
    assert (manifest["name"], manifest["lang"], manifest["dir"]) == ("Notices", "en", "ltr")
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
    # What Chromium asks of an app that can be installed, and one that a system may cut to its own shape.
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}
    assert "maskable" in {icon["purpose"] for icon in manifest["icons"]}


def test_every_icon_is_there_and_as_large_as_the_manifest_says(client):
    for icon in client.get(reverse("manifest")).json()["icons"]:
        found = finders.find(icon["src"].removeprefix("/static/"))
        assert found, icon
        if icon["type"] == "image/png":
            with open(found, "rb") as file:
                head = file.read(24)
            width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
            assert f"{width}x{height}" == icon["sizes"]


def test_the_manifest_speaks_the_language_of_whoever_asks(client):
    manifest = client.get(reverse("manifest"), headers={"Accept-Language": "zh-CN"}).json()

    assert manifest["lang"] == "zh-hans"


@pytest.mark.django_db
def test_every_page_names_the_manifest_and_the_colours(client):
    page = client.get(reverse("login")).content.decode()

    assert '<link rel="manifest" href="/manifest.webmanifest"' in page
    assert '<link rel="apple-touch-icon"' in page
    assert page.count('<meta name="theme-color"') == 2


# The service worker -----------------------------------------------------------------------------------------


def test_the_worker_comes_from_the_root_and_is_asked_for_anew_each_time(client):
    answer = client.get(reverse("service_worker"))

    assert answer["Content-Type"].startswith("text/javascript")
    assert answer["Service-Worker-Allowed"] == "/"
    assert answer["Cache-Control"] == "no-cache"
    assert 'importScripts("/static/notifications/service_worker.js")' in answer.content.decode()


def test_the_worker_keeps_the_hashed_files_of_the_inbox_and_no_others(client, hashed):
    assert told_to_the_worker(client)["SHELL"] == [
        "/static/notifications/main.1.js",
        "/static/notifications/style.1.css",
    ]


def test_files_without_a_hash_are_not_kept_at_all(client):
    assert told_to_the_worker(client)["SHELL"] == []


def test_the_version_changes_with_any_of_the_files(client, hashed):
    before = told_to_the_worker(client)["VERSION"]
    assert told_to_the_worker(client)["VERSION"] == before

    hashed["notifications/main.js"] = "notifications/main.2.js"
    app.shell.cache_clear()

    assert told_to_the_worker(client)["VERSION"] != before


def test_the_worker_knows_every_address_where_people_sign_in_and_out(client):
    assert told_to_the_worker(client)["DOORS"] == [
        "/accounts/login/",
        "/accounts/logout/",
        "/admin/login/",
        "/admin/logout/",
    ]


def test_workers_and_manifests_come_from_here_only(client):
    policy = client.get(reverse("service_worker"))["Content-Security-Policy"]

    assert "worker-src 'self'" in policy
    assert "manifest-src 'self'" in policy
