import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.app import known_projects
from pushkeep.app.context import Services
from pushkeep.app.known_projects import KnownProjects
from pushkeep.app.projects import current_signing_key, ensure_default_project
from pushkeep.app.remembered import REMEMBERED_SECONDS
from pushkeep.app.rotate import prepare_key, retire_key, rotate_keys
from pushkeep.app.subscribe import Registered
from pushkeep.app.visitor import confirm
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import Conflict, NotFound
from tests.app.conftest import World
from tests.store.doubles import MASTER_KEY, SeededEntropy
from tests.store.samples import subscription

SITE = "https://shop.example.com"


class AskedStore:
    """The real store, and how often it was asked for a project."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked = 0
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def project_by_publishable_key(self, key: str) -> Any:
        self.asked += 1
        return await self._store.project_by_publishable_key(key)

    async def project_secrets(self, project: Any) -> Any:
        found = await self._store.project_secrets(project)
        self.reading.set()
        await self.go_on.wait()
        return found


@pytest.fixture
def asked(world: World) -> AskedStore:
    return AskedStore(world.store)


@pytest.fixture
def projects(world: World, asked: AskedStore) -> KnownProjects:
    return KnownProjects(asked, world.clock)


async def test_many_requests_ask_once_in_a_while(world: World, asked: AskedStore, projects: KnownProjects) -> None:
    key = world.project.publishable_key
    found = await asyncio.gather(*(projects.find(key) for _ in range(20)))
    assert await projects.find(key) is found[0] is found[19] is projects.last_known(key)
    assert found[0] is not None
    assert found[0].project == world.project
    assert asked.asked == 1
    world.clock.time += REMEMBERED_SECONDS
    await projects.find(key)
    assert asked.asked == 2


async def test_nothing_secret_is_shown(world: World, projects: KnownProjects) -> None:
    known = await projects.of(world.project)
    assert known.secrets.sync.hex() not in repr(known)
    assert repr(known.secrets.sync) not in repr(known)


async def test_wrong_keys_are_not_remembered(world: World, asked: AskedStore, projects: KnownProjects) -> None:
    wrong = "pk_" + "a" * 24
    for _ in range(2):
        assert await projects.find(wrong) is None
    assert asked.asked == 2
    assert projects.last_known(wrong) is None
    assert await projects.find("pk_'; DROP TABLE projects") is None
    assert asked.asked == 2, "what can be no key is not looked up"
    with pytest.raises(NotFound):
        await projects.of(dataclasses.replace(world.project, publishable_key=wrong))


async def test_the_number_of_projects_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_projects, "PROJECTS_MAX", 0)
    projects = KnownProjects(world.services.store, world.services.clock)
    assert await projects.find(world.project.publishable_key) is not None
    assert projects.last_known(world.project.publishable_key) is None


async def test_what_this_process_changes_is_seen_at_once(world: World, projects: KnownProjects) -> None:
    """No time passes on the clock."""

    async def keys() -> list[str]:
        return [key.key.key_id for key in (await projects.of(world.project)).keys]

    (first,) = await keys()
    following = await prepare_key(world.services, world.project)
    assert await keys() == [first]
    await rotate_keys(world.services, world.project)
    assert await keys() == [following.key_id, first]
    await retire_key(world.services, world.project, first)
    assert await keys() == [following.key_id]
    moved = "https://www.shop.example.com"
    await ensure_default_project(world.services, name="Shop", site_url=moved, contact=world.project.contact)
    assert (await projects.of(world.project)).origins == {SiteUrl.parse(moved, field="site_url").origin}


async def test_what_was_read_before_a_rotation_is_not_kept_after_it(
    world: World, asked: AskedStore, projects: KnownProjects
) -> None:
    asked.go_on.clear()
    reading = asyncio.create_task(projects.of(world.project))
    await asyncio.wait_for(asked.reading.wait(), 10)  # it has its keys
    await rotate_keys(world.services, world.project)
    later = asyncio.create_task(projects.of(world.project))  # who comes now does not join it
    asked.go_on.set()
    assert (await reading).keys[0].key.public_b64 == world.key
    assert (await later).keys[0].key.public_b64 != world.key
    assert (await projects.of(world.project)).keys == (await later).keys


@pytest.fixture
async def two(world: World, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Two processes with one database, which know the project as it was before anything happened."""
    stores: list[SqliteStore] = []
    worlds: list[World] = []
    for seed in (1, 2):
        entropy = SeededEntropy(seed)
        stores.append(await open_store(tmp_path / "db", MASTER_KEY, clock=world.clock, entropy=entropy))
        services = dataclasses.replace(world.services, store=stores[-1], entropy=entropy)
        project = await ensure_default_project(services, name="Shop", site_url=SITE, contact="mailto:push@example.com")
        key = (await current_signing_key(services, project)).public_b64
        worlds.append(dataclasses.replace(world, services=services, project=project, key=key))
        await services.projects.of(project)
    yield worlds[0], worlds[1]
    for store in stores:
        await store.aclose()


