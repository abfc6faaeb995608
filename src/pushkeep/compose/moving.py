"""Opening a file to import, as whatever it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

from pushkeep.adapters.clock import SystemEntropy
from pushkeep.adapters.formats.fields import Wishes
from pushkeep.adapters.formats.files import open_foreign
from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.portable_file import PortableFile, is_portable
from pushkeep.adapters.formats.scratch import Scratch
from pushkeep.adapters.formats.vapid_file import read_vapid
from pushkeep.app.context import Services
from pushkeep.app.moving.bring import ImportReport, ImportWishes, import_file
from pushkeep.compose.services import open_project
from pushkeep.config import Settings
from pushkeep.domain.moving import BrokenFile, Fault, Format
from pushkeep.domain.portable import PortableProject
from pushkeep.domain.project import Project
from pushkeep.errors import InvalidInput
from pushkeep.ports.moving import Source

__all__ = ["ImportReport", "ImportWishes", "Wishes", "bring_in", "open_empty", "opened_source", "read_vapid"]

_SCRATCH_KEY_BYTES = 32


@contextmanager
def opened_source(path: Path, format: Format | None, wishes: Wishes) -> Iterator[Source]:
    """A file to import.

    Args:
        path: where it is.
        format: what it is said to be; None to look.
        wishes: how it is to be read, if it is another product's.

    Raises:
        BrokenFile: it cannot be read, or is nothing known.
        InvalidInput: there are wishes for an export of Pushkeep, which says everything itself.
    """
    octets = Octets(path)
    try:
        own = is_portable(octets) if format is None else format is Format.PUSHKEEP
        if own and wishes != Wishes():
            raise InvalidInput(
                "owner-column and where are for other products' tables; this is an export of Pushkeep, which is "
                "imported as it is.",
                field="where",
            )
        yield PortableFile(octets) if own else open_foreign(octets, format, wishes)
    finally:
        octets.close()


def open_empty(settings: Settings, source: Source) -> AbstractAsyncContextManager[tuple[Services, Project]]:
    """An installation that an export of Pushkeep is going to fill: there is nothing yet where it will be.

    The file is read once more for it, so that a wrong one does not leave an empty installation behind.

    Raises:
        BrokenFile: the file is wrong somewhere.
    """
    contact, fault = settings.contact, None
    for found in source.read():
        if isinstance(found, Fault):
            fault = fault or found
        elif contact is None and isinstance(found.record, PortableProject):
            contact = found.record.contact
    if fault is not None:
        raise BrokenFile(str(fault), field=fault.field)
    return open_project(dataclasses.replace(settings, contact=contact))


async def bring_in(
    services: Services,
    project: Project,
    source: Source,
    wishes: ImportWishes,
    *,
    told: Callable[[str, int], None] | None = None,
) -> ImportReport:
    """:func:`pushkeep.app.moving.bring.import_file` with something to remember by."""
    seen = Scratch(SystemEntropy().token_bytes(_SCRATCH_KEY_BYTES))
    try:
        return await import_file(services, project, source, seen, wishes, told=told)
    finally:
        seen.close()
