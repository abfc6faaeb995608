"""The NotificationStore contract on SQLite, in a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from pushkeep.adapters.store import SqliteStore, audience_count_units
from pushkeep.adapters.store.sealing import SealBroken
from pushkeep.adapters.store.tables import notifications
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from tests.store.notification_contract import NotificationContract, accept, by_id, claim, subscribe

SECRET = b"words for one person only"


@pytest.mark.parametrize("store", ["file", "memory"], indirect=True)
class TestNotifications(NotificationContract):
    pass


@pytest.mark.parametrize("store", ["file"], indirect=True)
async def test_what_is_said_stands_in_no_file_as_it_is(store: SqliteStore, project: Project, tmp_path: Path) -> None:
    (one,) = await subscribe(store, project, 1)
    for target in (by_id(one), Target.everyone()):
        await accept(store, project, target, content=SECRET, payload=SECRET)
    files = [file.read_bytes() for file in tmp_path.iterdir() if file.is_file()]
    assert any(one.short_id.encode() in content for content in files)  # what is not sealed would be found
    assert not any(SECRET in content for content in files)
    assert [leased.job.payload for leased in await claim(store)] == [SECRET] * 2


async def test_what_is_said_cannot_be_moved_to_another_notification(store: SqliteStore, project: Project) -> None:
    (one,) = await subscribe(store, project, 1)
    first = (await accept(store, project, by_id(one), content=SECRET)).record
    second = (await accept(store, project, by_id(one))).record
    stolen = select(notifications.c.content).where(notifications.c.id == first.id).scalar_subquery()
    moved = update(notifications).where(notifications.c.id == second.id).values(content=stolen)
    await store.writer.run(lambda connection: connection.execute(moved) and None)
    with pytest.raises(SealBroken):
        await store.content_of(project, second.public_id)


async def test_an_audience_is_counted_in_pieces(
    store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience_count_units, "IDS_COUNTED_AT_ONCE", 2)
    for number in range(5):
        await subscribe(store, project, 2, owner=f"u{number}", name=f"{number}-")
        await store.put_contact(project, f"u{number}", ["few"] if number < 3 else [])
    for target, expected in ((Target.everyone(), 10), (Target.to_tag("few"), 6)):
        counted = await store.count_audience(project, target)
        assert list(counted.by_origin.values()) == [expected]
