"""Quarantine: what happens to a subscription that is refused again and again, before it is given up.

A push service that doubts a subscription is sometimes wrong for a day, and sometimes for longer. So three different
days of doubt end nothing; they only stop the stream of messages. From then on single messages are let through, ever
less often, as *probes*: real ones that are due anyway, since browsers punish a push that shows nothing. One that is
accepted ends the quarantine; the third that is definitely refused ends the subscription.
"""

from __future__ import annotations

from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import State

PROBE_DISTANCES_DAYS = (1, 3, 7)
"""From the quarantine to the first probe, then from each failed probe to the next. So nothing ends by doubt before its
push service has kept to it on six different days in about two weeks; a day of outage somewhere never makes that."""

FAILED_PROBES_TO_END = len(PROBE_DISTANCES_DAYS)

LOST_PROBE_SECONDS = float(DAY_SECONDS)
"""Until the next probe after one that came to nothing for reasons that pass, and is not counted."""


def is_last_probe(failed: int) -> bool:
    """Whether the subscription ends if the probe after so many failed ones is definitely refused, too."""
    return failed + 1 >= FAILED_PROBES_TO_END


def seconds_to_probe(failed: int) -> float:
    """How long after the quarantine, or after the last of so many failed probes, the next one may go."""
    return float(PROBE_DISTANCES_DAYS[min(failed, len(PROBE_DISTANCES_DAYS) - 1)] * DAY_SECONDS)


def may_probe(state: State, probe_at: float | None, now: float) -> bool:
    """Whether the next message to a subscription is its probe.

    One whose endpoint must not be dialled has no time for that (``probe_at`` is None), and is never probed.
    """
    return state is State.QUARANTINED and probe_at is not None and probe_at <= now


def after_failure(
    *, probe_at: float | None, probes: int, next_probe_at: float | None, definite: bool, at: float
) -> tuple[float | None, int]:
    """When the next probe may go, and how many have failed, after a message that failed in quarantine.

    Several messages may have been let through at once, or started before the quarantine did: they are one probe, and
    only the first that is written down counts.

    Args:
        probe_at, probes: as stored.
        next_probe_at: what the message's answer says; None where it was started as no probe.
        definite: whether it counts as failed.
        at: epoch seconds of the answer.
    """
    if probe_at is None or next_probe_at is None or probe_at > at:
        return probe_at, probes
    return next_probe_at, probes + definite


def after_quarantine(
    *, quarantined: bool, probe_at: float | None, probes: int, next_probe_at: float | None
) -> tuple[float | None, int]:
    """The same after a message put the subscription into quarantine; ``quarantined`` says whether it was there already.

    What must not be dialled (``next_probe_at`` is None) is not probed any more.
    """
    if not quarantined:
        return next_probe_at, 0
    return (None if next_probe_at is None else probe_at), probes
