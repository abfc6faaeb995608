"""The circuit of one signing key at one push service: whether our tokens are taken there.

A token that one push service refuses, it refuses for everybody: a wrong contact, clock or key. Then a broadcast of a
million messages would be a million refusals, and a push service may block who sends them. So the first refusal opens
the circuit: nothing more is sent with this key to this origin until a cool-down has passed. Then one single message
goes out as a probe. If it is taken, the circuit closes; if the token is refused once more, the next cool-down is twice
as long; if the probe says nothing about the token (no answer, a throttle), the same cool-down passes again.

It is about our key and never about a subscription. Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.protocol.verdict import Verdict

COOL_DOWN_SECONDS = 60.0
"""Between the first refusal and the first probe: time for a clock to be set, little enough for a person who waits."""

COOL_DOWN_SECONDS_MAX = 3600.0
"""A probe an hour notices a repaired setting soon enough and burdens nobody."""

PROBE_SECONDS_MAX = 60.0
"""A probe without a result after this long is lost (no attempt takes longer than 30 s): another may go."""

CIRCUITS_MAX = 4096
"""Keys times origins in one process; the one unused for longest is forgotten, and starts closed again."""


class CircuitState(StrEnum):
    """Whether messages may go."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitEvent(StrEnum):
    """What happens to a circuit."""

    TAKEN = "taken"
    REFUSED = "refused"
    COOLED = "cooled"
    LOST = "lost"


TRANSITIONS: Mapping[tuple[CircuitState, CircuitEvent], CircuitState] = MappingProxyType(
    {
        (CircuitState.CLOSED, CircuitEvent.TAKEN): CircuitState.CLOSED,
        (CircuitState.CLOSED, CircuitEvent.REFUSED): CircuitState.OPEN,
        (CircuitState.CLOSED, CircuitEvent.LOST): CircuitState.CLOSED,
        # Answers to what was under way when the circuit opened. One that was taken proves the token good.
        (CircuitState.OPEN, CircuitEvent.TAKEN): CircuitState.CLOSED,
        (CircuitState.OPEN, CircuitEvent.REFUSED): CircuitState.OPEN,
        (CircuitState.OPEN, CircuitEvent.LOST): CircuitState.OPEN,
        (CircuitState.OPEN, CircuitEvent.COOLED): CircuitState.HALF_OPEN,
        (CircuitState.HALF_OPEN, CircuitEvent.TAKEN): CircuitState.CLOSED,
        (CircuitState.HALF_OPEN, CircuitEvent.REFUSED): CircuitState.OPEN,
        (CircuitState.HALF_OPEN, CircuitEvent.LOST): CircuitState.OPEN,
        # The probe never came back; the next message is the probe.
        (CircuitState.HALF_OPEN, CircuitEvent.COOLED): CircuitState.HALF_OPEN,
    }
)
"""Every move. A closed circuit has nothing to cool."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit at one moment.

    Attributes:
        state: whether messages may go.
        refusals: refused tokens in a row, counted once for each time it opened.
        probe_at: when the next message may go as a probe, unless it is closed; monotonic seconds.
    """

    state: CircuitState = CircuitState.CLOSED
    refusals: int = 0
    probe_at: float = 0.0

    def after(self, event: CircuitEvent, now: float) -> Circuit:
        """The circuit after an event; raises KeyError for a move that the table does not have."""
        state = TRANSITIONS[self.state, event]
        if state is CircuitState.CLOSED:
            return _CLOSED
        if event is CircuitEvent.COOLED:
            return Circuit(state, self.refusals, now + PROBE_SECONDS_MAX)
        if self.state is CircuitState.OPEN:
            return self
        refusals = self.refusals + (event is CircuitEvent.REFUSED)
        return Circuit(state, refusals, now + cool_down_seconds(refusals))


_CLOSED = Circuit()


def cool_down_seconds(refusals: int) -> float:
    """How long an open circuit rests after so many refusals in a row: 60 s, doubled each time, at most an hour."""
    return min(COOL_DOWN_SECONDS * 2.0 ** min(max(refusals - 1, 0), 30), COOL_DOWN_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a message may go.

    Attributes:
        granted: whether it may.
        probe: whether it is the one that finds out whether the token is taken again.
        wait_seconds: until it is worth asking again, where it may not.
    """

    granted: bool
    probe: bool = False
    wait_seconds: float = 0.0


_GO = Permission(True)


class Circuits:
    """The circuits of one process, by signing key and origin; those that are closed take no memory."""

    def __init__(self) -> None:
        self._circuits: OrderedDict[tuple[object, str], Circuit] = OrderedDict()

    def get(self, key: object, origin: str) -> Circuit:
        """The circuit of a signing key (by anything that identifies it) at an origin."""
        return self._circuits.get((key, origin), _CLOSED)

    def ask(self, key: object, origin: str, now: float) -> Permission:
        """Whether a message may go now. Who is granted a probe owes its result to :meth:`tell`."""
        circuit = self.get(key, origin)
        if circuit.state is CircuitState.CLOSED:
            return _GO
        if now < circuit.probe_at:
            return Permission(False, wait_seconds=circuit.probe_at - now)
        self.put(key, origin, circuit.after(CircuitEvent.COOLED, now))
        return Permission(True, probe=True)

    def tell(self, key: object, origin: str, verdict: Verdict | None, now: float, *, probe: bool = False) -> None:
        """Learn what came of a message; None where nothing did, so that a probe is not waited for in vain."""
        if verdict is Verdict.ACCEPTED:
            event = CircuitEvent.TAKEN
        elif verdict is Verdict.BAD_TOKEN:
            event = CircuitEvent.REFUSED
        elif probe:
            event = CircuitEvent.LOST
        else:
            return
        self.put(key, origin, self.get(key, origin).after(event, now))

    def not_closed(self) -> Mapping[tuple[object, str], Circuit]:
        """Every circuit that is open or half open, by key and origin, at this moment."""
        return dict(self._circuits)

    def put(self, key: object, origin: str, circuit: Circuit) -> None:
        """Take a circuit over as it is, as other processes know it."""
        if circuit.state is CircuitState.CLOSED:
            self._circuits.pop((key, origin), None)
            return
        self._circuits[key, origin] = circuit
        self._circuits.move_to_end((key, origin))
        if len(self._circuits) > CIRCUITS_MAX:
            self._circuits.popitem(last=False)

    def __len__(self) -> int:
        return len(self._circuits)
