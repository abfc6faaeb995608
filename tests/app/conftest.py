"""Use cases over the real store in memory; only the push services, the clock and chance are played."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from pushkeep.adapters.store import open_store
from pushkeep.app.context import Services
from pushkeep.app.projects import current_signing_key, ensure_default_project
from pushkeep.app.subscribe import Registered, register
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports import Cancellable
from pushkeep.protocol.answer import Answer, PushResponse
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.token_cache import TokenCache
from tests.store.doubles import MASTER_KEY, FakeClock, FakeSleeper, SeededEntropy
from tests.store.samples import subscription

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


@dataclass
class World:
    """A project and everything around it."""

    services: Services
    project: Project
    transport: ScriptedTransport
    clock: FakeClock
    sleeper: FakeSleeper
    key: str

    async def register(
        self,
        given: Subscription | str = "one",
        *,
        owner: str | None = None,
        identity: str | None = None,
        replaces: str | None = None,
    ) -> Registered:
        return await register(
            self.services,
            self.project,
            subscription=subscription(given) if isinstance(given, str) else given,
            application_server_key=self.key,
            replaces=replaces,
            identity=identity,
            owner=owner,
        )

    async def records(self) -> list[SubscriptionRecord]:
        found = await self.services.store.list_subscriptions(self.project, state=None, limit=2000, after=0)
        return list(found)

    def with_policy(self, policy: EndpointPolicy) -> World:
        return dataclasses.replace(self, services=dataclasses.replace(self.services, policy=policy))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock, entropy, transport = FakeClock(), SeededEntropy(), ScriptedTransport()
    sleeper = FakeSleeper(clock)
    store = await open_store(None, MASTER_KEY, clock=clock, entropy=entropy)
    services = Services(store, transport, clock, entropy, sleeper, TokenCache(), EndpointPolicy())
    project = await ensure_default_project(
        services, name="Shop", site_url="https://shop.example.com", contact="mailto:push@example.com"
    )
    key = await current_signing_key(services, project)
    yield World(services, project, transport, clock, sleeper, key.public_b64)
    await store.aclose()
