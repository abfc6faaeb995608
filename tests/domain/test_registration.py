import dataclasses

import pytest

from pushkeep.domain.registration import (
    SEEN_WRITE_SECONDS,
    Plan,
    Registration,
    Write,
    check_owner_has_room,
    plan,
)
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.subscription import Subscription

NOW = 1_800_000_000.0
KEYS = b"k" * 16
SUBSCRIPTION = Subscription(Endpoint.parse("https://web.push.apple.com/x"), b"\4" + b"p" * 64, b"a" * 16)
ROW = SubscriptionRecord(
    id=7,
    public_id="p7",
    short_id="s7",
    project_id=1,
    contact_external_id=None,
    origin="https://web.push.apple.com",
    vendor="apple",
    state=State.ACTIVE,
    signing_key_id=1,
    created_at=NOW - 5000,
    last_seen_at=NOW - 10,
    last_accepted_at=None,
    consecutive_failures=0,
    suspect_days=frozenset(),
    state_reason=None,
    superseded_by=None,
    version=1,
    keys_hash=KEYS,
)
OLD = dataclasses.replace(ROW, id=3, public_id="p3", short_id="s3")


def asked(owner: str | None = None, replaces: str | None = None) -> Registration:
    return Registration(SUBSCRIPTION, 1, "apple", owner, replaces, NOW, "new", ("s",))


def decided(
    registration: Registration,
    existing: SubscriptionRecord | None = None,
    replaced: SubscriptionRecord | None = None,
    keys: bytes = KEYS,
) -> Plan:
    return plan(registration, keys_hash=keys, existing=existing, replaced=replaced)


def test_a_new_endpoint_makes_a_row() -> None:
    assert decided(asked()) == Plan(Write.CREATE, None)
    assert decided(asked("ann")) == Plan(Write.CREATE, "ann")


def test_a_known_one_is_confirmed_and_seldom_written() -> None:
    assert decided(asked(), ROW) == Plan(Write.NOTHING, None)
    seen_long_ago = dataclasses.replace(ROW, last_seen_at=NOW - SEEN_WRITE_SECONDS)
    assert decided(asked(), seen_long_ago) == Plan(Write.TOUCH, None)


@pytest.mark.parametrize("state", [State.GONE, State.UNSUBSCRIBED, State.SUPERSEDED])
def test_an_ended_one_comes_back(state: State) -> None:
    ended = dataclasses.replace(ROW, state=state, state_reason=StateReason(Event.LEFT, NOW))
    assert decided(asked(), ended) == Plan(Write.RENEW, None)


def test_abilities_change_the_row_only_where_they_changed() -> None:
    can = dataclasses.replace(ROW, abilities=frozenset({"deflate"}))

    def says(abilities: frozenset[str] | None) -> Registration:
        return dataclasses.replace(asked(), abilities=abilities)

    assert decided(says(can.abilities)) == Plan(Write.CREATE, None, abilities=can.abilities)
    assert decided(says(can.abilities), ROW) == Plan(Write.RENEW, None, abilities=can.abilities)
    assert decided(says(can.abilities), can) == Plan(Write.NOTHING, None, abilities=can.abilities)
    assert decided(says(None), can) == Plan(Write.NOTHING, None, abilities=can.abilities)
    assert decided(says(frozenset()), can) == Plan(Write.RENEW, None)


def test_owners() -> None:
    owned = dataclasses.replace(ROW, contact_external_id="ann")
    assert decided(asked(), owned) == Plan(Write.NOTHING, "ann")
    assert decided(asked("ann"), owned) == Plan(Write.NOTHING, "ann")
    assert decided(asked("bob"), owned) == Plan(Write.RENEW, "bob")
    assert decided(asked("ann"), ROW) == Plan(Write.RENEW, "ann")


def test_a_replacement_inherits_and_an_identity_wins() -> None:
    old = dataclasses.replace(OLD, contact_external_id="ann")
    assert decided(asked(replaces="p3"), None, old) == Plan(Write.CREATE, "ann", old)
    assert decided(asked("bob", "p3"), None, old) == Plan(Write.CREATE, "bob", old)
    owned = dataclasses.replace(ROW, contact_external_id="cid")
    assert decided(asked(replaces="p3"), owned, old) == Plan(Write.NOTHING, "cid", old)


def test_what_was_superseded_is_not_superseded_again() -> None:
    old = dataclasses.replace(OLD, state=State.SUPERSEDED, superseded_by=99)
    assert decided(asked(replaces="p3"), None, old).supersede is None


def test_a_row_does_not_replace_itself() -> None:
    assert decided(asked(replaces="p7"), ROW, ROW) == Plan(Write.NOTHING, None)


def test_changed_keys_need_the_rows_own_token() -> None:
    with pytest.raises(Conflict, match="other keys"):
        decided(asked(), ROW, None, keys=b"x" * 16)
    with pytest.raises(Conflict, match="other keys"):
        decided(asked(replaces="p3"), ROW, OLD, keys=b"x" * 16)
    assert decided(asked(replaces="p7"), ROW, ROW, keys=b"x" * 16) == Plan(Write.RENEW, None)


def test_room() -> None:
    check_owner_has_room(None, 1000)
    check_owner_has_room("ann", 99)
    with pytest.raises(Conflict):
        check_owner_has_room("ann", 100)
