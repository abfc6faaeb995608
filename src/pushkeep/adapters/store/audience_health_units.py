"""The unit of work that says what is known of an audience's health before anything is sent to it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, case, func, select

from pushkeep.adapters.store.audience_units import IDS_COUNTED_AT_ONCE, LISTS, listed, tag_id_of
from pushkeep.adapters.store.health_sql import LIKELY_DEAD, NOW
from pushkeep.adapters.store.rows import json_values
from pushkeep.adapters.store.tables import contact_tags, subscriptions
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import State
from pushkeep.errors import InvalidInput
from pushkeep.ports.sweeps import AudienceHealth

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
_LAST_ID = select(func.coalesce(func.max(_of.id), 0)).where(
    _of.project_id == bindparam("project_id"), _of.ended_at.is_(None)
)
_LAST_TAGGED = select(func.coalesce(func.max(contact_tags.c.contact_id), 0)).where(
    contact_tags.c.tag_id == bindparam("tag_id")
)


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
        last = connection.execute(_LAST_ID, named).scalar_one()
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
