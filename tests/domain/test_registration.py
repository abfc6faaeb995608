"""What a registration does: every row of the decision, without a store."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pushkeep.domain.lifecycle import By
from pushkeep.domain.registration import (
    SEEN_WRITE_SECONDS,
    Plan,
    Registration,
    Write,
    check_owner_has_room,
    check_sequence,
    plan,
)
from pushkeep.domain.subscription import ENDED, LIVING, Event, State, SubscriptionRecord
from pushkeep.errors import Conflict, InvalidInput, InvalidToken
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.subscription import Subscription
from tests.domain.records import RECORD

NOW = 1_800_000_000.0
KEYS = b"k" * 16
SUBSCRIPTION = Subscription(Endpoint.parse("https://web.push.apple.com/x"), b"\4" + b"p" * 64, b"a" * 16)
ROW = dataclasses.replace(
    RECORD,
    id=7,
    public_id="p7",
    short_id="s7",
    origin="https://web.push.apple.com",
    vendor="apple",
    created_at=NOW - 5000,
    last_seen_at=NOW - 10,
    keys_hash=KEYS,
)
OLD = dataclasses.replace(ROW, id=3, public_id="p3", short_id="s3")
OLDER = dataclasses.replace(ROW, id=2, public_id="p2", short_id="s2")


def asked(
    owner: str | None = None,
    *,
    sequence: int | None = None,
    detach: bool = False,
    issued: float | None = None,
    by: By = By.BROWSER,
    abilities: frozenset[str] | None = None,
) -> Registration:
    return Registration(
        SUBSCRIPTION,
        1,
        "apple",
        owner,
        (),
        NOW,
        "new",
        ("s",),
        abilities,
        sequence,
        detach,
        issued,
        by,
    )


def decided(
    registration: Registration,
    existing: SubscriptionRecord | None = None,
    *predecessors: SubscriptionRecord,
    keys: bytes = KEYS,
    **led_to: Any,
) -> Plan:
    return plan(registration, keys_hash=keys, existing=existing, predecessors=predecessors, **led_to)


def owned(row: SubscriptionRecord, owner: str | None, since: float = NOW - 100) -> SubscriptionRecord:
    return dataclasses.replace(row, contact_external_id=owner, owner_since=since)


def ended(row: SubscriptionRecord, state: State, superseded_by: int | None = None) -> SubscriptionRecord:
    return dataclasses.replace(row, state=state, ended_at=NOW - 50, superseded_by=superseded_by)


class TestRows:
    def test_a_new_endpoint_makes_a_row(self) -> None:
        made = decided(asked())
        assert (made.write, made.owner, made.owner_since, made.moves) == (Write.CREATE, None, None, (Event.REGISTERED,))
        made = decided(asked("ann"))
        assert (made.write, made.owner, made.owner_since) == (Write.CREATE, "ann", NOW)

    def test_a_known_one_is_confirmed_and_seldom_written(self) -> None:
        assert decided(asked(), ROW).changes_nothing
        seen_long_ago = dataclasses.replace(ROW, last_seen_at=NOW - SEEN_WRITE_SECONDS)
        assert decided(asked(), seen_long_ago).write is Write.TOUCH

    def test_abilities_change_the_row_only_where_they_changed(self) -> None:
        can = dataclasses.replace(ROW, abilities=frozenset({"deflate"}))
        assert decided(asked(abilities=can.abilities)).abilities == can.abilities
        assert decided(asked(abilities=can.abilities), ROW).write is Write.RENEW
        assert decided(asked(abilities=can.abilities), can).write is Write.NOTHING
        assert decided(asked(), can).abilities == can.abilities
        assert decided(asked(abilities=frozenset()), can).abilities == frozenset()

    @pytest.mark.parametrize("state", sorted(LIVING))
    def test_a_living_one_keeps_its_state_when_its_browser_comes(self, state: State) -> None:
        row = dataclasses.replace(ROW, state=state)
        assert decided(asked(), row) == Plan(Write.NOTHING, None, state=state)
        late = dataclasses.replace(row, last_seen_at=NOW - SEEN_WRITE_SECONDS)
        assert decided(asked(), late) == Plan(Write.TOUCH, None, state=state)

    @pytest.mark.parametrize("state", [State.UNSUBSCRIBED, State.SUPERSEDED])
    def test_an_ended_one_comes_back(self, state: State) -> None:
        back = decided(asked(), ended(ROW, state))
        assert (back.write, back.state, back.moves) == (Write.RENEW, State.ACTIVE, (Event.SYNCED,))

    def test_what_its_push_service_calls_gone_is_left_alone(self) -> None:
        gone = ended(owned(ROW, "ann"), State.GONE)
        left = decided(asked("bob", sequence=9, abilities=frozenset({"deflate"})), gone, OLD)
        assert left.changes_nothing
        assert (left.state, left.owner, left.sequence) == (State.GONE, "ann", 0)

    @pytest.mark.parametrize("state", sorted({*LIVING, *ENDED} - {State.ACTIVE, State.FAILING}))
    def test_the_operator_brings_back_whatever_was_believed(self, state: State) -> None:
        row = ended(ROW, state, 9) if state in ENDED else dataclasses.replace(ROW, state=state)
        back = decided(asked(by=By.OPERATOR), row, successor=dataclasses.replace(OLD, id=9))
        assert (back.write, back.state, back.moves) == (Write.RENEW, State.ACTIVE, (Event.ENTERED,))

    def test_a_failing_one_is_not_made_well_by_the_operators_word(self) -> None:
        row = dataclasses.replace(ROW, state=State.FAILING)
        assert decided(asked(by=By.OPERATOR), row).changes_nothing

    def test_changed_secrets_need_the_rows_own_token(self) -> None:
        for predecessors in ((), (OLD,)):
            with pytest.raises(Conflict, match="other keys") as caught:
                decided(asked(), ROW, *predecessors, keys=b"x" * 16)
            assert caught.value.reason == "other_secrets"
        renewed = decided(asked(), ROW, ROW, keys=b"x" * 16)
        assert (renewed.write, renewed.supersede, renewed.moves) == (Write.RENEW, (), (Event.RENEWED,))


class TestPredecessors:
    def test_every_living_one_is_replaced_and_ended_ones_point_on(self) -> None:
        gone = ended(OLDER, State.GONE)
        assert decided(asked(), None, OLD, gone).supersede == (OLD, gone)
        assert decided(asked(), ROW, OLD, gone).supersede == (OLD, gone)

    def test_what_was_superseded_is_not_superseded_again(self) -> None:
        assert decided(asked(), None, ended(OLD, State.SUPERSEDED, 99)).supersede == ()

    def test_a_row_does_not_replace_itself(self) -> None:
        assert decided(asked(), ROW, ROW).changes_nothing

    def test_an_old_one_comes_back_only_in_the_place_of_its_successor(self) -> None:
        old, successor = ended(ROW, State.SUPERSEDED, 9), dataclasses.replace(OLD, id=9)
        with pytest.raises(Conflict, match="another subscription since") as caught:
            decided(asked(), old, successor=successor)
        assert caught.value.reason == "replaced"
        back = decided(asked(), old, successor, successor=successor)
        assert (back.state, back.supersede) == (State.ACTIVE, (successor,))
        back = decided(asked(), old, successor=ended(successor, State.GONE))
        assert back.state is State.ACTIVE

    def test_one_that_left_and_was_replaced_since_is_no_other_case(self) -> None:
        with pytest.raises(Conflict):
            decided(asked(), ended(ROW, State.UNSUBSCRIBED, 9), successor=dataclasses.replace(OLD, id=9))


class TestSequences:
    def test_what_was_said_before_changes_nothing(self) -> None:
        later = dataclasses.replace(ROW, sync_sequence=5)
        for existing, predecessors in ((later, ()), (None, (later,)), (ROW, (OLD, later))):
            with pytest.raises(Conflict) as caught:
                decided(asked(sequence=4), existing, *predecessors)
            assert (caught.value.reason, caught.value.details) == ("stale", {"sequence": 5})

    def test_what_came_after_what_is_named_was_said_later(self) -> None:
        later = dataclasses.replace(OLD, id=9, sync_sequence=5)
        for row in (later, ended(later, State.GONE)):
            with pytest.raises(Conflict) as caught:
                decided(asked(sequence=4), None, ended(OLDER, State.SUPERSEDED, 9), followers=[row])
            assert (caught.value.reason, caught.value.details) == ("stale", {"sequence": 5})
        with pytest.raises(Conflict) as caught:
            decided(asked(sequence=4), ended(ROW, State.SUPERSEDED, 9), successor=ended(later, State.GONE))
        assert caught.value.reason == "stale"

    @pytest.mark.parametrize(("said", "kept"), [(None, 5), (5, 5), (8, 8)])
    def test_the_highest_is_kept(self, said: int | None, kept: int) -> None:
        later = dataclasses.replace(OLD, sync_sequence=5)
        assert decided(asked(sequence=said), None, later).sequence == kept
        assert decided(asked(sequence=said), ROW, later).sequence == kept

    def test_a_higher_one_is_written_at_once(self) -> None:
        assert decided(asked(sequence=1), ROW).write is Write.TOUCH

    def test_alone(self) -> None:
        assert check_sequence(None, 3) == check_sequence(3, 3) == 3
        with pytest.raises(Conflict, match="sequence 3; this is 2"):
            check_sequence(2, 3)


class TestOwners:
    def test_come_stay_and_move(self) -> None:
        came = decided(asked("ann"), ROW)
        assert (came.write, came.owner, came.owner_since) == (Write.RENEW, "ann", NOW)
        assert came.moves == (Event.OWNER_MOVED,)
        anns = owned(ROW, "ann")
        for registration in (asked(), asked("ann"), asked("ann", issued=0.0)):
            assert decided(registration, anns).changes_nothing
        moved = decided(asked("bob"), anns)
        assert (moved.owner, moved.owner_since, moved.moves) == ("bob", NOW, (Event.OWNER_MOVED,))

    def test_are_inherited_and_an_identity_wins(self) -> None:
        anns = owned(OLD, "ann")
        assert decided(asked(), None, anns).owner_since == NOW - 100
        assert decided(asked(), None, OLDER, anns).owner == "ann"
        assert decided(asked("bob"), None, anns).owner == "bob"
        cids = owned(ROW, "cid")
        assert decided(asked(), cids, anns).owner == "cid"

    def test_the_last_word_on_any_of_its_rows_counts(self) -> None:
        anns, bobs = owned(ROW, "ann"), owned(OLD, "bob", NOW - 10)
        assert decided(asked(), anns, bobs).owner == "bob"
        out = decided(asked(), None, owned(OLD, None, NOW - 10), owned(OLDER, "ann"))
        assert (out.owner, out.owner_since) == (None, NOW - 10), "who logged out does not come back by an older row"

    def test_an_old_token_alone_leads_to_nobodys_messages(self) -> None:
        spent, follower = ended(owned(OLDER, "ann"), State.SUPERSEDED, 3), owned(OLD, "ann")
        for living in (follower, owned(OLD, "bob"), owned(OLD, None)):
            made = decided(asked(), None, spent, followers=[living])
            assert (made.owner, made.owner_since, made.supersede) == (None, None, ())
        assert decided(asked(), None, spent, follower).owner == "ann", "with the newer one it does"
        assert decided(asked(), follower, spent).owner == "ann"

    def test_what_was_decided_of_one_that_has_ended_since_holds(self) -> None:
        spent = ended(owned(OLDER, "ann"), State.SUPERSEDED, 3)
        for last in (owned(OLD, "ann"), owned(OLD, "bob", NOW - 60), owned(OLD, None, NOW - 60)):
            gone = ended(last, State.GONE)
            assert decided(asked(), None, spent, followers=[gone]).owner == last.contact_external_id
            back = decided(asked(), ended(owned(ROW, "ann"), State.SUPERSEDED, 3), successor=gone)
            assert back.owner == last.contact_external_id, "who logged out does not come back by an older row"

    def test_log_out(self) -> None:
        anns = owned(ROW, "ann")
        out = decided(asked(detach=True), anns)
        assert (out.owner, out.owner_since, out.moves) == (None, NOW, (Event.OWNER_DETACHED,))
        twice = decided(asked(detach=True), owned(ROW, None))
        assert twice.changes_nothing
        nobody = decided(asked(detach=True), ROW)
        assert nobody.changes_nothing
        new = decided(asked(detach=True), None, anns)
        assert (new.write, new.owner, new.owner_since) == (Write.CREATE, None, NOW)
        with pytest.raises(InvalidInput, match="detach"):
            decided(asked("ann", detach=True), ROW)

    @pytest.mark.parametrize("predecessor", [False, True])
    def test_a_replayed_identity_moves_nobody(self, predecessor: bool) -> None:
        row = owned(ROW, "bob", NOW - 100.5)
        rows = (None, row) if predecessor else (row,)
        with pytest.raises(InvalidToken) as caught:
            decided(asked("ann", issued=NOW - 102), *rows)
        assert (caught.value.reason, caught.value.field) == ("stale", "identity")
        assert decided(asked("ann", issued=NOW - 101), *rows).owner == "ann", "of the same second"
        assert decided(asked("ann"), *rows).owner == "ann", "one that does not say when holds while somebody is in"

    def test_what_was_stored_while_the_clock_was_ahead_refuses_and_keeps_nobody(self) -> None:
        row = owned(ROW, "bob", NOW + 3600)
        assert decided(asked("ann", issued=NOW - 1), row).owner == "ann"
        assert decided(asked("ann", issued=NOW - 1), row).owner_since == NOW
        with pytest.raises(InvalidToken):
            decided(asked("ann", issued=NOW - 9), owned(ROW, "bob", NOW + 0.1))
        assert decided(asked(), dataclasses.replace(ROW, last_seen_at=NOW + 3600)).write is Write.TOUCH

    def test_after_a_log_out_an_identity_must_say_when(self) -> None:
        out = owned(ROW, None)
        with pytest.raises(InvalidToken):
            decided(asked("ann"), out)
        assert decided(asked("ann", issued=NOW), out).owner == "ann"
        assert decided(asked("ann", by=By.OPERATOR), out).owner == "ann", "the operator knows"

    def test_room(self) -> None:
        check_owner_has_room(None, 1000)
        check_owner_has_room("ann", 99)
        for count, most in ((100, 100), (3, 3)):
            with pytest.raises(Conflict, match=f"limit is {most}") as caught:
                check_owner_has_room("ann", count, most)
            assert caught.value.reason == "owner_full"

    def test_everything_at_once_is_told_in_order(self) -> None:
        left = ended(owned(ROW, "ann"), State.UNSUBSCRIBED)
        back = decided(asked("bob"), left, left, keys=b"x" * 16)
        assert back.moves == (Event.SYNCED, Event.RENEWED, Event.OWNER_MOVED)
