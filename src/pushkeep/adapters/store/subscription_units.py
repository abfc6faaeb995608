"""Units of work on subscriptions: plain functions on a connection that is in a transaction."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pushkeep.adapters.store.contact_units import contact_id_of
from pushkeep.adapters.store.result_units import end_version
from pushkeep.adapters.store.rows import record_from, select_records, uuid_of, write_days
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import push_services, subscriptions
from pushkeep.domain.ability import write_abilities
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.registration import Plan, Registration, Write, check_owner_has_room, plan
from pushkeep.domain.subscription import Event, Recipient, State, StateReason, SubscriptionRecord, move
from pushkeep.errors import Unavailable
from pushkeep.ports import StoredRegistration

# A statement costs more to build than to run: those of the registration path are built once.
_BY_ENDPOINT = select_records().where(
    subscriptions.c.project_id == bindparam("project_id"),
    subscriptions.c.endpoint_hash == bindparam("endpoint_hash"),
    subscriptions.c.signing_key_id == bindparam("signing_key_id"),
)
_BY_ROW_ID = select_records().where(subscriptions.c.id == bindparam("row_id"))
_BY_PUBLIC_ID = select_records().where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.public_id == bindparam("public_id")
)
_BY_SHORT_ID = select_records().where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.short_id == bindparam("short_id")
)
_SEALED = select(subscriptions.c.endpoint_hash, subscriptions.c.sealed).where(subscriptions.c.id == bindparam("row_id"))
_ACTIVE_OF_CONTACT = (
    select(func.count())
    .select_from(subscriptions)
    .where(
        subscriptions.c.contact_id == bindparam("contact_id"),
        subscriptions.c.ended_at.is_(None),
        subscriptions.c.id != bindparam("leaving"),
    )
)
_TAKEN_SHORT_IDS = select(subscriptions.c.short_id).where(
    subscriptions.c.project_id == bindparam("project_id"),
    subscriptions.c.short_id.in_(bindparam("candidates", expanding=True)),
)
_INSERT = insert(subscriptions).returning(subscriptions.c.id)
_PUSH_SERVICE = sqlite_insert(push_services)
_NOTE_PUSH_SERVICE = _PUSH_SERVICE.on_conflict_do_update(
    index_elements=[push_services.c.project_id, push_services.c.origin],
    set_={"vendor": _PUSH_SERVICE.excluded.vendor},
    where=push_services.c.vendor != _PUSH_SERVICE.excluded.vendor,
)


def existing_registration(
    connection: Connection, vault: Vault, project: Project, registration: Registration
) -> StoredRegistration | None:
    """The registration if it changes nothing, found without the write lock; None if something is to be written."""
    existing, replaced = _rows_concerned(connection, vault, project, registration)
    if existing is None:
        return None
    keys_hash = vault.keys_hash(registration.subscription)
    decided = plan(registration, keys_hash=keys_hash, existing=existing, replaced=replaced)
    if decided.write is Write.NOTHING and decided.supersede is None:
        return StoredRegistration(existing, created=False)
    return None


def register(connection: Connection, vault: Vault, project: Project, registration: Registration) -> StoredRegistration:
    """See :meth:`pushkeep.ports.SubscriptionStore.register`."""
    existing, replaced = _rows_concerned(connection, vault, project, registration)
    keys_hash = vault.keys_hash(registration.subscription)
    decided = plan(registration, keys_hash=keys_hash, existing=existing, replaced=replaced)
    contact_id = None
    if decided.owner is not None:
        contact_id = contact_id_of(connection, project, decided.owner, registration.now)
    _check_room(connection, contact_id, decided, existing)
    if existing is None:
        row_id = _insert(connection, vault, project, registration, decided, keys_hash, contact_id)
    else:
        row_id = existing.id
        _refresh(connection, vault, project, registration, decided, keys_hash, contact_id, existing)
    if decided.supersede is not None:
        _supersede(connection, project, decided.supersede, row_id, registration.now)
    _note_push_service(connection, project, registration)
    row = connection.execute(_BY_ROW_ID, {"row_id": row_id}).one()
    return StoredRegistration(record_from(row), created=existing is None)


def _rows_concerned(
    connection: Connection, vault: Vault, project: Project, registration: Registration
) -> tuple[SubscriptionRecord | None, SubscriptionRecord | None]:
    existing = connection.execute(
        _BY_ENDPOINT,
        {
            "project_id": project.id,
            "endpoint_hash": vault.endpoint_hash(registration.subscription.endpoint),
            "signing_key_id": registration.signing_key_id,
        },
    ).one_or_none()
    replaced = None
    if registration.replaces is not None:
        replaced = find(connection, project, AnyId(registration.replaces, None))
    return (None if existing is None else record_from(existing)), replaced


def _check_room(
    connection: Connection, contact_id: int | None, decided: Plan, existing: SubscriptionRecord | None
) -> None:
    """Count only where the contact gets one more active subscription."""
    already = existing is not None and existing.living and existing.contact_external_id == decided.owner
    if contact_id is None or already:
        return
    leaving = decided.supersede.id if decided.supersede is not None else 0
    count = connection.execute(_ACTIVE_OF_CONTACT, {"contact_id": contact_id, "leaving": leaving}).scalar_one()
    check_owner_has_room(decided.owner, count)


def _insert(
    connection: Connection,
    vault: Vault,
    project: Project,
    registration: Registration,
    decided: Plan,
    keys_hash: bytes,
    contact_id: int | None,
) -> int:
    subscription = registration.subscription
    endpoint_hash = vault.endpoint_hash(subscription.endpoint)
    values = {
        "project_id": project.id,
        "public_id": uuid_of(registration.public_id),
        "short_id": _free_short_id(connection, project, registration.short_ids),
        "contact_id": contact_id,
        "signing_key_id": registration.signing_key_id,
        "origin": subscription.endpoint.origin,
        "vendor": registration.vendor,
        "endpoint_hash": endpoint_hash,
        "keys_hash": keys_hash,
        "sealed": vault.seal_subscription(project, endpoint_hash, subscription),
        "state": State.ACTIVE.value,
        "created_at": registration.now,
        "last_seen_at": registration.now,
        "abilities": write_abilities(decided.abilities),
    }
    return int(connection.execute(_INSERT, values).scalar_one())


def _free_short_id(connection: Connection, project: Project, candidates: tuple[str, ...]) -> str:
    wanted = {"project_id": project.id, "candidates": list(candidates)}
    taken = set(connection.execute(_TAKEN_SHORT_IDS, wanted).scalars())
    for candidate in candidates:
        if candidate not in taken:
            return candidate
    raise Unavailable("No free short id was drawn; try again.")


def _note_push_service(connection: Connection, project: Project, registration: Registration) -> None:
    """A message to everybody keeps the limits of every push service there has been a subscription at."""
    origin = registration.subscription.endpoint.origin
    connection.execute(_NOTE_PUSH_SERVICE, {"project_id": project.id, "origin": origin, "vendor": registration.vendor})


def _refresh(
    connection: Connection,
    vault: Vault,
    project: Project,
    registration: Registration,
    decided: Plan,
    keys_hash: bytes,
    contact_id: int | None,
    existing: SubscriptionRecord,
) -> None:
    """Touch or renew the row of a browser that came back."""
    change = update(subscriptions).where(subscriptions.c.id == existing.id)
    if decided.write is Write.TOUCH:
        connection.execute(change.values(last_seen_at=registration.now))
    if decided.write is not Write.RENEW:
        return
    endpoint_hash = vault.endpoint_hash(registration.subscription.endpoint)
    connection.execute(
        change.values(
            state=move(existing.state, Event.SYNCED).value,
            contact_id=contact_id,
            vendor=registration.vendor,
            keys_hash=keys_hash,
            sealed=vault.seal_subscription(project, endpoint_hash, registration.subscription),
            state_reason=None,
            ended_at=None,
            superseded_by=None,
            abilities=write_abilities(decided.abilities),
            last_seen_at=registration.now,
            consecutive_failures=0 if not existing.living else existing.consecutive_failures,
            suspect_days="" if not existing.living else write_days(existing.suspect_days),
            version=existing.version + 1,
        )
    )


def _supersede(
    connection: Connection, project: Project, replaced: SubscriptionRecord, successor_id: int, now: float
) -> None:
    if replaced.living:
        end_version(connection, project.id, replaced.id, replaced.version, StateReason(Event.REPLACED, now))
    connection.execute(
        update(subscriptions).where(subscriptions.c.id == replaced.id).values(superseded_by=successor_id)
    )


def find(connection: Connection, project: Project, any_id: AnyId) -> SubscriptionRecord | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.find_subscription`."""
    if any_id.public_id is not None:
        named = {"project_id": project.id, "public_id": uuid_of(any_id.public_id)}
        row = connection.execute(_BY_PUBLIC_ID, named).one_or_none()
    else:
        row = connection.execute(_BY_SHORT_ID, {"project_id": project.id, "short_id": any_id.short_id}).one_or_none()
    return None if row is None else record_from(row)


