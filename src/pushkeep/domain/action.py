"""From a verdict to an action: the second table.

The first table (:mod:`pushkeep.protocol.verdict`) says what one answer means; this one says what is done about it,
with what is known of the subscription. Only ``gone`` can end a subscription. Everything else keeps it: a wrong
contact in our token would otherwise wipe out every Apple user in one broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.protocol.verdict import Verdict


class Action(StrEnum):
    """What is done about one answer."""

    DONE = "done"
    """The push service took the message: reset the failures."""

    END = "end"
    """End the subscription."""

    RETRY = "retry"
    """Try this message once more after a wait."""

    FAIL = "fail"
    """Give up this message, keep the subscription, count the failure against it."""

    FAIL_BLAMELESS = "fail_blameless"
    """Give up this message; the subscription is not to blame and is not touched."""


ACTIONS: Mapping[Verdict, Action] = MappingProxyType(
    {
        Verdict.ACCEPTED: Action.DONE,
        Verdict.GONE: Action.END,
        Verdict.SUSPECT: Action.FAIL,
        Verdict.KEY_MISMATCH: Action.FAIL,
        Verdict.TRANSIENT: Action.FAIL,
        Verdict.REFUSED_ENDPOINT: Action.FAIL,
        # Ours to put right (key, contact, clock, size, form), or the service's own load: says nothing about a person.
        Verdict.BAD_TOKEN: Action.FAIL_BLAMELESS,
        Verdict.TOO_LARGE: Action.FAIL_BLAMELESS,
        Verdict.BAD_REQUEST: Action.FAIL_BLAMELESS,
        Verdict.THROTTLED: Action.FAIL_BLAMELESS,
    }
)
"""The action of each verdict, before history is looked at."""

FRESH_VENDORS = frozenset({"fcm"})
FRESH_SECONDS = 120.0
"""A new FCM subscription can answer 410 for some seconds (seen by several senders); this is far past that."""

FRESH_GONE_WAITS_SECONDS = (2.0, 10.0)
"""Before attempts two and three of a message to such a subscription; a third ``gone`` is believed."""

SUCCESS_WRITE_SECONDS = 3600.0
"""An accepted message is written down at most once an hour: a broadcast must not rewrite the whole table."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        action: what is done.
        wait_seconds: before the next attempt, for ``retry``.
    """

    action: Action
    wait_seconds: float = 0.0


def decide(verdict: Verdict, *, vendor: str, age_seconds: float, attempt: int) -> Decision:
    """Decide on one answer.

    Args:
        verdict: what the answer means.
        vendor: the vendor row's name.
        age_seconds: since the subscription was first registered, at the first attempt of this message.
        attempt: 1 for the first.
    """
    action = ACTIONS[verdict]
    fresh = vendor in FRESH_VENDORS and age_seconds < FRESH_SECONDS
    if action is Action.END and fresh and attempt <= len(FRESH_GONE_WAITS_SECONDS):
        return Decision(Action.RETRY, FRESH_GONE_WAITS_SECONDS[attempt - 1])
    return Decision(action)


def success_needs_write(*, now: float, last_accepted_at: float | None, consecutive_failures: int) -> bool:
    """Whether an accepted message changes what is stored enough to be written."""
    return consecutive_failures > 0 or last_accepted_at is None or now - last_accepted_at > SUCCESS_WRITE_SECONDS
