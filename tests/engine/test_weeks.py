"""Weeks of an installation's life: doubts of days, quarantines, probes, keys that rotate, and processes that die.

Between the days nothing happens and nothing is sent. When everything has become calm, whoever lives must be reached:
nobody may be lost by what passed. A failure prints its seed. To repeat it, or to run many::

    PUSHKEEP_SEED=7 PUSHKEEP_WEEKS=1 pytest tests/engine/test_weeks.py
    PUSHKEEP_WEEKS=500 pytest tests/engine/test_weeks.py --timeout 0
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from pushkeep.domain.notification import Target
from tests.engine.push_services import FOREIGN, KNOWN, STRANGERS, Manner
from tests.engine.virtual_time import EPOCH
from tests.engine.world import World, simulated, small_numbers

SEED = int(os.environ.get("PUSHKEEP_SEED", "0"))
HISTORIES = int(os.environ.get("PUSHKEEP_WEEKS", "6"))
CALM_DAYS = 9
"""The longest that a probe is waited for is seven days."""

ORIGINS = (*KNOWN, STRANGERS[0])
WEATHER = {"accept": 6, "doubt": 8, "fail": 2, "reset": 1, "lose": 1, "throttle": 1, "refuse_token": 2, "gone": 1}


class Weeks:
    """One history.

    Args:
        world: an installation with nobody at work.
        chance: decides.
    """

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.left: set[str] = set()
        self.successors: dict[str, str] = {}
        self.weather = {origin: Manner() for origin in ORIGINS}

    def begin(self) -> None:
        """Some browsers, of some of which we believe the wrong key."""
        for _ in range(self.chance.randint(4, 12)):
            self.subscribe()
        self.world.start_worker()

    def subscribe(self, replaces: str | None = None) -> None:
        world, chance = self.world, self.chance
        retiring = [public for public, (_, state) in world.spy.sight.keys.items() if state == "retiring"]
        made_with = chance.choice([None] * 8 + [FOREIGN, *retiring])
        name = f"b{len(world.rows)}"
        if replaces is not None:
            self.successors[replaces] = name
        world.subscribe(name, chance.choice(ORIGINS), replaces=replaces, made_with=made_with)

    def day(self) -> None:
        """Something changes, and some messages are sent."""
        chance, world = self.chance, self.world
        for origin in ORIGINS:
            if chance.random() < 0.25:  # a push service's mood lasts for some days
                (kind,) = chance.choices(list(WEATHER), list(WEATHER.values()))
                self.weather[origin] = Manner(kind, chance.choice([1.0, 1.0, 0.5]), chance.choice([None, 5]))
        world.push.manners.update(self.weather)
        self.happen()
        for _ in range(chance.randint(1, 3)):
            deadline = EPOCH + world.loop.time() + chance.choice([4.0, 4.0, 15.0])
            world.accept(Target.everyone(), ttl=30, deadline=deadline)
            world.advance(chance.choice([0.0, 0.02, 0.3, 2.0]))
            self.disturb()
        world.nights(chance.choice([1, 1, 1, 2, 3]))

    def happen(self) -> None:
        """What browsers and the operator do."""
        chance, world = self.chance, self.world
        living = [name for name in world.rows if name not in self.left and name not in self.successors]
        match chance.choice(["subscribe", "replace", "leave", "end", "rotate", "retire", *["nothing"] * 6]):
            case "subscribe":
                self.subscribe()
            case "replace" if living:
                self.subscribe(replaces=chance.choice(living))
            case "leave" if living:
                name = chance.choice(living)
                self.left.add(name)
                world.unsubscribe(name)
            case "end" if living:
                world.push.ended.add(chance.choice(living))
            case "rotate" if len(world.spy.sight.keys) < 4:
                world.rotate()
            case "retire" if chance.random() < 0.3:
                world.retire()

    def disturb(self) -> None:
        """What happens to processes."""
        chance, world = self.chance, self.world
        up = [node for node in world.nodes if node.up and node.running]
        match chance.choice(["kill", "doom", "stop", "start", *["nothing"] * 8]):
            case "kill" if up:
                chance.choice(up).process.kill()
            case "doom" if up:
                chance.choice(up).mortal.doom = (chance.randrange(12), chance.choice(["before", "after"]))
            case "stop" if up:
                chance.choice(up).process.stop()
            case "start" if len(up) < 3:
                world.start_worker()

    def grow_calm(self) -> None:
        """Nobody doubts anybody any more, and there is a message every day."""
        self.weather.clear()
        self.world.push.manners.clear()
        for _ in range(CALM_DAYS):
            self.world.accept(Target.everyone(), ttl=30)
            self.world.nights(1)
        self.world.finish()

    def judge(self) -> None:
        """Everybody stands where they must."""
        world = self.world
        signing = {public for public, (_, state) in world.spy.sight.keys.items() if state in ("active", "retiring")}
        said = {(posted.name, posted.kind) for posted in world.push.record if posted.heard_at is not None}
        for name in world.rows:
            state = world.state_of(name)
            if state == "gone" or (name in self.left and name not in self.successors):
                continue  # the laws have watched why it went
            if name in self.successors:
                assert state in ("superseded", "unsubscribed"), f"{name} was replaced, and is {state}"
            elif world.push.keys[name] not in signing:
                assert state == "needs_renewal", f"{name} was made with a key that we have not, and is {state}"
            elif (name, "accept") in said and state != "needs_renewal":
                assert state == "active", f"{name} lives, and is {state}"
                assert world.believed(name), f"{name} is believed to be of another key than it is taken with"
            else:
                # A key that was given up for it before the right one was tried: its browser has to come.
                assert state == "needs_renewal", f"{name} was never reached, and is {state}"


def live_through(seed: int, directory: Path, template: Path) -> Counter[str]:
    """One history; how often which move was made."""
    chance = random.Random(seed)
    try:
        with simulated(chance.randrange(2**32), directory, template) as world:
            weeks = Weeks(world, chance)
            weeks.begin()
            for _ in range(chance.randint(8, 16)):
                weeks.day()
            weeks.grow_calm()
            weeks.judge()
            return Counter(event for (event,) in world.spy.rows("SELECT event FROM lifecycle"))
    except Exception as error:
        error.add_note(f"PUSHKEEP_SEED={seed} PUSHKEEP_WEEKS=1 repeats this.")
        raise


@pytest.mark.timeout(600)
def test_weeks(template: Path) -> None:
    total: Counter[str] = Counter()
    with small_numbers():
        for seed in range(SEED, SEED + HISTORIES):
            with tempfile.TemporaryDirectory(prefix="pushkeep-weeks-") as directory:
                total += live_through(seed, Path(directory), template)
    if HISTORIES >= 6:
        rare = {"quarantined", "accepted", "failed", "key_refused", "key_found", "said_gone", "replaced"}
        assert rare <= total.keys(), f"these histories are too quiet: {dict(total)}"
