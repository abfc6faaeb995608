"""Ten thousand messages through three processes that are killed and frozen twenty times on the way.

Nothing is played here: the workers are ``pushkeep worker``, the database is the file they share, and the push service
runs in a process of its own and keeps its own record of who got what. What is asserted is read from that record and
from the database, never from a worker's word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from pushkeep.adapters.store.sqlite import SqliteStore
from pushkeep.app.accept import Asked, accept
from pushkeep.app.context import Services
from pushkeep.app.control import resume
from pushkeep.app.progress import progress
from pushkeep.app.projects import current_signing_key
from pushkeep.app.subscribe import RegistrationRequest, register
from pushkeep.client import read_subscription
from pushkeep.compose import open_project
from pushkeep.config import Settings, load_settings
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account
from pushkeep.domain.shard import CHECKPOINT_SECONDS, Kind
from pushkeep.protocol.request import PushOptions
from tests.engine.crowd import store_like
from tests.processes.helpers import ROOT, clean_environment, stopped, until

SEED = int(os.environ.get("PUSHKEEP_TEST_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
"""Set the variable to the seed that a failing run printed, and the same processes meet the same fate at the same
points of the run."""

VENDORS = {"mozilla": 6_000, "fcm": 4_000}
MESSAGES = sum(VENDORS.values())
WORKERS = 3
DISTURBANCES = 20
IN_FLIGHT_MAX = 24
"""Of each worker."""

SLOW_SECONDS = 0.1
"""How long the push service takes for each answer: with it a worker's speed has a known limit."""

LEASE_SECONDS = 5
"""Short, so that the run is; longer than a busy machine keeps a process waiting."""

SENT_PER_SECOND_MAX = IN_FLIGHT_MAX / SLOW_SECONDS
"""By one worker: no slot can be used more often."""

REPEATED_PER_CRASH_MAX = IN_FLIGHT_MAX + SENT_PER_SECOND_MAX * CHECKPOINT_SECONDS
"""What a worker may have sent and not written down: what is in flight, and what was answered since its last
checkpoint. Some checkpoints are late, for want of a processor or because another worker is writing; but nobody dies
each time just before the next one, and the bound is for all crashes together."""

LOCKED_SECONDS_MAX = 2.0
"""No transaction of a living process takes so long, and no lease ends in it."""

RUN_SECONDS_MAX = 600
STEP_SECONDS_MAX = 60

pytestmark = pytest.mark.timeout(RUN_SECONDS_MAX + 60)  # a minute or two alone on two processors; never mind how busy


@dataclass
class Worker:
    """A process that delivers; ``held`` are the shards that it held when it was frozen."""

    process: asyncio.subprocess.Process
    owner: str
    frozen: bool = False
    held: tuple[int, ...] = field(default=())


class Fleet:
    """The workers, each in its place. One that is started takes some seconds, in which the others go on."""

    def __init__(self, data_dir: Path, environment: dict[str, str], database: Database) -> None:
        self._data_dir = data_dir
        self._database = database
        self._environment = environment
        self._places: list[asyncio.Task[Worker]] = []

    def start(self) -> None:
        self._places = [asyncio.create_task(self._start()) for _ in range(WORKERS)]

    async def at(self, place: int) -> Worker:
        """The worker in a place, once it works."""
        return await self._places[place]

    @property
    def working(self) -> list[Worker]:
        """Those that are not being started."""
        return [task.result() for task in self._places if task.done()]

    async def kill(self, place: int) -> None:
        """SIGKILL, and another one in its place."""
        worker = await self.at(place)
        worker.process.send_signal(signal.SIGKILL)
        await worker.process.wait()
        self._places[place] = asyncio.create_task(self._start())

    async def _start(self) -> Worker:
        with (self._data_dir / "workers.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pushkeep", "worker", "--data-dir", str(self._data_dir)),
                "--until-stdin-closes",  # so that none outlives this process, however it ends
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stderr=log,
            )
        await until(lambda: self._database.owner_of(process.pid), seconds=STEP_SECONDS_MAX)
        return Worker(process, self._database.owner_of(process.pid))

    async def end(self) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        workers = [await self.at(place) for place in range(WORKERS)]
        for worker in workers:
            worker.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STEP_SECONDS_MAX):
            return [await worker.process.wait() for worker in workers]

    async def close(self) -> None:
        for found in await asyncio.gather(*self._places, return_exceptions=True):
            if isinstance(found, Worker):
                await stopped(found.process)


