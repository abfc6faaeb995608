"""The store's methods on the keys that everything is sealed and hashed with."""

from __future__ import annotations

from functools import partial

from pushkeep.adapters.store import keyring_units, master_units, reseal_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.ports.secrets import RemadePage, SecretKind, SecretsStatus
from pushkeep.ports.sweeps import MovedPage


class SecretMethods(StoreBase):
    """:class:`pushkeep.ports.secrets.SecretStore`."""

    async def secrets_status(self) -> SecretsStatus:
        """See the port."""
        return await self._read(lambda connection: reseal_units.status(connection, self._fence.master))

    async def add_master_key(self, new: bytes, *, now: float) -> str:
        """See the port."""
        return await self._write(
            lambda connection: master_units.add_master(connection, self._fence.master, self._fence.sealer(new), now)
        )

    async def finish_master_key(self) -> int:
        """See the port."""
        return await self._write(lambda connection: master_units.finish_master(connection, self._fence.master))

    async def cancel_master_key(self) -> None:
        """See the port."""
        await self._write(lambda connection: master_units.cancel_master(connection, self._fence.master))

    async def rotate_secret(self, kind: SecretKind, *, now: float) -> str:
        """See the port."""
        return await self._write(lambda connection: keyring_units.rotate(connection, self._fence.master, kind, now))

    async def remaking_over(self) -> bool | None:
        """See the port."""
        return await self._read(reseal_units.remaking_over)

    async def remake_page(self, *, limit: int) -> RemadePage:
        """See the port."""
        counted = await self._read(reseal_units.count_left)  # for seconds, where there is much: others write meanwhile
        return await self._write(partial(reseal_units.remake_page, vault=self._vault, limit=limit, counted=counted))

    async def forget_tombstones(self, *, after: int, limit: int) -> MovedPage:
        """See the port."""
        return await self._write(
            lambda connection: reseal_units.forget_tombstones(connection, self._vault, self._fence.master, after, limit)
        )
