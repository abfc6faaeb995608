"""Units of work on the keys that everything is sealed and hashed with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import Connection, insert, select

from pushkeep.adapters.store.sealing import (
    KEY_BYTES,
    KEY_ID_BYTES,
    KeyRing,
    LookupKey,
    SealBroken,
    Sealer,
    wrap_context,
)
from pushkeep.adapters.store.tables import installation, key_wraps, sealing_keys
from pushkeep.errors import ConfigurationError

DATA, LOOKUP, ERASURE = "data", "lookup", "erasure"
ACTIVE, RETIRING = "active", "retiring"

_KEYS = select(
    sealing_keys.c.id, sealing_keys.c.kind, sealing_keys.c.state, key_wraps.c.master_key_id, key_wraps.c.wrapped
).select_from(sealing_keys.join(key_wraps, key_wraps.c.sealing_key_id == sealing_keys.c.id))


def load_ring(connection: Connection, master: Sealer, random: Callable[[int], bytes]) -> KeyRing:
    """Unwrap every key.

    Raises:
        ConfigurationError: the master key is not the database's.
    """
    version = connection.execute(select(installation.c.keys_version)).scalar_one()
    rows = connection.execute(_KEYS.order_by(sealing_keys.c.state, sealing_keys.c.id.desc())).all()  # active first
    found: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for row in rows:
        if row.master_key_id == master.key_id:
            try:
                found[row.kind].append((row.id, master.open(row.wrapped, wrap_context(row.kind))))
            except SealBroken:
                raise ConfigurationError(
                    "A key in the database is damaged; restore a backup.", field="database_path"
                ) from None
    if not found:
        known = ", ".join(sorted({row.master_key_id.hex() for row in rows}))
        raise ConfigurationError(
            f"The master key (id {master.key_id.hex()}) is not the one this database was made with "
            f"(id {known}); give the right one, or another database.",
            field="master_key",
        )
    data = [Sealer(key, random) for _, key in found[DATA]]
    lookups = tuple(LookupKey(number, key) for number, key in found[LOOKUP])
    return KeyRing(version, data[0], {sealer.key_id: sealer for sealer in data}, lookups, found[ERASURE][0][1])


def make_keys(connection: Connection, master: Sealer, random: Callable[[int], bytes], now: float) -> None:
    """Give a database the keys it has not got: all in a new one."""
    if connection.execute(select(installation.c.id)).first() is None:
        connection.execute(insert(installation).values(id=1, created_at=now))
    known = set(connection.execute(select(sealing_keys.c.kind)).scalars())
    for kind in (LOOKUP, DATA, ERASURE):
        if kind not in known:
            add_key(connection, master, kind, random(KEY_BYTES), random, now)


def add_key(
    connection: Connection, master: Sealer, kind: str, key: bytes, random: Callable[[int], bytes], now: float
) -> int:
    """Store a key as the active one of its kind; its row's number."""
    key_id = Sealer(key, random).key_id if kind == DATA else random(KEY_ID_BYTES)
    number = connection.execute(
        insert(sealing_keys).values(kind=kind, key_id=key_id, state=ACTIVE, created_at=now).returning(sealing_keys.c.id)
    ).scalar_one()
    wrapped = master.seal(key, wrap_context(kind))
    connection.execute(insert(key_wraps).values(sealing_key_id=number, master_key_id=master.key_id, wrapped=wrapped))
    return int(number)
