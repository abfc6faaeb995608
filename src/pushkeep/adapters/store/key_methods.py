"""The store's methods on signing keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from pushkeep.adapters.store import key_units
from pushkeep.adapters.store.audience_count_units import IDS_COUNTED_AT_ONCE
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.project import Project
from pushkeep.domain.signing_keys import KeyRecord, KeyUsage
from pushkeep.protocol.signing_key import SigningKey


class KeyMethods(StoreBase):
    """:class:`pushkeep.ports.KeyStore`."""

    async def list_keys(self, project: Project) -> tuple[KeyRecord, ...]:
        """See the port."""
        return await self._read(partial(key_units.all_keys, project=project))

    async def find_key(self, project: Project, public_bytes: bytes) -> KeyRecord | None:
        """See the port."""
        return await self._read(partial(key_units.find_key, project=project, public_bytes=public_bytes))

    async def prepare_key(self, project: Project, key: SigningKey, *, now: float) -> KeyRecord:
        """See the port."""
        return await self._change_project(
            partial(key_units.prepare, vault=self._vault, project=project, key=key, now=now)
        )

    async def rotate_keys(
        self, project: Project, *, expected: int, fresh: SigningKey, leaked: bool, now: float
    ) -> tuple[KeyRecord, KeyRecord]:
        """See the port."""
        return await self._change_project(
            partial(
                key_units.rotate,
                vault=self._vault,
                project=project,
                expected=expected,
                fresh=fresh,
                leaked=leaked,
                now=now,
            )
        )

    async def mark_leaked(self, project: Project, key: int, *, now: float) -> KeyRecord:
        """See the port."""
        return await self._change_project(partial(key_units.mark_leaked, project=project, key=key, now=now))

    async def retire_key(self, project: Project, key: int, *, force: bool, now: float) -> KeyRecord:
        """See the port."""
        return await self._change_project(partial(key_units.retire, project=project, key=key, force=force, now=now))

    async def give_up_bound(self, project: Project, key: int, *, limit: int, now: float) -> int:
        """See the port."""
        return await self._write(partial(key_units.give_up_bound, project=project, key=key, limit=limit, now=now))

    async def key_usage(self, project: Project, *, now: float) -> Mapping[int, KeyUsage]:
        """See the port."""
        last = await self._read(partial(key_units.last_subscription_id, project=project))
        counts: Counter[tuple[int, int | None]] = Counter()
        for after in range(0, last, IDS_COUNTED_AT_ONCE):
            unit = partial(key_units.usage, project=project, after=after, until=after + IDS_COUNTED_AT_ONCE, now=now)
            counts.update(await self._read(unit))
        return {
            key: KeyUsage(
                counts.get((key, None), 0),
                {days or None: count for (of, days), count in counts.items() if of == key and days is not None},
            )
            for key in {key for key, _ in counts}
        }
