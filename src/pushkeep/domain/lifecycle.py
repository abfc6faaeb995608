"""A subscription's life, entry by entry: what happened, when, by whose word, and what that made of it.

The log is append-only. An entry is written in the transaction that makes the move, for every change of state, owner,
secrets or signing key; what only confirms what was known (a page load, a message accepted once more) is none. Entries
go with their subscription's tombstone. No entry holds an endpoint, a secret or a contact's name: contacts stand in it
by their internal number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.domain.subscription import Event, State, StateReason


class By(StrEnum):
    """Whose word a move rests on."""

    BROWSER = "browser"
    PUSH_SERVICE = "push_service"
    OPERATOR = "operator"
    """A command or an API key."""
    SWEEP = "sweep"


BY_OF_END: Mapping[Event, By] = MappingProxyType(
    {
        Event.SAID_GONE: By.PUSH_SERVICE,
        Event.LOST: By.BROWSER,
        Event.LEFT: By.BROWSER,
        Event.REPLACED: By.BROWSER,
        Event.REMOVED: By.OPERATOR,
        Event.EXPIRED: By.SWEEP,
    }
)
"""Whose word an end is."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a move rests on; None where it does not apply.

    Attributes:
        by: whose word.
        text: the push service's own words (cut and cleaned), or the operator's.
        verdict: what the answer meant.
        status, code, errno, more_info: of the answer, as in :class:`~pushkeep.domain.subscription.StateReason`.
        predecessor, successor: public ids of the subscriptions it replaced, or was replaced by.
        contact, contact_before: internal numbers of its owner, after and before.
        key, key_before: ids of its signing key, after and before (``SigningKey.key_id``).
        days: on how many different days it was doubted.
    """

    by: By
    text: str | None = None
    verdict: str | None = None
    status: int | None = None
    code: int | None = None
    errno: int | None = None
    more_info: str | None = None
    predecessor: str | None = None
    successor: str | None = None
    contact: int | None = None
    contact_before: int | None = None
    key: str | None = None
    key_before: str | None = None
    days: int | None = None

    @classmethod
    def of(cls, reason: StateReason, by: By, *, days: int | None = None) -> Evidence:
        """A reason's facts as evidence."""
        return cls(
            by,
            text=reason.text,
            verdict=reason.verdict,
            status=reason.status,
            code=reason.code,
            errno=reason.errno,
            more_info=reason.more_info,
            days=days,
        )


@dataclass(frozen=True, slots=True)
class LifecycleEntry:
    """One move.

    Attributes:
        at: epoch seconds.
        event: what happened.
        before: the state before; None at its registration.
        after: the state after.
        evidence: what it rests on.
    """

    at: float
    event: Event
    before: State | None
    after: State
    evidence: Evidence
