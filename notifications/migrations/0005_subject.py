import hashlib
from typing import Any

from django.db import migrations, models
from django.db.models import Q

CHUNK = 1000


def subject_of(key: str, audiences: list[str]) -> str:
    """As `sending.subject_of` was when this migration was written."""
    return hashlib.blake2b("\0".join([key, *sorted(set(audiences))]).encode(), digest_size=16).hexdigest()


def fill_subjects(apps: Any, schema_editor: Any) -> None:
    """Only what is not recalled needs one: a newer notice of the same subject supersedes it."""
    Notice = apps.get_model("notifications", "Notice")
    keyed = Notice.objects.filter(recalled_at=None).exclude(key="").order_by("pk")
    last = 0
    while chunk := list(keyed.filter(pk__gt=last).prefetch_related("postings")[:CHUNK]):
        for notice in chunk:
            notice.subject = subject_of(notice.key, [posting.audience for posting in notice.postings.all()])
        Notice.objects.bulk_update(chunk, ["subject"], batch_size=200)
        last = chunk[-1].pk


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_preferences")]

    operations = [
        migrations.AddField("notice", "subject", models.CharField(blank=True, editable=False, max_length=32, null=True)),
        migrations.AddField(
            "notice",
            "error",
            models.TextField(
                blank=True,
                db_default="",  # hosts of the version before this one still write rows without it
                default="",
                editable=False,
                help_text="why it cannot be published",
                verbose_name="error",
            ),
        ),
        migrations.AlterField("notice", "published", models.BigIntegerField(blank=True, editable=False, null=True)),
        migrations.AlterField("notice", "position", models.BigIntegerField(blank=True, editable=False, null=True)),
        migrations.AddConstraint(
            "notice",
            models.UniqueConstraint(
                fields=["published"], condition=Q(published__isnull=False), name="one_notice_at_published"
            ),
        ),
        migrations.AddConstraint(
            "notice",
            models.UniqueConstraint(
                fields=["position"], condition=Q(position__isnull=False), name="one_notice_at_position"
            ),
        ),
        migrations.RunPython(fill_subjects, migrations.RunPython.noop),
        migrations.AddIndex(
            "notice",
            models.Index(
                fields=["subject"], condition=Q(recalled_at=None, subject__isnull=False), name="notice_live_subject"
            ),
        ),
    ]
