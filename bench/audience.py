"""A server's database with as many subscribers as are wanted.

To register a hundred thousand browsers over HTTP would take minutes, and it is not what is measured. Their rows are
made by the store's own means instead, sealed and hashed like any other, some thousand to a commit. Everyone has an
endpoint of its own; key pairs come from a pool, as making one for each would take most of the time. Nothing remembers
what was computed for a key, so that this makes no message cheaper.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, insert

from bench.servers import ORIGIN, TARGET, WATCHED
from pushkeep.adapters.store.rows import uuid_of
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.sqlite import SqliteStore
from pushkeep.adapters.store.tables import push_services, subscriptions
from pushkeep.app.projects import active_signing_key, create_api_key
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.config import Settings
from pushkeep.domain.ids import SHORT_ID_RANDOM_BYTES, UUID7_RANDOM_BYTES, short_id, uuid7
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import State
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import FCM

KEY_PAIRS = 500
ROWS_TO_A_COMMIT = 5000
WATCHED_FIRST = 100
"""Arrivals at so many of the subscribers that come first are written down: when a broadcast begins."""

WATCHED_LAST = 1000
"""And at so many of the last ones: to them single messages are sent."""


async def fill(settings: Settings, count: int) -> str:
    """Make a new database with so many subscribers; an API key for it."""
    points = [encode_point(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(KEY_PAIRS)]
    async with open_services(settings) as services:
        project = await ensure_project(services, settings)
        key, store = await active_signing_key(services, project), services.store
        assert isinstance(store, SqliteStore)
        make = _Rows(store._vault, project, key.id, points, services.clock.now())  # no use case makes so many at once
        for first in range(0, count, ROWS_TO_A_COMMIT):
            numbers = range(first, min(first + ROWS_TO_A_COMMIT, count))
            await store.writer.run(partial(make.insert, numbers=numbers, count=count))
        return await create_api_key(services, project, "benchmark")


def short_id_of(number: int) -> str:
    """Of the subscriber of that number."""
    return short_id(number.to_bytes(SHORT_ID_RANDOM_BYTES, "big"))


def number_of(target: str) -> int:
    """Whose endpoint ends with this path."""
    return int(target[-_DIGITS:])


_DIGITS = 8


class _Rows:
    """Makes rows as a registration does."""

    def __init__(self, vault: Vault, project: Project, key_id: int, points: Sequence[bytes], now: float) -> None:
        self._vault = vault
        self._project = project
        self._key_id = key_id
        self._points = points
        self._now = now

    def insert(self, connection: Connection, *, numbers: range, count: int) -> None:
        """A unit of work."""
        watched = (range(WATCHED_FIRST), range(count - WATCHED_LAST, count))
        connection.execute(
            insert(subscriptions), [self._row(number, any(number in some for some in watched)) for number in numbers]
        )
        service = {"project_id": self._project.id, "origin": ORIGIN, "vendor": FCM.name}
        connection.execute(insert(push_services).prefix_with("OR IGNORE"), service)

    def _row(self, number: int, watched: bool) -> dict[str, object]:
        vault, now = self._vault, self._now
        target = f"{TARGET[:-_DIGITS]}{number:0{_DIGITS}}"
        endpoint = Endpoint.parse(ORIGIN + (WATCHED + target[len(WATCHED) :] if watched else target))
        whom = Subscription(endpoint, self._points[number % KEY_PAIRS], os.urandom(16))
        endpoint_hash = vault.endpoint_hash(endpoint)
        return {
            "project_id": self._project.id,
            "public_id": uuid_of(str(uuid7(now, os.urandom(UUID7_RANDOM_BYTES)))),
            "short_id": short_id_of(number),
            "signing_key_id": self._key_id,
            "origin": endpoint.origin,
            "vendor": FCM.name,
            "endpoint_hash": endpoint_hash,
            "keys_hash": vault.keys_hash(whom),
            "sealed": vault.seal_subscription(self._project, endpoint_hash, whom),
            "state": State.ACTIVE.value,
            "created_at": now,
            "last_seen_at": now,
        }
