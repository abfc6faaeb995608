"""Whatever happens in whatever order: faults, kills, stalls, takeovers, commands, outages. The laws hold throughout,
and in the end everybody has exactly one final state.

Hypothesis chooses what happens and makes what fails as short as it can; what is left to chance beyond that comes of
one seed of its own, so a history is repeated exactly. A failure prints its steps. To repeat a whole run::

    pytest tests/engine/test_any_history.py --hypothesis-seed=N        # N is printed when something fails
    PUSHKEEP_HISTORIES=2000 pytest tests/engine/test_any_history.py --timeout 0     # a longer run

Hypothesis likes its histories short. Busy ones come of plain seeds, 0 and following, or from PUSHKEEP_SEED on, as many
as PUSHKEEP_BUSY_HISTORIES says.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.errors import Conflict, Unavailable
from tests.engine.push_services import KNOWN, STRANGERS, Manner
from tests.engine.virtual_time import EPOCH
from tests.engine.world import Died, Node, World, simulated, small_numbers, template_database

SEEDS = range(int(os.environ.get("PUSHKEEP_SEED", "0")), 1000)
BUSY_HISTORIES = int(os.environ.get("PUSHKEEP_BUSY_HISTORIES", "12"))
HISTORIES = int(os.environ.get("PUSHKEEP_HISTORIES", "40"))
STEPS = 25
PROCESSES_MAX = 4
SUBSCRIPTIONS_MAX = 30

ORIGINS = (*KNOWN, *STRANGERS[:2])
OWNERS = (None, "ann", "bob", "eve")
TAGS = ("news", "sport")
whole = st.integers(0, 10_000)
"""Chooses one of whatever there is."""


class History(RuleBasedStateMachine):
    """One installation and everything that can happen to it."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count()
        self._asked = 0
        self._sound = True

    @initialize(
        seed=st.integers(0, 2**32 - 1),
        browsers=st.integers(1, 20),
        workers=st.integers(1, 2),
        web=st.booleans(),
        then=st.sampled_from([0.0, 0.02, 0.05, 0.3, 1.2]),
    )
    def begin(self, seed: int, browsers: int, workers: int, web: bool, then: float) -> None:
        directory = Path(tempfile.mkdtemp(prefix="pushkeep-history-"))
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        self.world: World = self._stack.enter_context(simulated(seed, directory, self.template))
        for number in range(browsers):
            self.subscribe(number, number)
        for contact in ("ann", "bob"):
            self.world.tag(contact, TAGS[:1])
        for _ in range(workers):
            self.world.start_worker()
        if web:
            self.world.start_worker(web=True)
        self.world.accept(Target.everyone(), ttl=300)
        self.world.advance(then)

    # --- who is told ----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.world.rows) < SUBSCRIPTIONS_MAX)
    @rule(origin=whole, owner=whole)
    def subscribe(self, origin: int, owner: int) -> None:
        name = f"b{next(self._numbers)}"
        self.world.subscribe(name, ORIGINS[origin % len(ORIGINS)], owner=OWNERS[owner % len(OWNERS)])

    @rule(which=whole)
    def unsubscribe(self, which: int) -> None:
        self.world.unsubscribe(self._name(which))

    @precondition(lambda self: len(self.world.rows) < SUBSCRIPTIONS_MAX)
    @rule(which=whole, origin=whole)
    def replace(self, which: int, origin: int) -> None:
        old = self._name(which)
        self.world.subscribe(f"b{next(self._numbers)}", ORIGINS[origin % len(ORIGINS)], replaces=old)

    @rule(which=whole, owner=whole)
    def change_owner(self, which: int, owner: int) -> None:
        name = self._name(which)
        if self.world.active(name):
            self.world.subscribe(name, self.world.origin(name), owner=OWNERS[1:][owner % 3])

    @rule(contact=st.sampled_from(OWNERS[1:]), tags=st.sets(st.sampled_from(TAGS)))
    def tag(self, contact: str, tags: set[str]) -> None:
        self.world.tag(contact, sorted(tags))

    # --- what they are told ---------------------------------------------------------------------------------------

    @rule(
        whom=st.one_of(
            st.just("all"),
            st.sampled_from(TAGS[:1]),
            st.lists(st.sampled_from(OWNERS[1:]), min_size=1, max_size=3, unique=True),
            st.lists(whole, min_size=1, max_size=6),
        ),
        by=whole,
        priority=st.sampled_from(["normal", "transactional", "bulk"]),
        ttl=st.sampled_from([60, 0, 5, 300, 900]),
        wait=st.sampled_from([None, 0.4, 7.0, 45.0]),
        deadline=st.sampled_from([None, 2.0, 20.0, 200.0]),
        then=st.sampled_from([0.0, 0.004, 0.03, 0.3, 1.2]),
    )
    def accept(
        self, whom: object, by: int, priority: str, ttl: int, wait: float | None, deadline: float | None, then: float
    ) -> None:
        now = EPOCH + self.world.loop.time()
        send_at = None if wait is None else now + wait
        given = {
            "priority": priority,
            "ttl": ttl,
            "send_at": send_at,
            "deadline": None if deadline is None else (send_at or now) + deadline,
            "idempotency_key": f"key{next(self._numbers)}",
        }
        target = self._target(whom)
        node = self._up(by) if by % 3 else None
        try:
            self.world.accept(target, by=node, **given)
        except (Died, Unavailable):
            # Whoever asked does what one does: asks again with the same key, elsewhere.
            self.world.accept(target, **given)
        self._asked += 1
        self.world.advance(then)

    def _target(self, whom: object) -> Target:
        if whom == "all":
            return Target.everyone()
        if isinstance(whom, str):
            return Target.to_tag(whom)
        assert isinstance(whom, list)
        if isinstance(whom[0], str):
            return Target.to_contacts(whom)
        ids = [self.world.registered[self._name(which)].public_id for which in whom]
        return Target("subscriptions", subscriptions=tuple(dict.fromkeys(AnyId.parse(id) for id in ids)))

    @rule(which=whole, command=st.sampled_from(["pause", "resume", "cancel", "retry_failed"]))
    def command(self, which: int, command: str) -> None:
        if self.world.told:
            told = self.world.told[which % len(self.world.told)]
            with contextlib.suppress(Conflict):  # it has ended, or has not
                getattr(self.world, command)(told.public_id)

    # --- time, push services, processes, the database -------------------------------------------------------------

    @rule(seconds=st.floats(0.001, 3.0))
    def advance_a_little(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from([1.0, 4.0, 12.0, 35.0, 65.0]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(
        origin=whole,
        kind=st.sampled_from(["throttle", "fail", "hang", "reset", "lose", "refuse_token", "refuse", "accept", "gone"]),
        share=st.sampled_from([1.0, 0.3]),
        retry_after=st.sampled_from([None, 3, 20, 100]),
        slow=st.booleans(),
    )
    def manner(self, origin: int, kind: str, share: float, retry_after: int | None, slow: bool) -> None:
        seconds = (0.5, 4.0) if slow else (0.02, 0.08)
        where = ORIGINS[origin % len(ORIGINS)]
        self.world.push.manners[where] = Manner(kind, share, retry_after, seconds)

    @rule()
    def calm(self) -> None:
        self.world.push.manners.clear()

    @rule(which=whole)
    def end_at_push_service(self, which: int) -> None:
        self.world.push.ended.add(self._name(which))

    @rule(which=whole)
    def kill(self, which: int) -> None:
        if node := self._up(which):
            node.process.kill()

    @rule(which=whole, questions=st.integers(0, 12), when=st.sampled_from(["before", "after"]))
    def doom(self, which: int, questions: int, when: str) -> None:
        if node := self._up(which):
            node.mortal.doom = (questions, when)

    @rule(which=whole)
    def stop(self, which: int) -> None:
        if node := self._up(which):
            node.process.stop()

    @rule(which=whole)
    def go_on(self, which: int) -> None:
        stopped = [node for node in self.world.nodes if node.process.stopped and node.process.alive]
        if stopped:
            stopped[which % len(stopped)].process.go_on()

    @rule(which=whole)
    def end_orderly(self, which: int) -> None:
        if node := self._up(which):
            node.leave()

    @rule()
    def power_off(self) -> None:
        for node in self.world.nodes:
            node.process.kill()

    @precondition(lambda self: sum(node.running for node in self.world.nodes) < PROCESSES_MAX)
    @rule(web=st.booleans())
    def start(self, web: bool) -> None:
        self.world.start_worker(web=web)

    @rule(down=st.booleans())
    def database(self, down: bool) -> None:
        self.world.database.turn(down=down)

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def lawful(self) -> None:
        if hasattr(self, "world"):
            self._sound = False
            self.world.check()
            self._sound = True

    def teardown(self) -> None:
        try:
            if self._sound and hasattr(self, "world"):
                self.world.finish()
                assert len(self.world.told) >= self._asked
        finally:
            self._stack.close()

    def _name(self, which: int) -> str:
        names = list(self.world.rows)
        return names[which % len(names)]

    def _up(self, which: int) -> Node | None:
        up = [node for node in self.world.nodes if node.up and node.running]
        return up[which % len(up)] if up else None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_numbers():
        yield template_database(tmp_path_factory.mktemp("template"))


@pytest.mark.timeout(600)
def test_any_history(template: Path) -> None:
    History.template = template
    given = settings(
        max_examples=HISTORIES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with small_numbers():
        run_state_machine_as_test(History, settings=given)


WEIGHTS = {
    "advance_a_little": 30,
    "accept": 14,
    "manner": 9,
    "advance": 8,
    "doom": 8,
    "command": 7,
    "start": 7,
    "stop": 6,
    "go_on": 6,
    "kill": 5,
    "subscribe": 3,
    "unsubscribe": 3,
    "replace": 3,
    "change_owner": 3,
    "end_orderly": 3,
    "database": 3,
    "calm": 3,
    "end_at_push_service": 2,
    "tag": 1,
    "power_off": 1,
}
BUSY_STEPS = 60


def _drawn(chance: random.Random, name: str) -> dict[str, object]:
    """Arguments of a step."""
    which = chance.randrange(10_000)
    match name:
        case "advance_a_little":
            return {"seconds": chance.choice([0.001, 0.01, 0.05, 0.2, 0.7, 1.0, 1.5, 3.0]) * chance.uniform(0.5, 1.5)}
        case "advance":
            return {"seconds": chance.choice([4.0, 12.0, 12.0, 35.0, 65.0])}
        case "accept":
            return {
                "whom": chance.choice(
                    ["all", "all", "news", ["ann", "bob"], ["eve"], [chance.randrange(99) for _ in range(5)], [which]]
                ),
                "by": which,
                "priority": chance.choice(["normal", "transactional", "bulk"]),
                "ttl": chance.choice([60, 0, 5, 300, 900]),
                "wait": chance.choice([None, None, None, 0.4, 7.0]),
                "deadline": chance.choice([None, None, None, 2.0, 20.0]),
                "then": chance.choice([0.0, 0.02, 0.06, 0.5]),
            }
        case "manner":
            return {
                "origin": which,
                "kind": chance.choice(["throttle", "fail", "hang", "reset", "lose", "refuse_token", "gone", "accept"]),
                "share": chance.choice([1.0, 0.3]),
                "retry_after": chance.choice([None, 3, 20, 100]),
                "slow": chance.random() < 0.4,
            }
        case "doom":
            return {"which": which, "questions": chance.randrange(12), "when": chance.choice(["before", "after"])}
        case "command":
            command = chance.choice(["pause", "resume", "resume", "cancel", "retry_failed", "retry_failed"])
            return {"which": which, "command": command}
        case "start":
            return {"web": chance.random() < 0.3}
        case "database":
            return {"down": chance.random() < 0.4}
        case "subscribe" | "change_owner":
            return {"origin" if name == "subscribe" else "which": which, "owner": chance.randrange(99)}
        case "replace":
            return {"which": which, "origin": chance.randrange(99)}
        case "tag":
            return {"contact": chance.choice(OWNERS[1:]), "tags": set(chance.sample(TAGS, chance.randrange(3)))}
        case "calm" | "power_off":
            return {}
    return {"which": which}


def live_through(seed: int) -> World:
    """A long and busy history of one seed; what fails says how it came to it."""
    chance = random.Random(seed)
    history = History()
    steps: list[str] = []
    try:
        try:
            history.begin(chance.randrange(2**32), chance.randint(4, 16), chance.randint(1, 2), seed % 2 == 0, 0.03)
            for _ in range(BUSY_STEPS):
                (name,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
                given = _drawn(chance, name)
                if name == "start" and sum(node.running for node in history.world.nodes) >= PROCESSES_MAX:
                    continue
                if name in ("subscribe", "replace") and len(history.world.rows) >= SUBSCRIPTIONS_MAX:
                    continue
                steps.append(f"{history.world.loop.time():9.3f}  {name}({given})")
                getattr(history, name)(**given)
                history.lawful()
        except BaseException:
            history._sound = False
            raise
        finally:
            history.teardown()
    except Exception as error:
        error.add_note("\n".join([f"PUSHKEEP_SEED={seed} PUSHKEEP_BUSY_HISTORIES=1 repeats this:", *steps]))
        raise
    return history.world


@pytest.mark.timeout(600)
def test_busy_histories(template: Path) -> None:
    History.template = template
    with small_numbers():
        posted = [len(live_through(seed).push.record) for seed in SEEDS[:BUSY_HISTORIES]]
    assert sum(posted) >= 20 * len(posted), "these histories are not busy"
