"""Whom a notification is for: targets turned into members, lists at once and audiences page by page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    Integer,
    String,
    and_,
    bindparam,
    func,
    literal,
    select,
    text,
    type_coerce,
)

from pushkeep.adapters.store.membership_units import SUCCESSORS_MAX
from pushkeep.adapters.store.outcome_units import failed_page
from pushkeep.adapters.store.rows import AnyRow, json_values, uuid_of
from pushkeep.adapters.store.shard_rows import AudienceMember
from pushkeep.adapters.store.tables import contact_tags, contacts, push_services, subscriptions, tags
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import State
from pushkeep.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Audience:
    """What an audience is taken from, page by page.

    Attributes:
        project_id: the project's internal number.
        kind: ``all``, ``tag`` or ``retry``.
        high_water: the highest subscription id that is in question.
        tag_id: for ``tag``.
        retry_of: for ``retry``: the notification whose failures are told again.
        accepted_at: epoch seconds; when the audience began to be looked at.
    """

    project_id: int
    kind: str
    high_water: int
    tag_id: int | None = None
    retry_of: int | None = None
    accepted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AudiencePage:
    """Members, and where the next page begins.

    Attributes:
        members: no one twice; a page may have none and not be the last one.
        cursor: what is given as ``after`` for the next page; what it counts depends on the kind of audience.
        complete: whether this is the last page.
        doubtful: numbers of members who may be on an earlier page, too: they changed hands since, or two stand for
            one.
    """

    members: Sequence[AudienceMember]
    cursor: int
    complete: bool
    doubtful: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of contacts or subscriptions, looked up.

    Attributes:
        members: no one twice.
        unknown: what leads to no active subscription, as it was given.
        rows: the members' rows.
        ended: how many of the unknown were subscriptions once.
    """

    members: Sequence[AudienceMember]
    unknown: tuple[str, ...]
    rows: Sequence[AnyRow]
    ended: int = 0


LISTS = frozenset({"contacts", "subscriptions"})
_MEMBER = (subscriptions.c.id, subscriptions.c.origin, subscriptions.c.vendor)
_SENDING = (subscriptions.c.state, subscriptions.c.probe_at, subscriptions.c.signing_key_id)
_NOBODYS = literal(0, Integer)
_WITHIN = and_(subscriptions.c.id > bindparam("after"), subscriptions.c.id <= bindparam("until"))
_TO_BE_FOLLOWED = and_(
    subscriptions.c.state == State.SUPERSEDED.value, subscriptions.c.superseded_by > bindparam("high_water")
)
"""Replaced since the message was accepted: its successor is no member, so it is, and is followed when it is sent to."""


