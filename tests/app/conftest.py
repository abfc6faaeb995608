"""Use cases over the real store in memory; only the push services, the clock and chance are played."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pushkeep.adapters.erasure_file import ErasureFile
from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.app.accept import Asked, accept
from pushkeep.app.context import Services
from pushkeep.app.projects import current_signing_key, ensure_default_project
from pushkeep.app.subscribe import Registered, RegistrationRequest, register
from pushkeep.app.worker import Worker, WorkerLimits
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.lifecycle import By
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account, NotificationState
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports import Cancellable
from pushkeep.ports.notifications import Accepted, RecipientOutcome
from pushkeep.protocol.answer import Answer, PushResponse
from pushkeep.protocol.request import PushOptions, PushRequest
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.token_cache import TokenCache
from tests.store.doubles import MASTER_KEY, FakeClock, FakeSleeper, SeededEntropy
from tests.store.samples import subscription

HELLO = Content.of(title="Hello")
OPTIONS = PushOptions.of(ttl=60, urgency="high", topic="inbox")

Disturbance = Callable[[PushRequest], Awaitable[None]]


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> PushResponse:
    return PushResponse(status, headers or {}, body)


@dataclass
class ScriptedTransport:
    """Push services by script: for each endpoint name the answers in turn, the last one for ever; 201 otherwise."""

    script: dict[str, list[Answer]] = field(default_factory=dict)
    sent: list[PushRequest] = field(default_factory=list)
    in_flight: int = 0
    in_flight_most: int = 0
    before_answer: Disturbance | None = None
    tasks: set[asyncio.Task[Answer]] = field(default_factory=set)

    async def post(self, request: PushRequest) -> Answer:
        self.sent.append(request)
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight, self.in_flight_most)
        try:
            if self.before_answer is not None:
                await self.before_answer(request)
            answers = self.script.get(request.endpoint.url.rsplit("/", 1)[1], [answer(201)])
            return answers[0] if len(answers) == 1 else answers.pop(0)
        finally:
            self.in_flight -= 1

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        task = asyncio.ensure_future(self.post(request))
        self.tasks.add(task)

        def ended(task: asyncio.Task[Answer]) -> None:
            self.tasks.discard(task)
            if not task.cancelled():
                done(task.result())

        task.add_done_callback(ended)
        return task

    async def aclose(self) -> None:
        return None

    def names(self) -> list[str]:
        return [request.endpoint.url.rsplit("/", 1)[1] for request in self.sent]


@dataclass(frozen=True)
class Sent:
    """What became of a notification.

    Attributes:
        public_id: its id.
        outcomes: by the recipients' short ids, in the order of their registration.
        account: where its recipients are.
    """

    public_id: str
    outcomes: dict[str, RecipientOutcome]
    account: Account

    @property
    def only(self) -> RecipientOutcome:
        (outcome,) = self.outcomes.values()
        return outcome

    @property
    def kinds(self) -> list[Kind]:
        return [outcome.kind for outcome in self.outcomes.values()]


@dataclass
class World:
    """A project and everything around it."""

    services: Services
    project: Project
    transport: ScriptedTransport
    clock: FakeClock
    sleeper: FakeSleeper
    key: str
    workers: int = 0

    @property
    def store(self) -> SqliteStore:
        assert isinstance(self.services.store, SqliteStore)
        return self.services.store

    async def register(
        self,
        given: Subscription | str = "one",
        *,
        owner: str | None = None,
        identity: str | None = None,
        replaces: str | Sequence[str] = (),
        by: By | None = None,
        **asked: Any,
    ) -> Registered:
        """Register as a browser does; with an owner as the site's own server does, unless told otherwise."""
        return await register(
            self.services,
            self.project,
            RegistrationRequest(
                subscription=subscription(given) if isinstance(given, str) else given,
                application_server_key=self.key,
                replaces=(replaces,) if isinstance(replaces, str) else replaces,
                identity=identity,
                owner=owner,
                by=by or (By.BROWSER if owner is None else By.OPERATOR),
                **asked,
            ),
        )

    async def records(self) -> list[SubscriptionRecord]:
        found = await self.services.store.list_subscriptions(self.project, state=None, limit=2000, after=0)
        return list(found)

    async def accept(
        self,
        *ids: str,
        target: Target | None = None,
        content: Content | bytes | None = HELLO,
        options: PushOptions = OPTIONS,
        worker: Worker | None = None,
        **asked: object,
    ) -> Accepted:
        """A notification to these subscriptions, to a target, or to everybody."""
        target = target or (Target.to_subscriptions(ids) if ids else Target.everyone())
        asked_for = Asked.of(target, content, options, **asked)
        return await accept(self.services, self.project, asked_for, worker=worker)

    def worker(self, **given: Any) -> Worker:
        """A worker of a process of its own, as far as memory goes."""
        self.workers += 1
        wakeups = self.store.wakeups()
        return Worker(self.services, **{"owner": f"worker-{self.workers}", "wakeups": wakeups, **given})

    def worker_on(self, store: SqliteStore) -> Worker:
        """A worker whose own store may be another one than what wakes it."""
        self.workers += 1
        return Worker(self.services, owner=f"worker-{self.workers}", wakeups=store.wakeups())

    async def work(self, **given: Any) -> Worker:
        """Let a worker do all there is to do at this moment, and stop it."""
        worker = self.worker(**given)
        async with asyncio.timeout(60):
            running = asyncio.create_task(worker.run())
            await worker.wait_idle()
            worker.stop()
            await running
        return worker

    async def finish(self, accepted: Accepted, **given: Any) -> Sent:
        """Let time pass from one thing that is due to the next until a notification has ended."""
        for _ in range(100):
            await self.work(**given)
            record = await self.store.find_notification(self.project, accepted.record.public_id)
            assert record is not None
            if record.state in (NotificationState.DONE, NotificationState.CANCELLED):
                return await self.sent(accepted)
            due = await self.store.next_due()
            self.clock.time = max(self.clock.time, due if due is not None else record.deadline)
            if self.clock.time >= record.deadline:
                await self.store.sweep()
        raise AssertionError("It does not end.")

    async def send(self, *ids: str, limits: WorkerLimits | None = None, **asked: Any) -> Sent:
        """Accept a notification and let it come to its end."""
        return await self.finish(await self.accept(*ids, **asked), **({} if limits is None else {"limits": limits}))

    async def sent(self, accepted: Accepted) -> Sent:
        """What has become of a notification so far."""
        outcomes = await self.store.outcomes(self.project, accepted.record.id, kinds=None, limit=2000, after=0)
        account = (await self.store.accounts(self.project, [accepted.record.id]))[accepted.record.id]
        assert account.balances
        return Sent(accepted.record.public_id, {item.short_id: item for item in outcomes}, account)

    def with_policy(self, policy: EndpointPolicy) -> World:
        return dataclasses.replace(self, services=dataclasses.replace(self.services, policy=policy))


@asynccontextmanager
async def opened_world(database: Path | None = None, clock: FakeClock | None = None) -> AsyncIterator[World]:
    """A project in memory, or in a file with an erasure list beside it; one that is there already is opened again."""
    clock, entropy, transport = clock or FakeClock(), SeededEntropy(), ScriptedTransport()
    sleeper = FakeSleeper(clock)
    store = await open_store(database, MASTER_KEY, clock=clock, entropy=entropy)
    erasures = None if database is None else ErasureFile(database.with_name("erasures.jsonl"))
    services = Services(store, transport, clock, entropy, sleeper, TokenCache(), EndpointPolicy(), erasures=erasures)
    try:
        project = await ensure_default_project(
            services, name="Shop", site_url="https://shop.example.com", contact="mailto:push@example.com"
        )
        key = await current_signing_key(services, project)
        yield World(services, project, transport, clock, sleeper, key.public_b64)
    finally:
        await store.aclose()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened_world() as world:
        yield world


@pytest.fixture
async def filed_world(tmp_path: Path) -> AsyncIterator[World]:
    """A project in a file of its directory, with an erasure list."""
    async with opened_world(tmp_path / "pushkeep.db") as world:
        yield world
