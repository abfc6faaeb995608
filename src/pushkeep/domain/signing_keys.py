"""A signing key's life: made ready, in use, on its way out, out of use.

A subscription is bound to the key it was made with for as long as it lives; no push service lets it change over. So a
key is not exchanged but rotated: the ``next`` key becomes ``active`` and new subscriptions are made with it, while the
old one is ``retiring``: it signs on for the subscriptions that were made with it until their browsers have made new
ones, each at its next visit. A key is ``retired`` when nobody is left, or when the operator gives the rest up. Its
private half is erased then; the public half stays, to recognise what was made with it. There is always exactly one
active key, and at most one next one.

A key that was in use elsewhere and comes with an import has its beginning behind it: it starts as the active one in a
project without subscriptions, and else as a retiring one.

Source: RFC 8292 section 4 (restricted subscriptions); ``docs/key-rotation.md`` is the operator's side of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from pushkeep.domain.project import KeyState
from pushkeep.errors import Conflict
from pushkeep.protocol.encoding import b64url_encode

KEYS_MAX = 1000
"""Of one project, retired ones too. A key a day for almost three years; whoever has more rotates in a loop."""


class KeyEvent(StrEnum):
    """What can happen to a signing key."""

    ACTIVATED = "activated"
    """New subscriptions are made with it from now on."""
    REPLACED = "replaced"
    """Another one was activated."""
    LEAKED = "leaked"
    """Its private half is, or may be, in other hands."""
    RETIRED = "retired"
    """Nobody needs it any more, or who does was given up."""


KEY_TRANSITIONS: Mapping[tuple[KeyState, KeyEvent], KeyState] = MappingProxyType(
    {
        (KeyState.NEXT, KeyEvent.ACTIVATED): KeyState.ACTIVE,
        (KeyState.NEXT, KeyEvent.LEAKED): KeyState.RETIRED,
        (KeyState.NEXT, KeyEvent.RETIRED): KeyState.RETIRED,
        (KeyState.ACTIVE, KeyEvent.REPLACED): KeyState.RETIRING,
        (KeyState.ACTIVE, KeyEvent.LEAKED): KeyState.RETIRING,
        (KeyState.RETIRING, KeyEvent.LEAKED): KeyState.RETIRING,
        (KeyState.RETIRING, KeyEvent.RETIRED): KeyState.RETIRED,
    }
)
"""Every legal move. The active key cannot be retired: another one has to be activated first. A key that leaked before
it was used is never used."""


def move_key(state: KeyState, event: KeyEvent) -> KeyState:
    """Walk the table.

    Raises:
        Conflict: the table has no such move; the message says what to do instead.
    """
    try:
        return KEY_TRANSITIONS[state, event]
    except KeyError:
        remedy = "; rotate first, so that there is another one" if state is KeyState.ACTIVE else ""
        raise Conflict(
            f"A signing key that is {state.value} cannot be {event.value}{remedy}.", field="signing_key"
        ) from None


@dataclass(frozen=True)
class KeyRecord:
    """What is stored of a signing key, without its private half.

    Attributes:
        id: internal number; every subscription records the key it was made with.
        key_id: 12 characters by which people and logs name it.
        public_bytes: the public half, 65 octets.
        state: where it stands.
        created_at: epoch seconds.
        activated_at, retiring_at, retired_at: since when it is, or was, in use, on its way out, out of use.
        leaked_at: since when it is known to be in other hands.
    """

    id: int
    key_id: str
    public_bytes: bytes
    state: KeyState
    created_at: float
    activated_at: float | None = None
    retiring_at: float | None = None
    retired_at: float | None = None
    leaked_at: float | None = None

    @cached_property
    def public_b64(self) -> str:
        """The public half as unpadded base64url, 87 characters: ``applicationServerKey``."""
        return b64url_encode(self.public_bytes)


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """The living subscriptions that are bound to a key.

    Attributes:
        waiting: those that are not sent to any more and wait for their browsers (``needs_renewal``).
        seen: all others, by when their browsers were last heard of: for each of :data:`SEEN_DAYS` how many were seen
            within so many days (and not within fewer), and under None those that were not seen within any of them.
    """

    waiting: int = 0
    seen: Mapping[int | None, int] = field(default_factory=dict)

    @property
    def living(self) -> int:
        """All of them."""
        return self.waiting + self.bound

    @property
    def bound(self) -> int:
        """Those that are sent to with this key, and would be lost with it."""
        return sum(self.seen.values())

    def unseen(self, days: int) -> int:
        """How many of the bound ones were not seen for longer than ``days``, which is one of :data:`SEEN_DAYS`."""
        return sum(count for within, count in self.seen.items() if within is None or within > days)


SEEN_DAYS = (7, 30, 90, 365)
"""A week, a month, a season, a year: how often people come back to a site."""


def check_retirable(key: KeyRecord, bound: int, *, force: bool) -> None:
    """Whether a key may be retired.

    Args:
        key: the key.
        bound: how many living subscriptions are sent to with it.
        force: give them up. They need renewal then, and get nothing until their browsers visit the site.

    Raises:
        Conflict: its state does not allow it, or living subscriptions would be lost (``reason`` ``living``).
    """
    move_key(key.state, KeyEvent.RETIRED)
    if bound and not force:
        subject = "1 living subscription is" if bound == 1 else f"{bound} living subscriptions are"
        raise Conflict(
            f"{subject} still bound to signing key {key.key_id} and would get nothing until their browsers visit the "
            "site again; wait until they have moved, or force it.",
            field="signing_key",
            details={"living": str(bound)},
            reason="living",
        )
