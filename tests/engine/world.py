"""A whole installation in virtual time: processes with workers on one database, push services, and laws that watch.

Whoever drives it does so from outside, by plain calls that return when the matter is settled::

    with simulated(seed=7, directory=tmp_path) as world:
        world.subscribe("ann-phone", FCM, owner="ann")
        node = world.start_worker()
        sent = world.accept(Target.everyone())
        world.advance(5)
        node.process.kill()
        world.finish()
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.app.accept import Asked, accept
from pushkeep.app.context import Services
from pushkeep.app.control import cancel, pause, resume, retry_failed
from pushkeep.app.erase import erase_contact, replay_erasures
from pushkeep.app.projects import current_signing_key, ensure_default_project
from pushkeep.app.rotate import prepare_key, retire_key, rotate_keys
from pushkeep.app.subscribe import Registered, RegistrationRequest, register
from pushkeep.app.visitor import unregister
from pushkeep.domain.consent import Basis, ConsentWord, Method
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Priority
from pushkeep.errors import Conflict
from pushkeep.ports.consents import Speaker
from pushkeep.ports.notifications import Accepted
from pushkeep.ports.secrets import SecretKind
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.token_cache import TokenCache
from tests.engine.laws import Laws
from tests.engine.life_laws import DAY_SECONDS
from tests.engine.ports import Database, Erasures, MortalStore, PooledEntropy, VirtualWakeups
from tests.engine.push_services import STRANGERS, PlayedTransport, PushServices, subscription_at
from tests.engine.restoring import Copy, back_up, restore
from tests.engine.spy import Spy
from tests.engine.virtual_time import Process, VirtualClock, VirtualLoop, VirtualSleeper
from tests.redaction.child.watched_secrets import PAYLOAD_MARK
from tests.store.doubles import MASTER_KEY

T = TypeVar("T")

CONTENT = Content.of(title="News", body=f"Something happened: {PAYLOAD_MARK}.")
SMALL_NUMBERS = {
    "SMALL_RECIPIENTS_MAX": 10,
    "SUB_BATCH_MEMBERS_MAX": 6,
    "PLAN_PAGE_MEMBERS": 7,
    "SHARD_MEMBERS_MAX": 4,
}

REMADE_ROWS = 5
"""A page of a key's rotation, so that many fall into one."""

END_SECONDS = 3600.0
"""How far time is advanced at most, step by step, for everything to end."""


@dataclass
class Node:
    """A process with its own connections, knowledge and worker.

    Attributes:
        process: as the operating system sees it.
        store: its store, before it is made mortal.
        mortal: as the process reaches it.
        services: its ports.
        worker: running.
        everything: whether it takes every kind of work.
        leaving: whether its worker was told to end.
        ended: whether it has done so.
    """

    process: Process
    store: SqliteStore
    mortal: MortalStore
    services: Services
    worker: Any
    everything: bool
    leaving: bool = False
    ended: bool = False

    def leave(self) -> None:
        """Tell it to stop in order, as by SIGTERM."""
        self.leaving = True
        self.worker.stop()

    @property
    def running(self) -> bool:
        """Whether its worker has not ended in order."""
        return self.process.alive and not self.ended

    @property
    def up(self) -> bool:
        return self.process.alive and not self.process.stopped


@dataclass
class Told:
    """A notification that was accepted, as whoever asked for it remembers it.

    Attributes:
        public_id: as it was answered.
        asked: the request.
        at: when the answer came.
    """

    public_id: str
    asked: Asked
    at: float


