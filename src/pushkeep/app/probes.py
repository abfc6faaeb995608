"""Probes of circuits: one message finds out for all others whether a push service takes our token again.

A circuit that has cooled down lets one message through, of all workers' messages. Whoever wants to send it has to ask
the store first; the others of the same key wait here meanwhile, since an answer takes no longer than they may.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable

from pushkeep.app.shard_run import ShardRun
from pushkeep.app.sharing import Sharing
from pushkeep.domain.circuit import Circuits, CircuitState
from pushkeep.errors import PushkeepError
from pushkeep.ports import Clock
from pushkeep.ports.shards import Ending

ELSEWHERE_SECONDS = 2.0
"""Another worker's probe has had its answer by then, or is asked about once more."""

_log = logging.getLogger("pushkeep.app")


class Probes:
    """Asks for probes, and remembers which are under way here.

    Args:
        clock: tells the time.
        sharing: knows circuits, here and elsewhere.
        circuits: of this process.
        spawn: begins what takes time.
    """

    def __init__(
        self,
        clock: Clock,
        sharing: Sharing,
        circuits: Circuits,
        spawn: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        self._clock = clock
        self._sharing = sharing
        self._circuit = circuits.get
        self._circuits = circuits
        self._spawn = spawn
        self._running: set[tuple[int, str]] = set()

    def ask(self, key_id: int, origin: str, told: Callable[[bool], None]) -> None:
        """Ask whether this worker may send the probe, and tell; :meth:`ended` is owed then."""
        self._running.add((key_id, origin))
        self._spawn(self._ask(key_id, origin, told))

    def ended(self, key_id: int, origin: str) -> None:
        """The probe has its answer, or is not sent."""
        self._running.discard((key_id, origin))

    def holds(self, key_id: int, origin: str, now: float) -> bool:
        """Whether nothing of this key may start there now: its circuit is not closed, or a probe is under way."""
        circuit = self._circuit(key_id, origin)
        if circuit.state is CircuitState.CLOSED:
            return False
        return now < circuit.probe_at or (key_id, origin) in self._running

    def running(self, key_id: int, origin: str) -> bool:
        """Whether a probe is under way here."""
        return (key_id, origin) in self._running

    def wait_seconds(self, key_id: int, origin: str, now: float) -> float:
        """After how long it is worth to ask again, where nothing may start."""
        circuit = self._circuit(key_id, origin)
        if circuit.state is CircuitState.CLOSED:
            return 0.0
        wait = max(circuit.probe_at - now, 0.0)
        return min(wait, ELSEWHERE_SECONDS) if circuit.state is CircuitState.HALF_OPEN else wait

    def look_at_held(self, run: ShardRun, now: float) -> None:
        """Who was held back may start; or nothing else is left to do, and the shard is given back until they may."""
        origin = run.shard.origin
        held = [flight for flight in run.held if self.holds(flight.key_id, origin, now)]
        if len(held) < len(run.held):
            run.ready.extend(flight for flight in run.held if flight not in held)
            run.held = held
        if run.ready or run.pending or run.in_flight or run.loading:
            return
        keys = {flight.key_id for flight in held}
        if not any(self.running(key_id, origin) for key_id in keys):
            self._give_back(run, keys, now)

    def hold_all(self, run: ShardRun, now: float) -> bool:
        """Whether no key of the project may be used at a shard's push service; it is given back then, unloaded."""
        origin = run.shard.origin
        if not len(self._circuits) or run.context is None or run.in_flight or run.ready:
            return False
        keys = run.context.senders.keys()
        if any(self.running(key_id, origin) or not self.holds(key_id, origin, now) for key_id in keys):
            return False
        self._give_back(run, keys, now)
        return True

    def _give_back(self, run: ShardRun, keys: Iterable[int], now: float) -> None:
        wait = min(self.wait_seconds(key_id, run.shard.origin, now) for key_id in keys)
        run.end(Ending.RELEASE, self._clock.now() + wait)

    async def _ask(self, key_id: int, origin: str, told: Callable[[bool], None]) -> None:
        taken = False
        try:
            taken = await self._sharing.take_probe(key_id, origin)
        except PushkeepError:
            pass  # the store does not answer, which is said elsewhere: nobody probes meanwhile
        except Exception as error:
            _log.error("Asking for a probe failed with an internal error (%s).", type(error).__name__)
        told(taken)
