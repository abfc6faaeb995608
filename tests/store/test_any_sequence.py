"""Whatever happens in whatever order: what is stored stays consistent, nothing is taken from anybody, and the log of
each life, read from its beginning, says how the row came to stand where it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from pushkeep.adapters.store import (
    lifecycle_units,
    move_units,
    project_units,
    registration_units,
    result_units,
    subscription_units,
)
from pushkeep.adapters.store.sealing import Vault
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By, LifecycleEntry
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import TRANSITIONS, Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, InvalidToken
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.subscription import Subscription
from tests.store.doubles import vault as sample_vault
from tests.store.samples import NOW, new_project, registration, subscription

BROWSERS = ("b0", "b1", "b2")
OWNERS = ("ann", "bob")
DAY = 86_400


@dataclass(frozen=True)
class Sync:
    browser: str
    auth: bytes = b"a" * 16
    owner: str | None = None
    replaces: tuple[str, ...] = ()
    detach: bool = False
    late: int = 0
    issued: bool = False
    second_key: bool = False
    by: By = By.BROWSER


@dataclass(frozen=True)
class End:
    browser: str
    cause: Event
    late: int = 0


@dataclass(frozen=True)
class Heartbeat:
    browser: str
    late: int


@dataclass(frozen=True)
class Result:
    browser: str
    event: Event
    stale: bool = False
    doubted: bool = False
    probed_again: bool = False


@dataclass(frozen=True)
class Sweep:
    event: Event


Happening = Sync | End | Heartbeat | Result | Sweep
RESULTS = (
    Event.ACCEPTED,
    Event.FAILED,
    Event.QUARANTINED,
    Event.KEY_REFUSED,
    Event.KEY_FOUND,
    Event.SAID_GONE,
)
browsers = st.sampled_from(BROWSERS)
# What is said late has a lower number than what the browser said last.
late = st.sampled_from([0, 0, 0, 0, 0, 1])
seldom = st.sampled_from([False, False, False, False, False, True])
happenings = st.one_of(
    st.builds(
        Sync,
        browsers,
        st.sampled_from([b"a" * 16] * 5 + [b"x" * 16]),
        st.sampled_from((None, None, *OWNERS)),
        st.lists(browsers, max_size=2).map(tuple),
        seldom,
        late,
        seldom.map(lambda old: not old),
        seldom,
        st.sampled_from([By.BROWSER] * 5 + [By.OPERATOR]),
    ),
    st.builds(End, browsers, st.sampled_from([Event.LEFT, Event.LOST, Event.REMOVED, Event.EXPIRED]), late),
    st.builds(Heartbeat, browsers, late),
    st.builds(Result, browsers, st.sampled_from(RESULTS), seldom, st.booleans(), st.booleans()),
    st.builds(Sweep, st.sampled_from([Event.QUARANTINED, Event.RELEASED, Event.KEY_RETIRED, Event.EXPIRED])),
)


@dataclass(frozen=True)
class Told:
    """What a row's log amounts to."""

    state: State
    contact: int | None
    events: tuple[Event, ...]


def replay(entries: list[LifecycleEntry]) -> Told:
    assert entries, "whoever is stored has a beginning"
    assert (entries[0].event, entries[0].before) == (Event.REGISTERED, None)
    state, contact, at = entries[0].after, entries[0].evidence.contact, entries[0].at
    for entry in entries[1:]:
        assert entry.event is not Event.REGISTERED
        assert entry.before is state, "each entry goes on where the last one stopped"
        assert entry.at >= at
        if entry.event in (Event.OWNER_MOVED, Event.OWNER_DETACHED):
            assert entry.evidence.contact_before == contact
            contact = entry.evidence.contact
            assert entry.after is state
        elif entry.event is Event.RENEWED:
            assert entry.after is state
        else:
            assert entry.after is TRANSITIONS[state, entry.event], "every move is in the table"
        state, at = entry.after, entry.at
    return Told(state, contact, tuple(entry.event for entry in entries))


