"""Units of work on the master key: which one opens the keys, and how one takes another's place.

A new master key gets wraps of its own beside those of the old one, so that either opens the database; only whoever has
opened it with the new one lets go of the old. There is no moment, and no order of steps, at which neither does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, create_engine, delete, func, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from pushkeep.adapters.store.keyring_units import unwrapped
from pushkeep.adapters.store.sealing import Sealer, wrap_context
from pushkeep.adapters.store.tables import installation, key_wraps
from pushkeep.adapters.store.writer import ERASED
from pushkeep.errors import ConfigurationError, Conflict

_NEXT = select(installation.c.next_master_key_id)


def add_master(connection: Connection, master: Sealer, new: Sealer, now: float) -> str:
    """See :meth:`pushkeep.ports.secrets.SecretStore.add_master_key`."""
    if new.key_id == master.key_id:
        raise ConfigurationError("The new master key is the one in use; make another one.", field="master_key")
    next_id = connection.execute(_NEXT).scalar_one()
    if next_id is not None and next_id != new.key_id:
        raise Conflict(
            f"The master key is being changed to another one (id {next_id.hex()}); finish that with it, or take it "
            "back with: pushkeep secrets rotate-master --cancel"
        )
    found = unwrapped(connection, master)
    known = set(
        connection.execute(select(key_wraps.c.sealing_key_id).where(key_wraps.c.master_key_id == new.key_id)).scalars()
    )
    rows = [
        {
            "sealing_key_id": number,
            "master_key_id": new.key_id,
            "wrapped": new.seal(key, wrap_context(kind)),
            "wrapped_at": now,
        }
        for kind, keys in found.items()
        for number, key in keys
        if number not in known
    ]
    if rows:
        connection.execute(insert(key_wraps), rows)
    connection.execute(update(installation).values(next_master_key_id=new.key_id))
    return new.key_id.hex()


def finish_master(connection: Connection, master: Sealer) -> int:
    """See :meth:`pushkeep.ports.secrets.SecretStore.finish_master_key`."""
    next_id = connection.execute(_NEXT).scalar_one()
    if next_id is not None and next_id != master.key_id:
        raise Conflict(
            f"This command was given the old master key (id {master.key_id.hex()}); the new one (id {next_id.hex()}) "
            "has to be in its place before the old one can go, or the change is taken back with --cancel."
        )
    return _keep_only(connection, master)


def cancel_master(connection: Connection, master: Sealer) -> None:
    """See :meth:`pushkeep.ports.secrets.SecretStore.cancel_master_key`."""
    next_id = connection.execute(_NEXT).scalar_one()
    if next_id is None:
        raise Conflict("The master key is not being changed; nothing to take back.")
    if next_id == master.key_id:
        raise Conflict(
            f"This command was given the new master key (id {next_id.hex()}), with which everything opens already; "
            "finish the change, or put the old one back first."
        )
    _keep_only(connection, master)


def _keep_only(connection: Connection, master: Sealer) -> int:
    """Drop what other master keys open, after a proof that this one opens all of it."""
    unwrapped(connection, master)
    others = key_wraps.c.master_key_id != master.key_id
    count = len(set(connection.execute(select(key_wraps.c.master_key_id).where(others)).scalars()))
    if count:
        connection.execute(delete(key_wraps).where(others))
        connection.info[ERASED] = True
    connection.execute(update(installation).values(next_master_key_id=None))
    return count


def master_facts(connection: Connection, master: Sealer) -> tuple[float, bytes | None]:
    """Since when this master key is the database's, and while it changes: the id of the next one."""
    mine = key_wraps.c.master_key_id == master.key_id
    since = connection.execute(select(func.min(key_wraps.c.wrapped_at)).where(mine)).scalar_one()
    return float(since or 0.0), connection.execute(_NEXT).scalar_one()


def master_keys_of(database: Path) -> Mapping[str, bool]:
    """Which master keys a database file knows, by id, and whether each opens all of its keys; nothing is changed.

    Empty for a file that is no database of this version's; whoever opens it says what is wrong with it.
    """
    engine = create_engine(f"sqlite:///file:{database.absolute()}?mode=ro&uri=true", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("key_wraps"):
                return {}
            rows = connection.execute(select(key_wraps.c.master_key_id, key_wraps.c.sealing_key_id)).all()
    except DBAPIError:
        return {}
    every = {row.sealing_key_id for row in rows}
    ids = {row.master_key_id for row in rows}
    return {one.hex(): {row.sealing_key_id for row in rows if row.master_key_id == one} == every for one in ids}
