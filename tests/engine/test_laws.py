"""The laws bite: a worker that keeps them breaks none, and each law is broken by one that does not keep it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pushkeep.app.context import Services
from pushkeep.app.projects import current_signing_key
from pushkeep.app.send import Sender
from pushkeep.domain.notification import Target
from pushkeep.domain.sending import Control, Priority, wire_ttl
from pushkeep.domain.shard import CHECKPOINT_SECONDS, Kind, LeaseKey, ShardKind
from pushkeep.errors import Unavailable
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import Checkpoint, ClaimFilter, Ending, LeaseLost, SettledMember
from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.vendors import VENDORS
from tests.engine.push_services import FCM, MOZILLA, Manner
from tests.engine.virtual_time import EPOCH
from tests.engine.world import Node, World, simulated

ALL = frozenset(Priority)


class PlainWorker:
    """The simplest worker that keeps the rules: one message after the other, written down one by one."""

    def __init__(self, services: Services, *, owner: str, wakeups: Any, sins: frozenset[str] = frozenset()) -> None:
        self.services = services
        self.owner = owner
        self.wakeups = wakeups
        self.sins = sins
        self.handed: list[Leased] = []

    def take(self, leased: Sequence[Leased]) -> None:
        self.handed += leased

    async def run(self) -> None:
        wanted = ClaimFilter(self.owner, ALL, True, (), (), 9, None, 1)
        while True:
            try:
                await self.services.store.sweep()
                handed, self.handed = self.handed, []
                for leased in handed or await self.services.store.claim(wanted):
                    with contextlib.suppress(LeaseLost):  # also what was just closed by its last checkpoint
                        await self.work(leased)
            except Unavailable:
                pass
            await asyncio.sleep(0.2)

    async def work(self, leased: Leased) -> None:
        shard, store = leased.shard, self.services.store
        if shard.kind is ShardKind.PLAN:
            while not (await store.plan_page(shard.lease)).complete:
                pass
            return
        lease_ends = self.services.clock.monotonic() + 27
        for position in list(shard.done.unset()):
            if self.services.clock.monotonic() > lease_ends:
                return
            if not await self.one(leased, position):
                return
        await store.checkpoint(Checkpoint(shard.lease, ending=Ending.RELEASE))

    async def one(self, leased: Leased, position: int) -> bool:
        shard, clock, sins = leased.shard, self.services.clock, self.sins
        loaded_at = clock.monotonic()
        loaded = await self.services.store.load(leased, [position])
        if loaded.control is not Control.SEND or clock.now() > leased.job.deadline:
            ending = Ending.CANCEL if loaded.control is Control.CANCELLED else Ending.RELEASE
            if clock.now() > leased.job.deadline:
                ending = Ending.EXPIRE
            await self.services.store.checkpoint(Checkpoint(shard.lease, ending=ending, not_before=clock.now() + 1))
            return False
        (member,) = loaded.members
        settled = SettledMember(position, member.skip or Kind.ACCEPTED)
        if member.recipient is not None:
            if "dawdle" in sins or "past_lease" in sins:
                await asyncio.sleep(5 if "dawdle" in sins else 31)
            elif clock.monotonic() - loaded_at > CHECKPOINT_SECONDS:
                return True
            answer = await self.post(leased, member.recipient.subscription)
            if "twice" in sins:
                answer = await self.post(leased, member.recipient.subscription)
            if not isinstance(answer, PushResponse) or answer.status != 201:
                settled = dataclasses.replace(settled, kind=Kind.TRANSIENT)
        await self.services.store.checkpoint(Checkpoint(shard.lease, [settled]))
        return True

    async def post(self, leased: Leased, subscription: Any) -> Any:
        services, job = self.services, leased.job
        key = await services.store.signing_keys(await services.store.default_project())
        sender = Sender(key[0].key, "mailto:push@example.com", services.tokens, services.clock, services.entropy)
        ttl = wire_ttl(job.options.ttl, deadline=job.deadline, now=services.clock.now())
        if "long_ttl" in self.sins:
            ttl = job.options.ttl
        request = sender.build(subscription, job.payload, PushOptions(ttl), VENDORS[leased.shard.vendor])
        return await services.transport.post(request)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def _world(directory: Path, *sins: str) -> tuple[Any, World, Node]:
    context = simulated(1, directory)
    world = context.__enter__()
    for number in range(6):
        world.subscribe(f"b{number}", (FCM, MOZILLA)[number % 2], owner=f"contact{number % 3}")
    return context, world, world.start_worker(PlainWorker, sins=frozenset(sins))


def _broken(directory: Path, sin: str, story: Callable[[World, Node], None]) -> str:
    context, world, node = _world(directory, sin)
    try:
        story(world, node)
        return " | ".join(world.laws.broken)
    finally:
        context.__exit__(None, None, None)


def test_a_worker_that_keeps_the_rules_breaks_no_law(directory: Path) -> None:
    with simulated(1, directory) as world:
        for number in range(6):
            world.subscribe(f"b{number}", (FCM, MOZILLA)[number % 2], owner=f"contact{number % 3}")
        node = world.start_worker(PlainWorker)
        everyone = world.accept(Target.everyone())
        world.advance(0.3)
        some = world.accept(Target.to_contacts(["contact1"]), by=node)
        world.pause(everyone)
        world.unsubscribe("b5")
        world.advance(30)
        assert world.state(some) == "done"
        world.resume(everyone)
        world.finish(PlainWorker)
        assert world.state(everyone) == "done"
        assert sum(world.counts(everyone).values()) == 6
        assert len(world.push.record) >= 7


def test_a_killed_and_a_stopped_worker_lose_nothing(directory: Path) -> None:
    with simulated(2, directory) as world:
        for number in range(20):
            world.subscribe(f"b{number}", (FCM, MOZILLA)[number % 2])
        first, second = world.start_worker(PlainWorker), world.start_worker(PlainWorker)
        sent = world.accept(Target.everyone(), ttl=600)
        world.advance(0.5)
        first.process.kill()
        second.process.stop()
        world.start_worker(PlainWorker)
        world.advance(40)
        second.process.go_on()
        world.finish(PlainWorker)
        assert world.counts(sent) == {"accepted": 20}


def test_an_attempt_on_what_was_known_too_long_ago(directory: Path) -> None:
    def story(world: World, _: Node) -> None:
        sent = world.accept(Target.everyone())
        world.advance(1)
        world.pause(sent)
        world.unsubscribe("b0")
        world.advance(10)

    broken = _broken(directory, "dawdle", story)
    assert "paused or cancelled for" in broken
    assert "who has left for" in broken


def test_an_attempt_past_the_end_of_the_lease(directory: Path) -> None:
    def story(world: World, _: Node) -> None:
        world.accept(Target.everyone(), ttl=3600)
        world.advance(90)

    assert "after its lease of shard" in _broken(directory, "past_lease", story)


def test_a_message_that_is_sent_twice(directory: Path) -> None:
    broken = _broken(directory, "twice", lambda world, _: (world.accept(Target.everyone()), world.advance(3)))
    assert "s after it was answered (accept)" in broken


def test_a_ttl_that_outlives_the_deadline(directory: Path) -> None:
    def story(world: World, _: Node) -> None:
        world.accept(Target.everyone(), ttl=3600, deadline=EPOCH + world.loop.time() + 100)
        world.advance(3)

    assert "with TTL 3600, 99." in _broken(directory, "long_ttl", story)


def _spoil(directory: Path, *statements: str) -> str:
    """What is said when the database is changed behind the engine's back."""
    with simulated(3, directory) as world:
        for number in range(6):
            world.subscribe(f"b{number}", FCM, owner="contact")
        node = world.start_worker(PlainWorker)
        world.accept(Target.to_contacts(["contact"]))
        world.push.manners[FCM] = Manner(seconds=(0.5, 0.5))
        world.advance(1.6)
        node.process.kill()
        with node.store._writing.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        world.spy.look(None)
        return " | ".join(world.laws.broken)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE shards SET done = x'00'", "a bit was taken back"),
        ("UPDATE shards SET done = x'3f'", "bits"),
        ("UPDATE shards SET accepted = accepted - 1", "a count went down"),
        ("UPDATE shards SET epoch = 0", "its epoch went back"),
        ("UPDATE shards SET gone = gone + 1, settled = settled + 1", "and nobody has written for it"),
        ("UPDATE shards SET moved = moved + 1", "who was moved and who is in follow-ups differ"),
        ("UPDATE shards SET members = substr(members, 9)", "a member was taken away"),
        ("UPDATE notifications SET state = 'done', finished_at = 1", "is done with 1 live shards"),
        ("DELETE FROM shards", "vanished"),
        ("UPDATE subscriptions SET state = 'gone' WHERE id = 1", "ended at None"),
        ("UPDATE subscriptions SET state = 'failing' WHERE id = 1", "has the reason None"),
        (
            "UPDATE subscriptions SET state = 'gone', ended_at = 1, state_reason = '{}' WHERE id = 1",
            "is gone, and its push service said {'accept': 1} on 0 days",
        ),
        (
            "UPDATE subscriptions SET state = 'quarantined', state_reason = '{}' WHERE id = 1",
            "is quarantined, and was doubted on 0 days",
        ),
        (
            "UPDATE subscriptions SET state = 'needs_renewal', state_reason = '{}' WHERE id = 1",
            "needs renewal, and its push service said {'accept': 1}",
        ),
        ("UPDATE subscriptions SET probes = 2 WHERE id = 1", "had 0 failed probes, and has 2"),
        ("UPDATE subscriptions SET probe_at = 1 WHERE id = 1", "is probed at 1"),
    ],
)
def test_a_database_that_is_changed_behind_the_back(directory: Path, statement: str, words: str) -> None:
    assert words in _spoil(directory, statement)


