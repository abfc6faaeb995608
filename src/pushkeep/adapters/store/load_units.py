"""The unit of work that looks at members of a shard just before they are sent to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, literal_column, select

from pushkeep.adapters.store.consent_check_units import without_consent
from pushkeep.adapters.store.membership_units import SUCCESSORS_MAX, Followed, Plan, told_by_another
from pushkeep.adapters.store.recipient_cache import RecipientCache
from pushkeep.adapters.store.rows import AnyRow, json_values, record_from, select_records
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import notifications, origin_rests, projects, shards, subscriptions
from pushkeep.domain.quarantine import may_probe
from pushkeep.domain.sending import Control, NotificationState
from pushkeep.domain.shard import SUB_BATCH_MEMBERS_MAX, Kind, Shard, ShardState
from pushkeep.domain.subscription import SENDABLE, Recipient, State
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import LeaseLost, Loaded, Member
from pushkeep.protocol.subscription import Subscription

_STANDING = (
    select(
        shards.c.epoch,
        shards.c.state.label("shard_state"),
        notifications.c.state,
        notifications.c.paused_at,
        notifications.c.target_kind,
        notifications.c.accepted_at,
        notifications.c.high_water,
        notifications.c.plan_cursor,
        projects.c.public_id.label("project_public_id"),
        origin_rests.c.until,
    )
    .select_from(
        shards.join(notifications, notifications.c.id == shards.c.notification_id)
        .join(projects, projects.c.id == shards.c.project_id)
        .outerjoin(origin_rests, origin_rests.c.origin == shards.c.origin)
    )
    .where(shards.c.id == bindparam("shard_id"))
)
_MEMBERS = (
    select_records(with_sealed=True)
    .add_columns(subscriptions.c.contact_id)
    .where(
        subscriptions.c.id.in_(json_values("ids")),
        # Added to zero so that SQLite does not look it up in the index on (project_id, id) instead of by key alone.
        subscriptions.c.project_id + literal_column("0") == bindparam("project_id"),
    )
)

_SENDABLE = frozenset(state.value for state in SENDABLE)

_Rows = Mapping[int, Row[tuple[Any, ...]]]


def load(
    connection: Connection,
    vault: Vault,
    cache: RecipientCache,
    leased: Leased,
    positions: Sequence[int],
    now: float,
) -> Loaded:
    """See :meth:`pushkeep.ports.shards.ShardStore.load`."""
    shard = leased.shard
    standing = connection.execute(_STANDING, {"shard_id": shard.lease.shard_id}).one_or_none()
    if standing is None or standing.shard_state != ShardState.LEASED.value or standing.epoch != shard.lease.epoch:
        raise LeaseLost(f"Shard {shard.lease.shard_id} is no longer lent under epoch {shard.lease.epoch}.")
    rests_until = standing.until if standing.until is not None and standing.until > now else 0.0
    if standing.state == NotificationState.CANCELLED.value:
        return Loaded(Control.CANCELLED, (), rests_until)
    if standing.paused_at is not None:
        return Loaded(Control.PAUSED, (), rests_until)
    if len(positions) > SUB_BATCH_MEMBERS_MAX:
        raise ValueError(f"At most {SUB_BATCH_MEMBERS_MAX} members are loaded at a time.")
    found = _rows(connection, shard.project_id, {shard.members[position] for position in positions})
    rows: _Rows = found
    told: frozenset[int] = frozenset()
    if any(_is_followed(row) for row in found.values()):  # hardly ever: the rest is spared both looks
        rows = _with_successors(connection, shard.project_id, found)
        told = _told_by_another(connection, leased, standing, positions, rows)
    unwilling: frozenset[int] = frozenset()
    if leased.job.purpose_id is not None:
        unwilling = without_consent(connection, leased.job.purpose_id, rows.keys())
    small = shard.done.count <= SUB_BATCH_MEMBERS_MAX
    opening = _Opening(vault, str(standing.project_public_id), cache, use_cache=small)
    members = [
        Member(position, None, Kind.SKIPPED_REPLACED)
        if shard.members[position] in told
        else _member(shard, position, rows, unwilling, opening, now)
        for position in positions
    ]
    return Loaded(Control.SEND, tuple(members), rests_until)


def _told_by_another(
    connection: Connection,
    leased: Leased,
    standing: AnyRow,
    positions: Sequence[int],
    rows: _Rows,
) -> frozenset[int]:
    followed = []
    for position in positions:
        member = leased.shard.members[position]
        row = _standing_for(member, rows)
        if row is not None and row.id != member and row.ended_at is None:
            followed.append(Followed(member, row.id, row.contact_id or 0))
    plan = Plan(
        leased.job.id,
        standing.state,
        standing.target_kind,
        standing.accepted_at,
        standing.high_water,
        standing.plan_cursor,
    )
    return told_by_another(connection, plan, followed)


def _rows(connection: Connection, project_id: int, ids: Iterable[int]) -> dict[int, Row[tuple[Any, ...]]]:
    found = connection.execute(_MEMBERS, {"ids": json.dumps(list(ids)), "project_id": project_id})
    return {row[0]: row for row in found.all()}  # the number is the first column


def _with_successors(connection: Connection, project_id: int, found: _Rows) -> _Rows:
    rows = dict(found)
    for _ in range(SUCCESSORS_MAX):
        wanted = {row.superseded_by for row in rows.values() if _is_followed(row)} - rows.keys()
        if not wanted:
            break
        rows |= _rows(connection, project_id, wanted)
    return rows


def _is_followed(row: Row[tuple[Any, ...]]) -> bool:
    return row.ended_at is not None and row.superseded_by is not None


def _standing_for(member: int, rows: _Rows) -> Row[tuple[Any, ...]] | None:
    """The member's own row, or that of the last one which replaced it."""
    row = rows.get(member)
    if row is None or row.ended_at is None:
        return row
    for _ in range(SUCCESSORS_MAX):
        if not _is_followed(row):
            break
        row = rows.get(row.superseded_by)
        if row is None:
            break
    return row


