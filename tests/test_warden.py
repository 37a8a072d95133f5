"""The warden: whoever is in doubt is looked at, also when the database is away just then.

What it does to pages whose access has changed is told in tests/live/test_access_changes.py.
"""

from __future__ import annotations

import pytest
from django.db import OperationalError

from notifications.live import warden
from notifications.live.access import WITHDRAWN, Finding
from notifications.live.hub import Hub
from tests.sockets import connect, eventually

pytestmark = pytest.mark.django_db(transaction=True)


async def test_doubts_from_before_and_while_the_database_was_away_are_looked_into_afterwards(monkeypatch):
    hub = Hub()
    pages = [(await connect(hub, user_id=user_id))[1] for user_id in (1, 2)]

    def away(readers):
        hub.warden._everybody = True  # somebody rings for everybody in this very moment
        raise OperationalError("away")

    monkeypatch.setattr(warden, "look_again", away)
    hub.warden.doubt([1])
    await hub.warden._look()
    monkeypatch.setattr(warden, "look_again", lambda readers: {r: Finding(WITHDRAWN, 0) for r in readers})
    await hub.warden._look()

    await eventually(lambda: [page.closed_with for page in pages] == [4503, 4503])


async def test_whoever_was_read_before_a_doubt_and_joins_after_it_is_looked_at(monkeypatch):
    hub = Hub()
    hub.warden.note(1)
    _, page = await connect(hub, user_id=1)
    monkeypatch.setattr(warden, "look_again", lambda readers: {r: Finding(WITHDRAWN, 0) for r in readers})

    hub.warden.meet(1, since=hub.warden._lately[1] + 1)
    assert not hub.warden._doubted, "they were read after it"
    hub.warden.meet(1, since=hub.warden._lately[1] - 1)
    await hub.warden._look()

    await eventually(lambda: page.closed_with == 4503)
