"""Export and import of everything: what comes out goes in again, and comes out the same."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.portable_file import PortableFile, PortableWriter
from pushkeep.adapters.formats.scratch import Scratch
from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.app.context import Services
from pushkeep.app.moving.bring import ImportReport, ImportWishes, import_file
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.project import Project
from pushkeep.protocol.token_cache import TokenCache
from tests.app.conftest import ScriptedTransport
from tests.store.doubles import FakeClock, FakeSleeper, SeededEntropy
from tests.store.drawn import Drawn
from tests.store.samples import NOW, new_project

SEEDS = int(os.environ.get("PUSHKEEP_MOVES", "4"))
STEPS = 60


@contextlib.asynccontextmanager
async def installation(number: int) -> AsyncIterator[tuple[SqliteStore, Project]]:
    """One with keys of its own."""
    store = open_store_inline(None, bytes([number]) * 32, clock=FakeClock(), entropy=SeededEntropy(number))
    try:
        yield store, await store.ensure_project(new_project())
    finally:
        await store.aclose()


async def exported(store: SqliteStore, project: Project, *, secrets: bool = True) -> bytes:
    file = io.BytesIO()
    writer = PortableWriter(file)
    writer.begin(project.public_id, made_by="1", now=NOW, secrets=secrets)
    await store.export_records(project, writer.write, secrets=secrets)
    writer.end()
    return file.getvalue()


async def imported(
    store: SqliteStore, content: bytes, path: Path, *, page_records: int = 500, wishes: ImportWishes | None = None
) -> ImportReport:
    path.write_bytes(content)
    clock = FakeClock()
    services = Services(
        store=store,
        transport=ScriptedTransport(),
        clock=clock,
        entropy=SeededEntropy(9),
        sleeper=FakeSleeper(clock),
        tokens=TokenCache(),
        policy=EndpointPolicy(),
    )
    project = await store.default_project()
    assert project is not None
    octets, seen = Octets(path), Scratch(b"s" * 32)
    try:
        source = PortableFile(octets)
        return await import_file(services, project, source, seen, wishes or ImportWishes(), page_records=page_records)
    finally:
        seen.close()
        octets.close()


async def present(store: SqliteStore) -> Project:
    project = await store.default_project()
    assert project is not None
    return project


def faults(report: ImportReport) -> Sequence[str]:
    return [str(fault) for fault in report.faults]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_what_comes_out_goes_in_and_comes_out_the_same(tmp_path: Path, seed: int) -> None:
    async with installation(1) as (store, project), installation(2) as (other, _):
        await Drawn(store, project, seed).live(STEPS)
        first = await exported(store, project)
        report = await imported(other, first, tmp_path / "export.jsonl", page_records=7)
        assert not report.faults
        second = await exported(other, await present(other))
        assert second.splitlines() == first.splitlines()
        again = await imported(other, second, tmp_path / "again.jsonl", page_records=7)
        assert again.done_at is not None
        back = await imported(store, second + b"", tmp_path / "back.jsonl")
        assert set(back.counts) == {"known"}, "an import of what is there changes nothing"
        assert await exported(store, project) == first


def kinds(content: bytes) -> set[str]:
    return {json.loads(line).get("kind", "begin") for line in content.splitlines()}


async def test_the_drawn_databases_have_everything() -> None:
    found: set[str] = set()
    for seed in range(4):
        async with installation(1) as (store, project):
            await Drawn(store, project, seed).live(STEPS)
            found |= kinds(await exported(store, project))
    assert found == {
        "api_key",
        "begin",
        "consent",
        "consent_state",
        "contact",
        "end",
        "life",
        "project",
        "purpose",
        "seal",
        "signing_key",
        "subscription",
        "succession",
        "wording",
    }
