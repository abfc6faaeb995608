"""Bringing a file in: checked as a whole first, then written page by page, from where it was cut off.

Everything is checked before anything is written, so a wrong file changes nothing. Each page is written in one
transaction together with how far it came; whoever runs the same command again goes on behind it, and once an import is
done it is never done again, however much has happened to its subscriptions since.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pushkeep.app.context import Services
from pushkeep.app.erase import erased_contacts, replay_erasures
from pushkeep.app.moving.check import WRONG, Checked, LeftOut, check, pages, prepared
from pushkeep.domain.consent_words import unknown_purpose, unknown_wording
from pushkeep.domain.ids import SHORT_ID_RANDOM_BYTES, UUID7_RANDOM_BYTES, short_id, uuid7
from pushkeep.domain.moving import (
    IMPORT_PAGE_RECORDS,
    BrokenFile,
    ConsentBrought,
    Fault,
    Format,
    ImportAsked,
    NewNames,
    Numbered,
)
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict, InvalidInput
from pushkeep.ports.moving import ImportJournal, KeyStanding, Seen, Source
from pushkeep.protocol.signing_key import SigningKey

_SHORT_ID_CANDIDATES = 4  # as for a registration


@dataclass(frozen=True, slots=True)
class ImportWishes:
    """What the operator wants of an import, besides how the file is read.

    Attributes:
        key: the pair that the subscriptions were made with; needed for every format but our own.
        consent: that everybody in it has agreed to something.
        skip_wrong: whether to bring in the rest where some records are wrong.
        only_check: whether to write nothing at all.
    """

    key: SigningKey | None = None
    consent: ConsentBrought | None = None
    skip_wrong: bool = False
    only_check: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or would do.

    Attributes:
        format: of the file.
        records: how many it has.
        counts: what became of those that were taken (or would), by word.
        left_out: how many were left out, by word.
        faults: the first of those that cannot be taken.
        faults_count: how many there are.
        key: what the signing key is; None where the file brings its own.
        unused: columns that mean nothing to the format.
        written: whether it is all in the store by now.
        went_on_from: number of the last record of an earlier run that was cut off; 0 where there was none.
        done_at: epoch seconds at which this very import was done before; None if it was not.
    """

    format: Format
    records: int
    counts: Mapping[str, int]
    left_out: Mapping[str, int]
    faults: tuple[Fault, ...]
    faults_count: int
    key: KeyStanding | None
    unused: tuple[str, ...]
    written: bool
    went_on_from: int = 0
    done_at: float | None = None


async def import_file(
    services: Services,
    project: Project,
    source: Source,
    seen: Seen,
    wishes: ImportWishes,
    *,
    told: Callable[[str, int], None] | None = None,
    page_records: int = IMPORT_PAGE_RECORDS,
) -> ImportReport:
    """Bring a file in.

    Args:
        services: the ports.
        project: whose it becomes.
        source: the file.
        seen: empty.
        wishes: of the operator.
        told: is called with ``check`` or ``write`` and the octets that are read.
        page_records: how many are written in one transaction.

    Returns:
        what was done; nothing, where some records are wrong and were not to be left out.

    Raises:
        BrokenFile: it cannot be read, or was changed meanwhile.
        InvalidInput: the key is missing, or there is no such purpose or wording.
        Conflict: the key is one that does not sign here; or something was stored meanwhile that contradicts the file,
            which is brought in up to there then.
    """
    say = told or _nobody
    _check_wishes(source, wishes)
    await _check_consent(services, project, wishes.consent)
    key = None if wishes.key is None else await services.store.check_key(project, wishes.key)
    asked = ImportAsked(
        _digest(source, wishes), source.format, wishes.consent, await erased_contacts(services, project)
    )
    journal = await services.store.find_import(project, asked.digest)
    if journal is not None and journal.finished_at is not None:
        return _done_before(source, journal, key)
    position = 0 if journal is None else journal.position
    checked = await check(services, project, source, asked, seen, position=position, told=partial(say, "check"))
    if wishes.skip_wrong or not checked.faults_count:
        _check_rest(source.format, checked, written=wishes.only_check or journal is not None)
    writes = not wishes.only_check and (wishes.skip_wrong or not checked.faults_count)
    if writes:
        left, say_written = checked.left, partial(say, "write")
        journal = await _write(
            services, project, source, asked, left, wishes.key, told=say_written, page_records=page_records
        )
        if source.format is Format.PUSHKEEP:
            # The export may be older than an erasure, and may have made the project another one.
            present = await services.store.project_by_id(project.id) or project
            await replay_erasures(services, present, everything=True)
    return ImportReport(
        format=source.format,
        records=checked.records,
        counts=_counts(journal, checked.left) if writes and journal is not None else dict(checked.counts),
        left_out=checked.left.counts(),
        faults=tuple(checked.faults),
        faults_count=checked.faults_count,
        key=key,
        unused=source.unused,
        written=writes,
        went_on_from=position,
    )


