"""Units of work that make anew what a retiring key made: page by page, by whichever process comes, and never twice.

Everything written since a key was changed is made with the new one (:mod:`~pushkeep.adapters.store.fence`), so one walk
over each table by number reaches all of the rest. How far it is stands beside the key and is written in the transaction
of the page: whoever is killed has done a page, or not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Table, bindparam, delete, func, or_, select, update

from pushkeep.adapters.store.keyring_units import ACTIVE, LOOKUP, RETIRING, change_version
from pushkeep.adapters.store.master_units import master_facts
from pushkeep.adapters.store.project_units import key_seal_name
from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sealing import (
    HASH_BYTES,
    SealBroken,
    Sealer,
    Vault,
    consent_context,
    notification_context,
    secret_context,
    subscription_context,
)
from pushkeep.adapters.store.tables import (
    consents,
    key_wraps,
    notifications,
    projects,
    sealing_keys,
    signing_keys,
    subscriptions,
)
from pushkeep.adapters.store.writer import ERASED
from pushkeep.ports.secrets import RemadePage, Remaking, SealingKey, SecretKind, SecretsStatus
from pushkeep.ports.sweeps import MovedPage

EXAMPLES_MAX = 10
"""Rows named that do not open: enough to look at, and the column stays small."""

_SEALED_COLUMNS: Mapping[Table, tuple[str, ...]] = {
    subscriptions: ("sealed",),
    projects: ("identity_secret", "sync_secret"),
    signing_keys: ("private_key",),
    notifications: ("content", "payload"),
    consents: ("content",),
}
"""Every column that has sealed values, in the order in which they are gone through."""

_PLACES: Mapping[str, Sequence[Table]] = {
    SecretKind.DATA.value: tuple(_SEALED_COLUMNS),
    SecretKind.LOOKUP.value: (subscriptions,),
}
_KEYS = select(sealing_keys).order_by(sealing_keys.c.state, sealing_keys.c.id)
_RETIRING = _KEYS.where(sealing_keys.c.state == RETIRING)
_SUBSCRIPTIONS = (
    select(
        subscriptions.c.id,
        subscriptions.c.project_id,
        subscriptions.c.endpoint_hash,
        subscriptions.c.sealed,
        subscriptions.c.lookup_key_id,
    )
    .where(subscriptions.c.id > bindparam("after"))
    .order_by(subscriptions.c.id)
    .limit(bindparam("most"))
)
_RESEAL = update(subscriptions).where(subscriptions.c.id == bindparam("row_id")).values(sealed=bindparam("anew"))
_FORGET = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values(
        endpoint_hash=bindparam("new_endpoint_hash"),
        keys_hash=bindparam("new_keys_hash"),
        lookup_key_id=bindparam("new_lookup_key"),
    )
)
_REHASH = _FORGET.values(sealed=bindparam("anew"))


@dataclass(frozen=True, slots=True)
class _Left:
    """What keeps a retiring key.

    Attributes:
        rows: how many have something made with it.
        waiting: of them, those that it can only leave when they are forgotten: ended, their endpoint is erased.
    """

    rows: int
    waiting: int


@dataclass(frozen=True, slots=True)
class _Cursor:
    """How far the walk for a retiring key is.

    Attributes:
        place: which of its tables.
        after: up to which number of that.
        looked: rows looked at in all.
        unreadable: of them, those that do not open.
        examples: the first of those.
    """

    place: int = 0
    after: int = 0
    looked: int = 0
    unreadable: int = 0
    examples: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> _Cursor:
        if not text:
            return cls()
        values = json.loads(text)
        return cls(**{**values, "examples": tuple(values["examples"])})

    def write(self) -> str:
        return json.dumps(asdict(self))


def status(connection: Connection, master: Sealer) -> SecretsStatus:
    """See :meth:`pushkeep.ports.secrets.SecretStore.secrets_status`."""
    since, next_id = master_facts(connection, master)
    keys = tuple(_sealing_key(connection, row) for row in connection.execute(_KEYS))
    return SecretsStatus(master.key_id.hex(), since, None if next_id is None else next_id.hex(), keys)


def _sealing_key(connection: Connection, row: AnyRow) -> SealingKey:
    kind = SecretKind(row.kind)
    if row.state == ACTIVE:
        return SealingKey(kind, row.key_id.hex(), row.created_at)
    cursor, places = _Cursor.read(row.cursor), _PLACES[row.kind]
    total = sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in places)
    over = cursor.place >= len(places)
    remaking = Remaking(cursor.looked, max(total, cursor.looked), over, cursor.unreadable, cursor.examples)
    return SealingKey(kind, row.key_id.hex(), row.created_at, row.retiring_at, remaking)


def remaking_over(connection: Connection) -> bool | None:
    """See :meth:`pushkeep.ports.secrets.SecretStore.remaking_over`."""
    rows = connection.execute(_RETIRING).all()
    return all(_walked(row) for row in rows) if rows else None


def _walked(key: AnyRow) -> bool:
    return _Cursor.read(key.cursor).place >= len(_PLACES[key.kind])


def count_left(connection: Connection) -> Mapping[int, _Left]:
    """How much still keeps each retiring key, by the number of the key; nothing while there is more to look at."""
    rows = connection.execute(_RETIRING).all()
    return {row.id: _left_of(connection, row) for row in rows} if all(map(_walked, rows)) else {}


def remake_page(connection: Connection, vault: Vault, limit: int, counted: Mapping[int, _Left]) -> RemadePage:
    """See :meth:`pushkeep.ports.secrets.SecretStore.remake_page`.

    Args:
        connection: in a transaction that writes.
        vault: seals and hashes.
        limit: how many rows are looked at.
        counted: by :func:`count_left`. It never grows, so what it found is believed; that nothing is left is not:
            whoever errs there loses what is sealed, so it is counted again here.
    """
    rows = connection.execute(_RETIRING).all()
    for row in rows:
        if not _walked(row):
            return _walk_on(connection, vault, row, _Cursor.read(row.cursor), limit)
    page = RemadePage(None)
    for row in rows:
        found = counted.get(row.id)
        page = _remove(connection, row, found if found is not None and found.rows else _left_of(connection, row))
        if page.removed is not None:
            break
    return page


def _walk_on(connection: Connection, vault: Vault, key: AnyRow, cursor: _Cursor, limit: int) -> RemadePage:
    table = _PLACES[key.kind][cursor.place]
    if table is subscriptions:
        last, looked, remade, broken = _subscriptions_page(connection, vault, cursor.after, limit)
    else:
        last, looked, remade, broken = _other_page(connection, vault, table, cursor.after, limit)
    examples = (*cursor.examples, *(f"{table.name} {number}" for number in broken))[:EXAMPLES_MAX]
    beyond = looked < limit
    cursor = _Cursor(
        cursor.place + 1 if beyond else cursor.place,
        0 if beyond else last,
        cursor.looked + looked,
        cursor.unreadable + len(broken),
        examples,
    )
    _keep(connection, key, cursor.write())
    return RemadePage(SecretKind(key.kind), looked, remade)


_Done = tuple[int, int, int, list[int]]
"""The last number looked at, how many rows were, how many of them were made anew, and which do not open."""


def _subscriptions_page(connection: Connection, vault: Vault, after: int, limit: int) -> _Done:
    """The living are sealed, and hashed with the active lookup key; of the ended there is nothing to make it from."""
    names = _project_names(connection)
    rows = connection.execute(_SUBSCRIPTIONS, {"after": after, "most": limit}).all()
    resealed: list[dict[str, object]] = []
    rehashed: list[dict[str, object]] = []
    broken = []
    for row in rows:
        if row.sealed is None:
            continue
        try:
            if row.lookup_key_id != vault.lookup_key_id:
                endpoint_hash, keys_hash, anew = vault.rehash(names[row.project_id], row.endpoint_hash, row.sealed)
                hashes = {"new_endpoint_hash": endpoint_hash, "new_keys_hash": keys_hash}
                rehashed.append({"row_id": row.id, "new_lookup_key": vault.lookup_key_id, "anew": anew, **hashes})
            elif not vault.is_current(row.sealed):
                context = subscription_context(names[row.project_id], row.endpoint_hash)
                resealed.append({"row_id": row.id, "anew": vault.reseal(row.sealed, context)})
        except SealBroken:
            broken.append(row.id)
    if resealed:
        connection.execute(_RESEAL, resealed)
    if rehashed:
        connection.execute(_REHASH, rehashed)
    return (rows[-1].id if rows else after), len(rows), len(resealed) + len(rehashed), broken


def _other_page(connection: Connection, vault: Vault, table: Table, after: int, limit: int) -> _Done:
    names = _project_names(connection)
    rows = connection.execute(select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)).all()
    broken, remade = [], 0
    for row in rows:
        anew: dict[str, bytes] = {}
        for column in _SEALED_COLUMNS[table]:
            sealed = getattr(row, column)
            if not sealed or vault.is_current(sealed):  # nothing: it was erased
                continue
            try:
                anew[column] = vault.reseal(sealed, _context(table, row, column, names))
            except SealBroken:
                broken.append(row.id)
        if anew:
            connection.execute(update(table).where(table.c.id == row.id).values(anew))
            remade += 1
    return (rows[-1].id if rows else after), len(rows), remade, sorted(set(broken))


def _context(table: Table, row: AnyRow, column: str, names: Mapping[int, str]) -> bytes:
    if table is projects:
        return secret_context(names[row.id], column.removesuffix("_secret"))
    if table is signing_keys:
        return secret_context(names[row.project_id], key_seal_name(row.key_id))
    if table is notifications:
        return notification_context(names[row.project_id], str(row.public_id), column)
    return consent_context(names[row.project_id], row.number)


def _project_names(connection: Connection) -> Mapping[int, str]:
    return {row.id: str(row.public_id) for row in connection.execute(select(projects.c.id, projects.c.public_id))}


def _keep(connection: Connection, key: AnyRow, cursor: str) -> None:
    connection.execute(update(sealing_keys).where(sealing_keys.c.id == key.id).values(cursor=cursor))


def _remove(connection: Connection, key: AnyRow, left: _Left) -> RemadePage:
    """Take a key away if nothing at all is made with it; otherwise say how much still is."""
    kind, cursor = SecretKind(key.kind), _Cursor.read(key.cursor)
    if left.rows:
        if left.rows > left.waiting + cursor.unreadable:  # whatever it is, another walk finds it
            _keep(connection, key, "")
        return RemadePage(kind, left=left.rows)
    connection.execute(delete(key_wraps).where(key_wraps.c.sealing_key_id == key.id))
    connection.execute(delete(sealing_keys).where(sealing_keys.c.id == key.id))
    change_version(connection)
    connection.info[ERASED] = True
    return RemadePage(kind, removed=key.key_id.hex())


def _left_of(connection: Connection, key: AnyRow) -> _Left:
    """What has something made with a key.

    Rows, as the walk counts those that do not open: were it values, a row with two broken ones would always be one more
    than the walk found, and everything walked through again and again for it.
    """
    if key.kind == LOOKUP:
        of_key = subscriptions.c.lookup_key_id == key.id
        ended = func.count().filter(subscriptions.c.sealed.is_(None))
        row = connection.execute(select(func.count(), ended).where(of_key)).one()
        return _Left(row[0], row[1])
    counted = 0
    for table, columns in _SEALED_COLUMNS.items():
        # Behind the octet of the version stands the id of the key.
        made_with_it = or_(*(func.substr(table.c[column], 2, len(key.key_id)) == key.key_id for column in columns))
        counted += connection.execute(select(func.count()).select_from(table).where(made_with_it)).scalar_one()
    return _Left(counted, 0)


def forget_tombstones(connection: Connection, vault: Vault, master: Sealer, after: int, limit: int) -> MovedPage:
    """See :meth:`pushkeep.ports.secrets.SecretStore.forget_tombstones`."""
    rows = connection.execute(
        select(subscriptions.c.id, subscriptions.c.lookup_key_id)
        .where(
            subscriptions.c.id > after,
            subscriptions.c.ended_at.is_not(None),
            subscriptions.c.sealed.is_(None),
            subscriptions.c.keys_hash != bytes(HASH_BYTES),  # being erased: the mark stands until the row goes
        )
        .order_by(subscriptions.c.id)
        .limit(limit)
    ).all()
    draw = master.draw
    forgotten = [
        {
            "row_id": row.id,
            "new_endpoint_hash": draw(HASH_BYTES),
            "new_keys_hash": draw(HASH_BYTES),
            "new_lookup_key": vault.lookup_key_id,
        }
        for row in rows
        if row.lookup_key_id != vault.lookup_key_id
    ]
    if forgotten:
        connection.execute(_FORGET, forgotten)
        connection.info[ERASED] = True
    return MovedPage(len(forgotten), rows[-1].id if len(rows) == limit else None)
