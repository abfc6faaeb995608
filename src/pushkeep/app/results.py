"""What came of the messages of a shard and is not written down yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pushkeep.domain.situation import Situation
from pushkeep.domain.subscription import TRANSITIONS, Event, State, SubscriptionRecord
from pushkeep.ports import ResultUpdate
from pushkeep.ports.shards import Move, SettledMember
from pushkeep.protocol.outcome import Outcome


@dataclass(frozen=True, slots=True)
class SaidGone:
    """A member whose push service said that it has ended: to be believed or not when it is written down.

    Attributes:
        record: the subscription.
        situation, outcome: in which it was said, and how.
        index: among the settled members.
    """

    record: SubscriptionRecord
    situation: Situation
    outcome: Outcome
    index: int = 0


@dataclass(frozen=True, slots=True)
class Results:
    """What is taken out of a run to be written.

    Attributes:
        settled, moves, updates, ended: as the run's methods of these names were told.
        happened: what changed the state or the key of a subscription.
    """

    settled: list[SettledMember]
    moves: list[Move]
    updates: list[ResultUpdate]
    ended: list[SaidGone]
    happened: list[Event]

    @classmethod
    def none(cls) -> Results:
        """Nothing yet."""
        return cls([], [], [], [], [])

    def and_then(self, later: Results) -> Results:
        """Both."""
        shift = len(self.settled)
        return Results(
            self.settled + later.settled,
            self.moves + later.moves,
            self.updates + later.updates,
            self.ended + [replace(said, index=said.index + shift) for said in later.ended],
            self.happened + later.happened,
        )

    def note(self, update: ResultUpdate, state: State) -> None:
        """Add what a message changed in its subscription, which was in this state."""
        self.updates.append(update)
        if update.event is Event.KEY_FOUND or TRANSITIONS.get((state, update.event), state) is not state:
            self.happened.append(update.event)
