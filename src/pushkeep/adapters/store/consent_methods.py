"""The store's methods on purposes and consent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pushkeep.adapters.store import consent_audit_units, consent_list_units, purpose_units, seal_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.consent import Basis, ConsentWord, Purpose, Seal, Wording
from pushkeep.domain.project import Project
from pushkeep.ports.consents import ChainStanding, ConsentRecord, HeldWord, Speaker, StateFaults


class ConsentMethods(StoreBase):
    """:class:`pushkeep.ports.ConsentStore`."""

    async def put_purpose(
        self, project: Project, name: str, *, description: str, basis: Basis, now: float
    ) -> tuple[Purpose, bool]:
        """See the port."""
        return await self._change_project(
            partial(
                purpose_units.put_purpose, project=project, name=name, description=description, basis=basis, now=now
            )
        )

    async def purposes(self, project: Project) -> tuple[Purpose, ...]:
        """See the port."""
        return await self._read(partial(purpose_units.all_purposes, project=project))

    async def add_wording(self, project: Project, wording: Wording) -> tuple[Wording, bool]:
        """See the port."""
        return await self._change_project(partial(purpose_units.add_wording, project=project, wording=wording))

    async def wordings(self, project: Project, purpose: str | None = None) -> tuple[Wording, ...]:
        """See the port."""
        return await self._read(partial(purpose_units.all_wordings, project=project, purpose=purpose))

    async def say(
        self,
        project: Project,
        speaker: Speaker,
        words: Sequence[ConsentWord],
        *,
        sequence: int | None,
        now: float,
        living: bool = False,
    ) -> Mapping[str, bool]:
        """See the port."""
        return await self._write(
            partial(
                consent_list_units.say,
                vault=self._vault,
                project=project,
                speaker=speaker,
                words=words,
                sequence=sequence,
                now=now,
                living=living,
            )
        )

    async def held(self, project: Project, speaker: Speaker) -> tuple[HeldWord, ...]:
        """See the port."""
        return await self._read(partial(consent_list_units.held, vault=self._vault, project=project, speaker=speaker))

    async def list_consents(
        self,
        project: Project,
        *,
        speaker: Speaker | None = None,
        purpose: str | None = None,
        limit: int,
        after: int,
    ) -> tuple[ConsentRecord, ...]:
        """See the port."""
        return await self._read(
            partial(
                consent_list_units.page,
                vault=self._vault,
                project=project,
                speaker=speaker,
                purpose=purpose,
                limit=limit,
                after=after,
            )
        )

    async def seal_consents(self, project: Project, *, now: float) -> Seal | None:
        """See the port."""
        return await self._write(partial(seal_units.seal, project=project, now=now))

    async def chain_standing(self, project: Project) -> ChainStanding:
        """See the port."""
        return await self._read(partial(seal_units.chain_standing, project=project))

    async def list_seals(self, project: Project, *, limit: int, after: int) -> tuple[Seal, ...]:
        """See the port."""
        return await self._read(partial(seal_units.list_seals, project=project, limit=limit, after=after))

    async def consent_rows(
        self, project: Project, *, limit: int, after: int
    ) -> tuple[tuple[ConsentRecord, tuple[str, ...]], ...]:
        """See the port."""
        return await self._read(
            partial(consent_audit_units.rows, vault=self._vault, project=project, limit=limit, after=after)
        )

    async def state_faults(self, project: Project, *, limit: int, after: tuple[str, int, int]) -> StateFaults:
        """See the port."""
        return await self._read(partial(consent_audit_units.state_faults, project=project, limit=limit, after=after))
