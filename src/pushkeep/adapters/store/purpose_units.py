"""Units of work on purposes and wordings: plain functions on a connection that is in a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, insert, select, update

from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.tables import purposes, wordings
from pushkeep.domain.consent import Basis, Purpose, Wording
from pushkeep.domain.consent_words import PURPOSES_PER_PROJECT_MAX, WORDINGS_PER_PURPOSE_MAX, unknown_purpose
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict

_ALL = select(purposes).where(purposes.c.project_id == bindparam("project_id")).order_by(purposes.c.id)
_INSERT = insert(purposes)
_CHANGE = (
    update(purposes)
    .where(purposes.c.id == bindparam("row_id"))
    .values(description=bindparam("new_description"), basis=bindparam("new_basis"))
)
_WORDINGS = (
    select(wordings, purposes.c.name)
    .select_from(wordings.join(purposes, purposes.c.id == wordings.c.purpose_id))
    .where(wordings.c.project_id == bindparam("project_id"))
    .order_by(wordings.c.id)
)
_OF_PURPOSE = _WORDINGS.where(purposes.c.name == bindparam("purpose"))
_THIS_VERSION = _WORDINGS.where(
    wordings.c.purpose_id == bindparam("purpose_id"),
    wordings.c.locale == bindparam("locale"),
    wordings.c.version == bindparam("version"),
)
_COUNT_WORDINGS = select(func.count()).where(wordings.c.purpose_id == bindparam("purpose_id"))
_INSERT_WORDING = insert(wordings)


def all_purposes(connection: Connection, project: Project) -> tuple[Purpose, ...]:
    """See :meth:`pushkeep.ports.ConsentStore.purposes`."""
    return tuple(_purpose(row) for row in connection.execute(_ALL, {"project_id": project.id}))


def find_purpose(connection: Connection, project: Project, name: str, *, field: str = "purpose") -> Purpose:
    """The purpose of a name.

    Raises:
        InvalidInput: none is declared under that name.
    """
    declared = all_purposes(connection, project)
    found = next((purpose for purpose in declared if purpose.name == name), None)
    if found is None:
        raise unknown_purpose(name, [purpose.name for purpose in declared], field=field)
    return found


def put_purpose(
    connection: Connection, project: Project, name: str, *, description: str, basis: Basis, now: float
) -> tuple[Purpose, bool]:
    """See :meth:`pushkeep.ports.ConsentStore.put_purpose`."""
    declared = {purpose.name: purpose for purpose in all_purposes(connection, project)}
    known = declared.get(name)
    if known is not None:
        changes = {"row_id": known.id, "new_description": description, "new_basis": basis.value}
        connection.execute(_CHANGE, changes)
        return find_purpose(connection, project, name), False
    if len(declared) >= PURPOSES_PER_PROJECT_MAX:
        raise Conflict(
            f"The project has {len(declared)} purposes, and {PURPOSES_PER_PROJECT_MAX} is the most it can have; take "
            "one that is there.",
            field="purpose",
        )
    values = {
        "project_id": project.id,
        "name": name,
        "description": description,
        "basis": basis.value,
        "created_at": now,
    }
    connection.execute(_INSERT, values)
    return find_purpose(connection, project, name), True


def add_wording(connection: Connection, project: Project, wording: Wording) -> tuple[Wording, bool]:
    """See :meth:`pushkeep.ports.ConsentStore.add_wording`."""
    purpose = find_purpose(connection, project, wording.purpose)
    named = {
        "project_id": project.id,
        "purpose_id": purpose.id,
        "locale": wording.locale,
        "version": wording.version,
    }
    row = connection.execute(_THIS_VERSION, named).one_or_none()
    if row is not None:
        known = _wording(row)
        if known.digest == wording.digest:
            return known, False
        raise Conflict(
            f"Version {wording.version} in {wording.locale} has another text already, which people may have agreed "
            "to; give the new text a new version.",
            field="version",
        )
    count = connection.execute(_COUNT_WORDINGS, named).scalar_one()
    if count >= WORDINGS_PER_PURPOSE_MAX:
        raise Conflict(
            f"The purpose has {count} wordings, and {WORDINGS_PER_PURPOSE_MAX} is the most it can have; declare "
            "another purpose.",
            field="purpose",
        )
    values = {
        **named,
        "digest": wording.digest,
        "policy_version": wording.policy_version,
        "text": wording.text,
        "created_at": wording.created_at,
    }
    connection.execute(_INSERT_WORDING, values)
    return wording, True


def all_wordings(connection: Connection, project: Project, purpose: str | None) -> tuple[Wording, ...]:
    """See :meth:`pushkeep.ports.ConsentStore.wordings`."""
    statement = _WORDINGS if purpose is None else _OF_PURPOSE
    named = {"project_id": project.id} | ({} if purpose is None else {"purpose": purpose})
    return tuple(_wording(row) for row in connection.execute(statement, named))


def _purpose(row: AnyRow) -> Purpose:
    return Purpose(row.id, row.name, row.description, Basis(row.basis), row.created_at)


def _wording(row: AnyRow) -> Wording:
    return Wording(row.name, row.locale, row.version, row.policy_version, row.text, row.created_at)