_TAG_ID = select(tags.c.id).where(tags.c.project_id == bindparam("project_id"), tags.c.name == bindparam("name"))
_EVERYONE = (
    select(*_MEMBER, _NOBODYS)
    .where(
        subscriptions.c.project_id == bindparam("project_id"),
        subscriptions.c.ended_at.is_(None),
        _WITHIN,
    )
    .order_by(subscriptions.c.id)
    .limit(bindparam("limit"))
)
_EVERYONE_TO_BE_FOLLOWED = select(*_MEMBER, _NOBODYS).where(
    subscriptions.c.project_id == bindparam("project_id"), _TO_BE_FOLLOWED, _WITHIN
)
_TAGGED_CONTACTS = (
    select(contact_tags.c.contact_id)
    .where(contact_tags.c.tag_id == bindparam("tag_id"), contact_tags.c.contact_id > bindparam("after"))
    .order_by(contact_tags.c.contact_id)
    .limit(bindparam("limit"))
    .subquery()
)
_TAGGED_END = select(func.count(), func.max(_TAGGED_CONTACTS.c.contact_id))
# SQLite keeps to the order of a CROSS JOIN: begun from the tag, whatever its statistics say. The plus keeps it from
# taking the range over to the other table and going through that for each contact.
_TAGGED = text(
    """
    SELECT s.id, s.origin, s.vendor, tagged.contact_id, s.last_seen_at >= :accepted_at AS came_back
    FROM (
        SELECT contact_id FROM contact_tags WHERE tag_id = :tag_id AND contact_id > :after
        ORDER BY contact_id LIMIT :limit
    ) AS tagged CROSS JOIN subscriptions AS s
    WHERE s.contact_id = tagged.contact_id AND s.id <= :high_water
        AND (s.ended_at IS NULL OR s.state = 'superseded' AND s.superseded_by > :high_water)
    """
)
_OF_CONTACTS = (
    select(*_MEMBER, contacts.c.id.label("owner"), contacts.c.external_id, *_SENDING)
    .select_from(contacts.join(subscriptions, subscriptions.c.contact_id == contacts.c.id))
    .where(
        contacts.c.project_id == bindparam("project_id"),
        contacts.c.external_id.in_(json_values("names")),
        subscriptions.c.ended_at.is_(None),
    )
)
_STANDING = select(
    *_MEMBER,
    subscriptions.c.public_id,
    subscriptions.c.short_id,
    *_SENDING,
    subscriptions.c.ended_at,
    subscriptions.c.superseded_by,
    subscriptions.c.contact_id,
    subscriptions.c.project_id,
)
# Whose rows they are is looked at afterwards: SQLite would rather read all of a project's than look ids up one by one.
_BY_PUBLIC_IDS = _STANDING.where(type_coerce(subscriptions.c.public_id, String).in_(json_values("ids")))
_BY_SHORT_IDS = _STANDING.where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.short_id.in_(json_values("ids"))
)
_BY_ROW_IDS = _STANDING.where(subscriptions.c.id.in_(json_values("ids")))
_VENDORS = select(push_services.c.vendor).where(push_services.c.project_id == bindparam("project_id")).distinct()


def tag_id_of(connection: Connection, project: Project, name: str) -> int:
    """The number of a tag.

    Raises:
        InvalidInput: no contact has ever had it.
    """
    found = connection.execute(_TAG_ID, {"project_id": project.id, "name": name}).scalar_one_or_none()
    if found is None:
        raise InvalidInput(
            f"There is no tag {name}; give it to a contact with PUT /v1/contacts first, or correct the spelling.",
            field="tag",
        )
    return int(found)


def vendors_of(connection: Connection, project_id: int) -> frozenset[str]:
    """The vendor rows of every push service that the project has had a subscription at."""
    return frozenset(connection.execute(_VENDORS, {"project_id": project_id}).scalars())


def audience_page(connection: Connection, audience: Audience, *, after: int, limit: int) -> AudiencePage:
    """The next members of an audience.

    Args:
        connection: in a transaction.
        audience: what it is taken from.
        after: 0, then the page before's cursor.
        limit: of members, about: contacts of a tag may have several subscriptions each.
    """
    if audience.kind == "tag":
        return _tagged_page(connection, audience, after, limit)
    if audience.kind == "retry":
        return _failed_page(connection, audience, after, limit)
    return _everyone_page(connection, audience, after, limit)


def _everyone_page(connection: Connection, audience: Audience, after: int, limit: int) -> AudiencePage:
    bounds = {"project_id": audience.project_id, "after": after, "until": audience.high_water}
    members = [AudienceMember(*row) for row in connection.execute(_EVERYONE, {**bounds, "limit": limit})]
    complete = len(members) < limit
    cursor = audience.high_water if complete else members[-1].subscription_id
    bounds["until"] = cursor
    followed = connection.execute(_EVERYONE_TO_BE_FOLLOWED, {**bounds, "high_water": audience.high_water})
    members += [AudienceMember(*row) for row in followed]
    return AudiencePage(members, cursor, complete)


def _tagged_page(connection: Connection, audience: Audience, after: int, limit: int) -> AudiencePage:
    bounds = {"tag_id": audience.tag_id, "after": after, "limit": limit}
    count, cursor = connection.execute(_TAGGED_END, bounds).one()
    if not count:
        return AudiencePage((), after, complete=True)
    named = {**bounds, "high_water": audience.high_water, "accepted_at": audience.accepted_at}
    rows = connection.execute(_TAGGED, named).all()
    # Whose browser was another contact's on an earlier page has come back since to say so.
    doubtful = frozenset(row[0] for row in rows if row.came_back) if after else frozenset()
    return AudiencePage([AudienceMember(*row[:4]) for row in rows], cursor, count < limit, doubtful)


