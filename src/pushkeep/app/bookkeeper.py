"""What a worker has on loan, and the writing down of what it did: checkpoints, renewals, leases that were lost.

Nothing is written but under a lease. While the database does not answer, results are kept here, and written when it
is back, or forgotten when it says that the shard is another worker's by then.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from pushkeep.app.context import Services
from pushkeep.app.judge import Judge
from pushkeep.app.results import Results
from pushkeep.app.shard_run import ShardRun
from pushkeep.domain.event import CheckpointWritten, LeaseWasLost, NotificationFinished, SubscriptionsMoved
from pushkeep.domain.shard import PROGRESS_SECONDS_MAX, Kind, LeaseKey, lease_renew_seconds
from pushkeep.errors import Unavailable
from pushkeep.ports.shards import Ended, Ending, LeaseLost

TROUBLE_TOLD_SECONDS = 60.0
"""A database that answers every other time is not told of every other time."""

_log = logging.getLogger("pushkeep.app")


def fact_of(ended: Ended) -> NotificationFinished:
    """The end of a notification, to be announced."""
    return NotificationFinished(ended.public_id, ended.state, ended.seconds, ended.counts)


class OnLoan(Protocol):
    """A shard of either kind in a worker's hands."""

    lease: LeaseKey
    lease_ends: float
    progressed_at: float
    lost: bool


class Bookkeeper:
    """Keeps the leases of one worker, and writes down what was done under them.

    Args:
        services: the ports.
        judge: has the last word on who is gone.
        let_go: told when a shard is not on loan any more, or lost.

    Attributes:
        runs: shards of recipients on loan, by their number.
        plans: plans on loan, alike.
    """

    def __init__(self, services: Services, judge: Judge, let_go: Callable[[ShardRun], None]) -> None:
        self._services = services
        self._judge = judge
        self._let_go = let_go
        self._lease_seconds = services.store.lease_seconds
        self._troubled = False
        self._told_at = -math.inf
        self.runs: dict[int, ShardRun] = {}
        self.plans: dict[int, OnLoan] = {}

    async def write_all(self) -> None:
        """Write down what was done for every shard; the writer makes one commit of them."""
        due = [run for run in self.runs.values() if run.has_results or run.finished]
        await asyncio.gather(*(self.write(run) for run in due))

    async def write(self, run: ShardRun) -> None:
        """Write down what was done for a shard; with nothing more to do, let it go. Nothing is raised."""
        while not run.writing and not run.lost and (run.has_results or run.finished):
            run.writing = True
            try:
                if not await self._write_once(run):
                    return
            except Exception as error:
                # Whatever is wrong with it, this worker does not come back to it: its lease runs out.
                _log.error(
                    "Writing down shard %d failed with an internal error (%s).",
                    run.lease.shard_id,
                    type(error).__name__,
                )
                self.lose(run)
                return
            finally:
                run.writing = False
            if not run.finished:
                return

    async def renew(self) -> None:
        """Lengthen the leases of what makes progress. Nothing is raised."""
        before = self._services.clock.monotonic()
        least = self._lease_seconds - lease_renew_seconds(self._lease_seconds) / 2
        loans: list[OnLoan] = [
            loan
            for loan in (*self.runs.values(), *self.plans.values())
            if loan.lease_ends - before < least and before - loan.progressed_at < PROGRESS_SECONDS_MAX
        ]
        if not loans:
            return
        try:
            alive = await self._services.store.renew([loan.lease for loan in loans])
        except Unavailable as error:
            self.trouble(error)
            return
        except Exception as error:
            _log.error("Renewing leases failed with an internal error (%s).", type(error).__name__)
            return
        self.answered()
        for loan in loans:
            if loan.lease.shard_id in alive:
                loan.lease_ends = max(loan.lease_ends, before + self._lease_seconds)
            elif isinstance(loan, ShardRun):
                self.lose(loan)
            else:
                loan.lost = True

    def lose(self, run: ShardRun) -> None:
        """A shard is another worker's by now: nothing more is started or written for it."""
        if run.lost:
            return
        run.lost = True
        self._services.announcer.announce(
            LeaseWasLost(run.lease.shard_id, run.shard.vendor, run.unwritten + run.in_flight)
        )
        self._forget(run)

    def give_up(self, run: ShardRun, error: Exception) -> None:
        """Something unexpected: keep what was done, and leave the rest to another worker once the lease has run out.

        A shard that does this to every worker is set aside in the end, like one whose workers die.
        """
        _log.error(
            "Shard %d failed with an internal error (%s); it is tried again when its lease ends.",
            run.lease.shard_id,
            type(error).__name__,
        )
        run.end(Ending.KEEP)

    def trouble(self, error: Unavailable) -> None:
        """The store does not answer: said once until it does, and once a minute where that changes all the time."""
        now = self._services.clock.monotonic()
        if not self._troubled and now - self._told_at >= TROUBLE_TOLD_SECONDS:
            self._troubled = True
            self._told_at = now
            _log.warning("Deliveries wait for the database, and what was done is kept: %s", error.message)

    def answered(self) -> None:
        """The store answers."""
        if self._troubled:
            self._troubled = False
            _log.warning("The database answers again.")

    async def _write_once(self, run: ShardRun) -> bool:
        """Write what there is; whether it was written and the shard is still on loan."""
        services, final = self._services, run.finished
        before = services.clock.monotonic()
        results = run.take_results()
        self._judge.believe(run, results, before)
        try:
            ended = await services.store.checkpoint(run.checkpoint(results, final=final))
        except LeaseLost:
            run.put_back(results)  # to be counted
            self.lose(run)
            return False
        except Unavailable as error:
            run.put_back(results)
            self.trouble(error)
            return False
        self.answered()
        self._announce(run, results, services.clock.monotonic() - before)
        if ended is not None:
            services.announcer.announce(fact_of(ended))
        run.lease_ends = before + self._lease_seconds
        if final:
            run.lost = True  # it is not ours any more
            self._forget(run)
        return not final

    def _forget(self, run: ShardRun) -> None:
        self.runs.pop(run.lease.shard_id, None)
        self._let_go(run)

    def _announce(self, run: ShardRun, results: Results, seconds: float) -> None:
        counts = Counter(member.kind for member in results.settled)
        if results.moves:
            counts[Kind.MOVED] = len(results.moves)
        self._services.announcer.announce(CheckpointWritten(run.shard.vendor, run.job.priority, counts, seconds))
        if results.happened:
            self._services.announcer.announce(SubscriptionsMoved(run.shard.vendor, Counter(results.happened)))
