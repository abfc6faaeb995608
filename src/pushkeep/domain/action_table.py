"""From a verdict to an action: the second table.

The first table (:mod:`pushkeep.protocol.verdict`) says what one answer means; this one says what is done about it,
with what is known of the subscription, the message and the push service (:class:`Situation`). For each verdict the
rows are read from the top, and the first whose condition holds is taken. The last row of a verdict has none.

Only ``gone`` ends a subscription. Doubt on three different days puts it into quarantine
(:mod:`pushkeep.domain.quarantine`), and ends it only when three probes there were refused, too. Everything else keeps
it: a wrong contact in our token would otherwise wipe out every Apple user in one broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pushkeep.domain.action import Action, Alert, Change, Decision, Rest, Scope
from pushkeep.domain.quarantine import LOST_PROBE_SECONDS, is_last_probe, seconds_to_probe
from pushkeep.domain.retry import wait_before_retry
from pushkeep.domain.situation import Situation
from pushkeep.protocol.verdict import Verdict

FRESH_VENDORS = frozenset({"fcm"})
FRESH_SECONDS = 120.0
"""A new FCM subscription can answer 410 for some seconds (seen by several senders); this is far past that."""

FRESH_GONE_WAITS_SECONDS = (2.0, 10.0)
"""Before attempts two and three of a message to such a subscription; a third ``gone`` is believed."""


def _always(_: Situation) -> bool:
    return True


def _no_seconds(_: Situation) -> float:
    return 0.0


def _no_rest(_: Situation) -> Rest | None:
    return None


def _no_probe(_: Situation) -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One row: what is done about a verdict when its condition holds.

    Attributes:
        verdict: the answer's verdict.
        when: the condition in words, for the docs; empty for the last row of a verdict.
        action: what is done.
        so: what that means, in words for the docs.
        holds: the condition.
        wait: seconds before the next attempt.
        change: what is different about it.
        rest: what else is not sent to for a while.
        counts_as_suspect: whether the day is added to the subscription's suspect days.
        alert: what the operator is told.
        probe: seconds until the next probe, for ``quarantine``.
    """

    verdict: Verdict
    when: str
    action: Action
    so: str
    holds: Callable[[Situation], bool] = _always
    wait: Callable[[Situation], float] = _no_seconds
    change: Change | None = None
    rest: Callable[[Situation], Rest | None] = _no_rest
    counts_as_suspect: bool = False
    alert: Alert | None = None
    probe: Callable[[Situation], float | None] = _no_probe

    def decide(self, situation: Situation) -> Decision:
        """The decision of this row."""
        return Decision(
            self.action,
            self.wait(situation),
            self.change,
            self.rest(situation),
            self.counts_as_suspect,
            self.alert,
            self.probe(situation),
        )


def _fresh(s: Situation) -> bool:
    return (
        s.vendor.name in FRESH_VENDORS
        and s.age_seconds < FRESH_SECONDS
        and s.times_before(Verdict.GONE) < len(FRESH_GONE_WAITS_SECONDS)
    )


def _fresh_wait(s: Situation) -> float:
    return FRESH_GONE_WAITS_SECONDS[s.times_before(Verdict.GONE)]


def _again_in(s: Situation) -> float | None:
    return wait_before_retry(
        s.policy,
        verdict=s.verdict,
        attempt=s.attempt,
        retry_after=s.retry_after,
        remaining_seconds=s.remaining_seconds,
        chance=s.chance,
    )


def _has_time(s: Situation) -> bool:
    return _again_in(s) is not None


def _retry_wait(s: Situation) -> float:
    return _again_in(s) or 0.0


def _throttled_everywhere(s: Situation) -> bool:
    return s.vendor.origin_wide_throttle or s.origin.throttled_widely


