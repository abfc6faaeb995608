import dataclasses

import pytest

from pushkeep.domain.renewal import wants_renewal
from pushkeep.domain.subscription import ENDED, Event, State, StateReason, SubscriptionRecord
from pushkeep.protocol.verdict import Verdict
from tests.domain.records import RECORD

ACTIVE_KEY = 2


def record(state: State, *, key: int = ACTIVE_KEY, verdict: Verdict | None = None) -> SubscriptionRecord:
    reason = StateReason(Event.QUARANTINED, 0.0, verdict=verdict.value) if verdict else None
    ended_at = 1.0 if state in ENDED else None
    return dataclasses.replace(RECORD, state=state, signing_key_id=key, state_reason=reason, ended_at=ended_at)


@pytest.mark.parametrize(
    ("given", "renew"),
    [
        (record(State.ACTIVE), False),
        (record(State.FAILING), False),
        (record(State.ACTIVE, key=1), True),
        (record(State.FAILING, key=1), True),
        (record(State.NEEDS_RENEWAL), True),
        (record(State.NEEDS_RENEWAL, key=1), True),
        (record(State.QUARANTINED, verdict=Verdict.SUSPECT), True),
        (record(State.QUARANTINED, verdict=Verdict.REFUSED_ENDPOINT), False),
        (record(State.QUARANTINED, verdict=Verdict.REFUSED_ENDPOINT, key=1), True),
        (record(State.GONE), True),
        (record(State.GONE, key=1), True),
        (record(State.UNSUBSCRIBED), False),
        (record(State.UNSUBSCRIBED, key=1), False),
        (record(State.SUPERSEDED), False),
        (record(State.SUPERSEDED, key=1), False),
    ],
    ids=lambda value: f"{value.state}-{value.signing_key_id}" if isinstance(value, SubscriptionRecord) else str(value),
)
def test_who_is_asked_for_a_new_subscription(given: SubscriptionRecord, renew: bool) -> None:
    assert wants_renewal(given, ACTIVE_KEY) is renew
