"""Who listens to what a process does: its metrics and its log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pushkeep.adapters.metrics import Metrics
from pushkeep.adapters.metrics_server import serving_metrics
from pushkeep.adapters.store import SqliteStore
from pushkeep.app.context import Services
from pushkeep.web.fact_log import log_fact
from pushkeep.web.logs import get_logger

_log = get_logger("pushkeep.server")


def observe(services: Services, *, shared: bool) -> Metrics:
    """Listen from now on.

    Args:
        services: whose facts are counted and logged.
        shared: whether the metrics also show what all processes share, read from the database.
    """
    metrics = Metrics(services.store, shared=shared)
    services.announcer.listen(metrics.listen)
    services.announcer.listen(log_fact)
    if isinstance(services.store, SqliteStore):
        cache = services.store.recipient_cache
        metrics.watch_lookups(lambda: (cache.hits, cache.misses))
    return metrics


@asynccontextmanager
async def metrics_served(metrics: Metrics, port: int | None) -> AsyncIterator[None]:
    """The metrics are served on a port of the loopback interface until the context is left; nothing without a port.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    if port is None:
        yield
        return
    async with serving_metrics(metrics, port) as actual:
        _log.info("metrics", url=f"http://127.0.0.1:{actual}/metrics")
        yield
