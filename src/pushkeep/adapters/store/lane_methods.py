"""The store's methods on what workers share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pushkeep.adapters.store import lane_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.circuit import Circuit
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationRecord, Priority
from pushkeep.ports.lanes import Backlog, LaneState, WorkerReport


class LaneMethods(StoreBase):
    """:class:`pushkeep.ports.lanes.LaneStore`."""

    async def rest_origin(self, origin: str, until: float) -> None:
        """See the port."""
        now = self._clock.now()
        await self._write(partial(lane_units.rest_origin, origin=origin, until=until, now=now))

    async def keep_circuit(self, key_id: int, origin: str, circuit: Circuit | None) -> None:
        """See the port."""
        await self._write(partial(lane_units.keep_circuit, key_id=key_id, origin=origin, circuit=circuit))

    async def take_probe(self, key_id: int, origin: str) -> bool:
        """See the port."""
        now = self._clock.now()
        return await self._write(partial(lane_units.take_probe, key_id=key_id, origin=origin, now=now))

    async def lane_state(self) -> LaneState:
        """See the port."""
        return await self._read(partial(lane_units.lane_state, now=self._clock.now()))

    async def report_worker(self, report: WorkerReport) -> None:
        """See the port."""
        await self._write(partial(lane_units.report_worker, report=report))

    async def leave(self, owner: str) -> None:
        """See the port."""
        await self._write(partial(lane_units.leave, owner=owner))

    async def workers(self) -> tuple[WorkerReport, ...]:
        """See the port."""
        return await self._read(partial(lane_units.load_workers, now=self._clock.now()))

    async def backlog(self) -> Mapping[Priority, Backlog]:
        """See the port."""
        return await self._read(partial(lane_units.backlog, now=self._clock.now()))

    async def under_way(self, project: Project, *, limit: int) -> tuple[NotificationRecord, ...]:
        """See the port."""
        return await self._read(partial(lane_units.under_way, project=project, limit=limit))
