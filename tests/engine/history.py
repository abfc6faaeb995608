"""One installation and everything that can happen to it, as steps that hypothesis or a seed puts in any order."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pushkeep.app.worker import WorkerLimits
from pushkeep.domain.consent import Basis
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.pacing import LaneLimits
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports.secrets import SecretKind
from tests.engine.push_services import FOREIGN, KNOWN, STRANGERS, Manner
from tests.engine.restoring import Copy
from tests.engine.virtual_time import EPOCH
from tests.engine.world import Died, Node, World, simulated

PROCESSES_MAX = 4
KEYS_MAX = 4
SUBSCRIPTIONS_MAX = 30

ORIGINS = (*KNOWN, *STRANGERS[:2])
MANNERS = ("throttle", "fail", "hang", "reset", "lose", "refuse_token", "refuse", "accept", "gone", "doubt")
OWNERS = (None, "ann", "bob", "eve")
TAGS = ("news", "sport")
PURPOSES = {"news": Basis.CONSENT, "orders": Basis.CONTRACT}
NARROW = WorkerLimits(lanes=LaneLimits(window_start=1, window_max=2, stranger_in_flight_max=1))
"""Every second process has so little room that what it has loaded grows stale while it waits."""

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
        self._copy: Copy | None = None

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
        for purpose, basis in PURPOSES.items():
            self.world.declare(purpose, basis)
        for number in range(browsers):
            self.subscribe(number, number)
            if number % 3:
                self.world.say("news", True, name=f"b{number}")
        for contact in ("ann", "bob", "nobody who is ever erased"):
            self.world.tag(contact, TAGS[:1])
        for _ in range(workers):
            self.start(False)
        if web:
            self.start(True)
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
    @rule(origin=whole, known=st.booleans())
    def misbelieve(self, origin: int, known: bool) -> None:
        """A browser whose subscription was made with another key than is said, one of ours or none."""
        others = [public for public, (_, state) in self.world.spy.sight.keys.items() if state == "retiring"]
        made_with = others[-1] if known and others else FOREIGN
        name = f"b{next(self._numbers)}"
        self.world.subscribe(name, ORIGINS[origin % len(ORIGINS)], made_with=made_with)

    @precondition(lambda self: len(self.world.spy.sight.keys) < KEYS_MAX)
    @rule()
    def rotate(self) -> None:
        self.world.rotate()

    @rule()
    def retire(self) -> None:
        self.world.retire()

    @precondition(lambda self: len(self.world.rows) < SUBSCRIPTIONS_MAX)
    @rule(which=whole, origin=whole)
    def replace(self, which: int, origin: int) -> None:
        old = self._name(which)
        self.world.subscribe(f"b{next(self._numbers)}", ORIGINS[origin % len(ORIGINS)], replaces=old)

    @rule(which=whole, owner=whole)
    def change_owner(self, which: int, owner: int) -> None:
        name = self._name(which)
        if self.world.living(name) and self.world.believed(name):
            self.world.subscribe(name, self.world.origin(name), owner=OWNERS[1:][owner % 3])

    @rule(contact=st.sampled_from(OWNERS[1:]), tags=st.sets(st.sampled_from(TAGS)))
    def tag(self, contact: str, tags: set[str]) -> None:
        self.world.tag(contact, sorted(tags))

    @rule(which=whole, purpose=whole, given=st.booleans(), as_contact=st.booleans())
    def say(self, which: int, purpose: int, given: bool, as_contact: bool) -> None:
        """Somebody agrees to a purpose, or withdraws: in a browser, also an ended one, or as a contact."""
        about = list(PURPOSES)[purpose % len(PURPOSES)]
        if as_contact:
            self.world.say(about, given, contact=OWNERS[1:][which % 3])
        else:
            self.world.say(about, given, name=self._name(which))

    @rule()
    def seal(self) -> None:
        self.world.seal()

    @rule(contact=st.sampled_from(OWNERS[1:]), by=whole)
    def erase(self, contact: str, by: int) -> None:
        with contextlib.suppress(Died, Unavailable):  # a start finishes it
            self.world.erase(contact, by=self._up(by) if by % 3 else None)

    @rule()
    def replay(self) -> None:
        self.world.replay()

    @rule()
    def back_up(self) -> None:
        self._copy = self.world.back_up()

    @rule()
    def restore(self) -> None:
        """A copy of before, if there is one, is put back."""
        if self._copy is not None:
            self.world.restore(self._copy)
            self._asked = len(self.world.told)

    # --- keys that things are sealed with -------------------------------------------------------------------------

    @rule(kind=st.sampled_from([SecretKind.DATA, SecretKind.LOOKUP]))
    def rotate_secret(self, kind: SecretKind) -> None:
        with contextlib.suppress(Conflict):  # one is still on its way out
            self.world.rotate_secret(kind)

    @rule(pages=st.integers(1, 12), by=whole)
    def remake(self, pages: int, by: int) -> None:
        with contextlib.suppress(Died, Unavailable):  # whoever comes next goes on with it
            self.world.remake(pages, by=self._up(by) if by % 3 else None)

    @rule()
    def forget_tombstones(self) -> None:
        self.world.forget_tombstones()

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
        purpose=st.sampled_from([None, "news", "news", "orders"]),
        then=st.sampled_from([0.0, 0.004, 0.03, 0.3, 1.2]),
    )
    def accept(
        self,
        whom: object,
        by: int,
        priority: str,
        ttl: int,
        wait: float | None,
        deadline: float | None,
        purpose: str | None,
        then: float,
    ) -> None:
        now = EPOCH + self.world.loop.time()
        send_at = None if wait is None else now + wait
        given = {
            "priority": priority,
            "ttl": ttl,
            "send_at": send_at,
            "deadline": None if deadline is None else (send_at or now) + deadline,
            "purpose": purpose,
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

    @rule(days=st.sampled_from([1, 1, 3, 7]))
    def nights(self, days: int) -> None:
        self.world.nights(days)

    @rule(
        origin=whole,
        kind=st.sampled_from(
            ["throttle", "fail", "hang", "reset", "lose", "refuse_token", "refuse", "accept", "gone", "doubt"]
        ),
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
        narrow = len(self.world.nodes) % 2 == 0
        self.world.start_worker(web=web, limits=NARROW if narrow else WorkerLimits())

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
                self.world.replay()
                self.world.finish()
                self.world.remake_all()
                self.world.check()
                assert len(self.world.told) >= self._asked
        finally:
            self._stack.close()

    def _name(self, which: int) -> str:
        names = [name for name in self.world.rows if self.world.known(name)]
        if not names:
            self.subscribe(which, 0)
            names = list(self.world.rows)[-1:]
        return names[which % len(names)]

    def _up(self, which: int) -> Node | None:
        up = [node for node in self.world.nodes if node.up and node.running]
        return up[which % len(up)] if up else None
