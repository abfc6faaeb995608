"""Exporting consent records to a file."""

from __future__ import annotations

from pathlib import Path

from pushkeep.adapters.clock import SystemClock, unique_name
from pushkeep.adapters.new_file import written
from pushkeep.app.consent_audit import export_lines
from pushkeep.domain.project import Project
from pushkeep.ports.consents import ConsentStore


async def export_consents(store: ConsentStore, project: Project, target: Path) -> int:
    """Write every consent record to a file for this user alone; it shows up once it is complete.

    Returns:
        how many records there are in it.

    Raises:
        InvalidInput: ``target`` exists or cannot be written.
        Unavailable: the disk is full, or the database cannot be read.
    """
    records = 0
    with written(target, unique_name()) as file:
        async for line in export_lines(store, project, now=SystemClock().now()):
            file.write(line.encode())
            records += line.startswith('{"record"')
    return records