def test_what_is_left_at_the_end(directory: Path) -> None:
    with simulated(4, directory) as world:
        world.subscribe("b0", FCM)
        world.accept(Target.everyone())
        world.advance(10)
        world.laws.at_end()
        assert "is still sending" in " | ".join(world.laws.broken)


def test_nobody_writes_under_anothers_lease(directory: Path) -> None:
    with simulated(5, directory) as world:
        world.subscribe("b0", FCM)
        world.subscribe("b1", FCM)
        node = world.start_worker(PlainWorker)
        world.push.manners[FCM] = Manner(seconds=(5, 5))
        world.accept(Target.everyone())
        world.advance(2)
        (shard,) = [row for row in world.spy.sight.shards.values() if row.kind == "send"]
        thief = world.start_worker(PlainWorker)
        stolen = Checkpoint(LeaseKey(shard.id, shard.epoch), [SettledMember(1, Kind.ACCEPTED)])
        world.run_in(thief, thief.services.store.checkpoint(stolen))
        assert "is lent to worker0, and worker1 has written for it" in " | ".join(world.laws.broken)
        node.process.kill()


def test_the_signing_key_is_of_the_project(directory: Path) -> None:
    with simulated(6, directory) as world:
        assert world.run(current_signing_key(world.office, world.project)).public_b64 == world.key
