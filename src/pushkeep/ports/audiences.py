"""Contacts and their tags; receipts of what browsers showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pushkeep.domain.project import Project
from pushkeep.domain.receipt import Receipt


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """A contact.

    Attributes:
        external_id: the site's own id.
        tags: in alphabetical order.
        active_subscriptions: how many it has.
        created_at: epoch seconds.
    """

    external_id: str
    tags: tuple[str, ...]
    active_subscriptions: int
    created_at: float


class ContactStore(Protocol):
    """Keeps contacts and their tags."""

    async def put_contact(self, project: Project, external_id: str, tags: Sequence[str] | None) -> ContactRecord:
        """Store a contact, new or not, and give it exactly these tags; None leaves them as they are."""
        ...

    async def find_contact(self, project: Project, external_id: str) -> ContactRecord | None:
        """A contact by the site's own id."""
        ...

    async def tags(self, project: Project) -> Mapping[str, int]:
        """Every tag with its number of contacts."""
        ...


class ReceiptStore(Protocol):
    """Keeps what browsers said they did with notifications."""

    async def add_receipts(self, project: Project, receipts: Sequence[Receipt]) -> Mapping[str, int]:
        """Store receipts with one insert; those that are known already, or of unknown notifications, are left out.

        Returns:
            how many were new, by kind; only kinds that had any.

        Raises:
            Unavailable: the database does not take them; none is stored.
        """
        ...

    async def receipt_counts(self, project: Project, notification_id: int) -> Mapping[str, int]:
        """How many browsers displayed, clicked and closed a notification; every kind is there."""
        ...
