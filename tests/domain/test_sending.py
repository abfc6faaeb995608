"""Notifications: their states, their deadlines, and the account of their recipients."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pushkeep.domain.sending import (
    DEADLINE_SECONDS_MIN,
    NOTIFICATION_TRANSITIONS,
    Account,
    NotificationEvent,
    NotificationState,
    Priority,
    deadline_for,
    move_notification,
    wire_ttl,
)
from pushkeep.domain.shard import FINAL_KINDS, Kind
from pushkeep.errors import Conflict
from pushkeep.protocol.request import TTL_SECONDS_MAX

NOW = 1_800_000_000.0
moments = st.floats(NOW, NOW + 86_400 * 60)
ttls = st.integers(0, TTL_SECONDS_MAX)


def test_every_move_of_the_table_and_no_other() -> None:
    for state in NotificationState:
        for event in NotificationEvent:
            expected = NOTIFICATION_TRANSITIONS.get((state, event))
            if expected is not None:
                assert move_notification(state, event) is expected
            else:
                with pytest.raises(Conflict, match=r"^A notification that is [a-z]+ cannot be [a-z]+\.$"):
                    move_notification(state, event)


def test_what_has_ended_stays_so() -> None:
    ended = {NotificationState.DONE, NotificationState.CANCELLED}
    assert not [state for state, _ in NOTIFICATION_TRANSITIONS if state in ended]
    for state in set(NotificationState) - ended:
        assert NOTIFICATION_TRANSITIONS[state, NotificationEvent.CANCELLED] is NotificationState.CANCELLED


def test_nothing_is_done_before_it_is_planned() -> None:
    assert (NotificationState.PLANNING, NotificationEvent.SETTLED) not in NOTIFICATION_TRANSITIONS


def test_who_is_in_a_hurry_comes_first() -> None:
    assert sorted(Priority) == [Priority.TRANSACTIONAL, Priority.NORMAL, Priority.BULK]


@given(moments, ttls)
def test_a_deadline_is_ttl_after_the_beginning_and_never_sooner_than_a_minute(send_at: float, ttl: int) -> None:
    deadline = deadline_for(send_at=send_at, ttl=ttl)
    assert deadline - send_at >= DEADLINE_SECONDS_MIN
    assert deadline == send_at + max(ttl, 60)


@given(moments, ttls, st.floats(0.0, 86_400 * 30))
def test_no_push_service_keeps_a_message_past_the_deadline(now: float, ttl: int, left: float) -> None:
    deadline = now + left
    found = wire_ttl(ttl, deadline=deadline, now=now)
    assert 0 <= found <= ttl
    assert found <= max(deadline - now, 1.0), "whole seconds: at least one, where it is not now or never"
    assert (found == 0) == (ttl == 0), "now or never is another kind of message"


@given(moments, st.integers(0, 60))
def test_a_message_in_time_keeps_its_ttl(now: float, ttl: int) -> None:
    assert wire_ttl(ttl, deadline=deadline_for(send_at=now, ttl=ttl), now=now) == ttl


counts = st.dictionaries(st.sampled_from(FINAL_KINDS), st.integers(1, 1000))


@given(counts, st.integers(0, 1000), st.integers(0, 1000))
def test_an_account_balances_when_everybody_is_somewhere_once(found: dict[Kind, int], undone: int, moved: int) -> None:
    account = Account(sum(found.values()) + undone, found, moved, moved, undone)
    assert account.settled == sum(found.values())
    assert account.balances


@given(counts, st.integers(0, 1000), st.integers(0, 1000), st.integers(-5, 5), st.integers(-5, 5))
def test_it_does_not_when_somebody_is_lost_or_counted_twice(
    found: dict[Kind, int], undone: int, moved: int, lost: int, strayed: int
) -> None:
    assume(lost or strayed)
    account = Account(sum(found.values()) + undone + lost, found, moved, moved + strayed, undone)
    assert not account.balances


def test_moved_is_no_final_state() -> None:
    assert not Account(1, {Kind.MOVED: 1}, 0, 0, 0).balances
