"""Shards: lists of recipients with a bit for each, and the states they go through."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain import shard
from pushkeep.domain.shard import (
    FINAL_KINDS,
    KIND_OF_VERDICT,
    KIND_WORDS,
    LIVE,
    SHARD_MEMBERS_MAX,
    SHARD_TRANSITIONS,
    Bitmap,
    Kind,
    ShardEvent,
    ShardState,
    move_shard,
    pack_ids,
    unpack_ids,
)
from pushkeep.errors import Conflict
from pushkeep.protocol.verdict import Verdict

ids = st.integers(0, 2**63 - 1)


@given(st.lists(ids, max_size=SHARD_MEMBERS_MAX))
def test_ids_come_back_from_eight_octets_each(numbers: list[int]) -> None:
    packed = pack_ids(numbers)
    assert packed == struct.pack(f"<{len(numbers)}q", *numbers), "the same on every machine"
    assert list(unpack_ids(packed)) == numbers


def test_ids_are_packed_alike_where_octets_stand_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack_ids([1, 258])
    monkeypatch.setattr(shard.sys, "byteorder", "big")
    assert pack_ids([1, 258]) == struct.pack(">2q", 1, 258), "this machine's order, swapped"
    assert list(unpack_ids(pack_ids([1, 258]))) == [1, 258]
    monkeypatch.undo()
    assert list(unpack_ids(packed)) == [1, 258]


@dataclass(frozen=True)
class Marks:
    count: int
    positions: list[int]


@st.composite
def marks(draw: st.DrawFn) -> Marks:
    count = draw(st.integers(1, SHARD_MEMBERS_MAX))
    return Marks(count, draw(st.lists(st.integers(0, count - 1), max_size=60)))


@given(marks())
def test_a_bitmap_is_a_set_of_positions(given: Marks) -> None:
    bits, expected = Bitmap(given.count), set()
    for position in given.positions:
        bits.set(position)
        expected.add(position)
    assert len(bits) == len(expected)
    assert [position for position in range(given.count) if position in bits] == sorted(expected)
    assert list(bits.unset()) == [position for position in range(given.count) if position not in expected]


@given(marks())
def test_a_bitmap_is_stored_in_an_octet_for_eight(given: Marks) -> None:
    bits = Bitmap(given.count)
    for position in given.positions:
        bits.set(position)
    packed = bits.pack()
    assert len(packed) == -(-given.count // 8)
    again = Bitmap(given.count, packed)
    assert list(again.unset()) == list(bits.unset())
    assert again.pack() == packed
    for position in given.positions:
        assert packed[position // 8] >> position % 8 & 1, "bit 0 is the lowest of the first octet"


def test_a_stored_bitmap_of_nothing_has_no_bit() -> None:
    assert list(Bitmap(3, b"").unset()) == [0, 1, 2]


@pytest.mark.parametrize("position", [-1, 8, 1000])
def test_there_is_no_bit_beyond_the_members(position: int) -> None:
    bits = Bitmap(8)
    with pytest.raises(IndexError):
        bits.set(position)
    assert len(bits) == 0


def test_every_move_of_the_table_and_no_other() -> None:
    for state in ShardState:
        for event in ShardEvent:
            expected = SHARD_TRANSITIONS.get((state, event))
            if expected is not None:
                assert move_shard(state, event) is expected
            else:
                with pytest.raises(Conflict, match=r"^A shard that is [a-z_]+ cannot be [a-z ]+\.$"):
                    move_shard(state, event)


def test_what_is_closed_stays_closed() -> None:
    assert not [state for state, _ in SHARD_TRANSITIONS if state is ShardState.CLOSED]
    assert {ShardState.CLOSED} | LIVE == set(ShardState)


def test_from_every_live_state_a_shard_can_be_cut_off_and_can_be_finished() -> None:
    def reachable(state: ShardState) -> set[ShardState]:
        found = {state}
        while more := {after for (before, _), after in SHARD_TRANSITIONS.items() if before in found} - found:
            found |= more
        return found

    for state in LIVE:
        assert SHARD_TRANSITIONS[state, ShardEvent.CUT] is ShardState.CLOSED
        assert ShardState.LEASED in reachable(state)


def test_only_a_lease_lets_a_shard_be_worked_at() -> None:
    for event in (ShardEvent.FINISHED, ShardEvent.RELEASED, ShardEvent.TAKEN_OVER, ShardEvent.GIVEN_UP):
        assert [state for (state, found) in SHARD_TRANSITIONS if found is event] == [ShardState.LEASED]


def test_every_verdict_is_a_kind_and_every_kind_has_words() -> None:
    assert {verdict: Kind(verdict) for verdict in Verdict} == KIND_OF_VERDICT
    assert set(KIND_WORDS) == set(Kind)
    assert set(FINAL_KINDS) == set(Kind) - {Kind.MOVED}


def test_a_recipient_list_is_no_text_in_logs() -> None:
    made = shard.Shard(
        shard.LeaseKey(1, 2), 1, 1, shard.ShardKind.SEND, "https://fcm.googleapis.com", "fcm",
        unpack_ids(pack_ids([4711])), unpack_ids(b""), Bitmap(1),
    )  # fmt: skip
    assert "4711" not in repr(made)
