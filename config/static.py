"""Static files under names that change with their content, so that browsers may keep them for ever."""

from contextlib import closing
from io import BytesIO
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Reads a file at once and closes it: the largest has 330 KB.

    WhiteNoise leaves that to Django, which under ASGI reads it at once, too, but closes it when all of it was taken.
    When the client goes away before there is a response to be sent, Django closes nothing, and the file stays open
    until the garbage collector comes (`FileResponse` refers to itself).
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        with closing(found.file or BytesIO()) as file:
            response = HttpResponse(file.read(), status=int(found.status))
        del response["Content-Type"]  # a 304 with one would change the type of what the browser has
        for name, value in found.headers:
            response[name] = value
        return response


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites `from "./x.js"` and `import("./x.js")` to the hashed names, so that a deploy mixes no modules.

    Django's own rule for that (`support_js_module_import_aggregation`) sees only imports that end with a semicolon.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        (
            "*.js",
            (
                (
                    r"""(?P<matched>(?P<before>from\s*|import\s*\(?\s*)["'](?P<url>\./[^"']+\.js)["'])""",
                    '%(before)s"%(url)s"',
                ),
            ),
        ),
    )
