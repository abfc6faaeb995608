"""What every adapter of the KeyStore port must do; test modules subclass it and say on which stores."""

from __future__ import annotations

import asyncio

import pytest

from pushkeep.adapters.store import SqliteStore
from pushkeep.domain.circuit import Circuit, CircuitState
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.project import KeyState, Project
from pushkeep.domain.signing_keys import KEY_TRANSITIONS, KeyEvent, KeyRecord, KeyUsage
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, NotFound
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.signing_key import SigningKey
from tests.store.samples import NOW, foreign, registration, subscription

LATER = NOW + 3600


async def active(store: SqliteStore, project: Project) -> KeyRecord:
    return next(key for key in await store.list_keys(project) if key.state is KeyState.ACTIVE)


async def rotated(
    store: SqliteStore, project: Project, *, leaked: bool = False, now: float = LATER
) -> tuple[KeyRecord, KeyRecord]:
    expected = (await active(store, project)).id
    return await store.rotate_keys(project, expected=expected, fresh=SigningKey.generate(), leaked=leaked, now=now)


async def browsers(
    store: SqliteStore, project: Project, key: int, count: int, *, first: int = 0, now: float = NOW
) -> list[SubscriptionRecord]:
    """Subscriptions that were made with a key."""
    stored = [
        await store.register(project, registration(subscription(f"{key}-{number}"), key, now=now))
        for number in range(first, first + count)
    ]
    return [one.record for one in stored]


async def states(store: SqliteStore, project: Project) -> list[State]:
    return [record.state for record in await store.list_subscriptions(project, state=None, limit=1000, after=0)]


