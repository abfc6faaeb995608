"""From rows to domain objects and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Dialect, Row, Select, String, bindparam, func, select, type_coerce
from sqlalchemy.types import UserDefinedType

from pushkeep.adapters.store.tables import contacts, projects, subscriptions
from pushkeep.domain.ability import read_abilities
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import SUSPECT_DAYS_TO_QUARANTINE, Event, State, StateReason, SubscriptionRecord

_STATES = {state.value: state for state in State}


class PublicId(UserDefinedType[str]):
    """Reads a column of UUIDs as text, without making an object of each."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """As SQLite keeps it."""
        return "CHAR(32)"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[object], str]:
        """Databases with a type of their own hand out objects, others 32 digits."""
        return _public_id_text


def _public_id_text(value: object) -> str:
    digits = str(value)
    if len(digits) != 32:
        return digits
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row of whatever columns; who reads it knows them by name."""

_RECORD_COLUMNS = (
    subscriptions.c.id,
    type_coerce(subscriptions.c.public_id, PublicId()).label("public_id"),
    subscriptions.c.short_id,
    subscriptions.c.project_id,
    contacts.c.external_id,
    subscriptions.c.origin,
    subscriptions.c.vendor,
    subscriptions.c.state,
    subscriptions.c.signing_key_id,
    subscriptions.c.created_at,
    subscriptions.c.last_seen_at,
    subscriptions.c.last_accepted_at,
    subscriptions.c.consecutive_failures,
    subscriptions.c.suspect_days,
    subscriptions.c.state_reason,
    subscriptions.c.superseded_by,
    subscriptions.c.version,
    subscriptions.c.keys_hash,
    subscriptions.c.abilities,
    subscriptions.c.ended_at,
    subscriptions.c.last_displayed_at,
    subscriptions.c.last_verdict,
    subscriptions.c.last_verdict_at,
    subscriptions.c.owner_since,
    subscriptions.c.sync_sequence,
    subscriptions.c.probe_at,
    subscriptions.c.probes,
)
_RECORD = slice(len(_RECORD_COLUMNS))
_PROJECT_COLUMNS = (
    projects.c.id,
    projects.c.public_id,
    projects.c.name,
    projects.c.site_url,
    projects.c.publishable_key,
    projects.c.contact,
    projects.c.site_origins,
)


def json_values(name: str) -> Select[Any]:
    """The values of a JSON list that is bound as one parameter: the statement is the same however long the list is."""
    return select(func.json_each(bindparam(name, type_=String)).table_valued("value").c.value)


def select_records(*, with_sealed: bool = False) -> Select[tuple[Any, ...]]:
    """Select what :func:`record_from` needs, and with it hash and sealed blob if asked for."""
    extra = (subscriptions.c.endpoint_hash, subscriptions.c.sealed) if with_sealed else ()
    return select(*_RECORD_COLUMNS, *extra).select_from(
        subscriptions.outerjoin(contacts, contacts.c.id == subscriptions.c.contact_id)
    )


def record_from(row: Row[tuple[Any, ...]]) -> SubscriptionRecord:
    """Read a row of :func:`select_records`, by position: a broadcast reads a million."""
    columns: tuple[Any, ...] = row[_RECORD]
    (
        row_id,
        public_id,
        short_id,
        project_id,
        external_id,
        origin,
        vendor,
        state,
        signing_key_id,
        created_at,
        last_seen_at,
        last_accepted_at,
        consecutive_failures,
        suspect_days,
        state_reason,
        superseded_by,
        version,
        keys_hash,
        abilities,
        ended_at,
        last_displayed_at,
        last_verdict,
        last_verdict_at,
        owner_since,
        sync_sequence,
        probe_at,
        probes,
    ) = columns
    return SubscriptionRecord(
        row_id,
        public_id,
        short_id,
        project_id,
        external_id,
        origin,
        vendor,
        _STATES[state],
        signing_key_id,
        created_at,
        last_seen_at,
        last_accepted_at,
        consecutive_failures,
        frozenset(map(int, suspect_days.split())) if suspect_days else frozenset(),
        None if state_reason is None else _read_reason(state_reason),
        superseded_by,
        version,
        keys_hash,
        read_abilities(abilities) if abilities else frozenset(),
        ended_at,
        last_displayed_at,
        last_verdict,
        last_verdict_at,
        owner_since,
        sync_sequence,
        probe_at,
        probes,
    )


def select_projects() -> Select[tuple[Any, ...]]:
    """Select what :func:`project_from` needs."""
    return select(*_PROJECT_COLUMNS)


def project_from(row: Row[tuple[Any, ...]]) -> Project:
    """Read a row of :func:`select_projects`."""
    origins = frozenset(row.site_origins.split())
    return Project(row.id, str(row.public_id), row.name, row.site_url, row.publishable_key, row.contact, origins)


def write_origins(origins: frozenset[str]) -> str:
    """Origins as :func:`project_from` reads them: they have no blanks."""
    return " ".join(sorted(origins))


def uuid_of(text: str) -> UUID:
    """A public id as the column wants it."""
    return UUID(text)


def write_reason(reason: StateReason) -> str:
    """A reason as JSON, without what is not known."""
    return json.dumps({name: value for name, value in asdict(reason).items() if value is not None})


def write_days(days: frozenset[int]) -> str:
    """Days of doubt as the column has them: no more than it takes for quarantine."""
    return " ".join(map(str, sorted(days)[-SUSPECT_DAYS_TO_QUARANTINE:]))


def _read_reason(text: str) -> StateReason:
    value = json.loads(text)
    return StateReason(**{**value, "cause": Event(value["cause"])})
