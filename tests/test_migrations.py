"""What the version before stored is still right after its rows are migrated."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from notifications.models import Notice
from notifications.sending import send_notice

BEFORE_SUBJECTS = ("notifications", "0004_preferences")


@pytest.fixture
def version_before():
    """The tables and models of the version that knew no subjects; at the end they are those of today again."""
    executor = MigrationExecutor(connection)
    executor.migrate([BEFORE_SUBJECTS])
    yield executor.loader.project_state([BEFORE_SUBJECTS]).apps
    migrate_to_today()


def migrate_to_today():
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.django_db(transaction=True)
def test_a_keyed_notice_of_the_version_before_is_superseded_by_a_new_one(version_before):
    stored = version_before.get_model("notifications", "Notice").objects
    for key, audiences in (("disk", ["staff", "everyone"]), ("disk", ["staff"]), ("", ["staff", "everyone"])):
        notice = stored.create(title=f"old {key} {audiences}", key=key, source="command")
        for audience in audiences:
            notice.postings.create(audience=audience)

    migrate_to_today()
    send_notice(title="new", audiences=["everyone", "staff"], key="disk")

    live = sorted(Notice.objects.live().values_list("title", flat=True))
    assert live == ["new", "old  ['staff', 'everyone']", "old disk ['staff']"]
