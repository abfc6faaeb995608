"""Nobody seals with a key that is gone, however long it stood still.

Several processes share a database, and any of them may change its keys. Each transaction therefore begins with a look
at the version of the keys, inside the transaction, and loads them if it rose: what is sealed or hashed in it is made
with keys that are the database's at that moment, and opens with them. One short statement, a few microseconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sqlalchemy import Connection, Engine, event

from pushkeep.adapters.store.keyring_units import load_ring
from pushkeep.adapters.store.sealing import Sealer, Vault
from pushkeep.errors import ConfigurationError, Unavailable

_VERSION = "SELECT keys_version FROM installation"


class Fence:
    """Keeps the ring of a vault at the version of the database.

    Args:
        vault: seals and opens for the store.
        master: opens the wrapped keys.
        random: draws nonces.
    """

    def __init__(self, vault: Vault, master: Sealer, random: Callable[[int], bytes]) -> None:
        self._vault = vault
        self._master = master
        self._random = random

    def guard(self, engine: Engine) -> None:
        """Look as each transaction of an engine begins, after what begins it."""
        event.listen(engine, "begin", self._look)

    def _look(self, connection: Connection) -> None:
        """Raises: Unavailable: the master key of this process opens the keys no more. The transaction is over then."""
        raw = connection.connection.dbapi_connection
        assert raw is not None
        try:
            # Not by SQLAlchemy, which takes ten times as long for it.
            row = raw.cursor().execute(_VERSION).fetchone()
            if row is not None and row[0] > self._vault.ring.version:
                self._vault.gain(load_ring(connection, self._master, self._random))
        except BaseException as error:
            with contextlib.suppress(Exception):
                raw.rollback()
            if isinstance(error, ConfigurationError):
                raise Unavailable(
                    f"The keys of the database were changed, and this process has an old master key "
                    f"(id {self._master.key_id.hex()}): restart it with the new one."
                ) from None
            raise