@dataclass
class World:
    """See the module."""

    loop: VirtualLoop
    path: Path
    chance: random.Random
    push: PushServices
    database: Database
    office: Services
    project: Project
    key: str
    spy: Spy
    laws: Laws
    rows: dict[str, int]
    owners: dict[Process, str]
    erasures: Erasures
    nodes: list[Node] = field(default_factory=list)
    registered: dict[str, Registered] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    erased: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    # --- processes ------------------------------------------------------------------------------------------------

    def start_worker(self, kind: Any = None, *, web: bool = False, **given: Any) -> Node:
        """Start a process: a worker that runs everything, or a web process that runs what it accepts itself."""
        number = len(self.nodes)
        process = Process(f"{'web' if web else 'worker'}{number}", self.loop)
        clock = VirtualClock(self.loop)
        entropy = PooledEntropy(random.Random(self.chance.random()))
        store = open_store_inline(self.path, MASTER_KEY, clock=clock, entropy=entropy)
        watch(store, self.spy, self.database, process)
        mortal = MortalStore(store, process, self.database)
        wakeups = VirtualWakeups(self.database, process)
        store.writer.listeners.add(wakeups.own)
        services = Services(
            mortal,  # type: ignore[arg-type]  # it answers for the store it has
            PlayedTransport(self.push, process),
            clock,
            entropy,
            VirtualSleeper(),
            TokenCache(),
            self.office.policy,
            erasures=self.erasures,
        )
        if kind is None:
            from pushkeep.app.worker import Worker as kind

        if web:
            given = {"kind": "web", "priorities": frozenset({Priority.TRANSACTIONAL}), "plans": False, **given}
        worker = kind(services, owner=process.name, wakeups=wakeups, **given)
        self.owners[process] = process.name
        node = Node(process, store, mortal, services, worker, not web)
        self.nodes.append(node)
        process.spawn(worker.run()).add_done_callback(lambda task: self._ended(node, task))
        return node

    def _ended(self, node: Node, task: asyncio.Task[None]) -> None:
        """A worker's task ends by being told to, and by nothing else."""
        node.ended = True
        if not task.cancelled() and task.exception() is not None:
            self.loop.errors.append({"message": "a worker has ended", "exception": task.exception()})

    # --- subscriptions --------------------------------------------------------------------------------------------

    def subscribe(
        self,
        name: str,
        origin: str,
        *,
        owner: str | None = None,
        replaces: str | None = None,
        made_with: bytes | None = None,
    ) -> None:
        """Register a browser, or change its owner.

        Args:
            name: of its endpoint.
            origin: where that is.
            owner: whose it is.
            replaces: the name of an endpoint of the same browser.
            made_with: the public half of the key it was really made with, if that is not the one we are told.
        """
        told = public_b64(self.push.keys[name]) if name in self.push.keys else self.key
        self.push.keys.setdefault(name, made_with or b64_decode(self.key, field="key"))
        token = (self.registered[replaces].sync_token,) if replaces else ()
        registered = self.run(
            register(
                self.office,
                self.project,
                RegistrationRequest(
                    subscription=subscription_at(origin, name),
                    application_server_key=told,
                    replaces=token,
                    owner=owner,
                    by=By.OPERATOR,
                ),
            )
        )
        self.registered[name] = registered
        ((row,),) = self.spy.rows("SELECT id FROM subscriptions WHERE short_id = ?", registered.short_id)
        self.rows[name] = row
        self.spy.look(None)

    def rotate(self) -> None:
        """Bring another signing key into use; the one before retires."""
        entropy = PooledEntropy(random.Random(self.chance.random()))
        self.run(prepare_key(self.office, self.project, SigningKey(entropy.signing_key())))
        self.run(rotate_keys(self.office, self.project))
        self.key = self.run(current_signing_key(self.office, self.project)).public_b64
        self.spy.look(None)

    def retire(self) -> None:
        """Put the oldest retiring key out of use, and give up who is bound to it."""
        retiring = sorted((id, public) for public, (id, state) in self.spy.sight.keys.items() if state == "retiring")
        if retiring:
            _, public = retiring[0]
            self.run(retire_key(self.office, self.project, public_b64(public), force=True))
            self.spy.look(None)

    def believed(self, name: str) -> bool:
        """Whether a subscription was made with the signing key that we think."""
        keys = {id: public for public, (id, _) in self.spy.sight.keys.items()}
        return keys[self.spy.sight.subscriptions[self.rows[name]].signing_key_id] == self.push.keys[name]

    def public_id(self, name: str) -> str:
        """Of a subscription."""
        ((text,),) = self.spy.rows("SELECT public_id FROM subscriptions WHERE id = ?", self.rows[name])
        return str(UUID(text))

    def state_of(self, name: str) -> str:
        """Where a subscription stands."""
        return self.spy.sight.subscriptions[self.rows[name]].state

    def known(self, name: str) -> bool:
        """Whether there is a row of a subscription: it was not erased."""
        return self.rows[name] in self.spy.sight.subscriptions

    def living(self, name: str) -> bool:
        """Whether a subscription has not ended."""
        return self.known(name) and self.spy.sight.subscriptions[self.rows[name]].ended_at is None

    def origin(self, name: str) -> str:
        """Where a subscription's endpoint is."""
        ((origin,),) = self.spy.rows("SELECT origin FROM subscriptions WHERE id = ?", self.rows[name])
        return str(origin)

    def unsubscribe(self, name: str) -> None:
        self.run(unregister(self.office, self.project, self.registered[name].sync_token))
        self.spy.look(None)

    def tag(self, contact: str, tags: Sequence[str]) -> None:
        self.run(self.office.store.put_contact(self.project, contact, tags))
        self.spy.look(None)

    # --- consent and privacy --------------------------------------------------------------------------------------

    def declare(self, purpose: str, basis: Basis) -> None:
        """Declare what is sent for."""
        now = self.office.clock.now()
        self.run(self.office.store.put_purpose(self.project, purpose, description="", basis=basis, now=now))
        self.spy.look(None)

    def say(self, purpose: str, given: bool, *, name: str = "", contact: str = "") -> None:
        """A browser, by the name of its endpoint, or a contact agrees or withdraws."""
        speaker = Speaker(subscription=AnyId.parse(self.public_id(name))) if name else Speaker(contact=contact)
        words = [ConsentWord(purpose, given, Method.API)]
        now = self.office.clock.now()
        self.run(self.office.store.say(self.project, speaker, words, sequence=None, now=now))
        self.spy.look(None)

    def seal(self) -> None:
        """Seal the consent records that wait."""
        self.run(self.office.store.seal_consents(self.project, now=self.office.clock.now()))
        self.spy.look(None)

    def erase(self, contact: str, *, by: Node | None = None) -> None:
        """Erase a contact, in the office or in a process, which may die over it: then it is done at the next start.

        Raises:
            Died: the process died.
            Unavailable: the database cannot be used.
        """
        for (id,) in self.spy.rows("SELECT id FROM contacts WHERE external_id = ?", contact):
            self.laws.erasing.add(id)
        self.erased[contact] = self.office.clock.now()
        services = by.services if by else self.office
        work = erase_contact(services, self.project, contact)
        if by is None:
            self.run(work)
        else:
            self.run_in(by, work)
        self.spy.look(None)

    def back_up(self) -> Copy:
        """Copy the database."""
        return back_up(self)

    def restore(self, copy: Copy) -> None:
        """Put a copy back; everybody who worked is killed."""
        restore(self, copy)

    def replay(self) -> None:
        """What a start does with the list of who was erased."""
        self.run(replay_erasures(self.office, self.project))
        self.spy.look(None)

    # --- keys that things are sealed with -------------------------------------------------------------------------

    def rotate_secret(self, kind: SecretKind) -> None:
        """Bring another data or lookup key into use.

        Raises:
            Conflict: one of that kind is still on its way out.
        """
        self.run(self.office.store.rotate_secret(kind, now=self.office.clock.now()))
        self.spy.look(None)

    def remake(self, pages: int, *, by: Node | None = None) -> None:
        """Make some pages of rows anew, which the key on its way out has made, in the office or in a process.

        Raises:
            Died: the process died.
            Unavailable: the database cannot be used.
        """
        for _ in range(pages):
            if by is None:
                self.run(self.office.store.remake_page(limit=REMADE_ROWS))
            else:
                self.run_in(by, by.services.store.remake_page(limit=REMADE_ROWS))
        self.spy.look(None)

    def remake_all(self) -> None:
        """Make everything anew, until no key is on its way out."""
        for _ in range(1000):
            page = self.run(self.office.store.remake_page(limit=REMADE_ROWS))
            if page.kind is None:
                break
            if page.left:
                self.forget_tombstones()
        self.spy.look(None)
        assert not self.run(self.office.store.secrets_status()).retiring

    def forget_tombstones(self) -> None:
        """Let nobody find those who have ended by a hash of the key on its way out."""
        self.run(self.office.store.forget_tombstones(after=0, limit=1000))
        self.spy.look(None)

    # --- notifications --------------------------------------------------------------------------------------------

    def accept(self, target: Target, *, by: Node | None = None, **asked: Any) -> str:
        """Accept a notification, in the office or in a process and by its worker; its public id.

        Raises:
            PushkeepError: it was not accepted.
            Died: the process that was asked has died, and whether it was accepted is not known.
        """
        options = PushOptions.of(ttl=asked.pop("ttl", 60), topic=asked.pop("topic", None))
        request = Asked.of(target, asked.pop("content", CONTENT), options, **asked)
        return self._told(by, request, lambda services, worker: accept(services, self.project, request, worker=worker))

    def retry_failed(self, public_id: str, *, by: Node | None = None) -> str:
        """Repeat a notification for who missed it; the new one's public id."""
        asked = next(told.asked for told in self.told if told.public_id == public_id)
        return self._told(
            by, asked, lambda services, worker: retry_failed(services, self.project, public_id, worker=worker)
        )

    def _told(self, by: Node | None, asked: Asked, work: Callable[[Services, Any], Awaitable[Accepted]]) -> str:
        if by is None:
            accepted = self.run(_awaited(work(self.office, None)))
        else:
            accepted = self.run_in(by, _awaited(work(by.services, by.worker)))
        self.spy.look(None)
        public_id = accepted.record.public_id
        self.told.append(Told(public_id, asked, self.loop.time()))
        return public_id

    def pause(self, public_id: str) -> None:
        self.run(pause(self.office, self.project, public_id))
        self.spy.look(None)

    def resume(self, public_id: str) -> None:
        self.run(resume(self.office, self.project, public_id))
        self.spy.look(None)

    def cancel(self, public_id: str) -> None:
        self.run(cancel(self.office, self.project, public_id))
        self.spy.look(None)

    def state(self, public_id: str) -> str:
        return next(row.state for row in self.spy.sight.notifications.values() if row.public_id == public_id)

    def counts(self, public_id: str) -> dict[str, int]:
        """What became of its recipients, from the database, zeros left out."""
        id = next(row.id for row in self.spy.sight.notifications.values() if row.public_id == public_id)
        total: dict[str, int] = {}
        for row in self.spy.sight.shards.values():
            if row.notification_id == id:
                for kind, count in row.counts.items():
                    if count and kind != "moved":
                        total[kind.value] = total.get(kind.value, 0) + count
        return total

    # --- time -----------------------------------------------------------------------------------------------------

    def run(self, work: Awaitable[T]) -> T:
        """Do something from outside any process."""
        return self.loop.run(_awaited(work))

    def run_in(self, node: Node, work: Awaitable[T]) -> T:
        """Do something in a process, and wait until it is done.

        Raises:
            Died: it died, or stands still for longer than anybody waits.
        """
        task = node.process.spawn(_awaited(work))
        for _ in range(1000):
            if task.done():
                return task.result()
            if not node.process.alive:
                break
            self.loop.advance(0.01)
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        raise Died(node.process.name)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.advance(seconds)

    def check(self) -> None:
        """Raise what was broken so far."""
        assert not self.laws.broken, "\n".join(self.laws.broken[:10])
        for context in self.loop.errors:
            raise AssertionError(context["message"]) from context.get("exception")

    def settle(self, kind: Any = None) -> None:
        """Mend what is ours, let one worker run, and let time pass until every notification has ended."""
        self.database.turn(down=False)
        for node in self.nodes:
            node.process.go_on()
            node.mortal.doom = None
        if not any(node.running and node.everything and not node.leaving for node in self.nodes):
            self.start_worker(kind)
        for row in list(self.spy.sight.notifications.values()):
            if row.paused_at is not None and row.state in ("planning", "sending"):
                with contextlib.suppress(Conflict):  # its deadline has just come
                    self.resume(row.public_id)
        until = self.loop.time() + END_SECONDS
        while self.loop.time() < until and self.unfinished():
            self.advance(1.0)
        self.check()

    def nights(self, count: int) -> None:
        """Let everything end, and then so many days pass in which nothing is sent."""
        self.settle()
        self.loop.leap(count * DAY_SECONDS)
        self.advance(1.0)

    def finish(self, kind: Any = None) -> None:
        """Mend everything, push services too, and settle; then look at the end."""
        self.push.manners.clear()
        self.settle(kind)
        if self.push.watchers:
            self.laws.at_end()
        assert not self.unfinished()
        self.check()

    def unfinished(self) -> list[int]:
        """Notifications that have not ended, or whose last messages are not written down."""
        found = self.spy.rows(
            "SELECT id FROM notifications WHERE state IN ('planning', 'sending') "
            "UNION SELECT notification_id FROM shards WHERE state <> 'closed'"
        )
        return [id for (id,) in found]


