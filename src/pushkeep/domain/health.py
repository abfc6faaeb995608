"""How a subscription is doing, judged from what is known already: no message is sent to find out.

A silent probe is impossible. Every browser wants each push to show something, and punishes a site whose pushes do
not: Chromium shows a notification of its own, Firefox unsubscribes after sixteen, Safari after three. So health is
what pages, receipts and answers to messages that were due anyway have told.

Two judgements, which are documented and independent of each other:

- the **score** starts at 100 and loses points for each trouble (:class:`Part`); it orders, and decides nothing;
- **likely dead** is a list of plain signs (:class:`Sign`), each of which alone is enough.

Neither ever ends a subscription. :mod:`pushkeep.adapters.store.health_sql` says the signs once more in SQL, from the
same numbers, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.domain.inactivity import PROVE_LIFE, policy_of
from pushkeep.domain.subscription import State, SubscriptionRecord
from pushkeep.protocol.vendors import UNKNOWN, VENDORS
from pushkeep.protocol.verdict import Verdict

DAY_SECONDS = 86_400.0

SCORE_MAX = 100

STATE_POINTS: Mapping[State, int] = MappingProxyType(
    {State.ACTIVE: 0, State.FAILING: 10, State.NEEDS_RENEWAL: 40, State.QUARANTINED: 50}
)
"""What its state takes from the score; an ended one has none left."""

DOUBT_POINTS = 15
"""For each different day on which its push service doubted it; at most three are counted."""

FAILURE_POINTS = 5
FAILURE_POINTS_MAX = 20
"""For each message that failed since the last accepted one."""

SILENCE_POINTS: tuple[tuple[int, int], ...] = ((270, 45), (120, 30), (60, 20), (30, 10), (14, 5))
"""Days without a word of its browser, and what they take."""

UNSHOWN_POINTS = 20
"""Where messages are taken and none is shown any more."""

UNSHOWN_DAYS = 60
"""For so long a browser that used to report what it shows has reported nothing, and has not come either, although
messages were taken for it. Two months: people go on holidays, and receipts may be blocked for a while."""

UNSHOWN_ACCEPTED_DAYS = 30
"""So long after the last message that was shown another one must have been taken: one that was shown late, or whose
receipt got lost, is no sign."""

UNRENEWED_DAYS = 60
"""For so long a subscription with a key that is not taken any more has waited for its browser."""

SIGN_DAYS_MIN = min(UNSHOWN_DAYS, UNRENEWED_DAYS, *(policy_of(vendor).days or 0 for vendor in VENDORS))
"""No sign but a quarantine holds for a subscription whose browser came more recently than this."""


class Part(StrEnum):
    """What can take points."""

    STATE = "state"
    DOUBTS = "doubts"
    FAILURES = "failures"
    SILENCE = "silence"
    UNSHOWN = "unshown"


class Sign(StrEnum):
    """What makes a subscription likely dead."""

    REFUSED = "refused"
    """In quarantine because its push service refused it for days."""
    SILENT = "silent"
    """No sign of life for longer than its vendor's policy (:mod:`pushkeep.domain.inactivity`) allows."""
    UNRENEWED = "unrenewed"
    """It needs another signing key, and its browser does not come to fetch it."""
    UNSHOWN = "unshown"
    """Messages are taken for it, and not shown any more."""


@dataclass(frozen=True, slots=True)
class Deduction:
    """Points that are missing.

    Attributes:
        part: for what.
        points: how many.
        words: why, in plain words.
    """

    part: Part
    points: int
    words: str


@dataclass(frozen=True, slots=True)
class Health:
    """The judgement.

    Attributes:
        score: 0 to 100; 0 for what has ended.
        deductions: what is missing from 100, and why. Together they may be more than 100.
        signs: what makes it likely dead, by name; none for what has ended.
        reasons: the same in plain words, one sentence each.
    """

    score: int
    deductions: tuple[Deduction, ...]
    signs: tuple[Sign, ...]
    reasons: tuple[str, ...]

    @property
    def likely_dead(self) -> bool:
        """Whether there is any sign."""
        return bool(self.signs)


_ENDED = Health(0, (), (), ())


def assess(record: SubscriptionRecord, now: float) -> Health:
    """Judge a subscription by what is stored of it.

    Args:
        record: as it is stored.
        now: epoch seconds.
    """
    if not record.living:
        return _ENDED
    deductions = tuple(found for part in _PARTS if (found := part(record, now)) is not None)
    signs = tuple((sign, words) for sign, look in SIGNS.items() if (words := look(record, now)) is not None)
    return Health(
        score=max(SCORE_MAX - sum(one.points for one in deductions), 0),
        deductions=deductions,
        signs=tuple(sign for sign, _ in signs),
        reasons=tuple(words for _, words in signs),
    )


def heard_at(record: SubscriptionRecord) -> float:
    """When its browser last said anything: a page load, a heartbeat, a receipt. Epoch seconds."""
    return max(record.last_seen_at, record.last_displayed_at or 0.0)


def not_dialled(record: SubscriptionRecord) -> bool:
    """Whether it is in quarantine because its endpoint must not be dialled: that says nothing about its browser."""
    reason = record.state_reason
    return record.state is State.QUARANTINED and reason is not None and reason.verdict == Verdict.REFUSED_ENDPOINT.value


