"""Pushkeep's own ways of sending."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

from bench.servers import Site
from bench.world import CONTACT, IN_FLIGHT, PAYLOAD, RECIPIENTS, TTL_SECONDS, URGENCY, Contender, World, in_parallel, on
from pushkeep import Message, SyncPushClient


def messages(world: World, count: int) -> Iterator[Message]:
    """So many, made as they are asked for."""
    for number in range(count):
        yield Message(world.recipient(number), PAYLOAD, ttl=TTL_SECONDS, urgency=URGENCY, reference=number)


async def send_many(world: World, site: Site, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> Contender:
    """One call for all of them. All are for one push service, which may therefore have every turn."""
    client = await stack.enter_async_context(world.client(site))

    async def run(count: int) -> None:
        accepted = 0
        async for result in client.send_many(messages(world, count), origin_in_flight_max=IN_FLIGHT):
            assert result.accepted, result
            accepted += 1
        assert accepted == count

    return Contender("send_many", "PushClient.send_many", on(loop, run))


def sync_send_many(world: World, site: Site, stack: ExitStack) -> Contender:
    """The same without an event loop."""
    client = stack.enter_context(SyncPushClient(key=world.key, contact=CONTACT, origin_map=world.origin_map(site)))

    def run(count: int) -> None:
        results = client.send_many(messages(world, count), origin_in_flight_max=IN_FLIGHT)
        assert sum(result.accepted for result in results) == count

    return Contender("sync_send_many", "SyncPushClient.send_many", run)


async def send(
    world: World,
    site: Site,
    loop: asyncio.AbstractEventLoop,
    stack: AsyncExitStack,
    *,
    from_json: bool = False,
) -> Contender:
    """One call for each message, as many at a time as the client takes."""
    client = await stack.enter_async_context(world.client(site))
    recipients = world.texts if from_json else world.recipients

    async def one(number: int) -> None:
        outcome = await client.send(recipients[number % RECIPIENTS], PAYLOAD, ttl=TTL_SECONDS, urgency=URGENCY)
        assert outcome.accepted, outcome

    run = on(loop, lambda count: in_parallel(count, one))
    if from_json:
        return Contender("send_json", "PushClient.send, from JSON", run)
    return Contender("send", "PushClient.send", run)