def _member(
    shard: Shard, position: int, rows: _Rows, unwilling: frozenset[int], opening: _Opening, now: float
) -> Member:
    row = _standing_for(shard.members[position], rows)
    if row is None:  # erased
        opening.forget(shard.members[position])
        return Member(position, None, Kind.SKIPPED_ENDED)
    if row.ended_at is not None:
        opening.forget(row.id)
        return Member(position, None, Kind.SKIPPED_ENDED if row.superseded_by is None else Kind.SKIPPED_REPLACED)
    owner = shard.owners[position] if shard.owners else 0
    if owner and row.contact_id != owner:
        return Member(position, None, Kind.SKIPPED_OWNER)
    if row.id in unwilling:
        return Member(position, None, Kind.SKIPPED_CONSENT)
    if row.state not in _SENDABLE:
        if row.state == State.NEEDS_RENEWAL.value:
            return Member(position, None, Kind.SKIPPED_RENEWAL)
        if not may_probe(State(row.state), row.probe_at, now):
            return Member(position, None, Kind.SKIPPED_QUARANTINED)
    subscription = opening.open(row)
    if subscription is None:
        return Member(position, None, Kind.SKIPPED_UNREADABLE)
    return Member(position, Recipient(record_from(row), subscription))


class _Opening:
    """Opens what is sealed, or remembers what it opened."""

    def __init__(self, vault: Vault, project_public_id: str, cache: RecipientCache, *, use_cache: bool) -> None:
        self._vault = vault
        self._project_public_id = project_public_id
        self._cache = cache
        self._use_cache = use_cache

    def open(self, row: Row[tuple[Any, ...]]) -> Subscription | None:
        if row.sealed is None:
            return None
        if self._use_cache:
            kept = self._cache.find(row.id, row.version)
            if kept is not None:
                return kept
        try:
            subscription = self._vault.open_subscription(self._project_public_id, row.endpoint_hash, row.sealed)
        except SealBroken:
            return None
        if self._use_cache:
            self._cache.keep(row.id, row.version, subscription)
        return subscription

    def forget(self, row_id: int) -> None:
        self._cache.forget(row_id)