async def _write(
    services: Services,
    project: Project,
    source: Source,
    asked: ImportAsked,
    left: LeftOut,
    key: SigningKey | None,
    *,
    told: Callable[[int], None],
    page_records: int,
) -> ImportJournal:
    """The second reading: write what the first one has found."""
    journal = await services.store.begin_import(project, asked, key, now=services.clock.now())
    why_left = left.walk()
    for page in pages(source.read(), page_records):
        taken: list[Numbered] = []
        out: Counter[str] = Counter()
        for found in page:
            if found.number <= journal.position:
                continue
            why = why_left(found.number)
            if why is not None:
                out[why] += 1
            elif isinstance(found, Fault) or found.record is None:
                raise BrokenFile("the file has changed while it was read; run the same command again.", field="file")
            else:
                taken.append(prepared(services, found))
        if taken or out:
            now = services.clock.now()
            journal = await services.store.import_records(
                project,
                asked,
                journal,
                taken,
                [_names(services, now) for _ in taken],
                key=key,
                position=page[-1].number,
                left_out=out,
                now=now,
            )
        told(source.position_bytes)
    return await services.store.finish_import(project, journal, now=services.clock.now())


def _nobody(phase: str, octets: int) -> None:
    """Told where nobody wants to know."""


def _check_wishes(source: Source, wishes: ImportWishes) -> None:
    own = source.format is Format.PUSHKEEP
    if own and wishes.key is not None:
        raise InvalidInput("vapid is not needed: an export of Pushkeep says which keys it has.", field="vapid")
    if own and wishes.consent is not None:
        raise InvalidInput("purpose is not needed: an export of Pushkeep has its consent records.", field="purpose")
    if not own and wishes.key is None:
        raise InvalidInput(
            "vapid is missing: give the file with the private VAPID key that these subscriptions were made with; "
            "nobody can send to them with another one.",
            field="vapid",
        )


def _check_rest(format: Format, checked: Checked, *, written: bool) -> None:
    """Whether there is anything to bring in without the records that are wrong."""
    first = next(iter(checked.faults), None)
    if format is Format.PUSHKEEP and first is not None and first.number == 1:
        raise Conflict(str(first), field=first.field)  # the project: all else is of it
    if len(checked.left) == checked.records and not written:
        # A key that nobody comes with could become the active one.
        why = "" if first is None else f" ({str(first).rstrip('.')})"
        raise InvalidInput(
            f"none of the {checked.records:,} records can be taken{why}; nothing was imported, and the key was not "
            "brought in.",
            field="file",
        )


async def _check_consent(services: Services, project: Project, consent: ConsentBrought | None) -> None:
    """Whether what they agreed to is declared."""
    if consent is None:
        return
    declared = [purpose.name for purpose in await services.store.purposes(project)]
    if consent.purpose not in declared:
        raise unknown_purpose(consent.purpose, declared)
    if consent.wording is not None:
        wordings = await services.store.wordings(project, consent.purpose)
        if all(wording.digest != consent.wording for wording in wordings):
            raise unknown_wording(consent.purpose)


def _digest(source: Source, wishes: ImportWishes) -> bytes:
    """By which the same import is recognised: the file, how it is read, and what makes a difference."""
    consent = wishes.consent
    said = [
        None if wishes.key is None else wishes.key.key_id,
        None if consent is None else [consent.purpose, None if consent.wording is None else consent.wording.hex()],
    ]
    return hashlib.sha256(source.digest() + json.dumps(said).encode()).digest()


def _names(services: Services, now: float) -> NewNames:
    random = services.entropy.token_bytes(UUID7_RANDOM_BYTES + _SHORT_ID_CANDIDATES * SHORT_ID_RANDOM_BYTES)
    starts = range(UUID7_RANDOM_BYTES, len(random), SHORT_ID_RANDOM_BYTES)
    return NewNames(
        str(uuid7(now, random[:UUID7_RANDOM_BYTES])),
        tuple(short_id(random[start : start + SHORT_ID_RANDOM_BYTES]) for start in starts),
    )


def _counts(journal: ImportJournal, left: LeftOut) -> Mapping[str, int]:
    words = left.counts()
    return {word: count for word, count in journal.counts.items() if word not in words and word != WRONG}


def _done_before(source: Source, journal: ImportJournal, key: KeyStanding | None) -> ImportReport:
    return ImportReport(
        format=source.format,
        records=journal.position,
        counts=journal.counts,
        left_out={},
        faults=(),
        faults_count=0,
        key=key,
        unused=(),
        written=True,
        done_at=journal.finished_at,
    )
