"""Units of work on the chain over consent records: plain functions on a connection that is in a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, insert, select

from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.tables import consent_seals, consents
from pushkeep.domain.consent import GENESIS, SEAL_RECORDS_MAX, Seal, link
from pushkeep.domain.project import Project
from pushkeep.ports.consents import ChainStanding

_LATEST = (
    select(consent_seals)
    .where(consent_seals.c.project_id == bindparam("project_id"))
    .order_by(consent_seals.c.number.desc())
    .limit(1)
)
_PAGE = (
    select(consent_seals)
    .where(consent_seals.c.project_id == bindparam("project_id"), consent_seals.c.number > bindparam("after"))
    .order_by(consent_seals.c.number)
    .limit(bindparam("most"))
)
_WAITING = (
    select(consents.c.number, consents.c.commitment)
    .where(consents.c.project_id == bindparam("project_id"), consents.c.number > bindparam("after"))
    .order_by(consents.c.number)
    .limit(SEAL_RECORDS_MAX)
)
_RECORDS = select(func.coalesce(func.max(consents.c.number), 0)).where(consents.c.project_id == bindparam("project_id"))
_INSERT = insert(consent_seals)


def seal(connection: Connection, project: Project, *, now: float) -> Seal | None:
    """See :meth:`pushkeep.ports.ConsentStore.seal_consents`."""
    latest = _latest(connection, project)
    named = {"project_id": project.id, "after": 0 if latest is None else latest.last}
    waiting = connection.execute(_WAITING, named).all()
    if not waiting:
        return None
    number, previous = (1, GENESIS) if latest is None else (latest.number + 1, latest.head)
    first, last = waiting[0].number, waiting[-1].number
    head = link(previous, number, first, now, [row.commitment for row in waiting])
    made = Seal(number, first, last, previous, head, now)
    values = {
        "project_id": project.id,
        "number": number,
        "first": first,
        "last": last,
        "previous": previous,
        "head": head,
        "sealed_at": now,
    }
    connection.execute(_INSERT, values)
    return made


def chain_standing(connection: Connection, project: Project) -> ChainStanding:
    """See :meth:`pushkeep.ports.ConsentStore.chain_standing`."""
    latest = _latest(connection, project)
    records = connection.execute(_RECORDS, {"project_id": project.id}).scalar_one()
    return ChainStanding(records, 0 if latest is None else latest.last, latest)


def list_seals(connection: Connection, project: Project, *, limit: int, after: int) -> tuple[Seal, ...]:
    """See :meth:`pushkeep.ports.ConsentStore.list_seals`."""
    rows = connection.execute(_PAGE, {"project_id": project.id, "after": after, "most": limit})
    return tuple(_seal(row) for row in rows)


def _latest(connection: Connection, project: Project) -> Seal | None:
    row = connection.execute(_LATEST, {"project_id": project.id}).one_or_none()
    return None if row is None else _seal(row)


def _seal(row: AnyRow) -> Seal:
    return Seal(row.number, row.first, row.last, row.previous, row.head, row.sealed_at)
