"""What every adapter of the ContactStore port must do; test modules subclass it and say on which stores."""

from __future__ import annotations

import asyncio

from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports import Store
from pushkeep.ports.audiences import ContactRecord
from tests.store.doubles import FakeClock
from tests.store.samples import NOW, foreign, registration, subscription


class ContactContract:
    async def test_a_contact_is_stored_and_found(self, store: Store, project: Project) -> None:
        assert await store.find_contact(project, "ann") is None
        stored = await store.put_contact(project, "ann", ["vip", "news"])
        assert stored == ContactRecord("ann", ("news", "vip"), 0, NOW)
        assert await store.find_contact(project, "ann") == stored
        assert await store.find_contact(foreign(project), "ann") is None

    async def test_it_has_exactly_the_tags_it_was_given_last(
        self, store: Store, project: Project, clock: FakeClock
    ) -> None:
        await store.put_contact(project, "ann", ["a", "b", "c"])
        clock.time += 10
        assert (await store.put_contact(project, "ann", ["b", "d", "d"])).tags == ("b", "d")
        assert (await store.put_contact(project, "ann", None)).tags == ("b", "d")
        assert await store.put_contact(project, "ann", []) == ContactRecord("ann", (), 0, NOW)

    async def test_a_contact_without_tags_can_be_stored(self, store: Store, project: Project) -> None:
        assert (await store.put_contact(project, "ann", None)).tags == ()
        assert await store.find_contact(project, "ann") is not None

    async def test_a_contact_that_came_by_its_browser_is_the_same(self, store: Store, project: Project) -> None:
        await store.put_contact(project, "ann", ["vip"])
        first = await store.register(project, registration(subscription("one"), owner="ann"))
        await store.register(project, registration(subscription("two"), owner="ann"))
        await store.register(project, registration(subscription("three"), owner="bob"))
        assert (await store.put_contact(project, "bob", ["news"])).active_subscriptions == 1
        assert await store.find_contact(project, "ann") == ContactRecord("ann", ("vip",), 2, NOW)
        await store.end_subscription(project, AnyId(first.record.public_id, None), StateReason(Event.LEFT, NOW))
        found = await store.find_contact(project, "ann")
        assert found is not None
        assert found.active_subscriptions == 1

    async def test_tags_are_counted_and_stay_without_contacts(self, store: Store, project: Project) -> None:
        assert await store.tags(project) == {}
        await store.put_contact(project, "ann", ["vip", "news"])
        await store.put_contact(project, "bob", ["news"])
        assert await store.tags(project) == {"news": 2, "vip": 1}
        await store.put_contact(project, "ann", [])
        assert await store.tags(project) == {"news": 1, "vip": 0}
        assert await store.tags(foreign(project)) == {}

    async def test_many_at_once_make_one_contact_with_one_set_of_tags(self, store: Store, project: Project) -> None:
        await asyncio.gather(*(store.put_contact(project, "ann", ["a", f"t{number}"]) for number in range(20)))
        found = await store.find_contact(project, "ann")
        assert found is not None
        assert len(found.tags) == 2
        assert (await store.tags(project))["a"] == 1
