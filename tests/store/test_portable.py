"""Export and import of everything: what comes out goes in again, and comes out the same.

More databases than by default:

    PUSHKEEP_MOVES=80 pytest tests/store/test_portable.py --timeout 0
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.portable_file import PortableFile, PortableWriter
from pushkeep.adapters.formats.scratch import Scratch
from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.app.context import Services
from pushkeep.app.moving.bring import ImportReport, ImportWishes, import_file
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.errors import Conflict
from pushkeep.protocol.token_cache import TokenCache
from tests.app.conftest import ScriptedTransport
from tests.store.consent_contract import declare, yes
from tests.store.doubles import FakeClock, FakeSleeper, SeededEntropy
from tests.store.drawn import Drawn
from tests.store.samples import NOW, new_project, registration, subscription

SEEDS = int(os.environ.get("PUSHKEEP_MOVES", "2"))
STEPS = 40


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
    store: SqliteStore,
    content: bytes,
    path: Path,
    *,
    page_records: int = 500,
    wishes: ImportWishes | None = None,
    told: Callable[[str, int], None] | None = None,
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
        return await import_file(
            services, project, source, seen, wishes or ImportWishes(), page_records=page_records, told=told
        )
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
    for seed in range(2):
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


class Killed(BaseException):
    """The process is gone."""


def dies_at(page: int) -> Callable[[str, int], None]:
    left = [page]

    def told(phase: str, done: int) -> None:
        left[0] -= phase == "write"
        if left[0] == 0:
            raise Killed

    return told


@pytest.mark.parametrize("page", [1, 5])
async def test_an_import_that_is_cut_off_goes_on_to_the_same_end(tmp_path: Path, page: int) -> None:
    async with installation(1) as (store, project), installation(2) as (other, _):
        await Drawn(store, project, 1).live(STEPS)
        content = await exported(store, project)
        with pytest.raises(Killed):
            await imported(other, content, tmp_path / "export.jsonl", page_records=7, told=dies_at(page))
        assert await exported(other, await present(other)) != content
        report = await imported(other, content, tmp_path / "export.jsonl", page_records=7)
        assert report.went_on_from == page * 7
        assert await exported(other, await present(other)) == content


async def test_what_was_taken_away_since_is_not_brought_back(tmp_path: Path) -> None:
    async with installation(1) as (store, project):
        await store.add_api_key(project, key_id="k" * 12, digest=b"d" * 32, label="Shop", now=NOW)
        record = (await store.register(project, registration(subscription("one"), owner="ann"))).record
        content = await exported(store, project)
        assert await store.revoke_api_key(project, "k" * 12)
        left = StateReason(Event.LEFT, NOW + 1)
        await store.end_subscription(project, AnyId(record.public_id, None), left)
        after = await exported(store, project)
        report = await imported(store, content, tmp_path / "export.jsonl")
        assert report.counts == {"known": 4, "ended": 1}
        assert await exported(store, project) == after


async def test_nothing_of_an_export_comes_into_another_project(tmp_path: Path) -> None:
    """Not with ``--skip-bad`` either: all of it is of its project."""
    async with installation(1) as (store, project), installation(2) as (other, there):
        await store.register(project, registration(subscription("theirs"), owner="17"))
        await other.register(there, registration(subscription("mine")))
        before, content = await exported(other, there), await exported(store, project)
        with pytest.raises(Conflict, match="line 2: This installation has a project of its own already"):
            await imported(other, content, tmp_path / "all.jsonl", wishes=ImportWishes(skip_wrong=True))
        assert await exported(other, there) == before


async def test_two_that_went_on_apart_are_told_by_line_and_the_rest_can_be_taken(tmp_path: Path) -> None:
    """A browser registered at both after the move; what is about its one in the file is left out with it."""
    async with installation(1) as (store, project), installation(2) as (other, _):
        await store.register(project, registration(subscription("one")))
        await imported(other, await exported(store, project), tmp_path / "first.jsonl")
        moved = await present(other)
        await other.register(moved, registration(subscription("two"), (await other.signing_keys(moved))[0].id))
        await declare(store, project)
        words = (yes(),)
        await store.register(project, registration(subscription("two"), consents=words))
        await store.register(project, registration(subscription("three")))
        before, content = await exported(other, moved), await exported(store, project)
        refused = await imported(other, content, tmp_path / "second.jsonl")
        (fault,) = faults(refused)
        assert fault.startswith("line ")
        assert "is stored here under another id: its browser has registered since" in fault
        assert await exported(other, moved) == before
        report = await imported(other, content, tmp_path / "second.jsonl", wishes=ImportWishes(skip_wrong=True))
        assert report.counts["subscriptions"] == 1
        assert report.counts["orphans"] == 1, "what holds of the word that was said in the one left out"
        assert (await other.chain_standing(moved)).records == 1
