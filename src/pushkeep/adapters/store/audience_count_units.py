"""Units of work that say whom an audience would reach, and what is known of it before anything is sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Executable, Select, and_, bindparam, case, func, or_, select, text

from pushkeep.adapters.store.audience_units import LISTS, listed, tag_id_of
from pushkeep.adapters.store.consent_check_units import IS_TOLD, WORDS, without_consent
from pushkeep.adapters.store.health_sql import LIKELY_DEAD, NOW
from pushkeep.adapters.store.purpose_units import find_purpose
from pushkeep.adapters.store.rows import AnyRow, json_values
from pushkeep.adapters.store.tables import contact_tags, signing_keys, subscriptions
from pushkeep.domain.notification import Target
from pushkeep.domain.project import SIGNING, Project
from pushkeep.domain.quarantine import may_probe
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import SENDABLE, State
from pushkeep.errors import InvalidInput
from pushkeep.ports.notifications import AudienceCount
from pushkeep.ports.sweeps import AudienceHealth

IDS_COUNTED_AT_ONCE = 50_000
"""SQLite sorts what it groups, and in memory: 4 MB for so many, 80 MB for a million."""


Groups = Mapping[tuple[str, str, int, str], int]
"""How many subscriptions by origin, vendor row, signing key, and what keeps them back: nothing, or a kind.
"""

_KEPT_BACK = case(
    (subscriptions.c.state == State.NEEDS_RENEWAL.value, Kind.SKIPPED_RENEWAL.value),
    (
        and_(
            subscriptions.c.state == State.QUARANTINED.value,
            or_(subscriptions.c.probe_at.is_(None), subscriptions.c.probe_at > bindparam("now")),
        ),
        Kind.SKIPPED_QUARANTINED.value,
    ),
    else_="",
).label("kept_back")
_WITHIN = and_(subscriptions.c.id > bindparam("after"), subscriptions.c.id <= bindparam("until"))
_TAGGED_GROUPS = """
    SELECT s.origin, s.vendor, s.signing_key_id, count(*) AS number,
        CASE {first} WHEN s.state = 'needs_renewal' THEN 'skipped_renewal'
            WHEN s.state = 'quarantined' AND (s.probe_at IS NULL OR s.probe_at > :now) THEN 'skipped_quarantined'
            ELSE '' END AS kept_back
    FROM contact_tags AS t CROSS JOIN subscriptions AS s {words}
    WHERE t.tag_id = :tag_id AND t.contact_id > :after AND t.contact_id <= :until
        AND s.contact_id = +t.contact_id AND s.ended_at IS NULL
    GROUP BY s.origin, s.vendor, s.signing_key_id, kept_back
"""
_UNWILLING = f"WHEN NOT ({IS_TOLD}) THEN '{Kind.SKIPPED_CONSENT.value}'"
_COUNT_TAGGED = text(_TAGGED_GROUPS.format(first="", words=""))
_COUNT_TAGGED_WILLING = text(_TAGGED_GROUPS.format(first=_UNWILLING, words=WORDS))
_EVERYONES_GROUPS = """
    SELECT s.origin, s.vendor, s.signing_key_id, count(*) AS number,
        CASE {first} WHEN s.state = 'needs_renewal' THEN 'skipped_renewal'
            WHEN s.state = 'quarantined' AND (s.probe_at IS NULL OR s.probe_at > :now) THEN 'skipped_quarantined'
            ELSE '' END AS kept_back
    FROM subscriptions AS s {words}
    WHERE s.project_id = :project_id AND s.ended_at IS NULL AND s.id > :after AND s.id <= :until
    GROUP BY s.origin, s.vendor, s.signing_key_id, kept_back
