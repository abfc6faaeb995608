"""Units of work on chores: what is done regularly, by one process at a time."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, func, or_, select, true, update
from sqlalchemy.dialects.sqlite import insert

from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.tables import chores
from pushkeep.domain.project import Project
from pushkeep.ports.sweeps import Chore

_ALL = select(chores).where(chores.c.project_id == bindparam("project_id")).order_by(chores.c.name)
_NEW = insert(chores)
_PLAN = _NEW.on_conflict_do_update(
    index_elements=[chores.c.project_id, chores.c.name],
    set_={"due_at": func.min(chores.c.due_at, _NEW.excluded.due_at)},
)
_KNOW = _NEW.on_conflict_do_nothing()
_THIS = and_(chores.c.project_id == bindparam("of_project"), chores.c.name == bindparam("of_name"))
_FREE = or_(
    chores.c.lease_owner.is_(None),
    chores.c.lease_expires_at <= bindparam("now"),
    chores.c.lease_expires_at > bindparam("too_late"),
)
_DUE = or_(chores.c.due_at <= bindparam("now"), bindparam("early") == true())
_TAKE = (
    update(chores)
    .where(_THIS, _FREE, _DUE)
    .values(lease_owner=bindparam("owner"), lease_expires_at=bindparam("expires_at"), started_at=bindparam("now"))
    .returning(chores)
)
_MINE = and_(_THIS, chores.c.lease_owner == bindparam("owner"))
_RENEW = update(chores).where(_MINE).values(lease_expires_at=bindparam("expires_at"))
_FINISH = (
    update(chores)
    .where(_MINE)
    .values(
        lease_owner=None,
        lease_expires_at=None,
        finished_at=bindparam("now"),
        due_at=bindparam("next_due_at"),
        result=func.coalesce(bindparam("new_result"), chores.c.result),
    )
)


def all_chores(connection: Connection, project: Project) -> tuple[Chore, ...]:
    """See :meth:`pushkeep.ports.sweeps.ChoreStore.chores`."""
    return tuple(_chore(row) for row in connection.execute(_ALL, {"project_id": project.id}))


def plan(connection: Connection, project: Project, name: str, due_at: float) -> None:
    """See :meth:`pushkeep.ports.sweeps.ChoreStore.plan_chore`."""
    connection.execute(_PLAN, {"project_id": project.id, "name": name, "due_at": due_at})


def take(
    connection: Connection,
    project: Project,
    name: str,
    owner: str,
    *,
    now: float,
    lease_seconds: float,
    early: bool,
) -> Chore | None:
    """See :meth:`pushkeep.ports.sweeps.ChoreStore.take_chore`."""
    connection.execute(_KNOW, {"project_id": project.id, "name": name, "due_at": now})
    named: dict[str, object] = {
        "of_project": project.id,
        "of_name": name,
        "owner": owner,
        "now": now,
        "early": early,
    }
    # Nobody lends it for longer: the clock was ahead, and whoever took it then may be long gone.
    named |= {"expires_at": now + lease_seconds, "too_late": now + 2 * lease_seconds}
    row = connection.execute(_TAKE, named).one_or_none()
    return None if row is None else _chore(row)


def renew(connection: Connection, project: Project, name: str, owner: str, *, expires_at: float) -> bool:
    """See :meth:`pushkeep.ports.sweeps.ChoreStore.renew_chore`."""
    named = {"of_project": project.id, "of_name": name, "owner": owner, "expires_at": expires_at}
    return connection.execute(_RENEW, named).rowcount == 1


def finish(
    connection: Connection, project: Project, name: str, owner: str, *, now: float, due_at: float, result: str | None
) -> bool:
    """See :meth:`pushkeep.ports.sweeps.ChoreStore.finish_chore`."""
    named = {"of_project": project.id, "of_name": name, "owner": owner, "now": now}
    return connection.execute(_FINISH, {**named, "next_due_at": due_at, "new_result": result}).rowcount == 1


def _chore(row: AnyRow) -> Chore:
    return Chore(
        row.name, row.due_at, row.lease_owner, row.lease_expires_at, row.started_at, row.finished_at, row.result
    )
