"""What must hold of consent, of who was erased and of the keys things are sealed with: seen after each commit and at
each message. Written from what the tables mean, not from the code that fills them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.engine.life_laws import DUST, KNOWLEDGE_SECONDS
from tests.engine.push_services import Posted
from tests.engine.spy import NotificationRow, Sight, Spy, SubscriptionRow
from tests.engine.virtual_time import VirtualLoop

Subject = tuple[str, int, int]
"""``s`` or ``c``, the number of the subscription or contact, that of the purpose."""

_RECORDS = (
    "SELECT number, commitment, erased_at, subscription_id, contact_id, purpose_id, given, at, content "
    "FROM consents ORDER BY number"
)
_SEALS = "SELECT number, first, last, previous, head, sealed_at FROM consent_seals ORDER BY number"
_PURPOSES = "SELECT id, basis FROM purposes"
_STATES = "SELECT subject, subject_id, purpose_id, given, number, contact_id FROM consent_states"
_SEALED = (
    ("subscriptions", "sealed"),
    ("notifications", "content"),
    ("notifications", "payload"),
    ("consents", "content"),
    ("signing_keys", "private_key"),
    ("projects", "identity_secret"),
    ("projects", "sync_secret"),
)
"""Columns with what a data key sealed; the key's id is in octets 2 to 5."""


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """A row of ``consents``."""

    number: int
    commitment: bytes
    erased_at: float | None
    subscription_id: int | None
    contact_id: int | None
    purpose_id: int | None
    given: int | None
    at: float | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Word:
    """A row of ``consent_states``: what a subject says now."""

    given: bool
    number: int
    contact_id: int | None


def permitted(words: Mapping[Subject, Word], basis: str, purpose: int, row: SubscriptionRow) -> bool:
    """Whether a subscription may be sent to for a purpose."""
    own = words.get(("s", row.id, purpose))
    if own is not None and own.contact_id is not None and own.contact_id != row.contact_id:
        own = None  # somebody else's, who had this browser
    theirs = words.get(("c", row.contact_id, purpose)) if row.contact_id is not None else None
    said = [word for word in (own, theirs) if word is not None]
    if not said:
        return basis != "consent"
    return max(said, key=lambda word: word.number).given