async def came(world: World, name: str, key: str) -> Registered:
    return await dataclasses.replace(world, key=key).register(subscription(name))


async def renews(services: Services, world: World, token: str) -> bool:
    return (await confirm(services, world.project, token)).renew


async def test_who_came_with_a_new_key_is_not_sent_back_by_a_process_that_does_not_know_it(
    two: tuple[World, World],
) -> None:
    """The other process has just rotated, and this one has not looked since: no time passes on the clock."""
    here, there = two
    old = await came(here, "old", here.key)
    rotated = await rotate_keys(there.services, there.project)
    new = await came(here, "new", rotated.active.public_b64)
    assert not new.standing.renew
    assert new.standing.key.public_b64 == rotated.active.public_b64
    assert not (await came(there, "other", rotated.active.public_b64)).standing.renew
    assert not await renews(here.services, here, new.sync_token)
    assert not (await came(here, "new", rotated.active.public_b64)).standing.renew
    here.clock.time += REMEMBERED_SECONDS
    assert await renews(here.services, here, old.sync_token), "and those of the old key are asked a moment later"
    standing = await confirm(here.services, here.project, old.sync_token)
    assert standing.key.public_b64 == rotated.active.public_b64


async def test_nothing_new_is_stored_with_a_key_that_another_process_has_just_retired(two: tuple[World, World]) -> None:
    here, there = two
    rotated = await rotate_keys(there.services, there.project)
    here.clock.time += REMEMBERED_SECONDS
    assert len((await here.services.projects.of(here.project)).keys) == 2
    await retire_key(there.services, there.project, rotated.retiring.key_id)
    with pytest.raises(Conflict) as caught:
        await came(here, "late", rotated.retiring.public_b64)
    assert caught.value.reason == "foreign_key"
    assert caught.value.details == {"application_server_key": rotated.active.public_b64}
    assert await here.records() == []


async def test_a_key_that_is_only_prepared_is_refused(world: World) -> None:
    following = await prepare_key(world.services, world.project)
    with pytest.raises(Conflict) as caught:
        await came(world, "early", following.public_b64)
    assert caught.value.reason == "foreign_key"


async def test_a_registration_in_the_moment_of_a_rotation_is_taken(world: World) -> None:
    """Between the look for the key, which was the next one, and the look at those that sign."""
    following = await prepare_key(world.services, world.project)

    class Rotating(AskedStore):
        async def find_key(self, project: Any, public_bytes: bytes) -> Any:
            found = await self._store.find_key(project, public_bytes)
            await rotate_keys(world.services, world.project)
            return found

    services = dataclasses.replace(world.services, store=Rotating(world.store))
    taken = await came(dataclasses.replace(world, services=services), "early", following.public_b64)
    assert taken.created
    assert not taken.standing.renew
