"""The store's methods that erase people, and what is over its time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlalchemy import Connection

from pushkeep.adapters.store import erase_message_units, erase_units, retention_units, subject_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports.consents import ConsentRecord
from pushkeep.ports.privacy import ErasedKind, ErasedPage, Kept, MatchPage, RetentionPage, Subject, ToldPage


class PrivacyMethods(StoreBase):
    """:class:`pushkeep.ports.privacy.PrivacyStore`."""

    async def find_subject(
        self, project: Project, *, contact: str | None = None, subscription: AnyId | None = None
    ) -> Subject | None:
        """See the port."""
        return await self._read(
            partial(
                erase_units.find_subject,
                vault=self._vault,
                project=project,
                contact=contact,
                subscription=subscription,
            )
        )

    async def subject_records(self, project: Project, subject: Subject) -> tuple[SubscriptionRecord, ...]:
        """See the port."""
        return await self._read(partial(subject_units.records, project=project, subject=subject))

    async def subject_consents(self, project: Project, subject: Subject) -> tuple[ConsentRecord, ...]:
        """See the port."""
        return await self._read(partial(subject_units.consents_of, vault=self._vault, project=project, subject=subject))

    async def subject_messages(self, project: Project, subject: Subject, *, after: int, limit: int) -> ToldPage:
        """See the port."""
        return await self._read(
            partial(
                subject_units.messages, vault=self._vault, project=project, subject=subject, after=after, limit=limit
            )
        )

    async def stop_subject(self, project: Project, subject: Subject) -> None:
        """See the port."""

        def unit(connection: Connection) -> None:
            erase_units.stop(connection, project, subject, now=self._clock.now())

        await self._write(unit)

    async def erase_messages(self, project: Project, subject: Subject, *, after: int, limit: int) -> ErasedPage:
        """See the port."""

        def unit(connection: Connection) -> ErasedPage:
            return erase_message_units.erase_messages(
                connection, project, subject, after=after, limit=limit, now=self._clock.now()
            )

        return await self._write(unit)

    async def erase_subscriptions(self, project: Project, subject: Subject, *, limit: int) -> ErasedPage:
        """See the port."""

        def unit(connection: Connection) -> ErasedPage:
            return erase_units.erase_rows(connection, subject, limit=limit, now=self._clock.now())

        return await self._write(unit)

    async def erase_subject(self, project: Project, subject: Subject, *, numbers: tuple[int, int]) -> ErasedPage:
        """See the port."""

        def unit(connection: Connection) -> ErasedPage:
            return erase_units.erase_subject(connection, subject, numbers=numbers, now=self._clock.now())

        return await self._write(unit)

    async def erasures_applied(self) -> int:
        """See the port."""
        return await self._read(erase_units.applied)

    async def note_erasures(self, first: int, last: int) -> None:
        """See the port."""
        await self._write(partial(erase_units.note, first=first, last=last))

    async def match_erased(
        self, project: Project, kind: ErasedKind, erased: Mapping[bytes, float], *, after: int, limit: int
    ) -> MatchPage:
        """See the port."""
        return await self._read(
            partial(
                erase_units.match,
                vault=self._vault,
                project=project,
                kind=kind,
                erased=erased,
                after=after,
                limit=limit,
            )
        )

    async def erase_old(self, project: Project, kept: Kept, *, before: float, after: int, limit: int) -> RetentionPage:
        """See the port."""

        def unit(connection: Connection) -> RetentionPage:
            return retention_units.erase_old(
                connection, project, kept, before=before, after=after, limit=limit, now=self._clock.now()
            )

        return await self._write(unit)