class PushProcess:
    """The push service's process; see :mod:`tests.engine.push_process`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, line: str) -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        return await self.hear()

    async def hear(self) -> object:
        assert self._process.stdout is not None
        async with asyncio.timeout(STEP_SECONDS_MAX):
            return json.loads(await self._process.stdout.readline())

    async def count(self) -> int:
        found = await self.ask("count")
        assert isinstance(found, int)
        return found

    async def report(self, path: Path) -> list[int]:
        await self.ask(f"report {path}")
        numbers: list[int] = json.loads(path.read_text())
        return numbers


class Database:
    """The file, as anybody can read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)

    @property
    def over(self) -> bool:
        """Whether every notification has ended."""
        rows = self._connection.execute("SELECT count(*) FROM notifications WHERE finished_at IS NULL").fetchall()
        return rows == [(0,)]

    async def can_be_written(self) -> bool:
        """Whether nobody keeps the lock for longer than any transaction takes."""

        def write() -> bool:
            with contextlib.closing(
                sqlite3.connect(self._path, timeout=LOCKED_SECONDS_MAX, isolation_level=None)
            ) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
                except sqlite3.OperationalError:
                    return False
                return True

        return await asyncio.to_thread(write)

    def owner_of(self, pid: int) -> str:
        """The name of the worker in a process, once it has said it; empty before."""
        rows = self._connection.execute("SELECT owner FROM workers WHERE pid = ?", (pid,)).fetchall()
        return str(rows[0][0]) if rows else ""

    def shards_of(self, owner: str) -> tuple[int, ...]:
        rows = self._connection.execute("SELECT id FROM shards WHERE state = 'leased' AND lease_owner = ?", (owner,))
        return tuple(row[0] for row in rows)

    def awake_since(self, owner: str, at: float) -> bool:
        """Whether a worker has reported since then that it holds nothing."""
        rows = self._connection.execute(
            "SELECT seen_at, figures ->> '$.leased' FROM workers WHERE owner = ?", (owner,)
        ).fetchall()
        return any(seen_at > at and not leased for seen_at, leased in rows)

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """What is known of the notification and of every recipient."""
        tables = ("notifications", "shards", "recipient_outcomes", "subscriptions")
        return {name: self._connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall() for name in tables}

    def close(self) -> None:
        self._connection.close()


