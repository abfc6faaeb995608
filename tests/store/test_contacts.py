"""The ContactStore contract on SQLite, in a file and in memory; and the push services that registrations leave."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from pushkeep.adapters.store import SqliteStore, contact_units
from pushkeep.adapters.store.tables import push_services
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict, InvalidInput
from tests.store.contact_contract import ContactContract
from tests.store.samples import NOW, new_notification, registration, subscription


@pytest.mark.parametrize("store", ["file", "memory"], indirect=True)
class TestContacts(ContactContract):
    pass


async def test_every_push_service_is_noted_once_with_its_present_vendor_row(
    store: SqliteStore, project: Project
) -> None:
    async def noted() -> dict[str, str]:
        rows = await store.writer.run(
            lambda connection: connection.execute(select(push_services.c.origin, push_services.c.vendor)).all()
        )
        return {row.origin: row.vendor for row in rows}

    for name in ("one", "two"):
        await store.register(project, registration(subscription(name)))
    await store.register(project, registration(subscription(host="push.example.net"), vendor="unknown"))
    mozilla = "https://updates.push.services.mozilla.com"
    assert await noted() == {mozilla: "mozilla", "https://push.example.net": "unknown"}
    later = registration(subscription(host="push.example.net"), vendor="unifiedpush", now=NOW + 90_000)
    await store.register(project, later)
    assert await noted() == {mozilla: "mozilla", "https://push.example.net": "unifiedpush"}


async def limit_tags(store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three at most, of which ann has two."""
    monkeypatch.setattr(contact_units, "TAGS_PER_PROJECT_MAX", 3)
    await store.put_contact(project, "ann", ["a", "b"])


async def test_a_project_has_only_so_many_tags(
    store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit_tags(store, project, monkeypatch)
    await store.put_contact(project, "bob", ["c"])
    with pytest.raises(Conflict, match="has 3 tags") as caught:
        await store.put_contact(project, "bob", ["c", "d"])
    assert caught.value.field == "tags"
    found = await store.find_contact(project, "bob")
    assert found is not None
    assert found.tags == ("c",)
    assert set(await store.tags(project)) == {"a", "b", "c"}


async def test_room_is_made_by_tags_that_nobody_has(
    store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit_tags(store, project, monkeypatch)
    await store.put_contact(project, "bob", ["c"])
    new = new_notification(Target.to_tag("a"))
    await store.accept(project, new, backlog_max=0, lease_owner=None)
    await store.put_contact(project, "ann", [])
    await store.put_contact(project, "bob", ["c", "d"])
    # What a notification was for stays, or nobody would know any more whom it was for.
    assert await store.tags(project) == {"a": 0, "c": 1, "d": 1}
    with pytest.raises(InvalidInput):
        await store.count_audience(project, Target.to_tag("b"))
