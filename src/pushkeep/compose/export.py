"""Writing everything a project has to a file of the own format."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pushkeep.adapters.clock import SystemClock, unique_name
from pushkeep.adapters.formats.portable_file import PortableWriter
from pushkeep.adapters.new_file import written
from pushkeep.domain.moving import MovedRecord
from pushkeep.domain.project import Project
from pushkeep.ports import ExportStore

TOLD_RECORDS = 1000
"""Between two words of how far it is."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that is done.

    Attributes:
        path: where it is.
        size_bytes: of the file.
        counts: how many records of each kind.
        seconds: how long it took.
    """

    path: Path
    size_bytes: int
    counts: Mapping[str, int]
    seconds: float


async def export_project(
    store: ExportStore,
    project: Project,
    target: Path,
    *,
    made_by: str,
    secrets: bool,
    told: Callable[[str, int, int | None], None],
) -> Exported:
    """Write all of a project as it is at one moment, to a file for this user alone; it shows up once it is complete.

    Args:
        store: has it.
        project: which.
        target: must not exist.
        made_by: version of Pushkeep.
        secrets: whether private keys, secrets and endpoints are in it.
        told: is told how far it is.

    Raises:
        InvalidInput: ``target`` exists or cannot be written.
        Unavailable: the disk is full, or the database cannot be read.
    """
    clock = SystemClock()
    began = clock.monotonic()
    with written(target, unique_name()) as file:
        writer = PortableWriter(file)
        writer.begin(project.public_id, made_by=made_by, now=clock.now(), secrets=secrets)
        done = 0

        def take(record: MovedRecord) -> None:
            nonlocal done
            writer.write(record)
            done += 1
            if done % TOLD_RECORDS == 0:
                told(f"writing {record.kind.replace('_', ' ')}", done, None)

        await store.export_records(project, take, secrets=secrets)
        await asyncio.to_thread(writer.end)
    size = (await asyncio.to_thread(target.stat)).st_size
    return Exported(target, size, dict(writer.counts), clock.monotonic() - began)