@asynccontextmanager
async def push_service(directory: Path, key: str) -> AsyncIterator[tuple[PushProcess, list[str]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.engine.push_process",
        str(directory),
        key,
        json.dumps(VENDORS),
        "--slow",
        str(SLOW_SECONDS),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # it says of each connection of a killed worker that it was cut
    )
    try:
        service = PushProcess(process)
        told = await service.hear()
        assert isinstance(told, dict)
        yield service, told["origin_map"]
    finally:
        await stopped(process)


async def subscribe_all(services: Services, project: Project, key: str, file: Path) -> None:
    """Everybody of the push service's crowds, which stand one behind the other in the file."""
    lines = iter(file.read_text().splitlines())
    for letter, count in zip("AB", VENDORS.values(), strict=True):
        first, *others = (read_subscription(json.loads(line)) for line in islice(lines, count))
        registered = await register(
            services, project, RegistrationRequest(subscription=first, application_server_key=key)
        )
        assert isinstance(services.store, SqliteStore)
        await store_like(services.store, project, registered.short_id, others, letter=letter)


class Run:
    """One broadcast and what is done to those who deliver it."""

    def __init__(self, fleet: Fleet, service: PushProcess, database: Database, chance: random.Random) -> None:
        self._fleet = fleet
        self._service = service
        self._database = database
        self._chance = chance
        self._began = time.monotonic()
        self.crashes = 0

    async def disturb(self, look: Callable[[], Awaitable[object]]) -> None:
        """Kill and freeze, each time when the push service's record has reached a point that the seed says."""
        points = sorted(self._chance.randrange(MESSAGES // 50, MESSAGES * 9 // 10) for _ in range(DISTURBANCES))
        for point in points:
            kill, place = self._chance.random() < 0.5, self._chance.randrange(WORKERS)

            async def reached(point: int = point) -> bool:
                return self._database.over or await self._service.count() >= point

            await until(reached, seconds=RUN_SECONDS_MAX)
            await look()
            await self._wake(all_of_them=False)
            worker = await self._fleet.at(place)
            if kill or worker.frozen or sum(other.frozen for other in self._fleet.working) == WORKERS - 1:
                self._note(f"worker {place} is killed")
                await self._fleet.kill(place)
            else:
                self._note(f"worker {place} is frozen")
                await self._freeze(worker)
            self.crashes += 1
        await self._wake(all_of_them=True)

    async def _freeze(self, worker: Worker) -> None:
        """SIGSTOP, but not within a transaction: SQLite's lock would freeze with it, and nobody could take over."""
        worker.process.send_signal(signal.SIGSTOP)
        while not await self._database.can_be_written():
            worker.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.01)  # the rest of its transaction
            worker.process.send_signal(signal.SIGSTOP)
        worker.frozen = True
        worker.held = self._database.shards_of(worker.owner)

    async def _wake(self, *, all_of_them: bool) -> None:
        """Let those go on whose shards are all in other hands; others later, unless all are meant."""
        for worker in self._fleet.working:
            if not worker.frozen:
                continue

            async def taken_over(worker: Worker = worker) -> bool:
                return not self._database.shards_of(worker.owner)

            if all_of_them:
                await until(taken_over)
            elif not await taken_over():
                continue
            self._note("one that was frozen wakes")
            worker.process.send_signal(signal.SIGCONT)
            worker.frozen = False

    def _note(self, what: str) -> None:
        """For whoever looks at a run that failed."""
        sys.stdout.write(f"{time.monotonic() - self._began:.1f} s: {what}\n")

    async def freeze_last(self) -> Worker:
        """One that holds something, and sleeps until everything is over."""
        found: list[Worker] = []

        async def somebody_works() -> bool:
            found[:] = [worker for worker in self._fleet.working if self._database.shards_of(worker.owner)]
            return bool(found)

        while True:
            await until(somebody_works)
            self._note("the last one is frozen")
            await self._freeze(found[0])
            self.crashes += 1
            if found[0].held:
                return found[0]
            await self._wake(all_of_them=True)


@asynccontextmanager
async def server(directory: Path) -> AsyncIterator[tuple[Services, Project, PushProcess, Settings]]:
    """What a server would have: a database with everybody in it, and a push service beside it."""
    directory.mkdir(mode=0o700)
    written = directory / "pushkeep.toml"
    base = (
        'contact = "mailto:tests@example.com"\n'
        f"lease_seconds = {LEASE_SECONDS}\n"
        f"in_flight_max = {IN_FLIGHT_MAX}\n"
        "receipts = false\n"
    )
    written.write_text(base)
    async with open_project(load_settings(overrides={"data_dir": directory}, environ={})) as (services, project):
        key = (await current_signing_key(services, project)).public_b64
    async with push_service(directory, key) as (service, origin_map):
        written.write_text(f"{base}origin_map = {json.dumps(origin_map)}\n")
        settings = load_settings(overrides={"data_dir": directory}, environ={})
        async with open_project(settings) as (services, project):
            await subscribe_all(services, project, key, directory / "subscriptions.jsonl")
            yield services, project, service, settings


async def test_nothing_is_lost_and_little_repeated(tmp_path: Path) -> None:
    sys.stdout.write(f"PUSHKEEP_TEST_KILL_SEED={SEED}\n")
    async with contextlib.AsyncExitStack() as stack:
        services, project, service, settings = await stack.enter_async_context(server(tmp_path / "server"))
        database = Database(settings.database)
        stack.callback(database.close)
        fleet = Fleet(settings.data_dir, clean_environment(tmp_path), database)
        stack.push_async_callback(fleet.close)
        fleet.start()

        asked = Asked.of(Target.everyone(), Content.of(title="To everybody"), PushOptions.of())
        public_id = (await accept(services, project, asked, worker=None)).record.public_id

        async def look() -> Account:
            account = (await progress(services, project, public_id)).account
            assert account.balances, account
            if account.set_aside:  # so many died over it that people are to look: they say, go on
                await resume(services, project, public_id)
            return account

        run = Run(fleet, service, database, random.Random(SEED))
        await run.disturb(look)
        sleeper = await run.freeze_last()

        async def over() -> bool:
            await look()
            return database.over

        await until(over, seconds=RUN_SECONDS_MAX)

        got = await service.report(tmp_path / "report.json")
        check_record(got, run.crashes)
        account = await look()
        assert (account.targeted, dict(account.counts), account.undone) == (MESSAGES, {Kind.ACCEPTED: MESSAGES}, 0)

        before, woken_at = database.everything(), time.time()
        sleeper.process.send_signal(signal.SIGCONT)
        await until(lambda: database.awake_since(sleeper.owner, woken_at))
        assert sleeper.held, "it was frozen over something"
        assert database.everything() == before, "who lost its leases while it was frozen writes nothing"
        check_after_waking(got, await service.report(tmp_path / "later.json"))
        assert await fleet.end() == [0] * WORKERS


def check_after_waking(before: list[int], after: list[int]) -> None:
    """Who wakes starts nothing; what it had started when it was frozen may only now leave its process."""
    more = sum(after) - sum(before)
    assert more <= IN_FLIGHT_MAX, f"{more} messages were sent after waking"


def check_record(got: list[int], crashes: int) -> None:
    """What the push service has counted for each subscriber."""
    lost = [number for number, count in enumerate(got) if count == 0]
    repeated, bound = sum(got) - MESSAGES, crashes * REPEATED_PER_CRASH_MAX
    sys.stdout.write(f"{crashes} crashes, {repeated} repeated, at most {bound:.0f} allowed\n")
    assert not lost, f"{len(lost)} subscribers got nothing, the first is number {lost[0]}"
    assert repeated <= bound
