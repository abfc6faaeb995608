"""Each row of the table of actions by a test that is named after it, then what holds for all of them."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.action import Action, Alert, Change, Decision, Rest, Scope
from pushkeep.domain.action_table import ACTION_TABLE, FRESH_SECONDS, decide, row_for
from pushkeep.domain.origin_statistics import OriginView
from pushkeep.domain.retry import NO_RETRIES, RETRIED, RetryPolicy
from pushkeep.domain.situation import DAY_SECONDS, Situation
from pushkeep.protocol.remedy import Remedy
from pushkeep.protocol.vendors import APPLE, FCM, MOZILLA, UNIFIEDPUSH, VENDORS, WNS
from pushkeep.protocol.verdict import Verdict

NOW = 20_000.0 * DAY_SECONDS
TODAY = 20_000


def situation(verdict: Verdict, **known: Any) -> Situation:
    return Situation(**{"verdict": verdict, "vendor": MOZILLA, "now": NOW, **known})


def answer(verdict: Verdict, **known: Any) -> Decision:
    return decide(situation(verdict, **known))


SUSPECTED = Decision(Action.FAIL, counts_as_suspect=True)


def quarantined(days: float, alert: Alert | None = None) -> Decision:
    """Into quarantine, or on in it, with so many days until the next probe."""
    return Decision(Action.QUARANTINE, counts_as_suspect=True, alert=alert, probe_seconds=days * DAY_SECONDS)


def test_accepted_is_done() -> None:
    assert answer(Verdict.ACCEPTED) == Decision(Action.DONE)


def test_gone_ends_the_subscription() -> None:
    assert answer(Verdict.GONE) == Decision(Action.END)


def test_gone_from_a_fresh_fcm_subscription_is_asked_again_after_2_and_10_seconds_then_ends() -> None:
    gone = Verdict.GONE
    decisions = [answer(gone, vendor=FCM, age_seconds=119.9, before=(gone,) * times) for times in (0, 1, 2)]
    assert decisions == [Decision(Action.RETRY, 2.0), Decision(Action.RETRY, 10.0), Decision(Action.END)]


def test_gone_from_a_fresh_fcm_subscription_counts_such_answers_and_not_attempts() -> None:
    before = (Verdict.TRANSIENT, Verdict.TRANSIENT, Verdict.GONE)
    assert answer(Verdict.GONE, vendor=FCM, age_seconds=1.0, before=before) == Decision(Action.RETRY, 10.0)


@pytest.mark.parametrize(("vendor", "age"), [(FCM, 120.0), (FCM, math.inf), (MOZILLA, 0.0), (APPLE, 1.0), (WNS, 1.0)])
def test_gone_from_an_older_or_another_subscription_is_believed_at_once(vendor: object, age: float) -> None:
    assert answer(Verdict.GONE, vendor=vendor, age_seconds=age) == Decision(Action.END)


def test_gone_from_a_fresh_fcm_subscription_near_the_deadline_fails_and_keeps_it() -> None:
    fresh = {"vendor": FCM, "age_seconds": 1.0}
    assert answer(Verdict.GONE, **fresh, remaining_seconds=2.0) == Decision(Action.FAIL)
    assert answer(Verdict.GONE, **fresh, remaining_seconds=2.1) == Decision(Action.RETRY, 2.0)
    assert answer(Verdict.GONE, **fresh, before=(Verdict.GONE,), remaining_seconds=9.0) == Decision(Action.FAIL)


def test_gone_while_the_origins_breaker_is_open_is_held_as_suspect_with_an_alert() -> None:
    storm = OriginView(gone_storm=True)
    decision = answer(Verdict.GONE, origin=storm)
    assert (decision.action, decision.alert, decision.counts_as_suspect) == (Action.FAIL, Alert.GONE_STORM, True)
    third = answer(Verdict.GONE, origin=storm, suspect_days=frozenset({TODAY - 2, TODAY - 1}))
    assert third == quarantined(1, Alert.GONE_STORM), "as any suspect, on the third day"


def test_suspect_the_first_time_fails_and_is_kept() -> None:
    assert answer(Verdict.SUSPECT) == SUSPECTED


def test_suspect_thrice_on_one_day_or_two_is_kept() -> None:
    assert answer(Verdict.SUSPECT, suspect_days=frozenset({TODAY})) == SUSPECTED
    assert answer(Verdict.SUSPECT, suspect_days=frozenset({TODAY - 1, TODAY})) == SUSPECTED
    assert answer(Verdict.SUSPECT, suspect_days=frozenset({TODAY - 1})) == SUSPECTED


def test_suspect_on_three_different_days_is_quarantined_with_a_probe_a_day_later() -> None:
    assert answer(Verdict.SUSPECT, suspect_days=frozenset({TODAY - 9, TODAY - 1})) == quarantined(1)


@pytest.mark.parametrize(("failed", "days"), [(0, 3), (1, 7)])
def test_a_suspect_at_its_first_or_second_probe_is_probed_ever_less_often(failed: int, days: float) -> None:
    known = {"is_probe": True, "failed_probes": failed, "suspect_days": frozenset({TODAY - 3, TODAY - 2, TODAY - 1})}
    assert answer(Verdict.SUSPECT, **known) == quarantined(days)
    assert answer(Verdict.GONE, **known, origin=OriginView(gone_storm=True)) == quarantined(days, Alert.GONE_STORM)


def test_a_suspect_at_its_third_probe_ends() -> None:
    assert answer(Verdict.SUSPECT, is_probe=True, failed_probes=2) == Decision(Action.END, counts_as_suspect=True)


def test_gone_at_a_probe_ends_at_once() -> None:
    assert answer(Verdict.GONE, is_probe=True) == Decision(Action.END)


def test_key_mismatch_is_tried_once_with_another_recorded_key() -> None:
    assert answer(Verdict.KEY_MISMATCH, other_key=True) == Decision(Action.RETRY, change=Change.OTHER_KEY)


def test_key_mismatch_without_another_key_needs_renewal_and_never_ends() -> None:
    assert answer(Verdict.KEY_MISMATCH) == Decision(Action.NEEDS_RENEWAL)
    history = frozenset(range(TODAY - 50, TODAY))
    decision = answer(Verdict.KEY_MISMATCH, before=(Verdict.KEY_MISMATCH,) * 9, suspect_days=history)
    assert decision.action is Action.NEEDS_RENEWAL


def test_bad_token_opens_the_circuit_and_holds_the_message_for_a_probe() -> None:
    decision = answer(Verdict.BAD_TOKEN, circuit_wait_seconds=60.0, remaining_seconds=61.0)
    assert decision == Decision(Action.HOLD, 60.0, rest=Rest(Scope.KEY_AT_ORIGIN, 60.0), alert=Alert.BAD_TOKEN)


def test_bad_token_past_the_deadline_gives_up_the_message_and_touches_no_subscription() -> None:
    decision = answer(Verdict.BAD_TOKEN, circuit_wait_seconds=60.0, remaining_seconds=60.0)
    assert (decision.action, decision.alert) == (Action.FAIL_BLAMELESS, Alert.BAD_TOKEN)
    assert not decision.counts_as_suspect


def test_bad_token_while_the_same_key_is_accepted_for_others_is_taken_as_suspect() -> None:
    taken = OriginView(key_taken_for_others=True)
    assert answer(Verdict.BAD_TOKEN, origin=taken) == SUSPECTED
    decision = answer(Verdict.BAD_TOKEN, origin=taken, suspect_days=frozenset({TODAY - 2, TODAY - 1}))
    assert decision == quarantined(1)


def test_too_large_fails_this_message_with_an_alert_and_keeps_the_subscription() -> None:
    assert answer(Verdict.TOO_LARGE) == Decision(Action.FAIL_BLAMELESS, alert=Alert.BAD_MESSAGE)


def test_bad_request_fails_this_message_with_an_alert_and_keeps_the_subscription() -> None:
    assert answer(Verdict.BAD_REQUEST) == Decision(Action.FAIL_BLAMELESS, alert=Alert.BAD_MESSAGE)


@pytest.mark.parametrize(("vendor", "remedy"), [(APPLE, Remedy.DROP_TOPIC), (WNS, Remedy.FIX_CACHE_POLICY)])
def test_bad_request_with_a_known_remedy_is_sent_once_more_with_it(vendor: object, remedy: Remedy) -> None:
    known = {"vendor": vendor, "remedy": remedy}
    assert answer(Verdict.BAD_REQUEST, **known) == Decision(Action.RETRY, change=Change.REMEDY)
    again = answer(Verdict.BAD_REQUEST, **known, remedies_tried=frozenset({remedy}), before=(Verdict.BAD_REQUEST,))
    assert again == Decision(Action.FAIL_BLAMELESS, alert=Alert.BAD_MESSAGE)


def test_throttled_waits_for_that_endpoint() -> None:
    for times, wait in ((0, 60.0), (1, 120.0), (2, 240.0)):
        decision = answer(Verdict.THROTTLED, before=(Verdict.THROTTLED,) * times)
        assert decision == Decision(Action.RETRY, wait, rest=Rest(Scope.ENDPOINT, wait))
    assert answer(Verdict.THROTTLED, retry_after=7.0).wait_seconds == 7.0


def test_throttled_rests_at_most_an_hour_unless_asked_for_more() -> None:
    patient = RetryPolicy(attempts_max=100, retry_after_seconds_max=86_400.0)
    decision = answer(Verdict.THROTTLED, before=(Verdict.THROTTLED,) * 20, policy=patient)
    assert (decision.wait_seconds, decision.rest) == (3600.0, Rest(Scope.ENDPOINT, 3600.0))
    assert answer(Verdict.THROTTLED, retry_after=7200.0, policy=patient).wait_seconds == 7200.0


def test_throttled_by_wns_rests_the_whole_origin() -> None:
    assert answer(Verdict.THROTTLED, vendor=WNS).rest == Rest(Scope.ORIGIN, 60.0)


def test_throttled_on_ten_endpoints_within_seconds_rests_the_whole_origin() -> None:
    wide = OriginView(throttled_widely=True)
    assert answer(Verdict.THROTTLED, vendor=UNIFIEDPUSH, origin=wide, retry_after=9.0).rest == Rest(Scope.ORIGIN, 9.0)


@pytest.mark.parametrize("vendor", [WNS, MOZILLA])
def test_throttled_without_the_time_to_wait_fails_the_message_and_rests_all_the_same(vendor: object) -> None:
    decision = answer(Verdict.THROTTLED, vendor=vendor, retry_after=30.0, remaining_seconds=20.0)
    assert decision.action is Action.FAIL_BLAMELESS
    assert decision.rest is not None
    assert decision.rest.seconds == 30.0


def test_transient_is_tried_again_with_full_jitter() -> None:
    waits = [answer(Verdict.TRANSIENT, before=(Verdict.TRANSIENT,) * times, chance=0.5) for times in (0, 1, 2)]
    assert waits == [Decision(Action.RETRY, wait) for wait in (0.5, 1.0, 2.0)]


def test_transient_is_not_tried_before_retry_after_nor_past_the_deadline() -> None:
    assert answer(Verdict.TRANSIENT, retry_after=120.0).wait_seconds >= 120.0
    assert answer(Verdict.TRANSIENT, retry_after=120.0, remaining_seconds=119.0) == Decision(Action.FAIL)


def test_transient_after_the_last_attempt_fails_and_is_counted() -> None:
    assert answer(Verdict.TRANSIENT, before=(Verdict.TRANSIENT,) * 4) == Decision(Action.FAIL)
    assert answer(Verdict.TRANSIENT, policy=NO_RETRIES) == Decision(Action.FAIL)


def test_transient_at_a_probe_is_tried_again_then_not_counted_and_comes_a_day_later() -> None:
    assert answer(Verdict.TRANSIENT, is_probe=True).action is Action.RETRY
    decision = answer(Verdict.TRANSIENT, is_probe=True, failed_probes=2, policy=NO_RETRIES)
    assert decision == Decision(Action.QUARANTINE, probe_seconds=DAY_SECONDS)


def test_refused_endpoint_is_quarantined_without_a_probe_and_with_an_alert() -> None:
    assert answer(Verdict.REFUSED_ENDPOINT) == Decision(Action.QUARANTINE, alert=Alert.REFUSED_ENDPOINT)


def test_every_verdict_has_rows_and_the_last_one_has_no_condition() -> None:
    for verdict in Verdict:
        rows = [row for row in ACTION_TABLE if row.verdict is verdict]
        assert rows[-1].when == ""
        assert all(row.when for row in rows[:-1])
        assert all(row.so for row in rows)


_days = st.frozensets(st.integers(TODAY - 20, TODAY), max_size=3)
_situations = st.builds(
    Situation,
    verdict=st.sampled_from(sorted(Verdict)),
    vendor=st.sampled_from(list(VENDORS.values())),
    now=st.floats(NOW, NOW + DAY_SECONDS - 1),
    age_seconds=st.floats(0, 2 * FRESH_SECONDS) | st.just(math.inf),
    before=st.lists(st.sampled_from(sorted(Verdict)), max_size=6).map(tuple),
    remaining_seconds=st.floats(-5, 1e6) | st.just(math.inf),
    retry_after=st.none() | st.floats(0, 7 * DAY_SECONDS),
    chance=st.floats(0, 1, exclude_max=True),
    policy=st.builds(RetryPolicy, attempts_max=st.integers(1, 8), retry_after_seconds_max=st.floats(1, 1e6)),
    suspect_days=_days,
    is_probe=st.booleans(),
    failed_probes=st.integers(0, 3),
    origin=st.builds(
        OriginView, gone_storm=st.booleans(), throttled_widely=st.booleans(), key_taken_for_others=st.booleans()
    ),
    circuit_wait_seconds=st.floats(0, 3600),
    remedy=st.none() | st.sampled_from(sorted(Remedy)),
    remedies_tried=st.frozensets(st.sampled_from(sorted(Remedy))),
    other_key=st.booleans(),
)


def _doubted(given: Situation) -> bool:
    """Whether the answer is taken for a doubt."""
    return given.verdict in (Verdict.GONE, Verdict.SUSPECT) or (
        given.verdict is Verdict.BAD_TOKEN and given.origin.key_taken_for_others
    )


@given(_situations)
def test_nothing_but_gone_or_a_third_doubted_probe_ever_ends_a_subscription(given: Situation) -> None:
    decision = decide(given)
    if decision.action is not Action.END:
        return
    believed = given.verdict is Verdict.GONE and not given.origin.gone_storm
    assert believed or (_doubted(given) and given.is_probe and given.failed_probes >= 2)


@given(_situations)
def test_quarantine_comes_of_three_days_of_doubt_or_a_refused_address_alone(given: Situation) -> None:
    decision = decide(given)
    if decision.action is not Action.QUARANTINE:
        assert decision.probe_seconds is None
        return
    if decision.probe_seconds is None:
        assert given.verdict is Verdict.REFUSED_ENDPOINT
        return
    assert DAY_SECONDS <= decision.probe_seconds <= 7 * DAY_SECONDS
    assert given.is_probe or (_doubted(given) and len(given.suspect_days | {TODAY}) >= 3)
    assert decision.counts_as_suspect == _doubted(given)


@given(_situations)
def test_no_attempt_is_made_before_retry_after_or_past_the_deadline(given: Situation) -> None:
    decision = decide(given)
    if decision.action not in (Action.RETRY, Action.HOLD):
        assert decision.wait_seconds == 0.0
        return
    assert 0.0 <= decision.wait_seconds < given.remaining_seconds
    if given.verdict in RETRIED:
        assert decision.wait_seconds >= (given.retry_after or 0.0)
        assert given.attempt < given.policy.attempts_max


@given(_situations)
def test_every_situation_has_a_row_and_the_same_one_decides_the_same(given: Situation) -> None:
    assert row_for(given).verdict is given.verdict
    assert decide(given) == decide(given)


def test_every_row_is_reached_by_some_situation() -> None:
    kinds = itertools.product(
        Verdict, (FCM, WNS, MOZILLA), (math.inf, 1.0), (True, False), (0, 2), (1.0, math.inf), (0, 4), (None, 0, 2)
    )
    reached = {
        id(
            row_for(
                situation(
                    verdict,
                    vendor=vendor,
                    remaining_seconds=remaining,
                    origin=OriginView(flag, flag, flag),
                    suspect_days=frozenset(range(TODAY - days, TODAY)),
                    age_seconds=age,
                    other_key=flag,
                    remedy=Remedy.DROP_TOPIC if flag else None,
                    before=(verdict,) * attempts,
                    is_probe=probes is not None,
                    failed_probes=probes or 0,
                )
            )
        )
        for verdict, vendor, remaining, flag, days, age, attempts, probes in kinds
    }
    assert [(row.verdict.value, row.when) for row in ACTION_TABLE if id(row) not in reached] == []
