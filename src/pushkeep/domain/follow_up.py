"""Recipients to be tried again: when, together with whom, and what is remembered of their attempts.

A follow-up is a shard like any other. Recipients of one notification and push service with the same history share
one when their times fall into the same bucket, so that a Retry-After for each endpoint does not make thousands of
shards of one.
"""

from __future__ import annotations

import math

from pushkeep.domain.retry import RetryPolicy
from pushkeep.protocol.verdict import Verdict

FOLLOW_UP_RETRIES = RetryPolicy(attempts_max=24, retry_after_seconds_max=86_400.0)
"""Attempts are stored, so waiting costs nothing: a fault is outlasted for most of a day (the waits double up to an
hour), and a push service may ask for a day's patience. The deadline usually comes first."""

HISTORY_MAX = 8
"""Verdicts kept of a message; more would tell nothing that the last eight do not."""

_BUCKETS = ((60.0, 1.0), (600.0, 10.0))
_BUCKET_SECONDS_LONGEST = 60.0


def bucket_seconds(wait_seconds: float) -> float:
    """How wide a bucket is: 1 s for waits below a minute, 10 s below ten minutes, else 60 s."""
    return next((width for below, width in _BUCKETS if wait_seconds < below), _BUCKET_SECONDS_LONGEST)


def due_at(now: float, wait_seconds: float, *, deadline: float) -> float | None:
    """Epoch seconds of the next attempt: after the wait, rounded up to the end of its bucket.

    A bucket that reaches past the deadline is too wide, and the next full second is taken; None where that is past
    it, too.
    """
    exact = now + wait_seconds
    for width in (bucket_seconds(wait_seconds), 1.0):
        rounded = math.ceil(exact / width) * width
        if rounded < deadline:
            return rounded
    return None


def history_with(history: tuple[Verdict, ...], *verdicts: Verdict) -> tuple[Verdict, ...]:
    """A history with further verdicts: the last eight of them."""
    return (*history, *verdicts)[-HISTORY_MAX:]
