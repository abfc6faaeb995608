"""The keys that everything is sealed and hashed with: what is known of them, and how they are changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pushkeep.ports.sweeps import MovedPage


class SecretKind(StrEnum):
    """What a key is for."""

    DATA = "data"
    """Seals every secret in the database."""

    LOOKUP = "lookup"
    """Makes the keyed hashes by which endpoints are found again."""

    ERASURE = "erasure"
    """Makes the keyed hashes in the list of who was erased."""


@dataclass(frozen=True, slots=True)
class Remaking:
    """How far the database has come in making anew what a retiring key made.

    Attributes:
        looked: rows looked at.
        total: rows there are to look at, about.
        over: whether all have been looked at; what is left then is what keeps the key.
        unreadable: of them, how many do not open: they are damaged.
        examples: the first of those, as ``table number``.
    """

    looked: int
    total: int
    over: bool
    unreadable: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One of the keys.

    Attributes:
        kind: what it is for.
        key_id: eight hexadecimal digits.
        created_at: epoch seconds.
        retiring_at: epoch seconds since when another one is used in its place; None for the active one.
        remaking: for a retiring one: how far what it made is made anew.
    """

    kind: SecretKind
    key_id: str
    created_at: float
    retiring_at: float | None = None
    remaking: Remaking | None = None


@dataclass(frozen=True, slots=True)
class SecretsStatus:
    """The keys of a database.

    Attributes:
        master_key_id: of the master key that this process has, eight hexadecimal digits.
        master_since: epoch seconds at which the keys were first sealed with it.
        next_master_key_id: while the master key changes: of the one it changes to.
        keys: active ones first.
    """

    master_key_id: str
    master_since: float
    next_master_key_id: str | None
    keys: tuple[SealingKey, ...]

    @property
    def retiring(self) -> tuple[SealingKey, ...]:
        """The keys on their way out."""
        return tuple(key for key in self.keys if key.retiring_at is not None)


@dataclass(frozen=True, slots=True)
class RemadePage:
    """What a step of making anew did.

    Attributes:
        kind: of the retiring key it was for; None where nothing is to be done.
        looked: rows looked at.
        remade: of them, those that were made anew.
        removed: id of a key that was removed: nothing is made with it any more.
        left: how many rows still keep the key after everything was looked at; 0 while it goes on.
    """

    kind: SecretKind | None
    looked: int = 0
    remade: int = 0
    removed: str | None = None
    left: int = 0


class SecretStore(Protocol):
    """Changes keys without a moment at which anything does not open."""

    async def secrets_status(self) -> SecretsStatus:
        """What is known of the keys."""
        ...

    async def add_master_key(self, new: bytes, *, now: float) -> str:
        """Seal every key with another master key as well: from now on either opens the database.

        The same one again changes nothing.

        Returns:
            its id.

        Raises:
            Conflict: the master key is being changed to yet another one.
            ConfigurationError: it has another length, or is the one in use.
        """
        ...

    async def finish_master_key(self) -> int:
        """Let go of the old master key: the one that this process opened the database with is the only one then.

        Returns:
            how many others there were; 0 where nothing had to be done.

        Raises:
            Conflict: this process has the old one.
        """
        ...

    async def cancel_master_key(self) -> None:
        """Let go of the new master key instead.

        Raises:
            Conflict: the master key is not being changed, or this process has the new one already.
        """
        ...

    async def rotate_secret(self, kind: SecretKind, *, now: float) -> str:
        """Use a fresh key at once; what the old one made is made anew by :meth:`remake_page`.

        Returns:
            id of the new one.

        Raises:
            Conflict: an old one of this kind is still on its way out, or the master key is being changed.
            ConfigurationError: the master key was changed, and this process has the old one.
        """
        ...

    async def remaking_over(self) -> bool | None:
        """Whether everything was looked at for each retiring key; None where there is none.

        It looks at the keys alone, for whoever asks often: :meth:`secrets_status` counts what there is.
        """
        ...

    async def remake_page(self, *, limit: int) -> RemadePage:
        """Make the next rows anew, in one transaction with how far that is; at the end of them, remove the old key.

        Any process may do the next page, and none is done twice. The key goes only when a count over everything, in
        the same transaction, finds nothing that was made with it.
        """
        ...

    async def forget_tombstones(self, *, after: int, limit: int) -> MovedPage:
        """Give ended subscriptions that were hashed with a retiring lookup key a hash that nobody finds.

        Args:
            after: 0, then ``last`` of the page before.
            limit: how many ended ones are looked at.
        """
        ...
