"""The bookkeeping of send_many, walked at random: nothing is lost, nothing stalls, and every limit holds."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from pushkeep import Message, PushClient, SigningKey, Subscription
from pushkeep.adapters.clock import SystemClock
from pushkeep.app.turn import STARTS_MAX, Turn
from pushkeep.client.batch import Batch, BatchLimits

from .conftest import CONTACT
from .test_send_many import whom

STRANGERS = {"s0", "s2", "s4"}


class Thing:
    """Stands for a delivery, and for the request that it makes."""

    def __init__(self, subscription: Subscription, rng: random.Random) -> None:
        self.subscription = subscription
        self.name = subscription.endpoint.host.partition(".")[0]
        self.outcome = None
        self._rng = rng
        self._attempts = 0

    def request(self) -> Thing:
        return self

    def answered(self, _answer: object) -> float | None:
        self._attempts += 1
        drawn = self._rng.random()
        return None if drawn < 0.7 or self._attempts > 3 else 0.0 if drawn < 0.8 else 1.0

    def cancel(self) -> None:
        """Nothing to give up."""


class World:
    """Everything a batch asks of outside, moved one random step at a time."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        rng = self.rng
        total = rng.randint(1, 8)
        each = rng.randint(1, total)
        self.limits = BatchLimits(total, each, max(each, total // 2), rng.randint(1, 40))
        self.count, self.origins = rng.randint(0, 80), rng.randint(1, 6)
        self.read = self.taken = 0
        self.flying: list[tuple[Thing, Callable[[object], None]]] = []
        self.waits: list[Callable[[], None]] = []
        self.references: list[object] = []
        self.batch = Batch(
            self,  # type: ignore[arg-type]
            self.limits,
            lambda message: Thing(message.subscription, rng),  # type: ignore[arg-type, return-value]
            lambda thing: thing.name in STRANGERS,  # type: ignore[attr-defined]
            self.messages(),
        )

    def messages(self) -> Iterator[Message]:
        for number in range(self.count):
            self.read += 1
            yield Message(whom(f"https://s{self.rng.randrange(self.origins)}.example"), reference=number)

    def start(self, request: Thing, done: Callable[[object], None]) -> Thing:
        self.flying.append((request, done))
        return request

    def call_later(self, _seconds: float, due: Callable[[], None]) -> Thing:
        self.waits.append(due)
        return Thing(whom(), self.rng)

    def changed(self) -> None:
        """The walk looks anyway."""

    def step(self) -> bool:
        """One thing happens; whether anything could."""
        moved = self.batch.pump(Turn(lambda: 0.0, self.rng.randint(1, 20)))
        self.check()
        events: list[Callable[[], None]] = []
        if self.flying:
            events.append(lambda: self.flying.pop(self.rng.randrange(len(self.flying)))[1](None))
        if self.waits:
            events.append(lambda: self.waits.pop(self.rng.randrange(len(self.waits)))())
        if self.batch.results:
            events.append(lambda: self.references.append(self.batch.take().reference))
        if events:
            self.rng.choice(events)()
        return moved or bool(events)

    def check(self) -> None:
        limits, lanes = self.limits, Counter(thing.name for thing, _ in self.flying)
        assert self.batch.in_flight == len(self.flying) <= limits.in_flight_max
        assert all(flying <= limits.origin_in_flight_max for flying in lanes.values())
        assert sum(lanes[name] for name in STRANGERS) <= limits.strangers_in_flight_max
        assert self.read - len(self.references) <= limits.look_ahead_max
        assert self.batch.failure is None


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_nothing_is_lost_nothing_stalls_and_every_limit_holds(first: int) -> None:
    for seed in range(first, first + 100):
        world = World(seed)
        while not world.batch.done:
            # Once after the last thing that happened the batch may find only that its source has ended.
            assert world.step() or world.batch.done, f"seed {seed} stalls"
        assert sorted(world.references) == list(range(world.count)), f"seed {seed}"  # type: ignore[type-var]


@pytest.mark.parametrize(("message_seconds", "messages"), [(0.0, STARTS_MAX), (1 / 8192, STARTS_MAX), (1 / 1024, 12)])
def test_a_turn_ends_by_the_clock_where_messages_take_long(message_seconds: float, messages: int) -> None:
    """Ten milliseconds, and what may pass from one look at the clock to the next."""
    seconds = 0.0
    turn = Turn(lambda: seconds)
    for _ in range(3):
        turn.begin()
        done = 1
        seconds += message_seconds
        while not turn.ends():
            done += 1
            seconds += message_seconds
        assert done == messages


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_on_a_slow_machine_others_on_the_loop_have_their_turn(asynchronous: bool) -> None:
    """Every reading of the source takes two milliseconds of a clock that nothing else moves."""
    seconds, turns, most = 0.0, 0, 0.0

    class Slow(SystemClock):
        def monotonic(self) -> float:
            return seconds

    def slow() -> Iterator[Message]:
        nonlocal seconds
        for _ in range(64):
            seconds += 0.002
            yield Message(whom(), "x" * 5000)  # too large, so that nothing is posted

    async def slow_too() -> AsyncIterator[Message]:
        for message in slow():
            yield message

    def other() -> None:
        nonlocal turns, most, before
        turns, most, before = turns + 1, max(most, seconds - before), seconds
        loop.call_soon(other)

    loop, before = asyncio.get_running_loop(), 0.0
    loop.call_soon(other)
    async with PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[], clock=Slow()) as client:
        results = [result async for result in client.send_many(slow_too() if asynchronous else slow())]
        assert all(result.error is not None for result in results)
        assert len(results) == 64
    assert turns >= 64 * 0.002 / most
    assert most <= 0.01 + 4 * 0.002
