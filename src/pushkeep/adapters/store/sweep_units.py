"""Units of work of a sweep: counting living rows page by page, and moving what deserves it a page at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, false, func, select, union_all

from pushkeep.adapters.store.health_sql import HEARD_AT, LIKELY_DEAD, NOW, SIGN_CLAUSES
from pushkeep.adapters.store.move_units import Step, move_rows
from pushkeep.adapters.store.rows import json_values, record_from, select_records, uuid_of
from pushkeep.adapters.store.tables import contacts, subscriptions
from pushkeep.domain.lifecycle import By
from pushkeep.domain.project import Project
from pushkeep.domain.quarantine import seconds_to_probe
from pushkeep.domain.subscription import SUSPECT_DAYS_TO_QUARANTINE, Event, State, StateReason
from pushkeep.domain.sweep import OriginCount, Scope, SweepRules
from pushkeep.ports.sweeps import LikelyDeadPage, MovedPage, SurveyPage, SurveyRow

TROUBLED_STATES = (State.FAILING, State.QUARANTINED)

_of = subscriptions.c
_LIVING = and_(_of.project_id == bindparam("project_id"), _of.ended_at.is_(None))
_BEHIND = _of.id > bindparam("after")
_WITHIN = and_(_BEHIND, _of.id <= bindparam("until"))
_ALL_IDS = select(_of.id).where(_LIVING, _BEHIND).order_by(_of.id).limit(bindparam("most")).subquery()


def _ids_of(state: State) -> Select[tuple[int]]:
    """The next ones in a state, found and ordered by the index on it."""
    found = (
        select(_of.id)
        .where(_of.project_id == bindparam("project_id"), _of.state == state.value, _BEHIND)
        .order_by(_of.id)
        .limit(bindparam("most"))
        .subquery()
    )
    return select(found.c.id)


_EACH_TROUBLED = union_all(*map(_ids_of, TROUBLED_STATES)).subquery()
_TROUBLED_IDS = select(_EACH_TROUBLED.c.id).order_by(_EACH_TROUBLED.c.id).limit(bindparam("most")).subquery()
_FAILING_IDS = _ids_of(State.FAILING).subquery()
_FAILING_END = select(func.max(_FAILING_IDS.c.id))
_ENDS: Mapping[Scope, Select[Any]] = {
    Scope.ALL: select(func.max(_ALL_IDS.c.id)),
    Scope.TROUBLED: select(func.max(_TROUBLED_IDS.c.id)),
}
_LOOKED_AT: Mapping[Scope, ColumnElement[bool]] = {
    Scope.ALL: _LIVING,
    Scope.TROUBLED: and_(
        _of.project_id == bindparam("project_id"), _of.state.in_([state.value for state in TROUBLED_STATES])
    ),
}

_BLANKS = func.length(_of.suspect_days) - func.length(func.replace(_of.suspect_days, " ", ""))
_REFUSED_FOR_DAYS = and_(
    _of.state == State.FAILING.value, _of.suspect_days != "", _BLANKS >= SUSPECT_DAYS_TO_QUARANTINE - 1
)
_UNSEEN: Mapping[bool, ColumnElement[bool]] = {
    True: and_(_of.ended_at.is_(None), bindparam("unseen_before") > HEARD_AT),
    False: false(),
}


def _number(clause: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((clause, 1), else_=0)), 0)


def _survey(scope: Scope, *, expires: bool) -> Select[Any]:
    unseen = _UNSEEN[expires]
    return (
        select(
            _of.origin,
            _of.state,
            func.count(),
            _number(and_(_REFUSED_FOR_DAYS, ~unseen) if expires else _REFUSED_FOR_DAYS),
            _number(unseen),
            _number(LIKELY_DEAD),
            *(_number(clause) for clause in SIGN_CLAUSES.values()),
        )
        .where(_LOOKED_AT[scope], _WITHIN)
        .group_by(_of.origin, _of.state)
    )


_SURVEYS = {(scope, expires): _survey(scope, expires=expires) for scope in Scope for expires in (True, False)}
_LIVING_BY_ORIGIN = select(_of.origin, func.count()).where(_LIVING, _WITHIN).group_by(_of.origin)
_SPARED = _of.origin.not_in(json_values("spare"))
_TO_QUARANTINE = (
    select(_of.id, _of.suspect_days)
    .where(
        _of.project_id == bindparam("project_id"), _of.state == State.FAILING.value, _REFUSED_FOR_DAYS, _SPARED, _WITHIN
    )
    .order_by(_of.id)
    .limit(bindparam("most"))
)
_TO_EXPIRE = select(_of.id).where(_LIVING, _UNSEEN[True], _SPARED, _WITHIN).order_by(_of.id).limit(bindparam("most"))
_LIKELY_DEAD = select_records().where(_LIVING, _WITHIN, LIKELY_DEAD).order_by(_of.id)
_CONTACTS = select(contacts.c.id, contacts.c.external_id).where(
    contacts.c.project_id == bindparam("project_id"), contacts.c.id.in_(json_values("numbers"))
)


def survey_page(connection: Connection, project: Project, rules: SweepRules, *, after: int, limit: int) -> SurveyPage:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.survey_page`."""
    named: dict[str, Any] = {"project_id": project.id, "after": after}
    last = connection.execute(_ENDS[rules.scope], {**named, "most": limit}).scalar_one()
    if last is None:
        return SurveyPage((), None)
    named |= {"until": last, NOW: rules.now}
    if rules.unseen_before is not None:
        named["unseen_before"] = rules.unseen_before
    rows = connection.execute(_SURVEYS[rules.scope, rules.unseen_before is not None], named)
    return SurveyPage(tuple(_survey_row(*row) for row in rows), last)


