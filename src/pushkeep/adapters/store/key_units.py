"""Units of work on signing keys: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from pushkeep.adapters.store.move_units import Step, move_rows
from pushkeep.adapters.store.project_units import key_seal_name
from pushkeep.adapters.store.rows import AnyRow, json_values
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import circuits, signing_keys, subscriptions
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.lifecycle import By
from pushkeep.domain.project import KeyState, Project
from pushkeep.domain.signing_keys import KEYS_MAX, SEEN_DAYS, KeyEvent, KeyRecord, check_retirable, move_key
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import LIVING, Event, State, StateReason
from pushkeep.errors import Conflict, NotFound
from pushkeep.protocol.signing_key import SigningKey

NO_PRIVATE_KEY = b""
"""What is left of a private half that was erased."""

_RECORDS = select(
    signing_keys.c.id,
    signing_keys.c.key_id,
    signing_keys.c.public_key,
    signing_keys.c.state,
    signing_keys.c.created_at,
    signing_keys.c.activated_at,
    signing_keys.c.retiring_at,
    signing_keys.c.retired_at,
    signing_keys.c.leaked_at,
).where(signing_keys.c.project_id == bindparam("project_id"))
_ALL = _RECORDS.order_by(signing_keys.c.id)
_BY_KEY_ID = _RECORDS.where(signing_keys.c.key_id == bindparam("named"), signing_keys.c.public_key == bindparam("half"))
_BOUND = (
    select(subscriptions.c.id)
    .where(
        subscriptions.c.project_id == bindparam("project_id"),
        subscriptions.c.signing_key_id == bindparam("key"),
        subscriptions.c.ended_at.is_(None),
        # Named one by one and in no order: so each page is found in the index behind those that wait already.
        subscriptions.c.state.in_(sorted(LIVING - {State.NEEDS_RENEWAL})),
    )
    .limit(bindparam("most"))
)
_LAST_ID = select(func.coalesce(func.max(subscriptions.c.id), 0)).where(
    subscriptions.c.project_id == bindparam("project_id")
)
_WAITS = subscriptions.c.state == State.NEEDS_RENEWAL.value
_SEEN_WITHIN = case(
    *((subscriptions.c.last_seen_at >= bindparam("now") - days * DAY_SECONDS, days) for days in SEEN_DAYS), else_=0
)
_USAGE = (
    select(
        subscriptions.c.signing_key_id, _WAITS.label("waits"), _SEEN_WITHIN.label("days"), func.count().label("number")
    )
    .where(
        subscriptions.c.project_id == bindparam("project_id"),
        subscriptions.c.ended_at.is_(None),
        subscriptions.c.id > bindparam("after"),
        subscriptions.c.id <= bindparam("until"),
    )
    .group_by("signing_key_id", "waits", "days")
)


def all_keys(connection: Connection, project: Project) -> tuple[KeyRecord, ...]:
    """See :meth:`pushkeep.ports.KeyStore.list_keys`."""
    return tuple(_record(row) for row in connection.execute(_ALL, {"project_id": project.id}))


def find_key(connection: Connection, project: Project, public_bytes: bytes) -> KeyRecord | None:
    """See :meth:`pushkeep.ports.KeyStore.find_key`."""
    named = SigningKey.id_of(public_bytes)
    row = connection.execute(_BY_KEY_ID, {"project_id": project.id, "named": named, "half": public_bytes}).one_or_none()
    return None if row is None else _record(row)


def prepare(connection: Connection, vault: Vault, project: Project, key: SigningKey, now: float) -> KeyRecord:
    """See :meth:`pushkeep.ports.KeyStore.prepare_key`."""
    keys = all_keys(connection, project)
    following = _of_state(keys, KeyState.NEXT)
    if following is not None:
        raise Conflict(
            f"Signing key {following.key_id} is prepared already; rotate to it, or retire it first.",
            field="signing_key",
            details={"signing_key": following.key_id},
        )
    return _insert(connection, vault, project, keys, key, now)


def rotate(
    connection: Connection, vault: Vault, project: Project, expected: int, fresh: SigningKey, leaked: bool, now: float
) -> tuple[KeyRecord, KeyRecord]:
    """See :meth:`pushkeep.ports.KeyStore.rotate_keys`."""
    keys = all_keys(connection, project)
    active, following = _of_state(keys, KeyState.ACTIVE), _of_state(keys, KeyState.NEXT)
    if active is None or active.id != expected:
        raise Conflict(
            "Another signing key is active by now: somebody else has rotated. Look at the keys before rotating again.",
            field="signing_key",
            details={"signing_key": active.key_id} if active else None,
            reason="rotated",
        )
    if following is not None and leaked:
        _throw_away(connection, following, KeyEvent.LEAKED, now, leaked_at=now)
        following = None
    if following is None:
        following = _insert(connection, vault, project, keys, fresh, now)
    event = KeyEvent.LEAKED if leaked else KeyEvent.REPLACED
    # The old one first: an index allows one active key at a time.
    _change(connection, active, event, retiring_at=now, **({"leaked_at": now} if leaked else {}))
    _change(connection, following, KeyEvent.ACTIVATED, activated_at=now)
    return _read(connection, project, following.id), _read(connection, project, active.id)


def mark_leaked(connection: Connection, project: Project, key: int, now: float) -> KeyRecord:
    """See :meth:`pushkeep.ports.KeyStore.mark_leaked`."""
    record = _read(connection, project, key)
    if record.state is KeyState.ACTIVE:
        raise Conflict(
            f"Signing key {record.key_id} is the active one. Rotate it and say so: pushkeep keys rotate --leaked.",
            field="signing_key",
        )
    if record.leaked_at is not None:
        return record
    if move_key(record.state, KeyEvent.LEAKED) is KeyState.RETIRED:
        _throw_away(connection, record, KeyEvent.LEAKED, now, leaked_at=now)
    else:
        _change(connection, record, KeyEvent.LEAKED, leaked_at=now)
    return _read(connection, project, key)


def retire(connection: Connection, project: Project, key: int, force: bool, now: float) -> KeyRecord:
    """See :meth:`pushkeep.ports.KeyStore.retire_key`."""
    record = _read(connection, project, key)
    if record.state is KeyState.RETIRED:
        return record
    check_retirable(record, 0 if force else _bound(connection, project, key), force=force)
    _throw_away(connection, record, KeyEvent.RETIRED, now)
    return _read(connection, project, key)


def give_up_bound(connection: Connection, project: Project, key: int, limit: int, now: float) -> int:
    """See :meth:`pushkeep.ports.KeyStore.give_up_bound`."""
    record = _read(connection, project, key)
    if record.state is not KeyState.RETIRED:
        raise Conflict(f"Signing key {record.key_id} is {record.state.value} and still signs.", field="signing_key")
    ids = connection.execute(_BOUND, {"project_id": project.id, "key": key, "most": limit}).scalars().all()
    step = Step(Event.KEY_RETIRED, StateReason(Event.KEY_RETIRED, now), By.OPERATOR, key=record.key_id)
    moved = move_rows(connection, project.id, dict.fromkeys(ids, step))
    # What was on its way when the key was retired must not make it active again.
    connection.execute(
        update(subscriptions)
        .where(subscriptions.c.id.in_(json_values("ids")))
        .values(version=subscriptions.c.version + 1),
        {"ids": json.dumps(sorted(moved))},
    )
    return len(moved)


def bring_in(
    connection: Connection, vault: Vault, project: Project, key: SigningKey, state: KeyState, now: float
) -> KeyRecord:
    """Store a key that was in use elsewhere: as the active one, or as one on its way out.

    Raises:
        Conflict: the project had this very key before, or it has too many.
    """
    keys = all_keys(connection, project)
    if state is KeyState.RETIRING:
        return _insert(connection, vault, project, keys, key, now, state, retiring_at=now)
    # The old one first: an index allows one active key at a time.
    active = _of_state(keys, KeyState.ACTIVE)
    if active is not None:
        _change(connection, active, KeyEvent.REPLACED, retiring_at=now)
    return _insert(connection, vault, project, keys, key, now, state, activated_at=now)


def last_subscription_id(connection: Connection, project: Project) -> int:
    """The highest number of a subscription; 0 where there is none."""
    return int(connection.execute(_LAST_ID, {"project_id": project.id}).scalar_one())


def usage(
    connection: Connection, project: Project, after: int, until: int, now: float
) -> Mapping[tuple[int, int | None], int]:
    """Living subscriptions above one number and up to another, counted by key and by when they were seen.

    Returns:
        counts by the key's number and one of :data:`SEEN_DAYS`, or 0 for longer ago, or None for those that wait.
    """
    counts: dict[tuple[int, int | None], int] = defaultdict(int)
    for row in connection.execute(_USAGE, {"project_id": project.id, "after": after, "until": until, "now": now}):
        counts[row.signing_key_id, None if row.waits else row.days] += row.number
    return counts


def _insert(
    connection: Connection,
    vault: Vault,
    project: Project,
    keys: tuple[KeyRecord, ...],
    key: SigningKey,
    now: float,
    state: KeyState = KeyState.NEXT,
    **times: float,
) -> KeyRecord:
    if len(keys) >= KEYS_MAX:
        raise Conflict(f"The project has {KEYS_MAX} signing keys, which is the limit.", field="signing_key")
    if any(known.key_id == key.key_id for known in keys):
        raise Conflict(f"The project has signing key {key.key_id} already.", field="signing_key")
    row_id = connection.execute(
        insert(signing_keys)
        .values(
            project_id=project.id,
            key_id=key.key_id,
            public_key=key.public_bytes,
            private_key=vault.seal_secret(project.public_id, key_seal_name(key.key_id), key.to_pem().encode()),
            state=state.value,
            created_at=now,
            **times,
        )
        .returning(signing_keys.c.id)
    ).scalar_one()
    return _read(connection, project, row_id)


def _of_state(keys: tuple[KeyRecord, ...], state: KeyState) -> KeyRecord | None:
    return next((key for key in keys if key.state is state), None)


def _read(connection: Connection, project: Project, key: int) -> KeyRecord:
    row = connection.execute(
        _RECORDS.where(signing_keys.c.id == bindparam("key")), {"project_id": project.id, "key": key}
    ).one_or_none()
    if row is None:
        raise NotFound("The project has no such signing key.", field="signing_key")
    return _record(row)


def _throw_away(connection: Connection, record: KeyRecord, event: KeyEvent, now: float, **times: float) -> None:
    _change(connection, record, event, retired_at=now, **times)
    connection.execute(update(signing_keys).where(signing_keys.c.id == record.id).values(private_key=NO_PRIVATE_KEY))
    # What nobody asks for any more would be refused for ever.
    connection.execute(delete(circuits).where(circuits.c.signing_key_id == record.id))
    connection.info[ERASED] = True


def _change(connection: Connection, record: KeyRecord, event: KeyEvent, **times: float) -> None:
    state = move_key(record.state, event)
    connection.execute(update(signing_keys).where(signing_keys.c.id == record.id).values(state=state.value, **times))


def _bound(connection: Connection, project: Project, key: int) -> int:
    """How many living subscriptions are sent to with a key: looked at under the write lock, so that none slips in."""
    counted = select(func.count()).select_from(_BOUND.limit(None).subquery())
    return int(connection.execute(counted, {"project_id": project.id, "key": key}).scalar_one())


def _record(row: AnyRow) -> KeyRecord:
    return KeyRecord(
        row.id,
        row.key_id,
        bytes(row.public_key),
        KeyState(row.state),
        row.created_at,
        row.activated_at,
        row.retiring_at,
        row.retired_at,
        row.leaked_at,
    )
