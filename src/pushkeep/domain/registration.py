"""What a registration does to what is stored, as a pure decision.

A store reads the rows concerned, asks :func:`plan`, and carries the plan out in the same transaction; so every store
decides alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from pushkeep.domain.subscription import (
    SUBSCRIPTIONS_PER_CONTACT_MAX,
    Event,
    SubscriptionRecord,
    move,
)
from pushkeep.errors import Conflict
from pushkeep.protocol.subscription import Subscription

SEEN_WRITE_SECONDS = 600.0
"""Pages re-sync on every load. What changes nothing is written down at most every ten minutes."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A checked request to store a subscription.

    Attributes:
        subscription: what the browser gave.
        signing_key_id: internal number of the key it was made with.
        vendor: the vendor row's name.
        owner: the contact's external id, proven by an identity token or an API key; None is anonymous.
        replaces: public id of the row whose sync token was shown; None where none was.
        now: epoch seconds.
        public_id: for the row, should it be new.
        short_ids: for the row, the first that is free.
        abilities: what its worker can do; None where that was not said, and leaves what is known.
    """

    subscription: Subscription
    signing_key_id: int
    vendor: str
    owner: str | None
    replaces: str | None
    now: float
    public_id: str
    short_ids: tuple[str, ...]
    abilities: frozenset[str] | None = None


class Write(Enum):
    """What is written."""

    NOTHING = auto()
    TOUCH = auto()
    """Only ``last_seen_at``."""
    RENEW = auto()
    """State, owner, keys or abilities: a new version of the row."""
    CREATE = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        write: how much of the row for this endpoint changes.
        owner: the contact's external id after it; None for anonymous.
        supersede: the replaced row, where there is one to mark; ``active`` ones end, ended ones only point on.
        abilities: of its worker after it.
    """

    write: Write
    owner: str | None
    supersede: SubscriptionRecord | None = None
    abilities: frozenset[str] = frozenset()


def plan(
    registration: Registration,
    *,
    keys_hash: bytes,
    existing: SubscriptionRecord | None,
    replaced: SubscriptionRecord | None,
) -> Plan:
    """Decide what a registration does.

    Args:
        registration: the request.
        keys_hash: keyed hash of its p256dh and auth.
        existing: the row with the same endpoint and signing key.
        replaced: the row named by ``registration.replaces``.

    Raises:
        Conflict: the endpoint is stored with other keys, and the caller did not show that row's sync token.
            Whoever only knows an endpoint must not make it undecryptable for its browser.
    """
    same_row = existing is not None and replaced is not None and existing.id == replaced.id
    if existing is not None and existing.keys_hash != keys_hash and not same_row:
        raise Conflict(
            "This endpoint is registered with other keys (p256dh, auth); send the sync_token of that registration "
            "as replaces to change them.",
            field="replaces",
        )
    inherited = existing.contact_external_id if existing is not None else None
    if inherited is None and replaced is not None:
        # The sync token proves that it is the same browser, and a worker that renews has no identity token at hand.
        inherited = replaced.contact_external_id
    owner = registration.owner if registration.owner is not None else inherited
    supersede = replaced if replaced is not None and not same_row and replaced.superseded_by is None else None
    abilities = registration.abilities
    if existing is None:
        return Plan(Write.CREATE, owner, supersede, abilities or frozenset())
    if abilities is None:
        abilities = existing.abilities
    move(existing.state, Event.SYNCED)
    unchanged = (
        existing.living
        and existing.keys_hash == keys_hash
        and existing.contact_external_id == owner
        and existing.abilities == abilities
    )
    if not unchanged:
        return Plan(Write.RENEW, owner, supersede, abilities)
    recent = registration.now - existing.last_seen_at < SEEN_WRITE_SECONDS
    return Plan(Write.NOTHING if recent else Write.TOUCH, owner, supersede, abilities)


def check_owner_has_room(owner: str | None, active_count: int) -> None:
    """Refuse one more active subscription for a contact that has too many.

    Raises:
        Conflict: the contact has 100.
    """
    if owner is not None and active_count >= SUBSCRIPTIONS_PER_CONTACT_MAX:
        raise Conflict(
            f"This contact has {active_count} active subscriptions and the limit is {SUBSCRIPTIONS_PER_CONTACT_MAX}; "
            f"remove some first.",
            field="identity",
        )
