import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.subscription import (
    ENDED,
    LIVING,
    SENDABLE,
    TRANSITIONS,
    Event,
    IllegalMove,
    State,
    check_external_id,
    move,
)
from pushkeep.errors import Conflict, InvalidInput


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_the_table_is_the_law(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert move(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalMove, match=state.value):
            move(state, event)


@given(st.lists(st.sampled_from(Event)))
def test_whatever_was_before_the_operator_and_a_living_ones_message_make_it_well(events: list[Event]) -> None:
    state = State.ACTIVE
    for event in events:
        state = TRANSITIONS.get((state, event), state)
    assert move(state, Event.ENTERED) in SENDABLE
    if state in LIVING:
        assert move(state, Event.ACCEPTED) is State.ACTIVE


def test_a_browser_that_comes_back_has_what_it_had_unless_its_push_service_ended_it() -> None:
    for state in LIVING:
        assert move(state, Event.SYNCED) is state
    for state in (State.UNSUBSCRIBED, State.SUPERSEDED):
        assert move(state, Event.SYNCED) is State.ACTIVE
    with pytest.raises(IllegalMove):
        move(State.GONE, Event.SYNCED)


def test_only_living_ones_end_and_only_these_events_end_them() -> None:
    ends = {pair: after for pair, after in TRANSITIONS.items() if after in ENDED}
    how = {
        Event.SAID_GONE: State.GONE,
        Event.LOST: State.GONE,
        Event.EXPIRED: State.GONE,
        Event.LEFT: State.UNSUBSCRIBED,
        Event.REMOVED: State.UNSUBSCRIBED,
        Event.REPLACED: State.SUPERSEDED,
    }
    assert ends == {(state, event): after for state in LIVING for event, after in how.items()}


def test_every_state_is_living_or_ended_and_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) == LIVING | ENDED == set(State)
    assert LIVING.isdisjoint(ENDED)
    assert SENDABLE < LIVING


def test_an_illegal_move_is_a_conflict() -> None:
    assert issubclass(IllegalMove, Conflict)


@pytest.mark.parametrize("text", ["7", "ann@example.com", "urn:user:ä", "x" * 200, "a b", "名前"])
def test_external_ids_are_the_sites_own(text: str) -> None:
    assert check_external_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 201, "a\nb", "a\0", " a", "a ", "\ud800", "\u202eevil", None, 7, b"x"])
def test_what_cannot_be_an_external_id(text: object) -> None:
    with pytest.raises(InvalidInput, match="contacts") as caught:
        check_external_id(text, field="contacts")
    assert caught.value.field == "contacts"
