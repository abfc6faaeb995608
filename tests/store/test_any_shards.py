"""Whatever workers, operators and time do to shards in whatever order: the account balances and nobody is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from pushkeep.adapters.store import (
    accept_units,
    checkpoint_units,
    claim_units,
    load_units,
    notification_units,
    plan_units,
    project_units,
    registration_units,
)
from pushkeep.adapters.store.recipient_cache import RecipientCache
from pushkeep.adapters.store.sealing import Vault
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Control, NotificationState
from pushkeep.domain.shard import LEASE_SECONDS, LIVE, Bitmap, Kind, ShardKind, ShardState, unpack_ids
from pushkeep.errors import Conflict
from pushkeep.ports.notifications import Command, Leased
from pushkeep.ports.shards import Checkpoint, Ending, LeaseLost, Move, SettledMember
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import vault as sample_vault
from tests.store.samples import NOW, new_notification, new_project, registration, subscription
from tests.store.shard_contract import BACKLOG_MAX, wanted

BROWSERS = [f"b{number}" for number in range(6)]
HOSTS = ["updates.push.services.mozilla.com", "fcm.googleapis.com", "up.example.net"]
VENDORS = ["mozilla", "fcm", "unknown"]
WORKERS = ("ann", "bob")
TTL_SECONDS = 120


@dataclass(frozen=True)
class Send:
    browsers: tuple[int, ...]
    lease_owner: str | None
    wait: int


@dataclass(frozen=True)
class SendToAll:
    wait: int


@dataclass(frozen=True)
class Claim:
    worker: str
    limit: int


@dataclass(frozen=True)
class Work:
    worker: str
    which: int
    fates: tuple[str, ...]
    ending: Ending
    wait: int


@dataclass(frozen=True)
class Tell:
    which: int
    command: Command


@dataclass(frozen=True)
class Pass:
    seconds: float


@dataclass(frozen=True)
class Rest:
    host: int
    seconds: float


class Sweep:
    def __repr__(self) -> str:
        return "Sweep()"


class Renew:
    def __repr__(self) -> str:
        return "Renew()"


Happening = Send | SendToAll | Claim | Work | Tell | Pass | Rest | Sweep | Renew
workers = st.sampled_from(WORKERS)
works = st.builds(
    Work,
    workers,
    st.integers(0, 3),
    st.lists(st.sampled_from(["accepted", "gone", "moved", "left"]), max_size=6).map(tuple),
    st.sampled_from([Ending.KEEP, Ending.KEEP, Ending.KEEP, Ending.RELEASE, Ending.EXPIRE]),
    st.sampled_from([0, 5, 5, 20]),
)
happenings: st.SearchStrategy[Happening] = st.one_of(
    st.builds(
        Send,
        st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True).map(tuple),
        st.sampled_from((None, None, *WORKERS)),
        st.sampled_from([0, 0, 10]),
    ),
    st.builds(SendToAll, st.sampled_from([0, 10])),
    st.builds(Claim, workers, st.integers(1, 3)),
    st.builds(Claim, workers, st.integers(1, 3)),
    works,
    works,
    st.builds(Tell, st.integers(0, 3), st.sampled_from(list(Command))),
    st.builds(Pass, st.sampled_from([1.0, 5.0, LEASE_SECONDS, float(TTL_SECONDS)])),
    st.builds(Rest, st.integers(0, 2), st.sampled_from([1.0, 10.0])),
    st.builds(Sweep),
    st.builds(Renew),
)


class History:
    """Carries events out on the real tables and checks after each what must hold."""

    def __init__(self, connection: Connection, vault: Vault, project: Project) -> None:
        self.connection, self.vault, self.project = connection, vault, project
        self.now = NOW
        self.cache = RecipientCache()
        self.browsers = [
            registration_units.register(
                connection, vault, project, registration(subscription(name, host=HOSTS[number % 3]), 1)
            ).record
            for number, name in enumerate(BROWSERS)
        ]
        self.ids: list[tuple[int, str]] = []
        self.leases: dict[str, list[Leased]] = {worker: [] for worker in WORKERS}
        self.lent_until: dict[int, float] = {}
        self.epochs: dict[int, int] = {}
        self.settled: Counter[tuple[int, int]] = Counter()
        self.ended_before: dict[int, str] = {}

    def apply(self, event: Happening) -> None:
        self.now += 0.5
        match event:
            case Send():
                target = Target(
                    "subscriptions",
                    subscriptions=tuple(AnyId(self.browsers[at].public_id, None) for at in event.browsers),
                )
                self.send(target, event.lease_owner, event.wait)
            case SendToAll():
                self.send(Target.everyone(), None, event.wait)
            case Claim():
                self.claim(event)
            case Work():
                held = self.leases[event.worker]
                if held:
                    self.work(event, held[event.which % len(held)])
            case Tell() if self.ids:
                self.tell(event)
            case Pass():
                self.now += event.seconds
            case Rest():
                self.connection.execute(
                    text("INSERT OR REPLACE INTO origin_rests VALUES (:origin, :until)"),
                    {"origin": f"https://{HOSTS[event.host]}", "until": self.now + event.seconds},
                )
            case Sweep():
                self.sweep()
            case Renew():
                leases = [leased.shard.lease for held in self.leases.values() for leased in held]
                for shard_id in claim_units.renew(self.connection, leases, self.now + LEASE_SECONDS):
                    self.lent_until[shard_id] = self.now + LEASE_SECONDS
            case _:
                pass
        self.check()

    def send(self, target: Target, lease_owner: str | None, wait: int) -> None:
        asked = new_notification(
            target, accepted_at=self.now, send_at=self.now + wait, deadline=self.now + wait + TTL_SECONDS
        )
        done = accept_units.accept(
            self.connection,
            self.vault,
            self.project,
            asked,
            backlog_max=BACKLOG_MAX,
            lease_owner=lease_owner,
            now=self.now,
            lease_seconds=LEASE_SECONDS,
        )
        self.ids.append((done.record.id, done.record.public_id))
        for leased in done.leased:
            assert lease_owner is not None
            self.leases[lease_owner].append(leased)
            self.lent_until[leased.shard.lease.shard_id] = self.now + LEASE_SECONDS

    def claim(self, event: Claim) -> None:
        asked = wanted(owner=event.worker, limit=event.limit)
        expected = claim_units.has_work(self.connection, asked, self.now)
        claimed = claim_units.claim(self.connection, self.vault, asked, self.now, LEASE_SECONDS)
        assert expected or not claimed
        assert len(claimed) <= event.limit
        for leased in claimed:
            shard_id = leased.shard.lease.shard_id
            assert self.lent_until.get(shard_id, 0) <= self.now, "a shard is lent to one worker at a time"
            epoch = leased.shard.lease.epoch
            assert epoch > self.epochs.get(shard_id, 0), "every claim has a number of its own"
            self.epochs[shard_id] = epoch
            self.lent_until[shard_id] = self.now + LEASE_SECONDS
            self.leases[event.worker].append(leased)

    def work(self, event: Work, leased: Leased) -> None:
        lease = leased.shard.lease
        held = self.connection.execute(
            text("SELECT 1 FROM shards WHERE id = :id AND epoch = :epoch AND state = 'leased'"),
            {"id": lease.shard_id, "epoch": lease.epoch},
        ).one_or_none()
        savepoint = self.connection.begin_nested()
        before = self.everything()
        try:
            if leased.shard.kind is ShardKind.PLAN:
                page = plan_units.plan_page(self.connection, self.vault, lease, self.now, LEASE_SECONDS)
                written = Checkpoint(lease, ending=Ending.EXPIRE if page.complete else Ending.KEEP)
            else:
                written = self.written(event, leased)
                checkpoint_units.checkpoint(self.connection, self.vault, written, self.now, LEASE_SECONDS)
        except LeaseLost:
            savepoint.rollback()
            assert held is None
            assert self.everything() == before, "who lost a lease changes nothing"
            self.leases[event.worker].remove(leased)
            return
        savepoint.commit()
        assert held is not None
        self.lent_until[lease.shard_id] = self.now + LEASE_SECONDS
        for member in written.settled:
            self.settled[leased.job.id, leased.shard.members[member.position]] += 1
            leased.shard.done.set(member.position)
        for move in written.moves:
            leased.shard.done.set(move.position)
        sent = leased.shard.kind is ShardKind.SEND and len(leased.shard.done) == leased.shard.done.count
        if written.ending is not Ending.KEEP or sent:
            self.lent_until.pop(lease.shard_id)
            self.leases[event.worker].remove(leased)

    def written(self, event: Work, leased: Leased) -> Checkpoint:
        """As a worker would: what has no fate is left for later; a cancelled notification is closed."""
        positions = list(leased.shard.done.unset())
        loaded = load_units.load(self.connection, self.vault, self.cache, leased, positions, self.now)
        in_flight = (
            event.which % 2 and event.fates
        )  # when it was cancelled: their answers are written down all the same
        if loaded.control is Control.CANCELLED and not in_flight:
            return Checkpoint(leased.shard.lease, ending=Ending.CANCEL)
        settled, moves = [], []
        for position, fate in zip(positions, event.fates, strict=False):
            if fate == "moved":
                history = (*leased.shard.history, Verdict.THROTTLED)[-2:]
                moves.append(Move(position, float(int(self.now) + event.wait), leased.shard.attempt + 1, history))
            elif fate != "left":
                settled.append(SettledMember(position, Kind(fate), attempts=leased.shard.attempt))
        return Checkpoint(leased.shard.lease, settled, moves, (), event.ending, self.now + event.wait)

    def sweep(self) -> None:
        plan_units.sweep(self.connection, self.now, LEASE_SECONDS)
        lent = self.connection.execute(text("SELECT id FROM shards WHERE state = 'leased'")).scalars().all()
        working = {shard_id for shard_id, until in self.lent_until.items() if until > self.now}
        assert working <= set(lent), "what is lent is left to its worker"

    def tell(self, event: Tell) -> None:
        _, public_id = self.ids[event.which % len(self.ids)]
        try:
            notification_units.control(self.connection, self.project, public_id, event.command, now=self.now)
        except Conflict:
            assert self.ended_before

    def everything(self) -> list[tuple[object, ...]]:
        tables = ("shards", "recipient_outcomes", "notifications", "subscriptions")
        return [tuple(row) for table in tables for row in self.connection.execute(text(f"SELECT * FROM {table}"))]

    def check(self) -> None:
        accounts = notification_units.accounts(self.connection, self.project, [each for each, _ in self.ids])
        for notification_id, public_id in self.ids:
            account = accounts[notification_id]
            assert account.balances, account
            record = notification_units.find(self.connection, self.project, public_id)
            assert record is not None
            places = self.places(notification_id)
            assert set(places.values()) <= {1}, "each recipient is waiting, cut off or settled, and only one of these"
            assert len(places) == account.targeted
            assert account.undone == 0 or record.state is not NotificationState.DONE
            live = self.connection.execute(
                text("SELECT count(*) FROM shards WHERE notification_id = :id AND state <> 'closed'"),
                {"id": notification_id},
            ).scalar_one()
            assert (record.state is NotificationState.DONE) <= (live == 0)
            if record.state is NotificationState.CANCELLED:
                assert self.at_loan(notification_id) == live, "nothing of it waits for a worker"
            if record.state is NotificationState.SENDING:
                assert live > 0, "the last one that closes ends it"
            if notification_id in self.ended_before:
                assert record.state.value == self.ended_before[notification_id], "an end is final"
            elif record.finished_at is not None:
                self.ended_before[notification_id] = record.state.value

    def at_loan(self, notification_id: int) -> int:
        statement = text("SELECT count(*) FROM shards WHERE notification_id = :id AND state = 'leased'")
        return int(self.connection.execute(statement, {"id": notification_id}).scalar_one())

    def places(self, notification_id: int) -> Counter[int]:
        """How often each recipient waits in a live shard, was cut off in a closed one, or was settled."""
        places: Counter[int] = Counter()
        rows = self.connection.execute(
            text("SELECT state, members, count AS members_count, done FROM shards WHERE notification_id = :id"),
            {"id": notification_id},
        )
        for row in rows:
            members = unpack_ids(row.members)
            assert ShardState(row.state) in LIVE or row.state == ShardState.CLOSED.value
            places.update(members[position] for position in Bitmap(row.members_count, row.done).unset())
        kept = self.connection.execute(
            text("SELECT subscription_id, kind FROM recipient_outcomes WHERE notification_id = :id"),
            {"id": notification_id},
        )
        for row in kept:
            places[row.subscription_id] += 1
            if row.kind != Kind.CANCELLED.value:  # a member of a cancelled notification is cut off instead of moved
                assert self.settled[notification_id, row.subscription_id] == 1
        return places


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(happenings, min_size=5, max_size=30))
@example(events=[Tell(0, Command.CANCEL), Work("ann", 1, ("moved", "left"), Ending.KEEP, 5)])
@example(events=[Pass(float(TTL_SECONDS)), Claim("ann", 3), Sweep(), Work("ann", 0, ("left",), Ending.EXPIRE, 0)])
@example(events=[Pass(LEASE_SECONDS), Claim("bob", 3), Work("ann", 0, ("gone",), Ending.KEEP, 0)])
def test_any_sequence(engine: Engine, events: list[Happening]) -> None:
    vault = sample_vault()
    with engine.connect() as connection, connection.begin() as transaction:
        project = project_units.ensure_project(connection, vault, new_project())
        connection.execute(text("UPDATE signing_keys SET id = 1"))
        history = History(connection, vault, project)
        for event in (Send((0, 1, 3), None, 0), Claim("ann", 1), *events):
            history.apply(event)
        transaction.rollback()
