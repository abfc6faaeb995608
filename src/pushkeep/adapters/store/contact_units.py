"""Units of work on contacts and their tags: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select

from pushkeep.adapters.store.rows import AnyRow, json_values
from pushkeep.adapters.store.tables import contact_tags, contacts, notifications, subscriptions, tags
from pushkeep.domain.project import Project
from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX, TAGS_PER_PROJECT_MAX
from pushkeep.errors import Conflict
from pushkeep.ports.audiences import ContactRecord

_CONTACT = select(contacts.c.id, contacts.c.created_at).where(
    contacts.c.project_id == bindparam("project_id"), contacts.c.external_id == bindparam("external_id")
)
_INSERT_CONTACT = insert(contacts).returning(contacts.c.id)
_TAGS_OF = (
    select(tags.c.id, tags.c.name)
    .select_from(contact_tags.join(tags, tags.c.id == contact_tags.c.tag_id))
    .where(contact_tags.c.contact_id == bindparam("contact_id"))
)
_ACTIVE_OF = select(func.count()).where(
    subscriptions.c.contact_id == bindparam("contact_id"), subscriptions.c.ended_at.is_(None)
)
_NAMED_TAGS = select(tags.c.id, tags.c.name).where(
    tags.c.project_id == bindparam("project_id"),
    tags.c.name.in_(json_values("names")),
)
_INSERT_TAG = insert(tags).returning(tags.c.id)
_COUNT_TAGS = select(func.count()).select_from(tags).where(tags.c.project_id == bindparam("project_id"))
_DROP_UNUSED_TAGS = delete(tags).where(
    tags.c.project_id == bindparam("project_id_"),
    ~exists().where(contact_tags.c.tag_id == tags.c.id),
    ~exists().where(notifications.c.tag_id == tags.c.id),
)
_UNTAG = delete(contact_tags).where(
    contact_tags.c.contact_id == bindparam("contact_id_"), contact_tags.c.tag_id == bindparam("tag_id_")
)
_COUNTED = (
    select(tags.c.name, func.count(contact_tags.c.contact_id))
    .select_from(tags.outerjoin(contact_tags, contact_tags.c.tag_id == tags.c.id))
    .where(tags.c.project_id == bindparam("project_id"))
    .group_by(tags.c.name)
    .order_by(tags.c.name)
)


def find_contact_id(connection: Connection, project: Project, external_id: str) -> int | None:
    """The number of a contact; None for an unknown one."""
    found = connection.execute(_CONTACT, {"project_id": project.id, "external_id": external_id}).one_or_none()
    return None if found is None else int(found.id)


def contact_id_of(connection: Connection, project: Project, external_id: str, now: float) -> int:
    """The number of a contact, which is stored if it was not known."""
    found = find_contact_id(connection, project, external_id)
    if found is not None:
        return found
    new = {"project_id": project.id, "external_id": external_id, "created_at": now}
    return int(connection.execute(_INSERT_CONTACT, new).scalar_one())


def find(connection: Connection, project: Project, external_id: str) -> ContactRecord | None:
    """See :meth:`pushkeep.ports.ContactStore.find_contact`."""
    row = connection.execute(_CONTACT, {"project_id": project.id, "external_id": external_id}).one_or_none()
    return None if row is None else _record(connection, external_id, row)


def _record(connection: Connection, external_id: str, row: AnyRow) -> ContactRecord:
    return ContactRecord(
        external_id=external_id,
        tags=tuple(sorted(_tags_of(connection, row.id))),
        active_subscriptions=connection.execute(_ACTIVE_OF, {"contact_id": row.id}).scalar_one(),
        created_at=row.created_at,
    )


def unchanged(
    connection: Connection, project: Project, external_id: str, names: Sequence[str] | None
) -> ContactRecord | None:
    """The contact if storing it would change nothing, found without the write lock; None if something is to be done."""
    found = find(connection, project, external_id)
    return found if found is not None and (names is None or set(names) == set(found.tags)) else None


def put(
    connection: Connection, project: Project, external_id: str, names: Sequence[str] | None, *, now: float
) -> ContactRecord:
    """See :meth:`pushkeep.ports.ContactStore.put_contact`."""
    contact_id = contact_id_of(connection, project, external_id, now)
    if names is not None:
        _set_tags(connection, project, contact_id, frozenset(names))
    named = {"project_id": project.id, "external_id": external_id}
    return _record(connection, external_id, connection.execute(_CONTACT, named).one())


def _tags_of(connection: Connection, contact_id: int) -> dict[str, int]:
    return {row.name: row.id for row in connection.execute(_TAGS_OF, {"contact_id": contact_id})}


def _set_tags(connection: Connection, project: Project, contact_id: int, names: frozenset[str]) -> None:
    """Change what differs, and nothing else: the index of an audience is not rewritten for those who stay in it."""
    had = _tags_of(connection, contact_id)
    dropped = [{"contact_id_": contact_id, "tag_id_": id} for name, id in had.items() if name not in names]
    if dropped:
        connection.execute(_UNTAG, dropped)
    added = sorted(names - had.keys())
    if added:
        ids = _tag_ids(connection, project, added)
        rows = [{"project_id": project.id, "contact_id": contact_id, "tag_id": id} for id in ids]
        connection.execute(insert(contact_tags), rows)


def add_tags(connection: Connection, project: Project, contact_id: int, names: Sequence[str]) -> None:
    """Give a contact these tags, too.

    Raises:
        Conflict: it, or the project, has as many tags as it may have.
    """
    wanted = _tags_of(connection, contact_id).keys() | set(names)
    if len(wanted) > TAGS_PER_CONTACT_MAX:
        raise Conflict(f"A contact would have {len(wanted)} tags; the limit is {TAGS_PER_CONTACT_MAX}.", field="tags")
    _set_tags(connection, project, contact_id, frozenset(wanted))


def _tag_ids(connection: Connection, project: Project, names: Sequence[str]) -> list[int]:
    """The numbers of tags; those nobody had before are stored.

    Raises:
        Conflict: the project has as many tags as it may have.
    """
    found = connection.execute(_NAMED_TAGS, {"project_id": project.id, "names": json.dumps(names)})
    ids = {row.name: int(row.id) for row in found}
    new = [name for name in names if name not in ids]
    if new:
        _make_room(connection, project, len(new))
    for name in new:
        ids[name] = int(connection.execute(_INSERT_TAG, {"project_id": project.id, "name": name}).scalar_one())
    return [ids[name] for name in names]


def _make_room(connection: Connection, project: Project, wanted: int) -> None:
    for attempt in range(2):
        count = connection.execute(_COUNT_TAGS, {"project_id": project.id}).scalar_one()
        if count + wanted <= TAGS_PER_PROJECT_MAX:
            return
        if attempt == 0:  # tags that nobody has any more, and no notification was for, stay only until room is needed
            connection.execute(_DROP_UNUSED_TAGS, {"project_id_": project.id})
    raise Conflict(
        f"The project has {count} tags, and {TAGS_PER_PROJECT_MAX} is the most it can have; tags are for groups of "
        "contacts, so take one that is there, or take some off the contacts that have them.",
        field="tags",
    )


def counted_tags(connection: Connection, project: Project) -> Mapping[str, int]:
    """See :meth:`pushkeep.ports.ContactStore.tags`."""
    return {row[0]: row[1] for row in connection.execute(_COUNTED, {"project_id": project.id})}