class Died(Exception):
    """Whoever was asked has died before it answered."""


def public_b64(public: bytes) -> str:
    """The public half of a signing key, as browsers tell it."""
    return b64url_encode(public)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def watch(store: SqliteStore, spy: Spy, database: Database, process: Process | None) -> None:
    """Let the spy look after each commit of a store, before anybody hears of it. The disk is not waited for."""
    with store._writing.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA synchronous = OFF")
    commit = store.writer._commit

    def watched(unit: Any) -> Any:
        result = commit(unit)
        if spy.look(process):
            database.committed(process)
        return result

    store.writer._commit = watched  # type: ignore[union-attr]


@contextlib.contextmanager
def small_numbers() -> Iterator[None]:
    """Pages, shards and small sends of a few, so that some dozen browsers make many of them."""
    store = [module for name, module in sorted(sys.modules.items()) if name.startswith("pushkeep.adapters.store.")]
    with contextlib.ExitStack() as stack:
        for name, number in SMALL_NUMBERS.items():
            places = [module for module in store if hasattr(module, name)]
            assert places, f"nothing of the store knows {name}"
            for module in places:
                stack.enter_context(mock.patch.object(module, name, number))
        yield


def template_database(directory: Path) -> Path:
    """A database with a project in it, to be copied."""
    with simulated(0, directory) as world:
        return world.path


