"""Units of work on the keys that everything is sealed and hashed with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, insert, select, update

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
from pushkeep.errors import ConfigurationError, Conflict
from pushkeep.ports.secrets import SecretKind

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
    found = unwrapped(connection, master)
    data = [Sealer(key, random) for _, key in found[DATA]]
    lookups = tuple(LookupKey(number, key) for number, key in found[LOOKUP])
    return KeyRing(version, data[0], {sealer.key_id: sealer for sealer in data}, lookups, found[ERASURE][0][1])


def unwrapped(connection: Connection, master: Sealer) -> Mapping[str, list[tuple[int, bytes]]]:
    """Number and octets of every key by its kind, the active one first: proof that the master key opens them.

    Raises:
        ConfigurationError: the master key does not open all of them.
    """
    rows = connection.execute(_KEYS.order_by(sealing_keys.c.state, sealing_keys.c.id.desc())).all()  # active first
    found: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    opened = set()
    for row in rows:
        if row.master_key_id == master.key_id:
            opened.add(row.id)
            try:
                found[row.kind].append((row.id, master.open(row.wrapped, wrap_context(row.kind))))
            except SealBroken:
                raise ConfigurationError(
                    "A key in the database is damaged; restore a backup.", field="database_path"
                ) from None
    if opened != {row.id for row in rows}:
        known = ", ".join(sorted({row.master_key_id.hex() for row in rows} - {master.key_id.hex()}))
        raise ConfigurationError(
            f"The master key (id {master.key_id.hex()}) is not the one this database was made with "
            f"(id {known}); give the right one, or another database.",
            field="master_key",
        )
    return found


def make_keys(connection: Connection, master: Sealer, random: Callable[[int], bytes], now: float) -> None:
    """Give a database the keys it has not got: all in a new one.

    One that was made before there were data keys is sealed by the master key itself. That becomes a data key on its way
    out, and what it sealed is sealed anew like after any change of the data key.

    Raises:
        ConfigurationError: the master key is not the database's.
    """
    if connection.execute(select(installation.c.id)).first() is None:
        connection.execute(insert(installation).values(id=1, created_at=now))
    known = unwrapped(connection, master)
    if LOOKUP in known and DATA not in known:
        add_key(connection, master, DATA, master.key, random, now, state=RETIRING)
    for kind in (LOOKUP, DATA, ERASURE):
        if kind not in known:
            add_key(connection, master, kind, random(KEY_BYTES), random, now)


def add_key(
    connection: Connection,
    master: Sealer,
    kind: str,
    key: bytes,
    random: Callable[[int], bytes],
    now: float,
    *,
    state: str = ACTIVE,
) -> int:
    """Store a key; its row's number."""
    key_id = Sealer(key, random).key_id if kind == DATA else random(KEY_ID_BYTES)
    retiring_at = None if state == ACTIVE else now
    values = {"kind": kind, "key_id": key_id, "state": state, "created_at": now, "retiring_at": retiring_at}
    number = connection.execute(insert(sealing_keys).values(values).returning(sealing_keys.c.id)).scalar_one()
    _wrap(connection, master, kind, int(number), key, now)
    return int(number)


def _wrap(connection: Connection, master: Sealer, kind: str, number: int, key: bytes, now: float) -> None:
    wrapped = master.seal(key, wrap_context(kind))
    values = {"sealing_key_id": number, "master_key_id": master.key_id, "wrapped": wrapped, "wrapped_at": now}
    connection.execute(insert(key_wraps).values(values))


def rotate(connection: Connection, master: Sealer, kind: SecretKind, now: float) -> str:
    """See :meth:`pushkeep.ports.secrets.SecretStore.rotate_secret`."""
    if kind is SecretKind.ERASURE:
        raise Conflict("The erasure key is not changed: the list of who was erased could not be read any more.")
    if connection.execute(select(installation.c.next_master_key_id)).scalar_one() is not None:
        raise Conflict("The master key is being changed; finish that first: pushkeep secrets rotate-master --finish")
    # It may have been changed since this process was started, which goes on as the other keys stayed as they were. A
    # key that only the old one opens, beside keys that only the new one opens, would lock everybody out.
    unwrapped(connection, master)
    of_kind = sealing_keys.c.kind == kind.value
    if connection.execute(select(sealing_keys.c.id).where(of_kind, sealing_keys.c.state == RETIRING)).first():
        raise Conflict(
            f"The {kind.value} key before this one is still on its way out; see how far it is with "
            "`pushkeep secrets status`, and finish it with `pushkeep secrets reseal`."
        )
    connection.execute(update(sealing_keys).where(of_kind).values(state=RETIRING, retiring_at=now, cursor=""))
    number = add_key(connection, master, kind.value, master.draw(KEY_BYTES), master.draw, now)
    change_version(connection)
    return bytes(
        connection.execute(select(sealing_keys.c.key_id).where(sealing_keys.c.id == number)).scalar_one()
    ).hex()


def change_version(connection: Connection) -> None:
    """Let every process load the keys before it does anything else."""
    connection.execute(update(installation).values(keys_version=installation.c.keys_version + 1))
