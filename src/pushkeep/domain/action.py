"""What can be done about an answer of a push service, in which words.

Which of it is done when is the table in :mod:`pushkeep.domain.action_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Action(StrEnum):
    """What is done about one answer."""

    DONE = "done"
    """The push service took the message: reset the failures."""

    END = "end"
    """End the subscription."""

    RETRY = "retry"
    """Try this message once more after a wait."""

    HOLD = "hold"
    """Keep this message until the circuit of its key and push service lets it go, or its deadline comes."""

    FAIL = "fail"
    """Give up this message, keep the subscription, count the failure against it."""

    FAIL_BLAMELESS = "fail_blameless"
    """Give up this message; the subscription is not to blame and is not touched."""

    NEEDS_RENEWAL = "needs_renewal"
    """Give up this message, and send no more until the subscription's browser has renewed it."""

    QUARANTINE = "quarantine"
    """Give up this message, and from now on only probe the subscription, or never dial its endpoint again until the
    operator releases it."""


class Change(StrEnum):
    """What is different about the next attempt."""

    OTHER_KEY = "other_key"
    REMEDY = "remedy"


class Alert(StrEnum):
    """What the operator is told; once for a notification and a push service."""

    GONE_STORM = "gone_storm"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a name, not a password
    BAD_MESSAGE = "bad_message"
    REFUSED_ENDPOINT = "refused_endpoint"


ALERT_WORDS: Mapping[Alert, str] = MappingProxyType(
    {
        Alert.GONE_STORM: (
            "the push service calls unusually many subscriptions gone; they are kept for now, and ended if it still "
            "says so when its share of them is no longer unusual; on three different days it puts them into quarantine"
        ),
        Alert.BAD_TOKEN: (
            "the push service refuses our token, so messages to it are held back; check the contact, the signing key "
            "and this machine's clock with `pushkeep doctor`"
        ),
        Alert.BAD_MESSAGE: (
            "the push service refuses the message itself; `pushkeep doctor explain` says what its answer means"
        ),
        Alert.REFUSED_ENDPOINT: (
            "an endpoint leads to an address that is not public, so it was not dialled and is in quarantine; if the "
            "push service is yours, add it to the origin map and release it with `pushkeep subscriptions release`"
        ),
    }
)
"""Each alert with its remedy, as a log says it after the push service's origin."""


class Scope(StrEnum):
    """What rests."""

    ENDPOINT = "endpoint"
    ORIGIN = "origin"
    KEY_AT_ORIGIN = "key_at_origin"


@dataclass(frozen=True, slots=True)
class Rest:
    """Something is not sent to for a while, whatever becomes of this message.

    Attributes:
        scope: what rests.
        seconds: for how long.
    """

    scope: Scope
    seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        action: what is done.
        wait_seconds: before the next attempt, for ``retry`` and ``hold``.
        change: what is different about it.
        rest: what else is not sent to for a while.
        counts_as_suspect: whether the day is added to the subscription's suspect days; for a probe, whether it counts
            as failed.
        alert: what the operator is told.
        probe_seconds: for ``quarantine``, until the next message may go to it; None where it must not be dialled.
    """

    action: Action
    wait_seconds: float = 0.0
    change: Change | None = None
    rest: Rest | None = None
    counts_as_suspect: bool = False
    alert: Alert | None = None
    probe_seconds: float | None = None


SUCCESS_WRITE_SECONDS = 3600.0
"""An accepted message is written down at most once an hour: a broadcast must not rewrite the whole table."""


def success_needs_write(
    *, now: float, last_accepted_at: float | None, consecutive_failures: int, active: bool = True
) -> bool:
    """Whether an accepted message changes what is stored enough to be written."""
    if consecutive_failures > 0 or not active or last_accepted_at is None:
        return True
    return now - last_accepted_at > SUCCESS_WRITE_SECONDS
