"""The life of a signing key, and when it may end."""

from __future__ import annotations

import dataclasses

import pytest

from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import (
    KEY_TRANSITIONS,
    KeyEvent,
    KeyRecord,
    KeyUsage,
    check_retirable,
    move_key,
)
from pushkeep.errors import Conflict
from pushkeep.protocol.signing_key import SigningKey
from tests.store.samples import NOW

PAIR = SigningKey.generate()
KEY = KeyRecord(7, PAIR.key_id, PAIR.public_bytes, KeyState.RETIRING, NOW)


@pytest.mark.parametrize("state", KeyState)
@pytest.mark.parametrize("event", KeyEvent)
def test_every_move_is_in_the_table_or_refused(state: KeyState, event: KeyEvent) -> None:
    if (state, event) in KEY_TRANSITIONS:
        assert move_key(state, event) is KEY_TRANSITIONS[state, event]
        return
    with pytest.raises(Conflict, match=state.value):
        move_key(state, event)


def test_the_active_key_cannot_be_retired_and_is_told_what_comes_first() -> None:
    with pytest.raises(Conflict, match="rotate first"):
        move_key(KeyState.ACTIVE, KeyEvent.RETIRED)


def test_nothing_leads_out_of_retired_and_every_state_leads_to_it() -> None:
    assert all(before is not KeyState.RETIRED for before, _ in KEY_TRANSITIONS)
    leads = {state for (state, _), after in KEY_TRANSITIONS.items() if after is KeyState.RETIRED}
    for _ in KeyState:
        leads |= {before for (before, _), after in KEY_TRANSITIONS.items() if after in leads}
    assert leads == set(KeyState) - {KeyState.RETIRED}


def test_a_key_without_living_ones_may_be_retired() -> None:
    check_retirable(KEY, 0, force=False)
    check_retirable(dataclasses.replace(KEY, state=KeyState.NEXT), 0, force=False)


@pytest.mark.parametrize(("bound", "words"), [(1, "1 living subscription is"), (312, "312 living subscriptions are")])
def test_a_key_with_living_ones_is_kept_unless_they_are_given_up(bound: int, words: str) -> None:
    with pytest.raises(Conflict, match=words) as caught:
        check_retirable(KEY, bound, force=False)
    assert (caught.value.reason, caught.value.details) == ("living", {"living": str(bound)})
    check_retirable(KEY, bound, force=True)


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.RETIRED])
def test_force_does_not_bend_the_table(state: KeyState) -> None:
    with pytest.raises(Conflict):
        check_retirable(dataclasses.replace(KEY, state=state), 0, force=True)


def test_the_public_half_is_shown_as_pages_need_it() -> None:
    assert KEY.public_b64 == PAIR.public_b64
    assert SigningKey.id_of(KEY.public_bytes) == PAIR.key_id


def test_usage_adds_up() -> None:
    usage = KeyUsage(waiting=3, seen={7: 10, 30: 5, 365: 2, None: 1})
    assert (usage.bound, usage.living) == (18, 21)
    assert (usage.unseen(7), usage.unseen(90), usage.unseen(365)) == (8, 3, 1)