def _days(seconds: float) -> str:
    days = int(seconds // DAY_SECONDS)
    return f"{days} day" if days == 1 else f"{days} days"


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _state_part(record: SubscriptionRecord, now: float) -> Deduction | None:
    points = STATE_POINTS[record.state]
    words = "it needs renewal" if record.state is State.NEEDS_RENEWAL else f"it is {record.state.value}"
    return Deduction(Part.STATE, points, words) if points else None


def _doubts_part(record: SubscriptionRecord, now: float) -> Deduction | None:
    days = len(record.suspect_days)
    if not days:
        return None
    on = "1 day" if days == 1 else f"{days} different days"
    return Deduction(Part.DOUBTS, DOUBT_POINTS * min(days, 3), f"its push service doubted it on {on}")


def _failures_part(record: SubscriptionRecord, now: float) -> Deduction | None:
    count = record.consecutive_failures
    if not count:
        return None
    points = min(FAILURE_POINTS * count, FAILURE_POINTS_MAX)
    return Deduction(Part.FAILURES, points, f"{_times(count, 'message')} failed since the last accepted one")


def _silence_part(record: SubscriptionRecord, now: float) -> Deduction | None:
    silent = now - heard_at(record)
    for days, points in SILENCE_POINTS:
        if silent >= days * DAY_SECONDS:
            taken = record.vendor in PROVE_LIFE and now - (record.last_accepted_at or 0.0) < days * DAY_SECONDS
            known = ", but its push service knows it" if taken else ""
            return Deduction(
                Part.SILENCE, points // 2 if taken else points, f"no word of its browser for {_days(silent)}{known}"
            )
    return None


def _unshown_part(record: SubscriptionRecord, now: float) -> Deduction | None:
    words = _unshown(record, now)
    return None if words is None else Deduction(Part.UNSHOWN, UNSHOWN_POINTS, "messages are taken and not shown")


_PARTS: tuple[Callable[[SubscriptionRecord, float], Deduction | None], ...] = (
    _state_part,
    _doubts_part,
    _failures_part,
    _silence_part,
    _unshown_part,
)


def _refused(record: SubscriptionRecord, now: float) -> str | None:
    if record.state is not State.QUARANTINED or not_dialled(record):
        return None
    days = len(record.suspect_days)
    on = f" on {_times(days, 'different day')}" if days else ""
    probes = f", and {_times(record.probes, 'probe')} since" if record.probes else ""
    return f"Its push service refused it{on}{probes}."


def _silent(record: SubscriptionRecord, now: float) -> str | None:
    policy = policy_of(record.vendor)
    known = record.last_accepted_at if record.vendor in PROVE_LIFE else None
    silent = now - max(heard_at(record), known or 0.0)
    if silent <= (policy.days or 0) * DAY_SECONDS:
        return None
    return f"No sign of life for {_days(silent)}: {policy.rule} ({policy.certainty.value.replace('_', ' ')})."


def _unrenewed(record: SubscriptionRecord, now: float) -> str | None:
    silent = now - heard_at(record)
    if record.state is not State.NEEDS_RENEWAL or silent <= UNRENEWED_DAYS * DAY_SECONDS:
        return None
    return f"It needs another signing key, and its browser has not come to fetch it for {_days(silent)}."


def _unshown(record: SubscriptionRecord, now: float) -> str | None:
    shown, accepted = record.last_displayed_at, record.last_accepted_at
    if shown is None or accepted is None or now - heard_at(record) <= UNSHOWN_DAYS * DAY_SECONDS:
        return None
    if accepted - shown <= UNSHOWN_ACCEPTED_DAYS * DAY_SECONDS:
        return None
    vendor = VENDORS.get(record.vendor, UNKNOWN).title
    return f"{vendor} takes messages for it, but its browser has shown none for {_days(now - shown)}."


SIGNS: Mapping[Sign, Callable[[SubscriptionRecord, float], str | None]] = MappingProxyType(
    {Sign.REFUSED: _refused, Sign.SILENT: _silent, Sign.UNRENEWED: _unrenewed, Sign.UNSHOWN: _unshown}
)
"""Each sign with the function that looks for it: a sentence, or None."""


def score_reference() -> str:
    """What takes points, as Markdown, for the documentation."""
    lines = ["| part | takes | for |", "|---|---|---|"]
    for state, points in STATE_POINTS.items():
        if points:
            lines.append(f"| `state` | {points} | being `{state.value}` |")
    lines.append(
        f"| `doubts` | {DOUBT_POINTS} each, at most {3 * DOUBT_POINTS} | a day on which its push service doubted it |"
    )
    lines.append(
        f"| `failures` | {FAILURE_POINTS} each, at most {FAILURE_POINTS_MAX} | a message that failed since the last "
        "accepted one |"
    )
    for days, points in reversed(SILENCE_POINTS):
        lines.append(f"| `silence` | {points} | {days} days without a word of its browser |")
    lines.append("| `silence` | half | the same, where acceptance proves life and was more recent |")
    lines.append(f"| `unshown` | {UNSHOWN_POINTS} | messages that are taken and not shown, as below |")
    return "\n".join(lines) + "\n"