def _throttle_rest(scope: Scope) -> Callable[[Situation], Rest]:
    def rest(s: Situation) -> Rest:
        # What rests does so for as long as it was asked for, however little time this one message has left.
        asked = s.retry_after if s.retry_after else s.policy.throttle_base_seconds * 2.0 ** min(s.attempt - 1, 30)
        return Rest(scope, asked if s.retry_after else min(asked, s.policy.wait_seconds_max))

    return rest


def _circuit_rest(s: Situation) -> Rest:
    return Rest(Scope.KEY_AT_ORIGIN, s.circuit_wait_seconds)


def _remediable(s: Situation) -> bool:
    return s.remedy is not None and s.remedy not in s.remedies_tried and s.remaining_seconds > 0


def _next_probe(s: Situation) -> float:
    return seconds_to_probe(s.failed_probes + 1 if s.is_probe else 0)


def _suspect_rows(
    verdict: Verdict, when: str, holds: Callable[[Situation], bool], alert: Alert | None = None
) -> Iterator[ActionRow]:
    """The rows of an answer that is taken for a doubt, on the first days, from the third day on, and at probes."""
    joined = f"{when}, and " if when else ""
    yield ActionRow(
        verdict,
        f"{joined}it is the third probe in quarantine with such an answer",
        Action.END,
        "end the subscription",
        lambda s: holds(s) and s.is_probe and is_last_probe(s.failed_probes),
        counts_as_suspect=True,
        alert=alert,
    )
    yield ActionRow(
        verdict,
        f"{joined}it is the first or second",
        Action.QUARANTINE,
        "give up this message; the next probe is what is due 3 days later, then 7 days later",
        lambda s: holds(s) and s.is_probe,
        counts_as_suspect=True,
        alert=alert,
        probe=_next_probe,
    )
    yield ActionRow(
        verdict,
        f"{joined}it is the third different day with such an answer and none was accepted since",
        Action.QUARANTINE,
        "give up this message and put the subscription into quarantine; its first probe is what is due a day later",
        lambda s: holds(s) and s.suspected_long_enough,
        counts_as_suspect=True,
        alert=alert,
        probe=_next_probe,
    )
    yield ActionRow(
        verdict,
        when,
        Action.FAIL,
        "give up this message, keep the subscription as suspect and go on sending to it",
        holds,
        counts_as_suspect=True,
        alert=alert,
    )


def _throttled_rows(when: str, holds: Callable[[Situation], bool], scope: Scope) -> Iterator[ActionRow]:
    """The two rows of a throttled answer: with and without the time to wait. Something rests in both."""
    rests = "the whole push service rests" if scope is Scope.ORIGIN else "this endpoint rests"
    yield ActionRow(
        Verdict.THROTTLED,
        f"{when}, and attempts and time are left" if when else "attempts and time are left",
        Action.RETRY,
        f"{rests}, then once more: after Retry-After, else 60 s · 2^n, at most 1 h",
        lambda s: holds(s) and _has_time(s),
        wait=_retry_wait,
        rest=_throttle_rest(scope),
    )
    yield ActionRow(
        Verdict.THROTTLED,
        when,
        Action.FAIL_BLAMELESS,
        f"{rests}; give up this message",
        holds,
        rest=_throttle_rest(scope),
    )