"""
_COUNT_EVERYONE_WILLING = text(_EVERYONES_GROUPS.format(first=_UNWILLING, words=WORDS))
_USABLE_KEYS = select(signing_keys.c.id).where(
    signing_keys.c.project_id == bindparam("project_id"), signing_keys.c.state.in_([*SIGNING])
)
_GROUPED = (subscriptions.c.origin, subscriptions.c.vendor, subscriptions.c.signing_key_id, _KEPT_BACK)
_COUNT_EVERYONE = (
    select(*_GROUPED, func.count().label("number"))
    .where(subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.ended_at.is_(None), _WITHIN)
    .group_by(*_GROUPED)
)
_LAST_OF_EVERYONE = select(func.coalesce(func.max(subscriptions.c.id), 0)).where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.ended_at.is_(None)
)
_LAST_TAGGED = select(func.coalesce(func.max(contact_tags.c.contact_id), 0)).where(
    contact_tags.c.tag_id == bindparam("tag_id")
)
_of = subscriptions.c
_PROBED = and_(_of.state == State.QUARANTINED.value, _of.probe_at.is_not(None), _of.probe_at <= bindparam(NOW))
_COUNTED = (
    _of.state,
    func.count(),
    func.coalesce(func.sum(case((LIKELY_DEAD, 1), else_=0)), 0),
    func.coalesce(func.sum(case((_PROBED, 1), else_=0)), 0),
)
_EVERYONE: Select[Any] = (
    select(*_COUNTED)
    .where(
        _of.project_id == bindparam("project_id"),
        _of.ended_at.is_(None),
        _of.id > bindparam("after"),
        _of.id <= bindparam("until"),
    )
    .group_by(_of.state)
)
_TAGGED: Select[Any] = (
    select(*_COUNTED)
    .where(
        _of.contact_id.in_(
            select(contact_tags.c.contact_id).where(
                contact_tags.c.tag_id == bindparam("tag_id"),
                contact_tags.c.contact_id > bindparam("after"),
                contact_tags.c.contact_id <= bindparam("until"),
            )
        ),
        _of.ended_at.is_(None),
    )
    .group_by(_of.state)
)
_LISTED: Select[Any] = (
    select(*_COUNTED).where(_of.id.in_(json_values("ids")), _of.ended_at.is_(None)).group_by(_of.state)
)


def _groups(rows: Iterable[AnyRow], unwilling: frozenset[int], now: float) -> Groups:
    return Counter((row.origin, row.vendor, row.signing_key_id, _kept_back(row, unwilling, now)) for row in rows)


def _kept_back(row: AnyRow, unwilling: frozenset[int], now: float) -> str:
    if row.id in unwilling:
        return Kind.SKIPPED_CONSENT.value
    if row.state == State.NEEDS_RENEWAL.value:
        return Kind.SKIPPED_RENEWAL.value
    state = State(row.state)
    return "" if state in SENDABLE or may_probe(state, row.probe_at, now) else Kind.SKIPPED_QUARANTINED.value


def count(
    connection: Connection, project: Project, target: Target, *, purpose: str | None = None, now: float
) -> AudienceCount:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.count_audience`."""
    purpose_id = None if purpose is None else find_purpose(connection, project, purpose).id
    skipped: Counter[Kind] = Counter()
    unknown: tuple[str, ...] = ()
    if target.kind in LISTS:
        found = listed(connection, project, target)
        unwilling: frozenset[int] = frozenset()
        if purpose_id is not None:
            unwilling = without_consent(connection, purpose_id, [row.id for row in found.rows])
        groups, unknown = _groups(found.rows, unwilling, now), found.unknown
        skipped[Kind.SKIPPED_ENDED] = found.ended
    else:
        groups = _audience_groups(connection, project, target, purpose_id, now)
    usable = set(connection.execute(_USABLE_KEYS, {"project_id": project.id}).scalars())
    by_origin: Counter[tuple[str, str]] = Counter()
    for (origin, vendor, signing_key_id, kept_back), number in groups.items():
        if kept_back:
            skipped[Kind(kept_back)] += number
        elif signing_key_id in usable:
            by_origin[origin, vendor] += number
        else:
            skipped[Kind.SKIPPED_KEY] += number
    return AudienceCount(by_origin, +skipped, unknown)


def _audience_groups(
    connection: Connection, project: Project, target: Target, purpose_id: int | None, now: float
) -> Groups:
    named: dict[str, float] = {"project_id": project.id, "now": now}
    if purpose_id is not None:
        named["purpose_id"] = purpose_id
    if target.tag is not None:
        named["tag_id"] = tag_id_of(connection, project, target.tag)
        statement: Executable = _COUNT_TAGGED if purpose_id is None else _COUNT_TAGGED_WILLING
        last = connection.execute(_LAST_TAGGED, named).scalar_one()
    elif target.kind == "all":
        statement = _COUNT_EVERYONE if purpose_id is None else _COUNT_EVERYONE_WILLING
        last = connection.execute(_LAST_OF_EVERYONE, named).scalar_one()
    else:
        raise InvalidInput("A retry has no preview: what it is for stands in the account of the original.")
    groups: Counter[tuple[str, str, int, str]] = Counter()
    for after in range(0, last, IDS_COUNTED_AT_ONCE):
        rows = connection.execute(statement, {**named, "after": after, "until": after + IDS_COUNTED_AT_ONCE})
        groups.update({(row.origin, row.vendor, row.signing_key_id, row.kept_back): row.number for row in rows})
    return groups


def audience_health(connection: Connection, project: Project, target: Target, *, now: float) -> AudienceHealth:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.audience_health`."""
    named: dict[str, Any] = {"project_id": project.id, NOW: now}
    if target.kind in LISTS:
        ids = [member.subscription_id for member in listed(connection, project, target).members]
        pages = [(_LISTED, {**named, "ids": json.dumps(ids)})]
    elif target.tag is not None:
        named["tag_id"] = tag_id_of(connection, project, target.tag)
        last = connection.execute(_LAST_TAGGED, named).scalar_one()
        pages = [(_TAGGED, bounds) for bounds in _bounds(named, last)]
    elif target.kind == "all":
        last = connection.execute(_LAST_OF_EVERYONE, named).scalar_one()
        pages = [(_EVERYONE, bounds) for bounds in _bounds(named, last)]
    else:
        raise InvalidInput("A retry has no preview: what it is for stands in the account of the original.")
    by_state: Counter[State] = Counter()
    likely_dead = probes = 0
    for statement, bounds in pages:
        for state, living, dead, probed in connection.execute(statement, bounds):
            by_state[State(state)] += living
            likely_dead += dead
            probes += probed
    return AudienceHealth(by_state, likely_dead, probes)


def _bounds(named: dict[str, Any], last: int) -> list[dict[str, Any]]:
    step = IDS_COUNTED_AT_ONCE
    return [{**named, "after": after, "until": after + step} for after in range(0, last, step)]
