"""Static files under names that change with their content, so that browsers may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


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
