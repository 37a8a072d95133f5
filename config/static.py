"""Static files under names that change with their content, so that browsers may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites `import "./x.js"` to the hashed name; without it a deploy mixes old and new modules."""

    support_js_module_import_aggregation = True
