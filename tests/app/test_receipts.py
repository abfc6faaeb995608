"""Receipts on their way in: collected, written together, bounded, and counted where they are not kept."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from pushkeep.app.context import Services
from pushkeep.app.receipts import LOOK_UPS_PER_SECOND_MAX, ReceiptBuffer, ReceiptProjects
from pushkeep.domain.event import Event, ReceiptsDropped, ReceiptsKept
from pushkeep.domain.project import Project
from pushkeep.domain.receipt import Receipt, ReceiptKind, ReceiptTokens
from pushkeep.errors import Unavailable
from tests.app.conftest import World

DISPLAYED = ReceiptKind.DISPLAYED
ID = str(uuid.UUID(int=7))


class Keeper:
    """A store of receipts that can be slow or away, with every call it got."""

    def __init__(self) -> None:
        self.inserts: list[Sequence[Receipt]] = []
        self.away = False
        self.ready = asyncio.Event()
        self.ready.set()

    async def add_receipts(self, project: Project, receipts: Sequence[Receipt]) -> Mapping[str, int]:
        await self.ready.wait()
        if self.away:
            raise Unavailable("The database is full.")
        self.inserts.append(receipts)
        return {"displayed": len(receipts)}


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def services(world: World, keeper: Keeper) -> Services:
    store: Any = keeper
    return dataclasses.replace(world.services, store=store)


@pytest.fixture
def heard(services: Services) -> list[Event]:
    events: list[Event] = []
    services.announcer.listen(events.append)
    return events


@pytest.fixture
async def collect(services: Services) -> AsyncIterator[Any]:
    buffers: list[ReceiptBuffer] = []

    def make(**limits: float) -> ReceiptBuffer:
        buffers.append(ReceiptBuffer(services, **limits))  # type: ignore[arg-type]
        return buffers[-1]

    yield make
    for buffer in buffers:
        await buffer.aclose()


async def until(condition: Any) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0)


async def test_what_comes_within_a_moment_is_one_insert(
    collect: Any, keeper: Keeper, heard: list[Event], world: World
) -> None:
    buffer = collect(flush_seconds=0.001)
    for number in range(10):
        buffer.add(world.project, ID, number, DISPLAYED)
    await until(lambda: keeper.inserts)
    assert [item.subscription_id for item in keeper.inserts[0]] == list(range(10))
    assert len(keeper.inserts) == 1
    assert heard == [ReceiptsKept({"displayed": 10}, 0.0)]


async def test_many_are_written_without_waiting_for_the_moment_to_pass(
    collect: Any, keeper: Keeper, world: World
) -> None:
    buffer = collect(flush_seconds=3600, flush_max=4)
    for number in range(11):
        buffer.add(world.project, ID, number, DISPLAYED)
    await until(lambda: len(keeper.inserts) == 2)
    assert [len(insert) for insert in keeper.inserts] == [4, 4]
    await buffer.aclose()
    assert [len(insert) for insert in keeper.inserts] == [4, 4, 3]


async def test_one_that_comes_twice_takes_one_place(collect: Any, keeper: Keeper, world: World) -> None:
    buffer = collect(size_max=2, flush_seconds=3600)
    for _ in range(100):
        buffer.add(world.project, ID, 1, DISPLAYED)
    buffer.add(world.project, ID, 2, DISPLAYED)
    await buffer.aclose()
    assert [item.subscription_id for item in keeper.inserts[0]] == [1, 2]


async def test_what_does_not_fit_is_dropped_and_counted(
    collect: Any, keeper: Keeper, heard: list[Event], world: World
) -> None:
    keeper.ready.clear()
    buffer = collect(size_max=5, flush_max=3, flush_seconds=3600)
    for number in range(9):
        buffer.add(world.project, ID, number, DISPLAYED)
    buffer.drop("invalid")
    keeper.ready.set()
    await buffer.aclose()
    assert [len(insert) for insert in keeper.inserts] == [3, 2]
    assert {event for event in heard if isinstance(event, ReceiptsDropped)} == {
        ReceiptsDropped("full", 4),
        ReceiptsDropped("invalid", 1),
    }


async def test_a_database_that_is_away_for_a_while_loses_nothing(
    collect: Any, keeper: Keeper, heard: list[Event], world: World
) -> None:
    keeper.away = True
    buffer = collect(flush_seconds=0.001)
    buffer.add(world.project, ID, 1, DISPLAYED)
    tries = []
    keeper_add = keeper.add_receipts

    async def counted(project: Project, receipts: Sequence[Receipt]) -> Mapping[str, int]:
        tries.append(len(receipts))
        return await keeper_add(project, receipts)

    keeper.add_receipts = counted  # type: ignore[method-assign]
    await until(lambda: len(tries) == 2)
    buffer.add(world.project, ID, 2, DISPLAYED)
    keeper.away = False
    await until(lambda: keeper.inserts)
    await buffer.aclose()
    assert [item.subscription_id for insert in keeper.inserts for item in insert] == [1, 2]
    assert not [event for event in heard if isinstance(event, ReceiptsDropped)]


async def test_a_database_that_is_away_is_not_asked_for_every_receipt(
    collect: Any, keeper: Keeper, world: World
) -> None:
    keeper.away = True
    buffer = collect(flush_max=2, flush_seconds=3600)
    tries = 0
    keeper_add = keeper.add_receipts

    async def counted(project: Project, receipts: Sequence[Receipt]) -> Mapping[str, int]:
        nonlocal tries
        tries += 1
        return await keeper_add(project, receipts)

    keeper.add_receipts = counted  # type: ignore[method-assign]
    for number in range(50):
        buffer.add(world.project, ID, number, DISPLAYED)
        await asyncio.sleep(0)
    assert tries == 1
    keeper.away = False
    await buffer.aclose()
    assert sum(len(insert) for insert in keeper.inserts) == 50


async def test_a_database_that_stays_away_does_not_keep_a_stop_waiting(
    collect: Any, keeper: Keeper, heard: list[Event], world: World
) -> None:
    keeper.away = True
    buffer = collect(flush_seconds=3600)
    for number in range(3):
        buffer.add(world.project, ID, number, DISPLAYED)
    await buffer.aclose()
    assert heard == [ReceiptsDropped("unavailable", 3)]
    buffer.add(world.project, ID, 4, DISPLAYED)
    assert keeper.inserts == []


async def test_projects_do_not_mix(collect: Any, keeper: Keeper, world: World) -> None:
    other = dataclasses.replace(world.project, id=world.project.id + 1)
    buffer = collect(flush_seconds=3600)
    for project in (world.project, other, world.project):
        buffer.add(project, ID, 1, DISPLAYED)
    await buffer.aclose()
    assert [len(insert) for insert in keeper.inserts] == [1, 1]


async def test_a_token_finds_its_subscription_and_no_other(world: World) -> None:
    projects = ReceiptProjects(world.services)
    found = await projects.find(world.project.publishable_key)
    assert found is not None
    assert found.project == world.project
    assert projects.known(world.project.publishable_key) is found
    token = ReceiptTokens(found.key, ID).make(17)
    for _ in range(2):
        assert projects.subscription_of(found, ID, token) == 17
        assert projects.subscription_of(found, str(uuid.UUID(int=8)), token) is None
        assert projects.subscription_of(found, ID, token[:-1] + b"!") is None


async def test_a_flood_of_made_up_keys_reaches_the_database_some_times_a_second(world: World) -> None:
    asked = 0
    store: Any = world.services.store
    look_up = store.project_by_publishable_key

    class Counting:
        async def project_by_publishable_key(self, key: str) -> Project | None:
            nonlocal asked
            asked += 1
            found: Project | None = await look_up(key)
            return found

    counting: Any = Counting()
    projects = ReceiptProjects(dataclasses.replace(world.services, store=counting))
    for number in range(100):
        assert await projects.find(f"pk_{number:024d}") is None
        assert await projects.find(f"pk_{number}") is None
    assert asked == LOOK_UPS_PER_SECOND_MAX


async def test_a_key_that_everybody_asks_for_at_once_is_looked_up_once(world: World) -> None:
    projects = ReceiptProjects(world.services)
    key = world.project.publishable_key
    found = await asyncio.gather(*(projects.find(key) for _ in range(5 * LOOK_UPS_PER_SECOND_MAX)))
    assert len({id(item) for item in found}) == 1, "those who wait for the same answer are no flood"
    assert found[0] is not None