class KeyContract:
    async def test_a_project_begins_with_an_active_key(self, store: SqliteStore, project: Project) -> None:
        (key,) = await store.list_keys(project)
        (signing,) = await store.signing_keys(project)
        assert (key.id, key.key_id, key.public_b64) == (signing.id, signing.key.key_id, signing.key.public_b64)
        assert (key.state, key.created_at, key.activated_at) == (KeyState.ACTIVE, NOW, NOW)
        assert (key.retiring_at, key.retired_at, key.leaked_at) == (None, None, None)

    async def test_a_prepared_key_signs_nothing_until_a_rotation_activates_it(
        self, store: SqliteStore, project: Project
    ) -> None:
        first = await active(store, project)
        following = await store.prepare_key(project, SigningKey.generate(), now=NOW + 1)
        assert (following.state, following.activated_at) == (KeyState.NEXT, None)
        assert [key.id for key in await store.signing_keys(project)] == [first.id]
        now_active, before = await rotated(store, project)
        assert (now_active.id, now_active.state, now_active.activated_at) == (following.id, KeyState.ACTIVE, LATER)
        assert (before.id, before.state, before.retiring_at) == (first.id, KeyState.RETIRING, LATER)
        assert before.leaked_at is None
        # The active one first: it is what browsers are given.
        assert [(key.id, key.state) for key in await store.signing_keys(project)] == [
            (following.id, KeyState.ACTIVE),
            (first.id, KeyState.RETIRING),
        ]

    async def test_without_a_prepared_key_a_fresh_one_is_activated(self, store: SqliteStore, project: Project) -> None:
        fresh = SigningKey.generate()
        expected = (await active(store, project)).id
        now_active, _ = await store.rotate_keys(project, expected=expected, fresh=fresh, leaked=False, now=LATER)
        assert now_active.public_bytes == fresh.public_bytes
        assert (await store.signing_keys(project))[0].key.to_pem() == fresh.to_pem()

    async def test_there_is_one_next_key_at_a_time_and_no_key_twice(self, store: SqliteStore, project: Project) -> None:
        following = SigningKey.generate()
        await store.prepare_key(project, following, now=NOW)
        with pytest.raises(Conflict, match=following.key_id):
            await store.prepare_key(project, SigningKey.generate(), now=NOW)
        await rotated(store, project)
        with pytest.raises(Conflict, match="already"):
            await store.prepare_key(project, following, now=NOW)

    async def test_a_leak_throws_the_prepared_key_away_too(self, store: SqliteStore, project: Project) -> None:
        first = await active(store, project)
        following = await store.prepare_key(project, SigningKey.generate(), now=NOW)
        now_active, before = await rotated(store, project, leaked=True)
        assert now_active.id not in (first.id, following.id)
        assert (before.id, before.state, before.leaked_at) == (first.id, KeyState.RETIRING, LATER)
        thrown = await store.find_key(project, following.public_bytes)
        assert thrown is not None
        assert (thrown.state, thrown.retired_at, thrown.leaked_at) == (KeyState.RETIRED, LATER, LATER)
        assert [key.leaked_at for key in await store.signing_keys(project)] == [None, LATER]

    async def test_of_rotations_at_once_one_takes_place(self, store: SqliteStore, project: Project) -> None:
        expected = (await active(store, project)).id
        answers = await asyncio.gather(
            *(
                store.rotate_keys(project, expected=expected, fresh=SigningKey.generate(), leaked=False, now=LATER)
                for _ in range(5)
            ),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, Conflict)]
        assert [answer.reason for answer in refused] == ["rotated"] * 4
        assert [key.state for key in await store.list_keys(project)] == [KeyState.RETIRING, KeyState.ACTIVE]

    async def test_a_retiring_key_can_turn_out_to_have_leaked(self, store: SqliteStore, project: Project) -> None:
        _, before = await rotated(store, project)
        marked = await store.mark_leaked(project, before.id, now=LATER + 5)
        assert (marked.state, marked.leaked_at) == (KeyState.RETIRING, LATER + 5)
        assert await store.mark_leaked(project, before.id, now=LATER + 9) == marked
        following = await store.prepare_key(project, SigningKey.generate(), now=LATER)
        assert (await store.mark_leaked(project, following.id, now=LATER)).state is KeyState.RETIRED
        with pytest.raises(Conflict, match="rotate"):
            await store.mark_leaked(project, (await active(store, project)).id, now=LATER)

    async def test_a_key_with_living_ones_is_not_retired(self, store: SqliteStore, project: Project) -> None:
        await browsers(store, project, (await active(store, project)).id, 3)
        _, before = await rotated(store, project)
        with pytest.raises(Conflict, match="3 living") as caught:
            await store.retire_key(project, before.id, force=False, now=LATER)
        assert caught.value.reason == "living"
        assert [key.state for key in await store.signing_keys(project)] == [KeyState.ACTIVE, KeyState.RETIRING]
        with pytest.raises(Conflict, match="still signs"):
            await store.give_up_bound(project, before.id, limit=10, now=LATER)

    async def test_a_key_without_living_ones_is_retired_for_good(self, store: SqliteStore, project: Project) -> None:
        (one,) = await browsers(store, project, (await active(store, project)).id, 1)
        now_active, before = await rotated(store, project)
        moved = registration(subscription("moved"), now_active.id, replaces=one.public_id, now=LATER)
        await store.register(project, moved)
        retired = await store.retire_key(project, before.id, force=False, now=LATER + 1)
        assert (retired.state, retired.retired_at) == (KeyState.RETIRED, LATER + 1)
        assert await store.give_up_bound(project, before.id, limit=10, now=LATER) == 0
        assert [key.id for key in await store.signing_keys(project)] == [now_active.id]
        assert await store.retire_key(project, before.id, force=True, now=LATER + 9) == retired
        found = await store.find_key(project, before.public_bytes)  # still known, to tell its browsers to renew
        assert found == retired

    async def test_nothing_is_kept_of_who_refused_a_key_that_is_retired(
        self, store: SqliteStore, project: Project
    ) -> None:
        now_active, before = await rotated(store, project)
        circuit = Circuit(CircuitState.OPEN, 3, LATER)
        for key in (now_active, before):
            await store.keep_circuit(key.id, "https://fcm.googleapis.com", circuit)
        await store.retire_key(project, before.id, force=False, now=LATER)
        assert {key for key, _ in (await store.lane_state()).circuits} == {now_active.id}

    async def test_who_waits_for_renewal_does_not_keep_a_key(self, store: SqliteStore, project: Project) -> None:
        (one,) = await browsers(store, project, (await active(store, project)).id, 1)
        update = ResultUpdate(one.id, one.version, Event.KEY_REFUSED)
        await store.apply_results(project, [update], now=NOW)
        _, before = await rotated(store, project)
        assert (await store.retire_key(project, before.id, force=False, now=LATER)).state is KeyState.RETIRED
        for event in (Event.ACCEPTED, Event.KEY_FOUND):  # an answer that was on its way, and brings no key back
            late = ResultUpdate(one.id, one.version, event, signing_key_id=before.id)
            await store.apply_results(project, [late], now=LATER)
            assert await states(store, project) == [State.NEEDS_RENEWAL]

    async def test_forced_the_rest_needs_renewal_page_by_page(self, store: SqliteStore, project: Project) -> None:
        old = await active(store, project)
        bound = await browsers(store, project, old.id, 5)
        now_active, _ = await rotated(store, project)
        await browsers(store, project, now_active.id, 2)
        await store.retire_key(project, old.id, force=True, now=LATER)
        pages: list[int] = []
        while moved := await store.give_up_bound(project, old.id, limit=2, now=LATER):
            pages.append(moved)
        assert pages == [2, 2, 1]
        assert await states(store, project) == [State.NEEDS_RENEWAL] * 5 + [State.ACTIVE] * 2
        record = await store.find_subscription(project, _any(bound[0]))
        assert record is not None
        assert record.state_reason is not None
        assert (record.state_reason.cause, record.state_reason.at) == (Event.KEY_RETIRED, LATER)
        assert record.living
        (made, last) = [entry.entry for entry in await store.lifecycle(project, record, limit=10)]
        assert made.evidence == Evidence(By.BROWSER, key=old.key_id)
        assert (last.event, last.before, last.after) == (Event.KEY_RETIRED, State.ACTIVE, State.NEEDS_RENEWAL)
        assert last.evidence == Evidence(By.OPERATOR, key=old.key_id)
        days = await store.lifecycle_by_day(project, first_day=int(LATER // DAY_SECONDS))
        assert [(day.signing_key_id, day.count) for day in days if day.event is Event.KEY_RETIRED] == [(old.id, 5)]

    async def test_with_a_key_that_was_retired_a_moment_ago_nobody_is_stored_as_sent_to(
        self, store: SqliteStore, project: Project
    ) -> None:
        """The caller looked before the retirement, and writes after it."""
        old = await active(store, project)
        (one,) = await browsers(store, project, old.id, 1)
        now_active, _ = await rotated(store, project)
        await store.retire_key(project, old.id, force=True, now=LATER)
        await store.give_up_bound(project, old.id, limit=10, now=LATER)
        with pytest.raises(Conflict, match="retired") as caught:
            await browsers(store, project, old.id, 1, first=1)
        assert (caught.value.reason, caught.value.details) == (
            "foreign_key",
            {"application_server_key": now_active.public_b64},
        )
        entered = registration(subscription(f"{old.id}-0"), old.id, now=LATER, by=By.OPERATOR)
        assert (await store.register(project, entered)).record.state is State.NEEDS_RENEWAL
        with pytest.raises(Conflict, match="only its browser"):
            await store.release_subscription(project, _any(one), StateReason(Event.RELEASED, LATER))
        assert await states(store, project) == [State.NEEDS_RENEWAL]

    async def test_a_key_that_was_found_and_retired_meanwhile_needs_renewal(
        self, store: SqliteStore, project: Project
    ) -> None:
        found = await active(store, project)
        now_active, _ = await rotated(store, project)
        (one,) = await browsers(store, project, now_active.id, 1)
        await store.retire_key(project, found.id, force=True, now=LATER)
        update = ResultUpdate(one.id, one.version, Event.KEY_FOUND, signing_key_id=found.id)
        assert await store.apply_results(project, [update], now=LATER) == {one.id}
        assert await states(store, project) == [State.NEEDS_RENEWAL]
        entries = [numbered.entry for numbered in await store.lifecycle(project, one, limit=10)]
        assert [(entry.event, entry.evidence.key) for entry in entries[1:]] == [
            (Event.KEY_FOUND, found.key_id),
            (Event.KEY_RETIRED, found.key_id),
        ]

    async def test_an_answer_on_its_way_does_not_undo_the_end_of_a_key(
        self, store: SqliteStore, project: Project
    ) -> None:
        old = await active(store, project)
        (one,) = await browsers(store, project, old.id, 1)
        await rotated(store, project)
        await store.retire_key(project, old.id, force=True, now=LATER)
        await store.give_up_bound(project, old.id, limit=10, now=LATER)
        late = ResultUpdate(one.id, one.version, Event.ACCEPTED)
        assert await store.apply_results(project, [late], now=LATER) == frozenset()
        assert await states(store, project) == [State.NEEDS_RENEWAL]

    async def test_usage_is_counted_by_key_and_by_when_browsers_were_seen(
        self, store: SqliteStore, project: Project
    ) -> None:
        assert await store.key_usage(project, now=NOW) == {}
        old = await active(store, project)
        for first, days in enumerate((0, 7, 8, 200, 400)):
            await browsers(store, project, old.id, 1, first=first, now=NOW - days * DAY_SECONDS)
        (waiting,) = await browsers(store, project, old.id, 1, first=10)
        await store.apply_results(project, [ResultUpdate(waiting.id, waiting.version, Event.KEY_REFUSED)], now=NOW)
        now_active, _ = await rotated(store, project)
        await browsers(store, project, now_active.id, 2)
        assert await store.key_usage(project, now=NOW) == {
            old.id: KeyUsage(1, {7: 2, 30: 1, 365: 1, None: 1}),
            now_active.id: KeyUsage(0, {7: 2}),
        }

    async def test_keys_of_other_projects_are_not_there(self, store: SqliteStore, project: Project) -> None:
        key = await active(store, project)
        elsewhere = foreign(project)
        assert await store.list_keys(elsewhere) == ()
        assert await store.find_key(elsewhere, key.public_bytes) is None
        assert await store.find_key(project, SigningKey.generate().public_bytes) is None
        with pytest.raises(NotFound):
            await store.retire_key(elsewhere, key.id, force=True, now=NOW)
        with pytest.raises(NotFound):
            await store.mark_leaked(elsewhere, key.id, now=NOW)

    async def test_every_move_of_the_table_can_be_made(self, store: SqliteStore, project: Project) -> None:
        """Walked by the store's own methods, so that the table promises nothing that cannot happen."""
        walked: set[tuple[KeyState, KeyEvent]] = set()
        await store.prepare_key(project, SigningKey.generate(), now=NOW)
        _, first = await rotated(store, project)
        walked |= {(KeyState.NEXT, KeyEvent.ACTIVATED), (KeyState.ACTIVE, KeyEvent.REPLACED)}
        await store.mark_leaked(project, first.id, now=NOW)
        walked.add((KeyState.RETIRING, KeyEvent.LEAKED))
        await store.retire_key(project, first.id, force=False, now=NOW)
        walked.add((KeyState.RETIRING, KeyEvent.RETIRED))
        following = await store.prepare_key(project, SigningKey.generate(), now=NOW)
        assert (await store.retire_key(project, following.id, force=False, now=NOW)).state is KeyState.RETIRED
        walked.add((KeyState.NEXT, KeyEvent.RETIRED))
        await store.prepare_key(project, SigningKey.generate(), now=NOW)
        await rotated(store, project, leaked=True)
        walked |= {(KeyState.ACTIVE, KeyEvent.LEAKED), (KeyState.NEXT, KeyEvent.LEAKED)}
        assert walked == set(KEY_TRANSITIONS)


def _any(record: SubscriptionRecord) -> AnyId:
    return AnyId(record.public_id, None)
