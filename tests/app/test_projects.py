import dataclasses

import pytest

from pushkeep.app.projects import (
    active_of,
    authenticate,
    create_api_key,
    current_signing_key,
    ensure_default_project,
    identity_secret,
    project_by_publishable_key,
    signing_keys,
)
from pushkeep.domain.project import KeyState
from pushkeep.errors import ConfigurationError, InvalidInput, NotFound, Unauthorized
from tests.app.conftest import World


async def test_a_project_has_its_keys_from_the_first_start(world: World) -> None:
    assert world.project.publishable_key.startswith("pk_")
    assert len(await identity_secret(world.services, world.project)) == 32
    (key,) = await signing_keys(world.services, world.project)
    assert (await current_signing_key(world.services, world.project)).public_bytes == key.key.public_bytes


async def test_the_active_key_is_found_among_others(world: World) -> None:
    (active,) = await signing_keys(world.services, world.project)
    retiring = dataclasses.replace(active, state=KeyState.RETIRING)
    assert active_of([retiring, active]) is active
    with pytest.raises(ConfigurationError, match="no active signing key"):
        active_of([retiring])


async def test_the_second_start_finds_them(world: World) -> None:
    again = await ensure_default_project(
        world.services, name="Shop", site_url="https://shop.example.com/", contact="mailto:push@example.com"
    )
    assert again == world.project
    assert (await current_signing_key(world.services, again)).public_b64 == world.key


async def test_settings_that_cannot_work_change_nothing(world: World) -> None:
    with pytest.raises(InvalidInput, match="contact"):
        await ensure_default_project(
            world.services, name="Shop", site_url="https://other.example.com", contact="mailto:a@localhost"
        )
    found = await project_by_publishable_key(world.services, world.project.publishable_key)
    assert found == world.project


async def test_an_unknown_publishable_key(world: World) -> None:
    for key in ("pk_" + "a" * 24, "sk_x", "", "pk_'; DROP TABLE projects"):
        with pytest.raises(NotFound, match="pk_"):
            await project_by_publishable_key(world.services, key)


async def test_an_api_key_opens_its_project(world: World) -> None:
    key = await create_api_key(world.services, world.project, "CI")
    other = await create_api_key(world.services, world.project, "CI")
    assert key != other
    assert key.startswith("sk_")
    assert await authenticate(world.services, key) == world.project
    assert await authenticate(world.services, other) == world.project


async def test_anything_else_does_not(world: World) -> None:
    key = await create_api_key(world.services, world.project, "CI")
    other = await create_api_key(world.services, world.project, "CI")
    crossed = key[:15] + other[15:]
    changed = key[:-1] + ("A" if key[-1] != "A" else "B")
    messages = set()
    for text in (
        "",
        "sk_",
        key[:-1],
        key + "x",
        key[:-1] + "ä",
        changed,
        crossed,
        "sk_" + "a" * 55,
        world.project.publishable_key,
    ):
        with pytest.raises(Unauthorized) as caught:
            await authenticate(world.services, text)
        messages.add(caught.value.message)
        assert len(text) < 4 or text not in caught.value.message
    assert len(messages) == 1, "nothing is said about why"


async def test_a_label_is_needed(world: World) -> None:
    with pytest.raises(InvalidInput, match="label"):
        await create_api_key(world.services, world.project, "")
