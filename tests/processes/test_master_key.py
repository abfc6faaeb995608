"""The master key that Pushkeep made is exchanged: cut off anywhere, the database opens, and a second try ends it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pushkeep.adapters.master_key import create_master_key, exchange_master_key, next_path, read_master_key
from pushkeep.adapters.store.master_units import master_keys_of
from pushkeep.adapters.store.sealing import master_key_id
from pushkeep.compose import open_project
from pushkeep.compose.master_key import MasterExchanged, begin_exchange, present_master_key
from pushkeep.config import Settings, load_settings
from pushkeep.errors import ConfigurationError, Conflict, Unavailable
from pushkeep.ports.secrets import SecretKind
from pushkeep.protocol.encoding import b64url_encode
from tests.store.samples import NOW


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    made = load_settings(overrides={"data_dir": tmp_path / "data", "contact": "mailto:a@example.com"}, environ={})
    async with open_project(made):
        pass
    return made


def file_of(settings: Settings) -> Path:
    return settings.data_dir / "master.key"


def id_of(path: Path) -> str:
    return master_key_id(read_master_key(path))


async def exchanged(settings: Settings) -> MasterExchanged:
    """What the command does: begin, then let go of the old key from a database opened with the new one."""
    async with open_project(settings) as (services, _):
        done = await begin_exchange(settings, services)
    async with open_project(settings) as (services, _):
        await services.store.finish_master_key()
    return done


async def check_only_the_new_one_opens(settings: Settings, old_id: str) -> None:
    file = file_of(settings)
    assert master_keys_of(settings.database) == {id_of(file): True}
    assert id_of(file) != old_id
    assert not next_path(file).exists()
    async with open_project(settings) as (services, project):
        assert await services.store.project_secrets(project)


@pytest.mark.parametrize("cut", ["before all", "the next key made", "both open", "exchanged", "done"])
async def test_cut_off_anywhere_it_opens_and_a_second_try_ends_it(settings: Settings, cut: str) -> None:
    file, old_id = file_of(settings), id_of(file_of(settings))
    if cut != "before all":
        new = create_master_key(next_path(file), random_bytes=os.urandom)
    if cut in ("both open", "exchanged"):
        async with open_project(settings) as (services, _):
            await services.store.add_master_key(new, now=NOW)
    if cut == "exchanged":
        exchange_master_key(file, old_id=old_id)
    if cut == "done":
        await exchanged(settings)
        old_id = id_of(file)
    async with open_project(settings) as (services, project):
        assert await services.store.project_secrets(project)
    done = await exchanged(settings)
    assert done.new_id == id_of(file)
    await check_only_the_new_one_opens(settings, old_id)


async def test_an_exchange_that_a_file_missed_is_made_up_for(settings: Settings) -> None:
    """The old key came back into its file, from a backup say, after it was let go: the next one lies beside it."""
    file, old = file_of(settings), file_of(settings).read_bytes()
    await exchanged(settings)
    file.rename(next_path(file))
    file.write_bytes(old)
    file.chmod(0o600)
    present_master_key(settings)
    await check_only_the_new_one_opens(settings, master_key_id(b""))


async def test_two_commands_at_once_come_to_one_key(settings: Settings) -> None:
    old_id = id_of(file_of(settings))
    results = await asyncio.gather(exchanged(settings), exchanged(settings), return_exceptions=True)
    trouble = [one for one in results if isinstance(one, BaseException)]
    assert all(isinstance(one, ConfigurationError | Conflict | Unavailable) for one in trouble), trouble
    assert len(trouble) < 2
    await exchanged(settings)
    await check_only_the_new_one_opens(settings, old_id)


async def test_a_server_that_ran_all_the_while_goes_on_even_when_other_keys_change(settings: Settings) -> None:
    async with open_project(settings) as (server, project):
        await exchanged(settings)
        async with open_project(settings) as (services, _):
            await services.store.rotate_secret(SecretKind.DATA, now=NOW)
            while (await services.store.remake_page(limit=10)).removed is None:
                pass
        assert await server.store.project_secrets(project)
        assert (await server.store.secrets_status()).master_key_id == id_of(file_of(settings))


async def test_a_change_to_a_key_that_got_lost_is_named(settings: Settings) -> None:
    async with open_project(settings) as (services, _):
        await services.store.add_master_key(os.urandom(32), now=NOW)
        with pytest.raises(ConfigurationError, match="take that back with"):
            await begin_exchange(settings, services)
        await services.store.cancel_master_key()
    await exchanged(settings)


async def test_a_key_of_the_operator_is_not_exchanged(settings: Settings) -> None:
    given = load_settings(
        overrides={"data_dir": settings.data_dir, "contact": "mailto:a@example.com"},
        environ={"PUSHKEEP_MASTER_KEY": b64url_encode(read_master_key(file_of(settings)))},
    )
    async with open_project(given) as (services, _):
        with pytest.raises(ConfigurationError, match="--new-key-file FILE"):
            await begin_exchange(given, services)
