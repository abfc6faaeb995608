"""Units of work on imports: the journal, the signing key that comes along, and who knows which records.

Each kind of record is checked and written by units of its own, which :data:`UNITS` names: both are functions on a page.
``check_records(connection, vault, project, asked, records)`` returns a :class:`~pushkeep.ports.moving.Standing` and
writes nothing; ``write_records(connection, vault, project, page)`` does what the check said, and returns the counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from pushkeep.adapters.store import foreign_units, portable_units
from pushkeep.adapters.store.foreign_units import Page
from pushkeep.adapters.store.key_units import bring_in, find_key
from pushkeep.adapters.store.project_units import project_by_id
from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import imports, subscriptions
from pushkeep.domain.moving import ForeignSubscription, ImportAsked, MovedRecord, NewNames, Numbered
from pushkeep.domain.project import SIGNING, KeyState, Project
from pushkeep.errors import Conflict, NotFound
from pushkeep.ports.moving import ImportJournal, KeyStanding, Standing
from pushkeep.protocol.signing_key import SigningKey

_FIND = select(imports).where(imports.c.project_id == bindparam("project_id"), imports.c.digest == bindparam("digest"))
_BY_ID = select(imports).where(imports.c.id == bindparam("import_id"))
_ADVANCE = (
    update(imports)
    .where(imports.c.id == bindparam("import_id"), imports.c.position == bindparam("was_at"))
    .values(position=bindparam("new_position"), counts=bindparam("new_counts"))
)
_FINISH = (
    update(imports)
    .where(imports.c.id == bindparam("import_id"), imports.c.finished_at.is_(None))
    .values(finished_at=bindparam("now"))
)
_ANY_SUBSCRIPTION = select(exists().where(subscriptions.c.project_id == bindparam("project_id")))

Check = Callable[[Connection, Vault, Project, ImportAsked, Sequence[Numbered]], Standing]
Write = Callable[[Connection, Vault, Project, Page], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class RecordUnits:
    """Who checks and writes a kind of record."""

    check: Check
    write: Write


_FOREIGN = RecordUnits(foreign_units.check_records, foreign_units.write_records)
_OWN = RecordUnits(portable_units.check_records, portable_units.write_records)


def units_of(record: MovedRecord | None) -> RecordUnits:
    """Who knows such a record.

    Raises:
        TypeError: nobody does.
    """
    if isinstance(record, ForeignSubscription):
        return _FOREIGN
    if type(record) in portable_units.KINDS:
        return _OWN
    raise TypeError(f"nobody imports {type(record).__name__}")


def find(connection: Connection, project: Project, digest: bytes) -> ImportJournal | None:
    """See :meth:`pushkeep.ports.moving.ImportStore.find_import`."""
    row = connection.execute(_FIND, {"project_id": project.id, "digest": digest}).one_or_none()
    return None if row is None else _journal(row)


def key_standing(connection: Connection, project: Project, key: SigningKey) -> KeyStanding:
    """See :meth:`pushkeep.ports.moving.ImportStore.check_key`."""
    found = find_key(connection, project, key.public_bytes)
    if found is None:
        used = connection.execute(_ANY_SUBSCRIPTION, {"project_id": project.id}).scalar_one()
        return KeyStanding(key.key_id, False, KeyState.RETIRING if used else KeyState.ACTIVE)
    if found.state not in SIGNING:
        remedy = (
            "bring it into use first, with: pushkeep keys rotate"
            if found.state is KeyState.NEXT
            else "what was made with it cannot be sent to any more"
        )
        raise Conflict(f"Signing key {found.key_id} is {found.state.value} in this project; {remedy}.", field="vapid")
    return KeyStanding(found.key_id, True, found.state)


def check(
    connection: Connection, vault: Vault, project: Project, asked: ImportAsked, records: Sequence[Numbered]
) -> Standing:
    """See :meth:`pushkeep.ports.moving.ImportStore.check_records`."""
    found = [units.check(connection, vault, project, asked, run) for units, run in _runs(records)]
    if len(found) == 1:
        return found[0]
    counts: Counter[str] = Counter()
    for one in found:
        counts.update(one.counts)
    return Standing(
        tuple(fault for one in found for fault in one.faults),
        counts,
        {number: standing for one in found for number, standing in one.joining.items()},
    )


def begin(
    connection: Connection, vault: Vault, project: Project, asked: ImportAsked, key: SigningKey | None, now: float
) -> ImportJournal:
    """See :meth:`pushkeep.ports.moving.ImportStore.begin_import`."""
    if key is not None:
        standing = key_standing(connection, project, key)
        if not standing.known:
            bring_in(connection, vault, project, key, KeyState(standing.becomes), now)
    known = find(connection, project, asked.digest)
    if known is not None:
        return known
    values = {"project_id": project.id, "digest": asked.digest, "format": asked.format.value, "started_at": now}
    connection.execute(insert(imports).values(**values, counts="{}"))
    made = find(connection, project, asked.digest)
    assert made is not None
    return made


def write(
    connection: Connection,
    vault: Vault,
    project: Project,
    asked: ImportAsked,
    journal: ImportJournal,
    records: Sequence[Numbered],
    names: Sequence[NewNames],
    key: SigningKey | None,
    position: int,
    left_out: Mapping[str, int],
    now: float,
) -> ImportJournal:
    """See :meth:`pushkeep.ports.moving.ImportStore.import_records`."""
    counts = Counter(journal.counts) + Counter(left_out)
    key_id = None
    if key is not None:
        found = find_key(connection, project, key.public_bytes)
        if found is None or found.state not in SIGNING:
            raise Conflict(f"Signing key {key.key_id} does not sign any more; somebody has retired it.", field="vapid")
        key_id = found.id
    drawn = {record.number: name for record, name in zip(records, names, strict=True)}
    for units, run in _runs(records):
        # The first record of the own format changes the project itself.
        present = project_by_id(connection, project.id) or project
        page = Page(asked, run, [drawn[record.number] for record in run], key, key_id, now)
        counts.update(units.write(connection, vault, present, page))
    advanced = connection.execute(
        _ADVANCE,
        {
            "import_id": journal.id,
            "was_at": journal.position,
            "new_position": position,
            "new_counts": json.dumps(counts, sort_keys=True),
        },
    )
    if advanced.rowcount != 1:
        raise Conflict("Somebody else goes on with this very import at the moment.", reason="elsewhere")
    return _read(connection, journal.id)


def finish(connection: Connection, journal: ImportJournal, now: float) -> ImportJournal:
    """See :meth:`pushkeep.ports.moving.ImportStore.finish_import`."""
    connection.execute(_FINISH, {"import_id": journal.id, "now": now})
    return _read(connection, journal.id)


def _runs(records: Sequence[Numbered]) -> Iterator[tuple[RecordUnits, list[Numbered]]]:
    """Neighbours that the same units know."""
    for units, run in groupby(records, lambda numbered: units_of(numbered.record)):
        yield units, list(run)


def _read(connection: Connection, import_id: int) -> ImportJournal:
    row = connection.execute(_BY_ID, {"import_id": import_id}).one_or_none()
    if row is None:
        raise NotFound("The journal of this import is gone.")
    return _journal(row)


def _journal(row: AnyRow) -> ImportJournal:
    return ImportJournal(row.id, row.position, json.loads(row.counts), row.started_at, row.finished_at)
