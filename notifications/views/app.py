"""What makes the site an app: its manifest, and its service worker."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

ICONS = (
    ("icon.svg", "any", "image/svg+xml", "any"),
    ("icon-192.png", "192x192", "image/png", "any"),
    ("icon-512.png", "512x512", "image/png", "any"),
    ("icon-maskable-512.png", "512x512", "image/png", "maskable"),
)
# Where somebody signs in or out: what was kept for the last person is forgotten there.
DOORS = ("login", "logout", "admin:login", "admin:logout")
# Files that an inbox without a network can do without.
NOT_FOR_THE_INBOX = (
    *("admin.css", "bell.css", "bell.js", "echo.js", "preferences.js", "probes.js", "self_help.js", "steps.js"),
    "service_worker.js",
)


@require_safe
@cache_control(private=True, max_age=3600)
def manifest(request: HttpRequest) -> HttpResponse:
    """How the site is called and drawn once it is installed, in the language of whoever asks."""
    described = {
        "id": reverse("inbox"),
        "name": _("Notices"),
        "short_name": _("Notices"),
        "description": _("What the people and machines around you have to tell you, at once."),
        "lang": get_language(),
        "dir": "rtl" if get_language_bidi() else "ltr",
        "start_url": reverse("inbox"),
        "scope": reverse("inbox"),
        "display": "standalone",
        "theme_color": "#3b4fd8",
        "background_color": "#f5f6f8",
        "icons": [
            {"src": static(f"notifications/{name}"), "sizes": sizes, "type": kind, "purpose": purpose}
            for name, sizes, kind, purpose in ICONS
        ],
    }
    return JsonResponse(described, content_type="application/manifest+json")


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """Served from the root, because a worker sees only what lies below it; browsers ask anew for each change."""
    files = shell()
    told = {
        "VERSION": hashlib.blake2s("\n".join(files).encode(), digest_size=6).hexdigest(),
        "SHELL": files,
        "DOORS": [reverse(name) for name in DOORS],
        "INBOX": reverse("inbox"),
    }
    script = static("notifications/service_worker.js")
    text = f"self.NOTICES = {json.dumps(told, indent=1)}\nimportScripts({json.dumps(script)})\n"
    return HttpResponse(text, content_type="text/javascript", headers={"Service-Worker-Allowed": reverse("inbox")})


@lru_cache(maxsize=1)
def shell() -> list[str]:
    """The addresses of our hashed static files for the inbox. Without hashes nobody could tell old ones from new."""
    names: dict[str, str] = getattr(staticfiles_storage, "hashed_files", {})
    ours = sorted(
        name for name in names if name.startswith("notifications/") and name.endswith((".js", ".css", ".svg"))
    )
    return [static(name) for name in ours if name.removeprefix("notifications/") not in NOT_FOR_THE_INBOX]
