"""A project's signing keys, beyond those that sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pushkeep.domain.project import Project
from pushkeep.domain.signing_keys import KeyRecord, KeyUsage
from pushkeep.protocol.signing_key import SigningKey


class KeyStore(Protocol):
    """Moves signing keys through their states. Every method is one unit of work, unless it says otherwise.

    Whoever reads :meth:`~pushkeep.ports.ProjectStore.signing_keys` after one of these has returned sees what it did, in
    every process.
    """

    async def list_keys(self, project: Project) -> tuple[KeyRecord, ...]:
        """Every key the project has ever had, oldest first."""
        ...

    async def find_key(self, project: Project, public_bytes: bytes) -> KeyRecord | None:
        """The key of a public half (65 octets), in whatever state; None for one that is foreign."""
        ...

    async def prepare_key(self, project: Project, key: SigningKey, *, now: float) -> KeyRecord:
        """Store the key that is activated by the next rotation.

        Raises:
            Conflict: there is a next key already, or the project had this very key before, or it has too many.
        """
        ...

    async def rotate_keys(
        self, project: Project, *, expected: int, fresh: SigningKey, leaked: bool, now: float
    ) -> tuple[KeyRecord, KeyRecord]:
        """Activate the next key, and let the active one retire.

        Args:
            project: whose.
            expected: number of the key that the caller takes for the active one.
            fresh: activated where no next key is there; and if the active one leaked, as the next one lay beside it.
            leaked: whether the active key is in other hands.
            now: epoch seconds.

        Returns:
            the key that is active now, and the one that was.

        Raises:
            Conflict: another one than ``expected`` is active (``reason`` ``rotated``): somebody else was faster.
        """
        ...

    async def mark_leaked(self, project: Project, key: int, *, now: float) -> KeyRecord:
        """Note that a retiring key is in other hands, or throw a next one away; again changes nothing.

        Raises:
            Conflict: the state of the key does not allow it.
        """
        ...

    async def retire_key(self, project: Project, key: int, *, force: bool, now: float) -> KeyRecord:
        """Put a key out of use and erase its private half, for good.

        Living subscriptions that are bound to it are not sent to from then on; :meth:`give_up_bound` says so in their
        rows. Which push services refuse the key is forgotten. A key that is retired is returned unchanged.

        Raises:
            Conflict: as :func:`pushkeep.domain.signing_keys.check_retirable` does; nothing has changed then.
        """
        ...

    async def give_up_bound(self, project: Project, key: int, *, limit: int, now: float) -> int:
        """Move up to ``limit`` living subscriptions that are bound to a retired key to ``needs_renewal``.

        Returns:
            how many it moved; 0 once there are no more.
        """
        ...

    async def key_usage(self, project: Project, *, now: float) -> Mapping[int, KeyUsage]:
        """The living subscriptions by the number of the key they are bound to.

        Counted piece by piece, while others write: a subscription that moves meanwhile may count either way.
        """
        ...