def _failed_page(connection: Connection, audience: Audience, after: int, limit: int) -> AudiencePage:
    mark = audience.high_water
    failed, cursor, complete = failed_page(connection, audience.retry_of or 0, after=after, limit=limit)
    rows = _by_row_ids(connection, audience.project_id, failed)
    standing = _followed(connection, audience.project_id, rows, high_water=mark)
    members: dict[int, AudienceMember] = {}
    for failed_id, owner in failed.items():
        row = standing.get(failed_id)
        # Replaced since the retry was accepted, as in every audience: followed when it is sent to.
        if row is not None and (row.ended_at is None or _is_replaced(row)):
            members[row.id] = AudienceMember(row.id, row.origin, row.vendor, owner)
    doubtful = frozenset(members) if after else frozenset()
    return AudiencePage(tuple(members.values()), cursor, complete, doubtful)


def listed(connection: Connection, project: Project, target: Target) -> Listed:
    """Look up the contacts or subscriptions that a target lists."""
    if target.kind == "contacts":
        return _listed_contacts(connection, project, target.contacts)
    return _listed_subscriptions(connection, project, target.subscriptions)


def _listed_contacts(connection: Connection, project: Project, names: Sequence[str]) -> Listed:
    rows = connection.execute(_OF_CONTACTS, {"project_id": project.id, "names": json.dumps(names)}).all()
    reached = {row.external_id for row in rows}
    return Listed(
        tuple(AudienceMember(row.id, row.origin, row.vendor, row.owner) for row in rows),
        tuple(name for name in names if name not in reached),
        rows,
    )


def _listed_subscriptions(connection: Connection, project: Project, ids: Sequence[AnyId]) -> Listed:
    """A subscription that was replaced stands for the one that replaced it: they are the same browser."""
    rows: list[AnyRow] = []
    for statement, some in (
        (_BY_PUBLIC_IDS, [uuid_of(any_id.public_id).hex for any_id in ids if any_id.public_id is not None]),
        (_BY_SHORT_IDS, [any_id.short_id for any_id in ids if any_id.short_id is not None]),
    ):
        if some:
            found_rows = connection.execute(statement, {"project_id": project.id, "ids": json.dumps(some)})
            rows += [row for row in found_rows if row.project_id == project.id]
    standing = _followed(connection, project.id, rows)
    numbers = {str(row.public_id): row.id for row in rows} | {row.short_id: row.id for row in rows}
    reached: dict[int, AnyRow] = {}
    unknown = []
    ended = 0
    for any_id in ids:
        found = standing.get(numbers.get(str(any_id), 0))
        if found is not None and found.ended_at is None:
            reached[found.id] = found
        else:
            unknown.append(str(any_id))
            ended += found is not None
    members = tuple(AudienceMember(row.id, row.origin, row.vendor, 0) for row in reached.values())
    return Listed(members, tuple(unknown), tuple(reached.values()), ended)


def _followed(
    connection: Connection, project_id: int, rows: Sequence[AnyRow], *, high_water: float = math.inf
) -> dict[int, AnyRow]:
    """The row that stands for each of these by now, or stood at a mark, by the number of the one that was named."""
    standing = {row.id: row for row in rows}
    for _ in range(SUCCESSORS_MAX):
        replaced = {
            named: row.superseded_by
            for named, row in standing.items()
            if _is_replaced(row) and row.superseded_by <= high_water
        }
        if not replaced:
            break
        successors = {row.id: row for row in _by_row_ids(connection, project_id, set(replaced.values()))}
        standing.update({named: successors[by] for named, by in replaced.items() if by in successors})
    return standing


def _is_replaced(row: AnyRow) -> bool:
    return row.state == State.SUPERSEDED.value and row.superseded_by is not None


def _by_row_ids(connection: Connection, project_id: int, ids: Iterable[int]) -> Sequence[AnyRow]:
    rows = connection.execute(_BY_ROW_IDS, {"ids": json.dumps(sorted(ids))})
    return [row for row in rows if row.project_id == project_id]