def find_recipient(connection: Connection, vault: Vault, project: Project, any_id: AnyId) -> Recipient | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.find_recipient`."""
    record = find(connection, project, any_id)
    if record is None:
        return None
    row = connection.execute(_SEALED, {"row_id": record.id}).one()
    if row.sealed is None:
        return Recipient(record, None)
    try:
        return Recipient(record, vault.open_subscription(project.public_id, row.endpoint_hash, row.sealed))
    except SealBroken:  # a damaged row is told as one that cannot be sent to, here as in a broadcast
        return Recipient(record, None)


def page(
    connection: Connection, project: Project, *, state: State | None, limit: int, after: int
) -> tuple[SubscriptionRecord, ...]:
    """See :meth:`pushkeep.ports.SubscriptionStore.list_subscriptions`."""
    query = (
        select_records()
        .where(subscriptions.c.project_id == project.id, subscriptions.c.id > after)
        .order_by(subscriptions.c.id)
        .limit(limit)
    )
    if state is not None:
        query = query.where(subscriptions.c.state == state.value)
    return tuple(record_from(row) for row in connection.execute(query))


def living_by_signing_key(connection: Connection, project: Project) -> Mapping[int, int]:
    """See :meth:`pushkeep.ports.SubscriptionStore.living_by_signing_key`."""
    rows = connection.execute(
        select(subscriptions.c.signing_key_id, func.count())
        .where(subscriptions.c.project_id == project.id, subscriptions.c.ended_at.is_(None))
        .group_by(subscriptions.c.signing_key_id)
    )
    return {row[0]: row[1] for row in rows}


def end(connection: Connection, project: Project, any_id: AnyId, reason: StateReason) -> SubscriptionRecord | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.end_subscription`."""
    record = find(connection, project, any_id)
    if record is None or not record.living:
        return record
    end_version(connection, project.id, record.id, record.version, reason)
    return find(connection, project, any_id)
