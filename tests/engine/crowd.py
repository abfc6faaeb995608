"""Subscriptions by the ten thousand in a database, sooner than a server would register them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, insert, select

from pushkeep.adapters.store.sqlite import SqliteStore
from pushkeep.adapters.store.tables import subscriptions
from pushkeep.domain.project import Project
from pushkeep.protocol.subscription import Subscription

CHUNK_ROWS = 1000


async def store_like(
    store: SqliteStore, project: Project, short_id: str, crowd: Iterable[Subscription], *, letter: str
) -> None:
    """Store subscriptions at one push service, each as if it had been registered when ``short_id`` was.

    Their own short ids begin with ``letter``.
    """
    vault = store._vault  # what seals rows has no other door, and registering one by one takes two milliseconds each

    def add(connection: Connection) -> None:
        query = select(subscriptions).where(subscriptions.c.short_id == short_id)
        model = connection.execute(query).one()._asdict()
        del model["id"]
        rows = []
        for number, subscription in enumerate(crowd):
            endpoint_hash = vault.endpoint_hash(subscription.endpoint)
            rows.append(
                {
                    **model,
                    "short_id": f"{letter}{number:07}",
                    "public_id": UUID(int=(model["public_id"].int & ~0xFFFFFFFF) | number),
                    "endpoint_hash": endpoint_hash,
                    "keys_hash": vault.keys_hash(subscription),
                    "sealed": vault.seal_subscription(project, endpoint_hash, subscription),
                }
            )
            if len(rows) == CHUNK_ROWS:
                connection.execute(insert(subscriptions), rows)
                rows.clear()
        if rows:
            connection.execute(insert(subscriptions), rows)

    await store._write(add)
