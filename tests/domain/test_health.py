"""Health: each trouble takes what the page says, each sign holds from its day on, and nothing alarms without cause."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pushkeep.domain.health import (
    DAY_SECONDS,
    SIGN_DAYS_MIN,
    UNRENEWED_DAYS,
    UNSHOWN_DAYS,
    Part,
    Sign,
    assess,
)
from pushkeep.domain.inactivity import DECIDING, POLICIES, PROVE_LIFE, Certainty, policy_of
from pushkeep.domain.subscription import ENDED, Event, State, StateReason, SubscriptionRecord
from pushkeep.protocol.vendors import VENDORS
from tests.domain.records import RECORD

NOW = 1_800_000_000.0


def record(
    *, seen_days: float = 1.0, accepted_days: float | None = 1.0, shown_days: float | None = None
) -> SubscriptionRecord:
    """An active subscription at FCM; the days are before now."""
    return replace(
        RECORD,
        created_at=NOW - 700 * DAY_SECONDS,
        last_seen_at=NOW - seen_days * DAY_SECONDS,
        last_accepted_at=None if accepted_days is None else NOW - accepted_days * DAY_SECONDS,
        last_displayed_at=None if shown_days is None else NOW - shown_days * DAY_SECONDS,
    )


def quarantined(verdict: str) -> SubscriptionRecord:
    """One in quarantine after an answer with this verdict."""
    reason = StateReason(Event.QUARANTINED, NOW - DAY_SECONDS, verdict=verdict)
    return replace(record(), state=State.QUARANTINED, state_reason=reason, suspect_days=frozenset({1, 2, 3}))


def test_one_that_came_yesterday_is_in_full_health() -> None:
    health = assess(record(), NOW)
    assert (health.score, health.deductions, health.likely_dead) == (100, (), False)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_has_ended_has_no_health_and_is_not_suspected(state: State) -> None:
    health = assess(replace(record(seen_days=900), state=state, ended_at=NOW), NOW)
    assert (health.score, health.likely_dead, health.deductions) == (0, False, ())


@pytest.mark.parametrize(
    ("days", "points"), [(13, 0), (14, 5), (29, 5), (30, 10), (60, 20), (120, 30), (269, 30), (270, 45), (2000, 45)]
)
def test_silence_of_the_browser_takes_points_in_steps(days: int, points: int) -> None:
    assert assess(record(seen_days=days), NOW).score == 100 - points


def test_a_shown_message_is_a_word_of_the_browser_as_a_visit_is() -> None:
    assert assess(record(seen_days=400, shown_days=2), NOW).score == 100


def test_where_acceptance_proves_life_silence_takes_half() -> None:
    known = replace(record(seen_days=61, accepted_days=1), vendor="mozilla")
    assert (assess(known, NOW).score, assess(replace(known, vendor="apple"), NOW).score) == (90, 80)


def test_every_trouble_takes_its_points_and_says_so() -> None:
    troubled = replace(record(), state=State.FAILING, consecutive_failures=2, suspect_days=frozenset({20_000, 20_001}))
    health = assess(troubled, NOW)
    assert {one.part: one.points for one in health.deductions} == {Part.STATE: 10, Part.DOUBTS: 30, Part.FAILURES: 10}
    assert health.score == 50
    assert all(one.words for one in health.deductions)


def test_the_score_never_falls_below_nothing_however_many_failures() -> None:
    worst = replace(quarantined("suspect"), consecutive_failures=10**6, last_seen_at=0.0)
    assert assess(worst, NOW).score == 0


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_silence_is_a_sign_from_the_day_that_the_vendors_policy_names(vendor: str) -> None:
    days = policy_of(vendor).days
    assert days is not None
    silent = replace(record(seen_days=days, accepted_days=None), vendor=vendor)
    assert Sign.SILENT not in assess(silent, NOW).signs
    later = assess(silent, NOW + 1)
    assert Sign.SILENT in later.signs
    assert policy_of(vendor).rule in later.reasons[later.signs.index(Sign.SILENT)]


def test_what_mozilla_takes_proves_life_and_what_others_take_does_not() -> None:
    silent = record(seen_days=400, accepted_days=3)
    assert Sign.SILENT not in assess(replace(silent, vendor="mozilla"), NOW).signs
    assert Sign.SILENT in assess(replace(silent, vendor="fcm"), NOW).signs
    assert Sign.SILENT in assess(replace(silent, vendor="apple"), NOW).signs


def test_a_refused_one_is_likely_dead_and_one_that_must_not_be_dialled_is_not() -> None:
    assert assess(quarantined("suspect"), NOW).signs == (Sign.REFUSED,)
    assert assess(quarantined("refused_endpoint"), NOW).signs == ()


def test_one_that_waits_for_its_browser_is_likely_dead_when_it_does_not_come() -> None:
    waiting = replace(record(seen_days=UNRENEWED_DAYS), state=State.NEEDS_RENEWAL)
    assert assess(waiting, NOW).signs == ()
    assert assess(waiting, NOW + 1).signs == (Sign.UNRENEWED,)


def test_messages_that_are_taken_and_never_shown_are_a_sign_only_if_some_were_shown_before() -> None:
    stale = record(seen_days=UNSHOWN_DAYS + 1, accepted_days=1, shown_days=UNSHOWN_DAYS + 1)
    assert assess(stale, NOW).signs == (Sign.UNSHOWN,)
    assert assess(replace(stale, last_displayed_at=None), NOW).signs == ()
    assert assess(replace(stale, last_seen_at=NOW - DAY_SECONDS), NOW).signs == ()
    assert assess(replace(stale, last_accepted_at=stale.last_displayed_at), NOW).signs == ()


def test_no_sign_but_quarantine_can_hold_for_one_that_came_recently() -> None:
    for vendor in VENDORS:
        for state in (State.ACTIVE, State.FAILING, State.NEEDS_RENEWAL):
            recent = replace(
                record(seen_days=SIGN_DAYS_MIN - 0.01, accepted_days=0.1, shown_days=900), vendor=vendor, state=state
            )
            assert assess(recent, NOW).signs == ()


def test_every_vendor_has_exactly_one_deciding_policy_and_every_row_a_source() -> None:
    assert set(DECIDING) == set(VENDORS)
    for vendor in VENDORS:
        deciding = [row for row in POLICIES if row.vendor == vendor and row.decides]
        assert len(deciding) == 1
        assert (deciding[0].days or 0) >= 60
    assert all(row.rule and row.source for row in POLICIES)
    assert all(
        row.source == "none" or row.certainty is not Certainty.ASSUMED or "spec" in row.source for row in POLICIES
    )


def test_only_a_policy_read_in_source_code_makes_acceptance_a_proof() -> None:
    assert all(policy_of(vendor).certainty is Certainty.SOURCE_CODE for vendor in PROVE_LIFE)


def test_an_unheard_of_vendor_is_judged_as_an_unknown_push_service() -> None:
    assert policy_of("no such row") is policy_of("unknown")