ACTION_TABLE: tuple[ActionRow, ...] = (
    ActionRow(Verdict.ACCEPTED, "", Action.DONE, "reset the failures"),
    ActionRow(
        Verdict.GONE,
        "FCM, the subscription is younger than 120 s, and this is its first or second such answer",
        Action.RETRY,
        "once more after 2 s, then after 10 s",
        lambda s: _fresh(s) and _fresh_wait(s) < s.remaining_seconds,
        wait=_fresh_wait,
    ),
    ActionRow(
        Verdict.GONE,
        "the same, and the deadline comes before that",
        Action.FAIL,
        "give up this message, keep the subscription",
        _fresh,
    ),
    *_suspect_rows(
        Verdict.GONE,
        "more than 5 % of at least 200 sends in 10 minutes were gone there, and over 3 times what is usual "
        "(the middle one of the 14 days before)",
        lambda s: s.origin.gone_storm,
        Alert.GONE_STORM,
    ),
    ActionRow(Verdict.GONE, "", Action.END, "end the subscription"),
    *_suspect_rows(Verdict.SUSPECT, "", _always),
    ActionRow(
        Verdict.KEY_MISMATCH,
        "another key is recorded for the project and was not tried",
        Action.RETRY,
        "once more at once, with that key",
        lambda s: s.other_key and s.remaining_seconds > 0,
        change=Change.OTHER_KEY,
    ),
    ActionRow(
        Verdict.KEY_MISMATCH,
        "",
        Action.NEEDS_RENEWAL,
        "give up this message, send no more until the browser has renewed the subscription; never end it by this alone",
    ),
    *_suspect_rows(
        Verdict.BAD_TOKEN,
        "the same key was accepted for others at that push service within 10 minutes, and not refused by 3 since",
        lambda s: s.origin.key_taken_for_others,
    ),
    ActionRow(
        Verdict.BAD_TOKEN,
        "a probe is allowed before the deadline",
        Action.HOLD,
        "open the circuit of this key and push service: hold its messages, then let one go as a probe",
        lambda s: s.circuit_wait_seconds < s.remaining_seconds,
        wait=lambda s: s.circuit_wait_seconds,
        rest=_circuit_rest,
        alert=Alert.BAD_TOKEN,
    ),
    ActionRow(
        Verdict.BAD_TOKEN,
        "",
        Action.FAIL_BLAMELESS,
        "open the circuit; give up this message",
        rest=_circuit_rest,
        alert=Alert.BAD_TOKEN,
    ),
    ActionRow(
        Verdict.TOO_LARGE,
        "",
        Action.FAIL_BLAMELESS,
        "give up this message for this recipient, keep the subscription",
        alert=Alert.BAD_MESSAGE,
    ),
    ActionRow(
        Verdict.BAD_REQUEST,
        "the answer names a remedy that was not tried (Apple: no Topic; WNS: the right cache policy)",
        Action.RETRY,
        "once more at once, with the remedy",
        _remediable,
        change=Change.REMEDY,
    ),
    ActionRow(
        Verdict.BAD_REQUEST,
        "",
        Action.FAIL_BLAMELESS,
        "give up this message for this recipient, keep the subscription",
        alert=Alert.BAD_MESSAGE,
    ),
    *_throttled_rows(
        "the push service throttles as a whole (WNS), or 10 different endpoints of it were throttled within 5 s",
        _throttled_everywhere,
        Scope.ORIGIN,
    ),
    *_throttled_rows("", _always, Scope.ENDPOINT),
    ActionRow(
        Verdict.TRANSIENT,
        "attempts and time are left",
        Action.RETRY,
        "once more after a random part of 1 s · 2^n, never before Retry-After",
        _has_time,
        wait=_retry_wait,
    ),
    ActionRow(
        Verdict.TRANSIENT,
        "it is a probe in quarantine",
        Action.QUARANTINE,
        "give up this message; it does not count as a probe, and the next one is what is due a day later",
        lambda s: s.is_probe,
        probe=lambda _: LOST_PROBE_SECONDS,
    ),
    ActionRow(Verdict.TRANSIENT, "", Action.FAIL, "give up this message, count the failure"),
    ActionRow(
        Verdict.REFUSED_ENDPOINT,
        "",
        Action.QUARANTINE,
        "give up this message and put the subscription into quarantine; never dial it until the operator releases it",
        alert=Alert.REFUSED_ENDPOINT,
    ),
)
"""The table, in the order in which it is read."""

_ROWS = {verdict: tuple(row for row in ACTION_TABLE if row.verdict is verdict) for verdict in Verdict}


def row_for(situation: Situation) -> ActionRow:
    """The first row of the verdict whose condition holds."""
    return next(row for row in _ROWS[situation.verdict] if row.holds(situation))


def decide(situation: Situation) -> Decision:
    """Decide on one answer."""
    return row_for(situation).decide(situation)
