from typing import Any

from django.conf import settings
from django.db import migrations, models

# One statement, however many people there are. `WHERE TRUE`: else SQLite takes ON for that of a join.
FILL = """
    INSERT INTO {marks} (user_id, through, changes, joined)
    SELECT person.{pk}, 0, 0, COALESCE((
      SELECT published FROM {notices} WHERE published_at < person.date_joined ORDER BY published_at DESC LIMIT 1
    ), 0)
    FROM {people} AS person WHERE TRUE
    ON CONFLICT (user_id) DO UPDATE SET joined = excluded.joined
"""


def fill_joined(apps: Any, schema_editor: Any) -> None:
    """For accounts that exist the clocks decide once more, and then never again."""
    people = apps.get_model(settings.AUTH_USER_MODEL)._meta
    marks, notices = (apps.get_model("notifications", name)._meta.db_table for name in ("ReadMark", "Notice"))
    schema_editor.execute(FILL.format(marks=marks, notices=notices, people=people.db_table, pk=people.pk.column))


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0006_seen_through"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "readmark",
            "joined",
            models.BigIntegerField(help_text="the head of the log when the account was made", null=True),
        ),
        migrations.RunPython(fill_joined, migrations.RunPython.noop),
    ]
