"""Whatever happens in whatever order, what is stored stays consistent and nothing is taken from anybody."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from pushkeep.adapters.store import project_units, result_units, subscription_units
from pushkeep.adapters.store.sealing import Sealer, Vault
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.subscription import Subscription
from tests.store.doubles import MASTER_KEY, SeededEntropy
from tests.store.samples import NOW, new_project, registration, subscription

BROWSERS = ("b0", "b1", "b2", "b3")
OWNERS = ("ann", "bob")


@dataclass(frozen=True)
class Sync:
    browser: str
    auth: bytes
    owner: str | None
    replaces: str | None


@dataclass(frozen=True)
class End:
    browser: str
    cause: Event


@dataclass(frozen=True)
class Result:
    browser: str
    event: Event
    stale: bool


browsers = st.sampled_from(BROWSERS)
happenings = st.one_of(
    st.builds(
        Sync,
        browsers,
        st.sampled_from([b"a" * 16, b"a" * 16, b"x" * 16]),
        st.sampled_from((None, *OWNERS)),
        st.none() | browsers,
    ),
    st.builds(End, browsers, st.sampled_from([Event.LEFT, Event.REMOVED])),
    st.builds(Result, browsers, st.sampled_from([Event.ACCEPTED, Event.FAILED, Event.SAID_GONE]), st.booleans()),
)


class History:
    """Carries events out on the real tables and checks after each what must hold."""

    def __init__(self, connection: Connection, vault: Vault, project: Project, key_id: int) -> None:
        self.connection, self.vault, self.project = connection, vault, project
        self.key_id = key_id
        self.now = NOW
        self.confirmed: dict[str, Subscription] = {}
        self.public_ids: dict[str, str] = {}

    def records(self) -> dict[str, SubscriptionRecord]:
        page = subscription_units.page(self.connection, self.project, state=None, limit=100, after=0)
        return {record.public_id: record for record in page}

    def of(self, browser: str) -> SubscriptionRecord | None:
        return self.records().get(self.public_ids.get(browser, ""))

    def apply(self, event: Sync | End | Result) -> None:
        self.now += 100
        before, mine = self.records(), self.of(event.browser)
        if isinstance(event, Sync):
            self.sync(event, before, mine)
        elif isinstance(event, End) and mine is not None:
            named = AnyId(mine.public_id, None)
            subscription_units.end(self.connection, self.project, named, StateReason(event.cause, self.now))
        elif isinstance(event, Result) and mine is not None:
            self.result(event, before, mine)
        self.check(before)

    def sync(self, event: Sync, before: dict[str, SubscriptionRecord], mine: SubscriptionRecord | None) -> None:
        given_ = subscription(event.browser, auth=event.auth)
        asked = registration(
            given_, self.key_id, owner=event.owner, replaces=self.public_ids.get(event.replaces or ""), now=self.now
        )
        known = self.confirmed.get(event.browser)
        savepoint = self.connection.begin_nested()
        try:
            stored = subscription_units.register(self.connection, self.vault, self.project, asked)
        except Conflict:
            savepoint.rollback()
            assert known is not None
            assert known != given_
            assert event.replaces != event.browser
            assert self.records() == before, "a refusal changes nothing"
            return
        savepoint.commit()
        assert stored.created == (mine is None)
        assert stored.record.state is State.ACTIVE
        assert known in (None, given_) or event.replaces == event.browser, "keys change by the row's own token only"
        assert event.owner in (None, stored.record.contact_external_id)
        if mine is not None and mine.contact_external_id is not None:
            assert stored.record.contact_external_id is not None, "an owner is never stripped"
        self.confirmed[event.browser] = given_
        self.public_ids[event.browser] = stored.record.public_id

    def result(self, event: Result, before: dict[str, SubscriptionRecord], mine: SubscriptionRecord) -> None:
        version = mine.version - event.stale
        reason = StateReason(Event.SAID_GONE, self.now)
        applied = result_units.apply_results(
            self.connection, self.project, [ResultUpdate(mine.id, version, event.event, reason)], now=self.now
        )
        if event.stale:
            assert applied == frozenset()
            assert self.records() == before, "a late verdict changes nothing"

    def check(self, before: dict[str, SubscriptionRecord]) -> None:
        records = self.records()
        assert set(before) <= set(records), "rows stay"
        for public_id, record in records.items():
            old = before.get(public_id)
            if old is not None:
                assert record.version >= old.version
                unchanged = (record.state, record.keys_hash, record.contact_external_id) == (
                    old.state,
                    old.keys_hash,
                    old.contact_external_id,
                )
                assert unchanged or record.version > old.version, "every change of state or identity is a new version"
                assert (record.id, record.short_id, record.created_at) == (old.id, old.short_id, old.created_at)
            assert (record.state_reason is None) == (record.state is State.ACTIVE)
            assert record.superseded_by is None or record.state is not State.ACTIVE
        active = {public_id for public_id, record in records.items() if record.state is State.ACTIVE}
        sendable = [
            subscription_units.find_recipient(self.connection, self.vault, self.project, AnyId(public_id, None))
            for public_id in active
        ]
        by_id = {public_id: browser for browser, public_id in self.public_ids.items()}
        for recipient in sendable:
            assert recipient is not None
            assert recipient.subscription == self.confirmed[by_id[recipient.record.public_id]]
        kept = self.connection.execute(text("SELECT count(*) FROM subscriptions WHERE sealed IS NOT NULL"))
        assert kept.scalar_one() == len(active), "what has ended is erased"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(happenings, max_size=14))
def test_any_sequence(engine: Engine, events: list[Sync | End | Result]) -> None:
    vault = Vault(Sealer(MASTER_KEY, SeededEntropy().token_bytes), b"l" * 32)
    with engine.connect() as connection, connection.begin() as transaction:
        project = project_units.ensure_project(connection, vault, new_project())
        key = connection.execute(text("SELECT id FROM signing_keys")).scalar_one()
        history = History(connection, vault, project, int(key))
        for event in events:
            history.apply(event)
        transaction.rollback()
