"""Notifications through the real transport to the real local push service."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.http2 import CurlTransport
from pushkeep.app.projects import current_signing_key
from pushkeep.app.try_key import try_key
from pushkeep.domain.action import Action
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.notification import Content
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, State
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.verdict import Verdict
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.app.conftest import HELLO, Sent, World

OPTIONS = PushOptions.of(ttl=60)


@dataclass
class Live:
    world: World
    service: PushService
    key: SigningKey

    async def subscribe(self, vendor: str = "mozilla") -> LocalSubscriber:
        subscriber = await self.service.subscribe(self.key.public_bytes, vendor=vendor)
        await self.world.register(subscriber.subscription)
        return subscriber

    async def send(self) -> Sent:
        content = Content.of(title="Hello", body="from the test", data={"n": 1})
        return await self.world.send(content=content, options=OPTIONS)


@pytest.fixture
async def live(world: World) -> AsyncIterator[Live]:
    async with PushService() as service:
        origins = OriginMap.parse(service.origin_map_entries())
        async with CurlTransport(origin_map=origins) as transport:
            # Tokens must be valid at the service, so here the clock is the real one; the store's is a little ahead.
            world.clock.time = SystemClock().now() + 5
            services = dataclasses.replace(
                world.services,
                transport=transport,
                clock=SystemClock(),
                entropy=SystemEntropy(),
                policy=EndpointPolicy(origins),
            )
            yield Live(
                dataclasses.replace(world, services=services),
                service,
                await current_signing_key(services, world.project),
            )


@pytest.mark.parametrize("vendor", ["mozilla", "fcm"])
async def test_a_subscriber_receives_what_was_sent(live: Live, vendor: str) -> None:
    subscriber = await live.subscribe(vendor)
    outcome = (await live.send()).only
    assert (outcome.kind, outcome.status, outcome.action) == (Kind.ACCEPTED, 201, Action.DONE)
    message = await subscriber.receive(10)
    assert message.data is not None
    assert json.loads(message.data)["notification"]["body"] == "from the test"
    (record,) = await live.world.records()
    assert record.vendor == vendor
    assert record.last_accepted_at is not None


async def test_who_has_left_is_dropped_with_the_services_own_words(live: Live) -> None:
    leaving, staying = await live.subscribe(), await live.subscribe()
    await leaving.unsubscribe()
    sent = await live.send()
    assert sent.kinds == [Kind.GONE, Kind.ACCEPTED]
    gone, kept = await live.world.records()
    assert (gone.state, kept.state) == (State.GONE, State.ACTIVE)
    assert gone.state_reason is not None
    assert (gone.state_reason.cause, gone.state_reason.status) == (Event.SAID_GONE, 410)
    assert gone.state_reason.text == "No such subscription"
    assert (await staying.receive(10)).data is not None


async def test_who_has_left_chromium_is_asked_again_first(live: Live) -> None:
    leaving = await live.subscribe("fcm")
    await leaving.unsubscribe()
    outcome = (await live.send()).only
    assert (outcome.kind, outcome.action, outcome.attempts) == (Kind.GONE, Action.END, 3)


async def test_another_key_is_refused_and_the_record_kept(live: Live) -> None:
    subscriber = await live.subscribe()
    (record,) = await live.world.records()
    tried = await try_key(
        live.world.services, live.world.project, record.short_id, SigningKey.generate(), HELLO, OPTIONS
    )
    assert tried.outcome is not None
    assert (tried.outcome.verdict, tried.ended) == (Verdict.KEY_MISMATCH, False)
    (record,) = await live.world.records()
    assert (record.state, record.consecutive_failures) == (State.ACTIVE, 0)
    assert (await live.send()).only.kind is Kind.ACCEPTED
    assert (await subscriber.receive(10)).data is not None


async def test_an_endpoint_without_a_map_entry_is_never_dialled(live: Live) -> None:
    await live.subscribe()
    async with CurlTransport() as unmapped:
        services = dataclasses.replace(live.world.services, transport=unmapped)
        live = dataclasses.replace(live, world=dataclasses.replace(live.world, services=services))
        outcome = (await live.send()).only
    assert outcome.kind is Kind.REFUSED_ENDPOINT
    (record,) = await live.world.records()
    assert (record.state, record.probe_at) == (State.QUARANTINED, None)


async def test_many_at_once(live: Live) -> None:
    subscribers = [await live.subscribe() for _ in range(60)]
    assert (await live.send()).account.counts == {Kind.ACCEPTED: 60}
    for subscriber in subscribers:
        assert (await subscriber.receive(10)).data is not None
