"""The store's methods on imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pushkeep.adapters.store import import_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.moving import ImportAsked, NewNames, Numbered
from pushkeep.domain.project import Project
from pushkeep.ports.moving import ImportJournal, KeyStanding, Standing
from pushkeep.protocol.signing_key import SigningKey


class ImportMethods(StoreBase):
    """:class:`pushkeep.ports.moving.ImportStore`."""

    async def find_import(self, project: Project, digest: bytes) -> ImportJournal | None:
        """See the port."""
        return await self._read(partial(import_units.find, project=project, digest=digest))

    async def check_key(self, project: Project, key: SigningKey) -> KeyStanding:
        """See the port."""
        return await self._read(partial(import_units.key_standing, project=project, key=key))

    async def check_records(self, project: Project, asked: ImportAsked, records: Sequence[Numbered]) -> Standing:
        """See the port."""
        return await self._read(
            partial(import_units.check, vault=self._vault, project=project, asked=asked, records=records)
        )

    async def begin_import(
        self, project: Project, asked: ImportAsked, key: SigningKey | None, *, now: float
    ) -> ImportJournal:
        """See the port."""
        return await self._change_project(
            partial(import_units.begin, vault=self._vault, project=project, asked=asked, key=key, now=now)
        )

    async def import_records(
        self,
        project: Project,
        asked: ImportAsked,
        journal: ImportJournal,
        records: Sequence[Numbered],
        names: Sequence[NewNames],
        *,
        key: SigningKey | None,
        position: int,
        left_out: Mapping[str, int],
        now: float,
    ) -> ImportJournal:
        """See the port."""
        return await self._change_project(
            partial(
                import_units.write,
                vault=self._vault,
                project=project,
                asked=asked,
                journal=journal,
                records=records,
                names=names,
                key=key,
                position=position,
                left_out=left_out,
                now=now,
            )
        )

    async def finish_import(self, project: Project, journal: ImportJournal, *, now: float) -> ImportJournal:
        """See the port."""
        return await self._write(partial(import_units.finish, journal=journal, now=now))
