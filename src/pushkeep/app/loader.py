"""Looking at the next members of a shard, just before it is their turn."""

from __future__ import annotations

from pushkeep.app.bookkeeper import Bookkeeper
from pushkeep.app.context import Services
from pushkeep.app.dispatch import Dispatcher
from pushkeep.app.payloads import PayloadMaker
from pushkeep.app.probes import Probes
from pushkeep.app.project_context import ProjectContexts
from pushkeep.app.shard_run import ShardRun
from pushkeep.app.sharing import Sharing
from pushkeep.domain.sending import Control
from pushkeep.errors import Unavailable
from pushkeep.ports.shards import Ending, LeaseLost, Loaded

TROUBLE_SECONDS = 1.0
"""Before the database is asked again after it did not answer."""


class Loader:
    """Loads members for the dispatcher.

    Args:
        services: the ports.
        sharing: told when a push service rests.
        books: told when a lease is lost.
        dispatcher: gets what was loaded.
        probes: know which keys may be used.
    """

    def __init__(
        self, services: Services, sharing: Sharing, books: Bookkeeper, dispatcher: Dispatcher, probes: Probes
    ) -> None:
        self._services = services
        self._sharing = sharing
        self._books = books
        self._dispatcher = dispatcher
        self._probes = probes
        self._contexts = ProjectContexts(services)

    async def load(self, run: ShardRun, positions: list[int]) -> None:
        """Load these members of a shard. Nothing is raised."""
        clock, dispatcher = self._services.clock, self._dispatcher
        before = clock.monotonic()
        try:
            run.context = context = await self._contexts.get(run.job.project_id)
            if self._probes.hold_all(run, clock.monotonic()):  # not one of them may start: they need no look
                run.not_loaded(positions)
                dispatcher.tend(run)
                return
            loaded = await self._services.store.load(run.leased, positions)
            if not _keys_of(loaded) <= context.senders.keys():  # rotated since: what is new is not taken for retired
                run.context = context = await self._contexts.read_again(run.job.project_id)
            self._take_in(run, positions, loaded, min(before, context.loaded_at))
            self._books.answered()
        except LeaseLost:
            run.not_loaded(positions)
            self._books.lose(run)
        except Unavailable as error:
            run.not_loaded(positions)
            dispatcher.loads_paused_until = clock.monotonic() + TROUBLE_SECONDS
            self._books.trouble(error)
        except Exception as error:
            run.not_loaded(positions)
            self._books.give_up(run, error)
        dispatcher.tend(run)

    def _take_in(self, run: ShardRun, positions: list[int], loaded: Loaded, loaded_at: float) -> None:
        rests = loaded.origin_rests_until - self._services.clock.now()
        if loaded.control is not Control.SEND or rests > 0 or run.ending is not None:
            run.not_loaded(positions)
            if loaded.control is Control.CANCELLED:
                run.end(Ending.CANCEL)
            elif loaded.control is Control.PAUSED:
                run.end(Ending.RELEASE)
            elif rests > 0:
                self._sharing.rest(run.shard.origin, run.shard.vendor, rests)
            return
        if run.maker is None:
            assert run.context is not None
            run.maker = PayloadMaker(run.job, run.context.receipt_key)
            self._find_vendor(run, loaded)
        run.take_in(loaded.members, loaded_at, self._services.clock.now(), self._dispatcher.answered)

    def _find_vendor(self, run: ShardRun, loaded: Loaded) -> None:
        """The row by which answers are read: one for all, as they are at one push service."""
        for member in loaded.members:
            found = member.recipient
            if found is not None and found.subscription is not None and found.record.origin == run.shard.origin:
                run.vendor = self._services.policy.vendor_for(found.subscription.endpoint)
                return


def _keys_of(loaded: Loaded) -> set[int]:
    return {member.recipient.record.signing_key_id for member in loaded.members if member.recipient is not None}