@contextlib.contextmanager
def simulated(seed: int, directory: Path, template: Path | None = None, *, lawful: bool = True) -> Iterator[World]:
    """A world with an office and nobody at work.

    Args:
        seed: everything that is left to chance comes of it.
        directory: for the database.
        template: a database with a project in it, to save the time of making one.
        lawful: whether the laws watch each commit and message; costly where many thousands wait.
    """
    path = directory / "pushkeep.db"
    if template is not None:
        shutil.copyfile(template, path)
    loop, chance = VirtualLoop(), random.Random(seed)
    stores: list[SqliteStore] = []
    try:
        clock, entropy = VirtualClock(loop), PooledEntropy(random.Random(chance.random()))
        push, database = PushServices(loop, random.Random(chance.random())), Database(loop, chance)
        store = open_store_inline(path, MASTER_KEY, clock=clock, entropy=entropy)
        stores.append(store)
        outside = Process("outside", loop)
        office = Services(
            store,
            PlayedTransport(push, outside),
            clock,
            entropy,
            VirtualSleeper(),
            TokenCache(),
            EndpointPolicy(allowed_origins=frozenset(STRANGERS)),
            erasures=(erasures := Erasures(directory / "erasures.jsonl")),
        )
        project = loop.run(
            ensure_default_project(
                office, name="Shop", site_url="https://shop.example.com", contact="mailto:push@example.com"
            )
        )
        key = loop.run(current_signing_key(office, project)).public_b64
        spy, owners, rows = Spy(path), {}, {}
        watch(store, spy, database, None)
        laws = Laws(loop, spy, database, owners, rows)
        if lawful:
            push.watchers.append(laws.posted)
        else:
            spy.watchers.clear()
        world = World(loop, path, chance, push, database, office, project, key, spy, laws, rows, owners, erasures)
        spy.look(None)
        try:
            yield world
        finally:
            stores += [node.store for node in world.nodes]
            spy.close()
    finally:
        try:
            loop.bury()
            for each in stores:
                loop.run(each.aclose())
        finally:
            loop.close()
