"""What a registration does to what is stored, as a pure decision.

A store reads the rows concerned, asks :func:`plan`, and carries the plan out in the same transaction; so every store
decides alike. A browser proves with a row's sync token that it is the one the row is of; the rows it names so are its
*predecessors*. Its words carry a sequence number, so that one which was long on its way does not undo a later one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from pushkeep.domain.consent import ConsentWord
from pushkeep.domain.lifecycle import By
from pushkeep.domain.subscription import SUBSCRIPTIONS_PER_CONTACT_MAX, Event, State, SubscriptionRecord, move
from pushkeep.errors import Conflict, InvalidInput, InvalidToken
from pushkeep.protocol.subscription import Subscription

SEEN_WRITE_SECONDS = 600.0
"""Pages re-sync on every load. What changes nothing is written down at most every ten minutes."""

CLOCK_ERROR_SECONDS = 60.0
"""What is stored as of later than this from now was stored while the clock was wrong, and is no measure of anything."""

PREDECESSORS_MAX = 8
"""A browser has two at a time; more are left over from answers that never arrived."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A checked request to store a subscription.

    Attributes:
        subscription: what the browser gave.
        signing_key_id: internal number of the key it was made with.
        vendor: the vendor row's name.
        owner: the contact's external id, proven by an identity token or an API key; None is anonymous.
        replaces: public ids of the rows whose sync tokens were shown, newest first; at most eight.
        now: epoch seconds.
        public_id: for the row, should it be new.
        short_ids: for the row, the first that is free.
        abilities: what its worker can do; None where that was not said, and leaves what is known.
        sequence: rises with each intent of the browser; None where it gives none.
        detach: nobody is logged in any more: take the owner away.
        identity_issued_at: epoch seconds at which the site vouched for the owner; None where that was not said.
        by: whose word it is: the browser's, or the operator's with an API key.
        contact_max: how many living subscriptions a contact may have.
        consents: what the visitor says with it; recorded in the same transaction. Where the browser has been heard up
            to ``sequence`` already, only what nothing is known about: the rest has been heard, and may be withdrawn.
    """

    subscription: Subscription
    signing_key_id: int
    vendor: str
    owner: str | None
    replaces: tuple[str, ...]
    now: float
    public_id: str
    short_ids: tuple[str, ...]
    abilities: frozenset[str] | None = None
    sequence: int | None = None
    detach: bool = False
    identity_issued_at: float | None = None
    by: By = By.BROWSER
    contact_max: int = SUBSCRIPTIONS_PER_CONTACT_MAX
    consents: tuple[ConsentWord, ...] = ()


class Write(Enum):
    """What is written."""

    NOTHING = auto()
    TOUCH = auto()
    """Only ``last_seen_at`` and the sequence number."""
    RENEW = auto()
    """State, owner, keys or abilities: a new version of the row."""
    CREATE = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        write: how much of the row for this endpoint changes.
        owner: the contact's external id after it; None for anonymous.
        supersede: the replaced rows to mark; living ones end, ended ones only point on.
        abilities: of its worker after it.
        state: of the row after it.
        sequence: of the row after it.
        owner_since: of the row after it.
        moves: what its life's log gets, in this order.
    """

    write: Write
    owner: str | None
    supersede: tuple[SubscriptionRecord, ...] = ()
    abilities: frozenset[str] = frozenset()
    state: State = State.ACTIVE
    sequence: int = 0
    owner_since: float | None = None
    moves: tuple[Event, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether there is nothing to write at all."""
        return self.write is Write.NOTHING and not self.supersede


def plan(
    registration: Registration,
    *,
    keys_hash: bytes,
    existing: SubscriptionRecord | None,
    predecessors: Sequence[SubscriptionRecord] = (),
    successor: SubscriptionRecord | None = None,
    followers: Sequence[SubscriptionRecord] = (),
    retired: Conflict | None = None,
) -> Plan:
    """Decide what a registration does.

    Args:
        registration: the request.
        keys_hash: keyed hash of its p256dh and auth.
        existing: the row with the same endpoint and signing key.
        predecessors: the rows named by ``registration.replaces`` that are known, in that order.
        successor: where ``existing`` has ended and was replaced: the row at the end of that chain.
        followers: the rows at the ends of such chains from ``predecessors`` that are not among these.
        retired: where its signing key does not sign any more: what is raised unless the row is living. Nothing new is
            begun with such a key, and nobody's word makes it sign again.

    Raises:
        Conflict: ``reason`` says which: ``other_secrets``, the endpoint is stored with other keys, and the caller did
            not show that row's sync token (whoever only knows an endpoint must not make it undecryptable for its
            browser); ``stale``, the browser has said something later (``details`` has its ``sequence``);
            ``replaced``, this browser has another subscription since, and did not show that one's token. Or
            ``retired``.
        InvalidInput: an owner and ``detach`` at once.
        InvalidToken: ``stale``: the identity was issued before the owner last changed.
    """
    named = {predecessor.id for predecessor in predecessors}
    if existing is not None and existing.keys_hash != keys_hash and existing.id not in named:
        raise Conflict(
            "This endpoint is registered with other keys (p256dh, auth); send the sync_token of that registration "
            "as replaces to change them.",
            field="replaces",
            reason="other_secrets",
        )
    rows = [row for row in (existing, successor, *predecessors) if row is not None]
    known = max((row.sync_sequence for row in (*rows, *followers)), default=0)
    sequence = check_sequence(registration.sequence, known)
    if existing is not None and existing.state is State.GONE and registration.by is By.BROWSER:
        # What answers 410 to us receives nothing: its browser is asked for a new one.
        return _as_it_is(existing)
    if retired is not None and (existing is None or not existing.living):
        raise retired
    if existing is not None and not existing.living and registration.by is By.BROWSER:
        _check_not_replaced(successor, named)
    # A living follower speaks for itself: an old token alone does not lead to anybody's messages.
    owner, owner_since = _owner(registration, [*rows, *(row for row in followers if not row.living)])
    supersede = tuple(
        predecessor
        for predecessor in predecessors
        if (existing is None or predecessor.id != existing.id)
        and (predecessor.living or predecessor.superseded_by is None)
    )
    if existing is None:
        abilities = registration.abilities or frozenset()
        first = (Event.REGISTERED,)
        return Plan(Write.CREATE, owner, supersede, abilities, State.ACTIVE, sequence, owner_since, first)
    abilities = existing.abilities if registration.abilities is None else registration.abilities
    event = Event.ENTERED if registration.by is By.OPERATOR and retired is None else Event.SYNCED
    state = move(existing.state, event)
    moves = _moves(existing, event, state, owner, keys_hash)
    write = Write.RENEW
    if not moves and existing.abilities == abilities and existing.owner_since == owner_since:
        recent = seen_recently(existing, registration.now)
        write = Write.NOTHING if recent and sequence == existing.sync_sequence else Write.TOUCH
    return Plan(write, owner, supersede, abilities, state, sequence, owner_since, moves)


def foreign_key(active: str, *, retired: bool) -> Conflict:
    """What a registration with a key that is not, or no longer, the project's is answered; ``reason`` ``foreign_key``.

    Args:
        active: the public half of the project's active key, base64url.
        retired: whether it was the project's once.
    """
    return Conflict(
        f"The subscription was made with {'a retired' if retired else 'a foreign'} application_server_key; subscribe "
        "again with the current one.",
        field="application_server_key",
        details={"application_server_key": active},
        reason="foreign_key",
    )


def seen_recently(record: SubscriptionRecord, now: float) -> bool:
    """Whether it was written down so short a time ago that its browser was there that it need not be again."""
    return abs(now - record.last_seen_at) < SEEN_WRITE_SECONDS  # seen in the future: while the clock was wrong


def check_sequence(sequence: int | None, known: int) -> int:
    """The higher of a browser's sequence number and what is known of it.

    Raises:
        Conflict: ``stale``: the browser has said something later.
    """
    if sequence is not None and sequence < known:
        raise Conflict(
            f"This browser has since said something else (sequence {known}; this is {sequence}); nothing has changed.",
            field="sequence",
            details={"sequence": known},
            reason="stale",
        )
    return known if sequence is None else sequence


def check_owner_has_room(owner: str | None, living_count: int, living_max: int = SUBSCRIPTIONS_PER_CONTACT_MAX) -> None:
    """Refuse one more living subscription for a contact that has too many.

    Raises:
        Conflict: ``owner_full``: the contact has as many as it may have.
    """
    if owner is not None and living_count >= living_max:
        raise Conflict(
            f"This contact has {living_count} active subscriptions and the limit is {living_max}; remove some first.",
            field="identity",
            reason="owner_full",
        )


def _as_it_is(existing: SubscriptionRecord) -> Plan:
    return Plan(
        Write.NOTHING,
        existing.contact_external_id,
        abilities=existing.abilities,
        state=existing.state,
        sequence=existing.sync_sequence,
        owner_since=existing.owner_since,
    )


def _check_not_replaced(successor: SubscriptionRecord | None, named: set[int]) -> None:
    if successor is not None and successor.living and successor.id not in named:
        raise Conflict(
            "This browser has registered another subscription since; send the sync_token of that one as replaces, "
            "or unsubscribe this one.",
            field="replaces",
            reason="replaced",
        )


def _owner(registration: Registration, rows: Sequence[SubscriptionRecord]) -> tuple[str | None, float | None]:
    """Who owns the row after it, and since when.

    The sync tokens prove that it is the same browser, and a worker that renews has no identity token at hand: what
    was last decided about any of its rows holds for this one. One that was replaced by a row which is not among them
    has handed its owner on.
    """
    decided = [row for row in rows if _has_had_an_owner(row) and not _handed_on(row, rows)]
    latest = max(decided, key=lambda row: row.owner_since or 0.0, default=None)
    owner, since = (None, None) if latest is None else (latest.contact_external_id, latest.owner_since)
    if registration.detach:
        if registration.owner is not None:
            raise InvalidInput("detach says that nobody is logged in, and identity who is; send one.", field="detach")
        return (None, since if owner is None else registration.now)
    if registration.owner in (None, owner):
        return owner, since
    if registration.by is By.BROWSER and since is not None and since <= registration.now + CLOCK_ERROR_SECONDS:
        _check_identity_is_fresh(registration.identity_issued_at, since, detached=owner is None)
    return registration.owner, registration.now


def _handed_on(row: SubscriptionRecord, rows: Sequence[SubscriptionRecord]) -> bool:
    return row.superseded_by is not None and all(other.id != row.superseded_by for other in rows)


def _has_had_an_owner(row: SubscriptionRecord) -> bool:
    return row.contact_external_id is not None or row.owner_since is not None


def _check_identity_is_fresh(issued_at: float | None, owner_since: float, *, detached: bool) -> None:
    # Tokens tell whole seconds: one of the very second in which somebody logged out is taken.
    stale = detached if issued_at is None else issued_at < math.floor(owner_since)
    if stale:
        raise InvalidToken(
            "identity was issued before this browser's owner last changed; send one that was issued since (with iat).",
            reason="stale",
            field="identity",
        )


def _moves(
    existing: SubscriptionRecord, event: Event, state: State, owner: str | None, keys_hash: bytes
) -> tuple[Event, ...]:
    moves = [event] if state is not existing.state else []
    if existing.keys_hash != keys_hash:
        moves.append(Event.RENEWED)
    if existing.contact_external_id != owner:
        moves.append(Event.OWNER_DETACHED if owner is None else Event.OWNER_MOVED)
    return tuple(moves)
