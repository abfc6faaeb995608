"""Keys change under processes of their own: one is killed while it seals anew, one stands still meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.ports.secrets import SecretKind
from tests.store.doubles import MASTER_KEY
from tests.store.samples import NOW, new_project, registration, subscription

ROWS = 60
START_SECONDS_MAX = 60
KILLS = int(os.environ.get("PUSHKEEP_TEST_RESEALS", "3"))
"""How often a process is killed while it seals anew; more of them by hand."""

RESEAL = """
import asyncio, sys
from pathlib import Path
from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.store import open_store

async def main():
    store = await open_store(Path(sys.argv[1]), bytes(range(32)), clock=SystemClock(), entropy=SystemEntropy())
    print("ready", flush=True)
    while (page := await store.remake_page(limit=1)).kind is not None:
        print("page", flush=True)

asyncio.run(main())
"""

REGISTER = """
import asyncio, sys
from pathlib import Path
from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.store import open_store
from tests.store.samples import registration, subscription

async def main():
    store = await open_store(Path(sys.argv[1]), bytes(range(32)), clock=SystemClock(), entropy=SystemEntropy())
    project = await store.default_project()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    made = await store.register(project, registration(subscription("late")))
    print(made.record.public_id, flush=True)
    await store.aclose()

asyncio.run(main())
"""


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return tmp_path / "pushkeep.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(path, MASTER_KEY, clock=SystemClock(), entropy=SystemEntropy())
    yield store
    await store.aclose()


@pytest.fixture
async def project(store: SqliteStore) -> Project:
    project = await store.ensure_project(new_project())
    await asyncio.gather(*(store.register(project, registration(subscription(f"{n}"))) for n in range(ROWS)))
    return project


async def started(program: str, path: Path) -> asyncio.subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await line(child)
    return child


async def line(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    return (await asyncio.wait_for(child.stdout.readline(), START_SECONDS_MAX)).decode().strip()


async def all_open(store: SqliteStore, project: Project) -> int:
    rows = await store.list_subscriptions(project, state=None, limit=10 * ROWS, after=0)
    found = [await store.find_recipient(project, AnyId(row.public_id, None)) for row in rows]
    assert all(one is not None and one.subscription is not None for one in found)
    return len(rows)


async def finished(store: SqliteStore) -> None:
    while (await store.secrets_status()).retiring:
        page = await store.remake_page(limit=100)
        assert (page.kind is not None, page.left) == (True, 0)


@pytest.mark.parametrize("kind", [SecretKind.DATA, SecretKind.LOOKUP])
async def test_a_process_killed_while_it_seals_anew_has_done_a_page_or_not(
    store: SqliteStore, project: Project, path: Path, kind: SecretKind
) -> None:
    await store.rotate_secret(kind, now=NOW)
    for count in range(1, KILLS + 1):
        child = await started(RESEAL, path)
        for _ in range(count * 5):
            await line(child)
        with contextlib.suppress(ProcessLookupError):  # it may have come to the end by now
            child.kill()
        await child.wait()
        assert await all_open(store, project) == ROWS
        retiring = (await store.secrets_status()).retiring
        assert not retiring or (retiring[0].remaking is not None and retiring[0].remaking.looked >= count * 5 - 1)
    await finished(store)
    assert await all_open(store, project) == ROWS
    again = await store.register(project, registration(subscription("0")))
    assert not again.created


async def test_a_process_that_stood_still_seals_with_no_key_that_is_gone(
    store: SqliteStore, project: Project, path: Path
) -> None:
    child = await started(REGISTER, path)
    os.kill(child.pid, signal.SIGSTOP)
    for kind in (SecretKind.DATA, SecretKind.LOOKUP, SecretKind.DATA):
        await store.rotate_secret(kind, now=NOW)
        await finished(store)
    os.kill(child.pid, signal.SIGCONT)
    assert child.stdin is not None
    child.stdin.write(b"go on\n")
    public_id = await line(child)
    assert await child.wait() == 0
    found = await store.find_recipient(project, AnyId(public_id, None))
    assert found is not None
    assert found.subscription == subscription("late")
    again = await store.register(project, registration(subscription("late")))
    assert (again.created, again.record.public_id) == (False, public_id)
