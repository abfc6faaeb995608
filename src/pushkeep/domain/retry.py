"""When to try again: a pure function that returns how long to wait, or that there is no use in waiting.

Two verdicts pass by themselves. ``transient`` is waited out with full jitter: a wait drawn evenly from nothing to
``base_seconds · 2^(attempt-1)``, so that what failed together does not come back together. ``throttled`` without a
word from the service is waited out for ``throttle_base_seconds · 2^(attempt-1)``. Both double up to
``wait_seconds_max``. Neither ever comes before the push service's ``Retry-After``, nor after the message's deadline.

Every other verdict stands however often it is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from pushkeep.errors import InvalidInput
from pushkeep.protocol.verdict import Verdict

ATTEMPTS_MAX = 100
"""More attempts than any deadline has room for; only keeps a slip of the keyboard from hammering a push service."""

WAIT_SECONDS_LONGEST = 30 * 86_400.0
"""The longest time that any push service keeps a message; a longer wait outlives what is waited for."""

RETRIED = frozenset({Verdict.TRANSIENT, Verdict.THROTTLED})
"""The verdicts that pass by themselves."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently one message is tried.

    Attributes:
        attempts_max: attempts in all, the first one included.
        base_seconds: the longest first wait after a fault that passes.
        wait_seconds_max: where both waits stop doubling.
        throttle_base_seconds: the first wait after a throttled answer that names no time.
        retry_after_seconds_max: a ``Retry-After`` above this is not waited for: the message is given up.

    Raises:
        InvalidInput: attempts outside 1 to 100, or a time that is not above 0 and at most 30 days.
    """

    attempts_max: int = 5
    base_seconds: float = 1.0
    wait_seconds_max: float = 3600.0
    throttle_base_seconds: float = 60.0
    retry_after_seconds_max: float = 3600.0

    def __post_init__(self) -> None:
        attempts = self.attempts_max
        if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= ATTEMPTS_MAX:
            raise InvalidInput(f"attempts_max must be a whole number from 1 to {ATTEMPTS_MAX}.", field="attempts_max")
        for name in (field.name for field in fields(self) if field.name.endswith(("_seconds", "_seconds_max"))):
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= WAIT_SECONDS_LONGEST:
                raise InvalidInput(
                    f"{name} must be a number of seconds above 0 and at most {WAIT_SECONDS_LONGEST:.0f} (30 days).",
                    field=name,
                )


NO_RETRIES = RetryPolicy(attempts_max=1)
"""One attempt, whatever comes of it."""


def wait_before_retry(
    policy: RetryPolicy,
    *,
    verdict: Verdict,
    attempt: int,
    retry_after: float | None,
    remaining_seconds: float,
    chance: float,
) -> float | None:
    """How many seconds to wait before the next attempt; None to give up.

    Args:
        policy: how patient to be.
        verdict: of the attempt that was just made.
        attempt: its number, 1 for the first.
        retry_after: what the push service asked for, in seconds.
        remaining_seconds: until the message's deadline; infinity where there is none. The wait is shorter than this.
        chance: from 0 up to 1, drawn anew for every wait.

    Returns:
        for ``transient``, Retry-After (or 0) plus a share ``chance`` of the doubled base, cut to the deadline;
        for ``throttled``, Retry-After, or the doubled base where the service named no time;
        None for other verdicts, after the last attempt, and when the deadline comes first.
    """
    if verdict not in RETRIED or attempt >= policy.attempts_max:
        return None
    asked = retry_after if retry_after is not None and math.isfinite(retry_after) and retry_after > 0 else 0.0
    if asked > policy.retry_after_seconds_max or asked >= remaining_seconds:
        return None
    if verdict is Verdict.TRANSIENT:
        span = min(_doubled(policy.base_seconds, attempt, policy.wait_seconds_max), remaining_seconds - asked)
        wait = asked + span * min(max(chance, 0.0), 1.0)
    else:
        wait = asked or _doubled(policy.throttle_base_seconds, attempt, policy.wait_seconds_max)
    return wait if wait < remaining_seconds else None


def _doubled(seconds: float, attempt: int, seconds_max: float) -> float:
    # Past 2^30 every wait is over its limit; the number itself must not overflow.
    return min(seconds * 2.0 ** min(max(attempt - 1, 0), 30), seconds_max)


CHANCE_BYTES = 7
"""Random octets for one drawing: 53 bits of them fill a float's precision."""


def chance_of(octets: bytes) -> float:
    """Make the ``chance`` of a wait, from 0 up to but not 1, of :data:`CHANCE_BYTES` random octets."""
    return (int.from_bytes(octets[:CHANCE_BYTES], "big") >> 3) / 2.0**53