class History:
    """Carries events out on the real tables and checks after each what must hold."""

    def __init__(self, connection: Connection, vault: Vault, project: Project, keys: tuple[int, int]) -> None:
        self.connection, self.vault, self.project = connection, vault, project
        self.keys = keys
        self.now = NOW
        self.confirmed: dict[int, Subscription] = {}
        self.public_ids: dict[str, str] = {}
        self.told: dict[str, Told] = {}

    def records(self) -> dict[str, SubscriptionRecord]:
        page = subscription_units.page(self.connection, self.project, state=None, limit=100, after=0)
        return {record.public_id: record for record in page}

    def apply(self, event: Happening) -> None:
        self.now += DAY / 3
        before = self.records()
        mine = None if isinstance(event, Sweep) else before.get(self.public_ids.get(event.browser, ""))
        if isinstance(event, Sync):
            self.sync(event, before, mine)
        elif isinstance(event, Sweep):
            self.sweep(event, before)
        elif mine is None:
            return
        elif isinstance(event, Result):
            self.result(event, before, mine)
        else:
            self.said(event, before, mine)
        self.check(before)

    def sync(self, event: Sync, before: dict[str, SubscriptionRecord], mine: SubscriptionRecord | None) -> None:
        given_ = subscription(event.browser, auth=event.auth)
        named = tuple(self.public_ids[browser] for browser in event.replaces if browser in self.public_ids)
        asked = registration(
            given_,
            self.keys[event.second_key],
            owner=None if event.detach else event.owner,
            replaces=named,
            now=self.now,
            sequence=self._sequence(event.late),
            detach=event.detach,
            identity_issued_at=self.now - (1 if event.issued else 2 * DAY),
            by=event.by,
        )
        try:
            stored = self._attempt(
                lambda: registration_units.register(self.connection, self.vault, self.project, asked), before
            )
        except (Conflict, InvalidToken) as refusal:
            reason = refusal.reason
            assert reason in ("other_secrets", "stale", "replaced"), reason
            return
        record = stored.record
        self.public_ids[event.browser] = record.public_id
        if record.state is State.GONE:
            assert self.records() == before, "what is gone is left alone"
            return
        assert record.living
        successor = self.end_of_chain(before, record.public_id)
        replaced = successor is not None and successor.living and event.by is By.BROWSER
        assert not replaced or (successor and successor.public_id in named), "one browser is not counted twice"
        assert record.contact_external_id == event.owner or event.owner is None or event.detach
        known = self.confirmed.get(record.id)
        assert known in (None, given_) or record.public_id in named, "secrets change by the row's own token only"
        self.confirmed[record.id] = given_
        for public_id in named:
            old = self.records()[public_id]
            assert not old.living or old.id == record.id, "what is replaced ends with it"

    def said(self, event: End | Heartbeat, before: dict[str, SubscriptionRecord], mine: SubscriptionRecord) -> None:
        sequence = self._sequence(event.late)
        try:
            if isinstance(event, Heartbeat):
                self._attempt(
                    lambda: subscription_units.heartbeat(
                        self.connection, self.project, mine.public_id, sequence, self.now
                    ),
                    before,
                )
            else:
                cause = StateReason(event.cause, self.now)
                after = self._attempt(
                    lambda: subscription_units.end(
                        self.connection, self.vault, self.project, AnyId(mine.public_id, None), cause, sequence
                    ),
                    before,
                )
                assert after is not None
                assert not after.living
        except Conflict as refusal:
            reason = refusal.reason
            assert reason == "stale", reason

    def result(self, event: Result, before: dict[str, SubscriptionRecord], mine: SubscriptionRecord) -> None:
        other = self.keys[1] if mine.signing_key_id == self.keys[0] else self.keys[0]
        update = ResultUpdate(
            mine.id,
            mine.version - event.stale,
            event.event,
            None if event.event in (Event.ACCEPTED, Event.KEY_FOUND) else StateReason(event.event, self.now, "no"),
            suspect_days=mine.suspect_days | {int(self.now // DAY)} if event.doubted else None,
            probe_at=self.now + DAY if event.probed_again else None,
            signing_key_id=other if event.event is Event.KEY_FOUND else None,
        )
        applied = result_units.apply_results(self.connection, self.vault, self.project, [update], now=self.now)
        if event.stale or not mine.living:
            assert applied == frozenset()
            assert self.records() == before, "a late verdict changes nothing"
        elif (mine.state, event.event) in TRANSITIONS:
            assert applied == {mine.id}

    def sweep(self, event: Sweep, before: dict[str, SubscriptionRecord]) -> None:
        reason = StateReason(event.event, self.now)
        ids = [record.id for record in before.values()]
        moved = move_units.move_all(self.connection, self.project.id, ids, event.event, reason, By.SWEEP)
        assert moved == {record.id for record in before.values() if (record.state, event.event) in TRANSITIONS}

    def end_of_chain(self, before: dict[str, SubscriptionRecord], public_id: str) -> SubscriptionRecord | None:
        """What stood in the place of a row before; None for one that stood there itself, or is new."""
        by_id = {record.id: record for record in before.values()}
        last = before.get(public_id)
        while last is not None and last.superseded_by is not None:
            last = by_id[last.superseded_by]
        return None if last is None or last.public_id == public_id else last

    def _sequence(self, late: int) -> int:
        return int(self.now - late * DAY)

    def _attempt(self, unit: Callable[[], Any], before: dict[str, SubscriptionRecord]) -> Any:
        savepoint = self.connection.begin_nested()
        try:
            done = unit()
        except (Conflict, InvalidToken):
            savepoint.rollback()
            assert self.records() == before, "a refusal changes nothing"
            raise
        savepoint.commit()
        return done

    def check(self, before: dict[str, SubscriptionRecord]) -> None:
        records = self.records()
        assert set(before) <= set(records), "rows stay"
        for public_id, record in records.items():
            self.check_row(record)
            told = replay(self.log_of(record))
            assert told.state is record.state, "the log says how it came to this"
            assert told.contact == self.contact_of(record)
            if public_id in before:
                self.check_change(before[public_id], record, told)
            self.told[public_id] = told
        self.check_secrets(records)
        self.check_chains(records)
        self.check_counts()

    def check_row(self, record: SubscriptionRecord) -> None:
        assert record.living == (record.state in (State.ACTIVE, State.FAILING, State.QUARANTINED, State.NEEDS_RENEWAL))
        assert (record.state_reason is None) == (record.state is State.ACTIVE), "it is said why"
        assert record.superseded_by is None or not record.living
        assert (record.state is State.SUPERSEDED) <= (record.superseded_by is not None)
        if record.state is State.ACTIVE:
            clean = (record.consecutive_failures, record.suspect_days, record.probe_at, record.probes)
            assert clean == (0, frozenset(), None, 0)
        assert record.probe_at is None or record.state in (State.QUARANTINED, State.NEEDS_RENEWAL)
        assert record.contact_external_id is None or record.owner_since is not None

    def check_change(self, old: SubscriptionRecord, new: SubscriptionRecord, told: Told) -> None:
        assert (new.id, new.short_id, new.created_at) == (old.id, old.short_id, old.created_at)
        assert new.sync_sequence >= old.sync_sequence
        identity = (new.living, new.keys_hash, new.contact_external_id) != (
            old.living,
            old.keys_hash,
            old.contact_external_id,
        )
        assert new.version > old.version if identity else new.version >= old.version
        written = told.events[len(self.told[new.public_id].events) :]
        assert told.events[: -len(written) or None] == self.told[new.public_id].events, "nothing in the log changes"
        same = (new.state, new.keys_hash, new.contact_external_id) == (
            old.state,
            old.keys_hash,
            old.contact_external_id,
        )
        unlogged = same and (new.signing_key_id == old.signing_key_id or not new.living)
        assert not (unlogged and written), "what only confirms is no entry"
        assert same or written, "every change of state, owner or secrets has its entry"

    def check_secrets(self, records: dict[str, SubscriptionRecord]) -> None:
        living = [record for record in records.values() if record.living]
        for record in living:
            found = subscription_units.find_recipient(
                self.connection, self.vault, self.project, AnyId(record.public_id, None)
            )
            assert found is not None
            assert found.subscription == self.confirmed[record.id]
        kept = self.connection.execute(text("SELECT count(*) FROM subscriptions WHERE sealed IS NOT NULL"))
        assert kept.scalar_one() == len(living), "what has ended is erased"

    def check_chains(self, records: dict[str, SubscriptionRecord]) -> None:
        by_id = {record.id: record for record in records.values()}
        for record in records.values():
            seen = {record.id}
            while record.superseded_by is not None:
                record = by_id[record.superseded_by]
                assert record.id not in seen, "nobody is replaced by what it replaced"
                seen.add(record.id)

    def check_counts(self) -> None:
        rows = self.connection.execute(text("SELECT at, event FROM lifecycle")).all()
        days = lifecycle_units.by_day(self.connection, self.project, first_day=0)
        counted: Counter[tuple[int, str]] = Counter()
        for day in days:
            counted[day.day, day.event.value] += day.count
        assert counted == Counter((int(row.at // DAY), row.event) for row in rows), "every entry is counted once"

    def log_of(self, record: SubscriptionRecord) -> list[LifecycleEntry]:
        found = lifecycle_units.history(self.connection, self.project, record.id, limit=1000)
        return [numbered.entry for numbered in found]

    def contact_of(self, record: SubscriptionRecord) -> int | None:
        row = text("SELECT contact_id FROM subscriptions WHERE id = :id")
        contact: int | None = self.connection.execute(row, {"id": record.id}).scalar_one()
        return contact


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(happenings, max_size=20))
def test_any_sequence(engine: Engine, events: list[Happening]) -> None:
    vault = sample_vault()
    with engine.connect() as connection, connection.begin() as transaction:
        project = project_units.ensure_project(connection, vault, new_project())
        connection.execute(
            text(
                "INSERT INTO signing_keys (project_id, key_id, public_key, private_key, state, created_at) "
                "SELECT project_id, 'second', public_key, private_key, 'retiring', created_at FROM signing_keys"
            )
        )
        first, second = connection.execute(text("SELECT id FROM signing_keys ORDER BY id")).scalars()
        history = History(connection, vault, project, (first, second))
        for event in events:
            history.apply(event)
        transaction.rollback()
