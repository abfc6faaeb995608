"""What does a message cost on its whole way: accepted, planned, lent, loaded, sent, written down?

In each round the floor, the bare sender and a broadcast by each server follow one another, so that whatever the
machine does meanwhile happens to all of them; ratios are made within a round. A server is ``pushkeep serve`` as an
operator runs it, its database a file on disk. Before each broadcast the rows are made to look as if nobody had been
told anything for an hour: every message is then written into its subscriber's row, as with one broadcast a day.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import floor, ours
from bench.audience import WATCHED_LAST, short_id_of
from bench.engine_results import EngineResults, Waits
from bench.installation import Installation, serving
from bench.servers import Servers, Site
from bench.world import Contender, World

WAYS = ((0, 1), (0, 2), (30, 1), (30, 2), (100, 1), (100, 2))
"""Round trip in milliseconds, and worker processes."""

WAITS_PACE_SECONDS = 0.05
"""Between the starts of two transactional messages: twenty a second."""

BROADCAST_UNDER_WAY_SECONDS = 2.0
"""After its first message, before transactional ones are timed beside a broadcast: the lane is as wide as it gets."""


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        audience: recipients of a broadcast in the rounds.
        base: messages of the floor and of the sender in a round.
        rounds: how many count; one more comes before.
        sizes: audiences that memory and speed are measured with, each by a server of its own.
        waits: transactional messages timed alone, and beside a broadcast.
    """

    audience: int = 10_000
    base: int = 4000
    rounds: int = 3
    sizes: tuple[int, ...] = (10_000, 100_000)
    waits: int = 200

    def __post_init__(self) -> None:
        if self.waits > WATCHED_LAST:
            raise ValueError(f"at most {WATCHED_LAST} transactional messages are timed: each to somebody else")


def measure(
    world: World, servers: Servers, directory: Path, extent: Extent, tell: Callable[[str], None]
) -> EngineResults:
    """All of it.

    Args:
        world: the sender's recipients.
        servers: the push service, at every distance of :data:`WAYS`.
        directory: for databases; on a disk, not in memory.
        extent: how much.
        tell: hears what is being done.
    """
    results = EngineResults()
    with _Base(world, servers) as base, contextlib.ExitStack() as stack:
        ways = []
        for latency, workers in WAYS:
            tell(f"making a server at {latency} ms with {workers} of its workers")
            site = _site(servers, latency)
            name = directory / f"engine-{latency}-{workers}"
            ways.append(
                (site, stack.enter_context(serving(name, servers, site, recipients=extent.audience, workers=workers)))
            )
        for number in range(extent.rounds + 1):
            tell(f"round {number} of {extent.rounds}")
            _round(results, base, ways, extent, warm_up=number == 0)
    for size in extent.sizes:
        tell(f"a broadcast to {size:,}, watching memory")
        largest = size == max(extent.sizes)
        _by_size(results, servers, directory / f"size-{size}", size, extent.waits if largest else 0, tell)
    return results


def _round(
    results: EngineResults, base: _Base, ways: list[tuple[Site, Installation]], extent: Extent, *, warm_up: bool
) -> None:
    before: Site | None = None
    for site, server in ways:
        if site is not before:
            costs = base.costs(site, extent.base)
            if not warm_up:
                for name, cost in costs.items():
                    results.base.setdefault(name, {}).setdefault(site.latency_ms, []).append(cost)
        before = site
        server.forget_last_success()
        done = server.broadcast()
        if not warm_up:
            line = results.line(site.latency_ms, server.workers)
            line.add(done)


def _by_size(
    results: EngineResults, servers: Servers, directory: Path, size: int, waits: int, tell: Callable[[str], None]
) -> None:
    """One server and one worker, both new: how fast, and how much memory they come to."""
    site = _site(servers, 0)
    with serving(directory, servers, site, recipients=size, workers=1) as server:
        results.sizes.add(server.broadcast(), server.peak_mb())
        if not waits:
            return
        tell("transactional messages alone")
        results.alone = _waits(server, waits)
        tell("transactional messages beside a broadcast")
        server.forget_last_success()
        mark = server.mark()
        broadcast = server.post({"all": True})
        while not server.arrivals(mark):
            time.sleep(0.05)
        time.sleep(BROADCAST_UNDER_WAY_SECONDS)
        results.beside = _waits(server, waits, until_end_of=broadcast)
        server.cancel(broadcast)


def _waits(server: Installation, count: int, *, until_end_of: str | None = None) -> Waits:
    """Send so many transactional messages, each to another of the last subscribers, one after the other.

    Fewer, if they are timed beside a broadcast that ends before.
    """
    mark, waits = server.mark(), Waits()
    started: dict[int, float] = {}
    due = time.monotonic()
    for number in range(server.recipients - count, server.recipients):
        time.sleep(max(due - time.monotonic(), 0.0))
        due = max(due + WAITS_PACE_SECONDS, time.monotonic())
        if until_end_of is not None and server.finished_at(until_end_of) is not None:
            break
        started[number], began = time.time(), time.perf_counter()
        public_id = server.post({"subscriptions": [short_id_of(number)]}, priority="transactional")
        waits.accepted_ms.append((time.perf_counter() - began) * 1000)
        server.wait(public_id)
        waits.done_ms.append((time.perf_counter() - began) * 1000)
    arrived = {number: at for at, number in server.arrivals(mark)}
    waits.arrived_ms = [(arrived[number] - at) * 1000 for number, at in started.items()]
    return waits


def _site(servers: Servers, latency_ms: int) -> Site:
    return next(site for site in servers.sites if site.latency_ms == latency_ms)


class _Base:
    """The floor and the bare sender, in this process."""

    def __init__(self, world: World, servers: Servers) -> None:
        self._world = world
        self._servers = servers

    def __enter__(self) -> _Base:
        self._loop = uvloop.new_event_loop()
        self._stack = contextlib.AsyncExitStack()
        self._contenders: dict[int, list[Contender]] = {}
        for site in self._servers.sites:
            self._contenders[site.latency_ms] = self._loop.run_until_complete(self._made(site))
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()

    async def _made(self, site: Site) -> list[Contender]:
        return [
            floor.curve(self._world),
            await floor.libcurl(self._world, site, self._loop, self._stack),
            await ours.send_many(self._world, site, self._loop, self._stack),
        ]

    def costs(self, site: Site, count: int) -> dict[str, float]:
        """Processor microseconds of each for a message."""
        costs = {}
        for contender in self._contenders[site.latency_ms]:
            gc.collect()
            before = _spent()
            contender.run(count)
            costs[contender.name] = (_spent() - before) / count * 1e6
        return costs


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
