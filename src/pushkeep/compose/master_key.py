"""Where the master key comes from, and how the one that Pushkeep made itself is exchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pushkeep.adapters.clock import SystemEntropy
from pushkeep.adapters.master_key import (
    create_master_key,
    exchange_master_key,
    next_path,
    open_master_key,
    read_master_key,
)
from pushkeep.adapters.master_key_command import run_master_key_command
from pushkeep.adapters.store.master_units import master_keys_of
from pushkeep.adapters.store.sealing import master_key_id
from pushkeep.app.context import Services
from pushkeep.config import Settings
from pushkeep.errors import ConfigurationError

MASTER_KEY_FILE_NAME = "master.key"


class MasterKeySource(StrEnum):
    """Where the master key comes from."""

    OWN_FILE = "own_file"
    """A file in the data directory that Pushkeep made itself."""

    ENVIRONMENT = "environment"
    FILE = "file"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class MasterKeyPlace:
    """Where the master key comes from.

    Attributes:
        source: from what.
        path: of the file; None for another source.
    """

    source: MasterKeySource
    path: Path | None = None


def master_key_place(settings: Settings) -> MasterKeyPlace:
    """Where the settings say that the master key comes from."""
    if settings.master_key is not None:
        return MasterKeyPlace(MasterKeySource.ENVIRONMENT)
    if settings.master_key_command is not None:
        return MasterKeyPlace(MasterKeySource.COMMAND)
    if settings.master_key_file is not None:
        return MasterKeyPlace(MasterKeySource.FILE, settings.master_key_file)
    return MasterKeyPlace(MasterKeySource.OWN_FILE, settings.data_dir / MASTER_KEY_FILE_NAME)


def master_key_of(settings: Settings, random_bytes: Callable[[int], bytes]) -> bytes:
    """The master key; where Pushkeep keeps it itself, it is made before the first start.

    Raises:
        ConfigurationError: it cannot be had; the message says why.
    """
    place = master_key_place(settings)
    if place.source is MasterKeySource.OWN_FILE:
        assert place.path is not None
        open_master_key(place.path, database=settings.database, random_bytes=random_bytes)
    return present_master_key(settings)


def present_master_key(settings: Settings) -> bytes:
    """The master key, which has to be there.

    Raises:
        ConfigurationError: it cannot be had; the message says why.
    """
    if settings.master_key is not None:
        return settings.master_key
    if settings.master_key_command is not None:
        return run_master_key_command(settings.master_key_command)
    place = master_key_place(settings)
    assert place.path is not None
    if place.source is MasterKeySource.OWN_FILE:
        _finish_exchange(place.path, settings.database)
    return read_master_key(place.path)


def _finish_exchange(path: Path, database: Path) -> None:
    """Where the key opens nothing any more and the one that was to follow does, let it follow."""
    following = next_path(path)
    if not (following.exists() and path.exists() and database.exists()):
        return
    known = master_keys_of(database)
    present = master_key_id(read_master_key(path))
    if known and present not in known and known.get(master_key_id(read_master_key(following))):
        exchange_master_key(path, old_id=present)


@dataclass(frozen=True, slots=True)
class MasterExchanged:
    """The master key that Pushkeep keeps itself is another one.

    Attributes:
        old_id, new_id: eight hexadecimal digits each.
        kept: where the old one is: whoever restores a backup from before needs it.
    """

    old_id: str
    new_id: str
    kept: Path


async def begin_exchange(settings: Settings, services: Services) -> MasterExchanged:
    """Make the next master key, have it open everything, and put it into the place of the present one.

    Wherever this is cut off, the key in its file opens the database, and doing it again goes on from there. The old one
    opens it too until the database is opened with the new one and told to let go of it.

    Raises:
        ConfigurationError: the master key does not come from Pushkeep's own file, or that cannot be exchanged.
        Conflict: it is being changed to a key that somebody gave.
    """
    place = master_key_place(settings)
    if place.source is not MasterKeySource.OWN_FILE or place.path is None:
        raise ConfigurationError(
            "The master key is not kept by Pushkeep itself; name the file that has the next one, or shall get it: "
            "--new-key-file FILE",
            field="master_key",
        )
    path, status = place.path, await services.store.secrets_status()
    old_id = status.master_key_id
    if status.next_master_key_id == old_id:  # all that was left to do is to let go of the old one
        return MasterExchanged(old_id, old_id, path)
    following = next_path(path)
    if status.next_master_key_id is not None and not following.exists():
        raise ConfigurationError(
            f"The master key is being changed to one that {following} no longer has (id {status.next_master_key_id}); "
            "take that back with: pushkeep secrets rotate-master --cancel",
            field="master_key",
        )
    new = await asyncio.to_thread(create_master_key, following, random_bytes=SystemEntropy().token_bytes)
    new_id = await services.store.add_master_key(new, now=services.clock.now())
    kept = await asyncio.to_thread(exchange_master_key, path, old_id=old_id)
    return MasterExchanged(old_id, new_id, kept)
