"""The store's methods on notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from pushkeep.adapters.store import accept_units, audience_count_units, notification_units, outcome_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account, NewNotification, NotificationRecord
from pushkeep.domain.shard import Kind
from pushkeep.ports.notifications import Accepted, AudienceCount, Command, Controlled, RecipientOutcome, Standing


class NotificationMethods(StoreBase):
    """:class:`pushkeep.ports.notifications.NotificationStore`."""

    async def accept(
        self, project: Project, new: NewNotification, *, backlog_max: int, lease_owner: str | None
    ) -> Accepted:
        """See the port. The time is read inside the transaction: a lease begins when it can be used."""

        def unit(connection: Connection) -> Accepted:
            return accept_units.accept(
                connection,
                self._vault,
                project,
                new,
                backlog_max=backlog_max,
                lease_owner=lease_owner,
                lease_seconds=self.lease_seconds,
                now=self._clock.now(),
            )

        return await self._write(unit)

    async def replay(
        self, project: Project, target: Target, idempotency_key: str, request_hash: bytes
    ) -> Accepted | None:
        """See the port."""
        return await self._read(
            partial(
                accept_units.replay,
                project=project,
                target=target,
                idempotency_key=idempotency_key,
                request_hash=request_hash,
            )
        )

    async def count_audience(self, project: Project, target: Target, *, purpose: str | None = None) -> AudienceCount:
        """See the port."""
        return await self._read(
            partial(audience_count_units.count, project=project, target=target, purpose=purpose, now=self._clock.now())
        )

    async def find_notification(self, project: Project, public_id: str) -> NotificationRecord | None:
        """See the port."""
        return await self._read(partial(notification_units.find, project=project, public_id=public_id))

    async def standing(self, project: Project, public_id: str) -> Standing | None:
        """See the port."""
        return await self._read(partial(notification_units.standing, project=project, public_id=public_id))

    async def list_notifications(
        self, project: Project, *, limit: int, before: str | None
    ) -> tuple[NotificationRecord, ...]:
        """See the port."""
        return await self._read(partial(notification_units.page, project=project, limit=limit, before=before))

    async def accounts(self, project: Project, ids: Sequence[int]) -> Mapping[int, Account]:
        """See the port."""
        return await self._read(partial(notification_units.accounts, project=project, ids=ids))

    async def accounts_by_vendor(self, project: Project, id: int) -> Mapping[str, Account]:
        """See the port."""
        return await self._read(partial(notification_units.accounts_by_vendor, project=project, id=id))

    async def control(self, project: Project, public_id: str, command: Command) -> Controlled | None:
        """See the port. A large notification is cancelled in pieces, and others write in between."""

        def unit(connection: Connection) -> Controlled | None:
            return notification_units.control(connection, project, public_id, command, now=self._clock.now())

        ended = False
        while (controlled := await self._write(unit)) is not None:
            ended = ended or controlled.ended
            if command is not Command.CANCEL or controlled.record.finished_at is not None:
                return Controlled(controlled.record, ended)
        return None

    async def outcomes(
        self, project: Project, notification_id: int, *, kinds: frozenset[Kind] | None, limit: int, after: int
    ) -> tuple[RecipientOutcome, ...]:
        """See the port."""
        return await self._read(
            partial(
                outcome_units.outcomes,
                project=project,
                notification_id=notification_id,
                kinds=kinds,
                limit=limit,
                after=after,
            )
        )

    async def content_of(self, project: Project, public_id: str) -> bytes | None:
        """See the port."""
        return await self._read(
            partial(notification_units.content_of, vault=self._vault, project=project, public_id=public_id)
        )