class ConsentLaws:
    """Watches who agreed to what.

    Args:
        loop, spy: what is watched.
        broken: called with a sentence for everything that should not have happened.
    """

    def __init__(self, loop: VirtualLoop, spy: Spy, broken: Callable[[str], None]) -> None:
        self._loop = loop
        self._spy = spy
        self._break = broken
        self._records: dict[int, ConsentRow] = {}
        self._words: dict[Subject, Word] = {}
        self._seals: tuple[tuple[Any, ...], ...] = ()
        self._bases: dict[int, str] = {}
        self._forbidden: dict[tuple[int, int], float] = {}  # purpose and subscription, since when
        self._changed: tuple[tuple[tuple[Any, ...], ...], ...] = ()
        self._keys: tuple[object, ...] = ()

    def commit(self, before: Sight, after: Sight) -> None:
        """Check one commit."""
        keys = self._spy.rows("SELECT keys_version, (SELECT sum(id) FROM sealing_keys) FROM installation")[0]
        if keys != self._keys:
            self._keys = keys
            self.sealed_with_known_keys()
        changed = tuple(tuple(self._spy.rows(statement)) for statement in (_PURPOSES, _RECORDS, _SEALS, _STATES))
        if changed != self._changed:
            self._changed = changed
            purposes, records, seals, states = changed
            self._bases = dict(purposes)
            self._check_records({row[0]: ConsentRow(*row) for row in records})
            self._check_seals(seals)
            self._check_words(states)
        elif before.subscriptions == after.subscriptions:
            return
        now = self._loop.time()
        for purpose, basis in self._bases.items():
            for id, row in after.subscriptions.items():
                if permitted(self._words, basis, purpose, row):
                    self._forbidden.pop((purpose, id), None)
                else:
                    self._forbidden.setdefault((purpose, id), now)

    def posted(self, who: str, posted: Posted, notification: NotificationRow, row: int) -> None:
        """Check one request, at the moment in which it starts."""
        purpose = notification.purpose_id
        if purpose is None:
            return
        since = self._forbidden.get((purpose, row))
        if since is not None and posted.at > since + KNOWLEDGE_SECONDS + DUST:
            self._break(f"{who}, who does not agree to that for {posted.at - since:.3f} s")

    def _check_records(self, records: dict[int, ConsentRow]) -> None:
        if list(records) != list(range(1, len(records) + 1)):
            self._break(f"the numbers of consent records have a gap: {list(records)}")
        for number, known in self._records.items():
            found = records.get(number)
            if found is None:
                self._break(f"consent record {number} vanished")
            elif found.commitment != known.commitment:
                self._break(f"consent record {number} has another commitment")
            elif found.erased_at is not None:
                if any(value is not None for value in (found.subscription_id, found.contact_id, found.content)):
                    self._break(f"consent record {number} is erased, and says something")
            elif (found.subscription_id, found.contact_id, found.purpose_id, found.given, found.at) != (
                known.subscription_id,
                known.contact_id,
                known.purpose_id,
                known.given,
                known.at,
            ):
                self._break(f"consent record {number} was changed")
        self._records = records

    def _check_seals(self, seals: tuple[tuple[Any, ...], ...]) -> None:
        if seals[: len(self._seals)] != self._seals:
            self._break("a seal over consent records was changed")
        head, last = bytes(32), 0
        for number, (found, first, until, previous, sealed, at) in enumerate(seals, 1):
            if (found, first, previous) != (number, last + 1, head):
                self._break(f"seal {number} of consent records does not follow the one before it")
            hashed = hashlib.sha256(b"pushkeep consent seal 1\0" + previous + struct.pack(">QQd", number, first, at))
            for record in range(first, until + 1):
                if record in self._records:
                    hashed.update(self._records[record].commitment)
            if hashed.digest() != sealed:
                self._break(f"seal {number} of consent records does not match them")
            head, last = sealed, until
        self._seals = seals

    def _check_words(self, states: tuple[tuple[Any, ...], ...]) -> None:
        self._words = {}
        for subject, id, purpose, given, number, contact in states:
            self._words[subject, id, purpose] = Word(bool(given), number, contact)
            record = self._records.get(number)
            if record is None:
                self._break(f"what {subject}{id} says of purpose {purpose} follows from record {number}: there is none")
            elif record.erased_at is None and (record.purpose_id, bool(record.given)) != (purpose, bool(given)):
                self._break(f"what {subject}{id} says of purpose {purpose} is not what record {number} says")

    def sealed_with_known_keys(self) -> None:
        """Nothing is sealed or hashed with a key that is gone, and each key can be had with a master key."""
        known = {key for (key,) in self._spy.rows("SELECT key_id FROM sealing_keys WHERE kind = 'data'")}
        for table, column in _SEALED:
            used = self._spy.rows(f"SELECT DISTINCT substr({column}, 2, 4) FROM {table} WHERE length({column}) > 0")
            if any(key not in known for (key,) in used):
                self._break(f"{table}.{column} has something that is sealed with a key nobody has any more")
        lookups = {id for (id,) in self._spy.rows("SELECT id FROM sealing_keys WHERE kind = 'lookup'")}
        for (id,) in self._spy.rows("SELECT DISTINCT lookup_key_id FROM subscriptions WHERE sealed IS NOT NULL"):
            if id not in lookups:
                self._break(f"a living subscription is hashed with lookup key {id}, which nobody has any more")
        unwrapped = self._spy.rows("SELECT id FROM sealing_keys WHERE id NOT IN (SELECT sealing_key_id FROM key_wraps)")
        if unwrapped:
            self._break(f"no master key opens sealing keys {[id for (id,) in unwrapped]}")
