"""Verifying consent records where they are stored, and handing them out so that others can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from pushkeep.domain.consent import Seal
from pushkeep.domain.consent_audit import Anchor, Audit, Findings
from pushkeep.domain.consent_file import Written, end_line, header_line, lines_of, record_line
from pushkeep.domain.project import Project
from pushkeep.ports.consents import ConsentStore

PAGE = 500
"""Records opened in one transaction: 10 ms."""

_FIRST_STATE = ("", 0, 0)


async def verify(
    store: ConsentStore,
    project: Project,
    anchors: Sequence[Anchor] = (),
    *,
    show: Callable[[int, int], None] | None = None,
) -> Findings:
    """Look for whatever is wrong with a project's records, while others write.

    Every record is opened and held to its commitment, to the columns beside it and to the chain; what sends ask is
    compared with the records.

    Args:
        store: where they are.
        project: whose.
        anchors: heads that were kept outside.
        show: is told how many records were looked at, and how many there are.
    """
    audit = Audit(await _seals(store, project), anchors)
    total, number = (await store.chain_standing(project)).records, 0
    while page := await store.consent_rows(project, limit=PAGE, after=number):
        # After the page, which may have words about what was declared a moment ago.
        wordings = {wording.digest.hex() for wording in await store.wordings(project)}
        for record, faults in page:
            for fault in faults:
                audit.fault(fault)
            shown = None if record.content is None else record.content.wording
            if shown is not None and shown not in wordings:
                audit.fault(f"Record {record.number} refers to a wording that is not there any more as it was.")
            canonical = None if record.content is None else record.content.canonical()
            erased = record.erased_at is not None
            audit.record(record.number, record.commitment, record.salt, canonical, erased=erased)
        number = page[-1][0].number
        if show is not None:
            show(number, total)
    after: tuple[str, int, int] | None = _FIRST_STATE
    while after is not None:
        states = await store.state_faults(project, limit=PAGE, after=after)
        for fault in states.faults:
            audit.fault(fault)
        after = states.next_after
    return audit.finish()


async def export_lines(store: ConsentStore, project: Project, *, now: float) -> AsyncIterator[str]:
    """The lines of a file that has everything: wordings, seals, and every record up to this moment with its salt.

    Raises:
        SealBroken: a record does not open; :func:`verify` says which.
    """
    seals = await _seals(store, project)
    last = (await store.chain_standing(project)).records
    header = header_line(project.public_id, project.name, now)
    for line in lines_of(header, await store.purposes(project), await store.wordings(project), seals):
        yield line
    number, written = 0, 0
    while number < last:
        page = await store.list_consents(project, limit=min(PAGE, last - number), after=number)
        if not page:
            break
        for record in page:
            yield record_line(Written(record.number, record.commitment, record.salt, record.content, record.erased_at))
        number, written = page[-1].number, written + len(page)
    yield end_line(written)


async def _seals(store: ConsentStore, project: Project) -> list[Seal]:
    found: list[Seal] = []
    while page := await store.list_seals(project, limit=PAGE, after=found[-1].number if found else 0):
        found.extend(page)
    return found
