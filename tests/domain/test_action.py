import pytest

from pushkeep.domain.action import (
    ACTIONS,
    FRESH_SECONDS,
    Action,
    Decision,
    decide,
    success_needs_write,
)
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import Verdict


def test_every_verdict_has_an_action_and_only_gone_ends() -> None:
    assert set(ACTIONS) == set(Verdict)
    assert [verdict for verdict, action in ACTIONS.items() if action is Action.END] == [Verdict.GONE]


@pytest.mark.parametrize("verdict", [item for item in Verdict if item is not Verdict.GONE])
@pytest.mark.parametrize("vendor", list(VENDORS))
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_nothing_but_gone_ever_ends_a_subscription(verdict: Verdict, vendor: str, attempt: int) -> None:
    for age in (0, FRESH_SECONDS, 1e9):
        assert decide(verdict, vendor=vendor, age_seconds=age, attempt=attempt).action is not Action.END


def test_a_fresh_fcm_subscription_gets_two_more_chances() -> None:
    decisions = [decide(Verdict.GONE, vendor="fcm", age_seconds=119.9, attempt=n) for n in (1, 2, 3)]
    assert decisions == [Decision(Action.RETRY, 2.0), Decision(Action.RETRY, 10.0), Decision(Action.END)]


@pytest.mark.parametrize(("vendor", "age"), [("fcm", 120.0), ("mozilla", 0.0), ("apple", 1.0)])
def test_others_are_believed_at_once(vendor: str, age: float) -> None:
    assert decide(Verdict.GONE, vendor=vendor, age_seconds=age, attempt=1) == Decision(Action.END)


@pytest.mark.parametrize("verdict", [Verdict.BAD_TOKEN, Verdict.TOO_LARGE, Verdict.BAD_REQUEST, Verdict.THROTTLED])
def test_what_is_not_the_subscriptions_fault_is_not_counted(verdict: Verdict) -> None:
    assert ACTIONS[verdict] is Action.FAIL_BLAMELESS


@pytest.mark.parametrize(
    ("last", "failures", "needed"),
    [(None, 0, True), (1000.0, 0, False), (999.0, 0, True), (4000.0, 1, True), (9000.0, 0, False)],
)
def test_success_is_written_down_now_and_then(last: float | None, failures: int, needed: bool) -> None:
    assert success_needs_write(now=4600.0, last_accepted_at=last, consecutive_failures=failures) is needed
