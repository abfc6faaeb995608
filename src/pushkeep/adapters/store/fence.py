"""Nobody seals with a key that is gone, however long it stood still.

Several processes share a database, and any of them may change its keys. Each transaction therefore begins with a look
at the version of the keys, inside the transaction, and loads them if it rose: what is sealed or hashed in it is made
with keys that are the database's at that moment, and opens with them. One short statement, a few microseconds.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from sqlalchemy import Connection, Engine, event

from pushkeep.adapters.store.keyring_units import load_ring
from pushkeep.adapters.store.sealing import KeyRing, Sealer, Vault
from pushkeep.errors import ConfigurationError, Unavailable

_VERSION = "SELECT keys_version FROM installation"

READ_AGAIN_SECONDS = 10.0
"""Between two looks where the master key comes from, which may be a program: while it has no better one, every
transaction would start it."""


class Fence:
    """Keeps the ring of a vault at the version of the database.

    Args:
        vault: seals and opens for the store.
        master: opens the wrapped keys.
        random: draws nonces.
        monotonic: seconds that only go on.
        read_again: reads the master key where it comes from, since it may have been exchanged while this process ran;
            None where it cannot have been.
    """

    def __init__(
        self,
        vault: Vault,
        master: Sealer,
        random: Callable[[int], bytes],
        monotonic: Callable[[], float],
        read_again: Callable[[], bytes] | None = None,
    ) -> None:
        self.vault = vault
        """What seals, opens and hashes."""
        self._random = random
        self._monotonic = monotonic
        self._read_again = read_again
        self._read_again_from = -math.inf
        self.master = master
        """The master key that opened the keys."""

    def sealer(self, key: bytes) -> Sealer:
        """What seals with another master key.

        Raises:
            ConfigurationError: it has another length.
        """
        return Sealer(key, self._random)

    def guard(self, engine: Engine, begin: str) -> None:
        """Look as each transaction of an engine begins, after ``begin``, which begins it."""

        @event.listens_for(engine, "begin")
        def _begun(connection: Connection) -> None:
            self._look(connection, begin)

    def _look(self, connection: Connection, begin: str) -> None:
        """Raises: Unavailable: the master key of this process opens the keys no more. The transaction is over then."""
        raw = connection.connection.dbapi_connection
        assert raw is not None
        try:
            # Not by SQLAlchemy, which takes ten times as long for it.
            row = raw.cursor().execute(_VERSION).fetchone()
            if row is not None and row[0] > self.vault.ring.version:
                self.vault.gain(self._load(connection, begin))
        except BaseException as error:
            with contextlib.suppress(Exception):
                raw.rollback()
            if isinstance(error, ConfigurationError):
                raise Unavailable(
                    f"The keys of the database were changed, and this process has an old master key "
                    f"(id {self.master.key_id.hex()}): restart it with the new one."
                ) from None
            raise

    def _load(self, connection: Connection, begin: str) -> KeyRing:
        try:
            return load_ring(connection, self.master, self._random)
        except ConfigurationError:
            now = self._monotonic()
            if self._read_again is None or now < self._read_again_from:
                raise
        self._read_again_from = now + READ_AGAIN_SECONDS
        # Not within the transaction: a program may take its time, and other processes want to write.
        connection.exec_driver_sql("ROLLBACK")
        master = Sealer(self._read_again(), self._random)
        connection.exec_driver_sql(begin)
        ring = load_ring(connection, master, self._random)
        self.master = master
        return ring