def _survey_row(
    origin: str, state: str, living: int, quarantine: int, expire: int, likely_dead: int, *signs: int
) -> SurveyRow:
    found = Counter(dict(zip(SIGN_CLAUSES, signs, strict=True)))
    return SurveyRow(origin, State(state), OriginCount(living, quarantine, expire), +found, likely_dead)


def living_by_origin(
    connection: Connection, project: Project, *, after: int, limit: int
) -> tuple[Mapping[str, int], int | None]:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.living_by_origin`."""
    named = {"project_id": project.id, "after": after}
    last = connection.execute(_ENDS[Scope.ALL], {**named, "most": limit}).scalar_one()
    if last is None:
        return {}, None
    rows = connection.execute(_LIVING_BY_ORIGIN, {**named, "until": last})
    return {row[0]: row[1] for row in rows}, last


def sweep_page(
    connection: Connection,
    project: Project,
    rules: SweepRules,
    event: Event,
    *,
    spare: Collection[str],
    after: int,
    limit: int,
    scan: int,
) -> MovedPage:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.sweep_page`; ``scan`` bounds how many rows one unit looks at."""
    named: dict[str, Any] = {"project_id": project.id, "after": after, "spare": json.dumps(sorted(spare))}
    if event is Event.QUARANTINED:
        until = connection.execute(_FAILING_END, {**named, "most": scan}).scalar_one()
        found = connection.execute(_TO_QUARANTINE, {**named, "until": until or 0, "most": limit}).all()
        days = {row.id: frozenset(map(int, row.suspect_days.split())) for row in found}
        last = max(days) if len(days) == limit else until
        reason = StateReason(Event.QUARANTINED, rules.now)
        steps = {
            number: Step(event, reason, By.SWEEP, suspect_days=doubted, probe_at=rules.now + seconds_to_probe(0))
            for number, doubted in days.items()
        }
    else:
        until = connection.execute(_ENDS[Scope.ALL], {**named, "most": scan}).scalar_one()
        bounds = {**named, "until": until or 0, "unseen_before": rules.unseen_before}
        ids = connection.execute(_TO_EXPIRE, {**bounds, "most": limit}).scalars().all()
        last = max(ids) if len(ids) == limit else until
        steps = dict.fromkeys(ids, Step(event, StateReason(Event.EXPIRED, rules.now), By.SWEEP))
    moved = move_rows(connection, project.id, steps) if steps else frozenset()
    return MovedPage(len(moved), last)


def likely_dead_page(connection: Connection, project: Project, *, now: float, after: int, scan: int) -> LikelyDeadPage:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.likely_dead_page`."""
    named: dict[str, Any] = {"project_id": project.id, "after": after}
    last = connection.execute(_ENDS[Scope.ALL], {**named, "most": scan}).scalar_one()
    if last is None:
        return LikelyDeadPage((), None)
    rows = connection.execute(_LIKELY_DEAD, {**named, "until": last, NOW: now})
    return LikelyDeadPage(tuple(map(record_from, rows)), last)


def contact_names(connection: Connection, project: Project, numbers: Collection[int]) -> Mapping[int, str]:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.contact_names`."""
    rows = connection.execute(_CONTACTS, {"project_id": project.id, "numbers": json.dumps(sorted(numbers))})
    return {row[0]: row[1] for row in rows}


_SHORTS = select(_of.public_id, _of.short_id).where(
    _of.project_id + 0 == bindparam("project_id"), _of.public_id.in_(bindparam("ids", expanding=True))
)


def short_ids(connection: Connection, project: Project, public_ids: Collection[str]) -> Mapping[str, str]:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.short_ids`."""
    rows = connection.execute(
        _SHORTS, {"project_id": project.id, "ids": [uuid_of(public_id) for public_id in sorted(public_ids)]}
    )
    return {str(public_id): short_id for public_id, short_id in rows}
