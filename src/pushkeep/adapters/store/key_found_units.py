"""The unit of work for a subscription that was made with another signing key than was believed."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, bindparam, select, update

from pushkeep.adapters.store.consent_units import hand_on
from pushkeep.adapters.store.lifecycle_units import Entry, write_entries
from pushkeep.adapters.store.move_units import Step, move_rows
from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import projects, signing_keys, subscriptions
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.project import SIGNING
from pushkeep.domain.subscription import TRANSITIONS, Event, State, StateReason
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.verdict import Verdict

_ROW = select(
    subscriptions.c.id,
    subscriptions.c.public_id,
    subscriptions.c.state,
    subscriptions.c.ended_at,
    subscriptions.c.endpoint_hash,
    subscriptions.c.signing_key_id,
    subscriptions.c.keys_hash,
    subscriptions.c.lookup_key_id,
    subscriptions.c.sealed,
)
_BELIEVED = _ROW.where(
    subscriptions.c.id == bindparam("row_id"),
    subscriptions.c.version == bindparam("of_version"),
    subscriptions.c.project_id == bindparam("of_project"),
)
_PROJECT = select(projects.c.public_id).where(projects.c.id == bindparam("of_project"))
_TWIN = _ROW.where(
    subscriptions.c.project_id == bindparam("of_project"),
    subscriptions.c.endpoint_hash.in_(bindparam("of_hashes", expanding=True)),
    subscriptions.c.signing_key_id == bindparam("of_key"),
)
_KEYS = select(signing_keys.c.id, signing_keys.c.key_id, signing_keys.c.state).where(
    signing_keys.c.project_id == bindparam("of_project"), signing_keys.c.id.in_(bindparam("keys", expanding=True))
)
_RELABEL = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values(signing_key_id=bindparam("new_key"), version=subscriptions.c.version + 1)
)
_REHASH = update(subscriptions).where(subscriptions.c.id == bindparam("row_id"))

_NOWHERE = b""
"""The hash of no endpoint."""


def key_found(connection: Connection, vault: Vault, project_id: int, item: ResultUpdate, now: float) -> bool:
    """Write down the signing key a message was taken with, and that it was taken.

    Where the browser's subscription is registered with that key already, and living, this row is replaced by that
    one, for which what was said here holds, if it was said later. If it has other secrets, it is of somebody who only
    knows the endpoint, and ends without leading to that one: its sync token must say nothing about it. A tombstone with
    that key changes labels with this row: a living one is not given up for a dead one. If the key was retired while the
    message was on its way, its browser has to renew it like all others of that key.

    Returns:
        whether the row was still of that version, and living.
    """
    named = {"row_id": item.id, "of_version": item.version, "of_project": project_id}
    row = connection.execute(_BELIEVED, named).one_or_none()
    if row is None or row.ended_at is not None or item.signing_key_id is None:
        return False
    step = Step(Event.ACCEPTED, StateReason(Event.ACCEPTED, now), By.PUSH_SERVICE, verdict=Verdict.ACCEPTED.value)
    if row.signing_key_id != item.signing_key_id:
        twin, same_keys = _twin(connection, vault, project_id, row, item.signing_key_id)
        if twin is not None and twin.ended_at is None:
            by_twin = Step(Event.REPLACED, StateReason(Event.REPLACED, now), By.PUSH_SERVICE)
            if same_keys:
                by_twin = replace(by_twin, superseded_by=twin.id, successor=str(twin.public_id))
                hand_on(connection, item.id, twin.id)
            move_rows(connection, project_id, {item.id: by_twin})
            return True
        retired = _relabel(connection, project_id, row, twin, item.signing_key_id, now)
        if retired is not None:
            reason = StateReason(Event.KEY_RETIRED, now)
            step = Step(Event.KEY_RETIRED, reason, By.OPERATOR, verdict=Verdict.ACCEPTED.value, key=retired)
    move_rows(connection, project_id, {item.id: step})
    return True


def _twin(connection: Connection, vault: Vault, project_id: int, row: AnyRow, key: int) -> tuple[AnyRow | None, bool]:
    """The row with this one's endpoint and another signing key, and whether it has the same browser's keys.

    While the lookup key changes, the two may have been hashed with different ones.
    """
    wanted = {"of_project": project_id, "of_hashes": [row.endpoint_hash], "of_key": key}
    twin = connection.execute(_TWIN, wanted).one_or_none()
    if len(vault.ring.lookups) == 1 or (twin is not None and twin.lookup_key_id == row.lookup_key_id):
        return twin, twin is not None and twin.keys_hash == row.keys_hash
    try:
        project_public_id = str(connection.execute(_PROJECT, {"of_project": project_id}).scalar_one())
        opened = vault.open_subscription(project_public_id, row.endpoint_hash, row.sealed)
    except SealBroken:  # nothing more can be known of it
        return twin, False
    twin = connection.execute(_TWIN, {**wanted, "of_hashes": vault.endpoint_hashes(opened.endpoint)}).one_or_none()
    return twin, twin is not None and twin.keys_hash == vault.keys_hash(opened, twin.lookup_key_id)


def _relabel(
    connection: Connection, project_id: int, row: AnyRow, twin: AnyRow | None, key: int, now: float
) -> str | None:
    """Bind the row to another key; the id of that key if it does not sign any more."""
    if twin is not None:  # out of the way of the unique constraint, and back with the other label
        connection.execute(_REHASH.values(endpoint_hash=_NOWHERE), {"row_id": twin.id})
    connection.execute(_RELABEL, {"row_id": row.id, "new_key": key})
    if twin is not None:
        there = {"row_id": twin.id, "new_key": row.signing_key_id}
        connection.execute(_RELABEL, there)
        connection.execute(_REHASH.values(endpoint_hash=twin.endpoint_hash), {"row_id": twin.id})
    keys = connection.execute(_KEYS, {"of_project": project_id, "keys": [row.signing_key_id, key]}).all()
    names = {one.id: one.key_id for one in keys}
    before = State(row.state)
    after = TRANSITIONS[before, Event.KEY_FOUND]
    evidence = Evidence(By.PUSH_SERVICE, key=names.get(key), key_before=names.get(row.signing_key_id))
    write_entries(connection, project_id, [Entry(row.id, key, now, Event.KEY_FOUND, before, after, evidence)])
    if after is not before:
        connection.execute(update(subscriptions).where(subscriptions.c.id == row.id).values(state=after.value))
    return next((one.key_id for one in keys if one.id == key and one.state not in SIGNING), None)
