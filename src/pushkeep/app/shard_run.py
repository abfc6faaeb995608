"""One shard in a worker's hands: which of its recipients are to be loaded, may start, are in flight, are settled.

Bookkeeping only: nothing here waits, posts or writes. A member's way through it::

    pending ──load──▶ ready ──start──▶ in flight ──answer──▶ settled or moved ──checkpoint──▶ written
       ▲                │                 │
       └── not fresh ───┘                 └── once more, changed ──▶ pending or ready

Whatever happens to a worker, a member that is not written is the next worker's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pushkeep.app.payloads import PayloadMaker
from pushkeep.app.project_context import ProjectContext
from pushkeep.app.results import Results, SaidGone
from pushkeep.domain.sending import wire_ttl
from pushkeep.domain.shard import SHARD_MEMBERS_MAX, Kind, LeaseKey
from pushkeep.domain.subscription import State, SubscriptionRecord
from pushkeep.errors import PayloadTooLarge
from pushkeep.ports import ResultUpdate
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import Checkpoint, Ending, Member, Move, SettledMember
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.remedy import Remedy, apply_remedy
from pushkeep.protocol.request import PushOptions, PushRequest
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import Vendor
from pushkeep.protocol.verdict import Verdict

ACCEPTED_AT = tuple(SettledMember(position, Kind.ACCEPTED) for position in range(SHARD_MEMBERS_MAX))
"""What most members come to, made once: where only the count is kept."""


class Again:
    """What is different about a message that is sent once more at once.

    Attributes:
        key_id: the signing key to use; None for the subscription's own.
        keys_tried: signing keys that were used.
        remedies: what was changed.
        before: verdicts of the attempts in this lease.
    """

    __slots__ = ("before", "key_id", "keys_tried", "remedies")

    def __init__(self) -> None:
        self.key_id: int | None = None
        self.keys_tried: frozenset[int] = frozenset()
        self.remedies: tuple[Remedy, ...] = ()
        self.before: tuple[Verdict, ...] = ()


class Flight:
    """One message to one member, from its being loaded to its answer.

    Attributes:
        run: the shard it belongs to.
        position: the member.
        record, subscription: whom it goes to.
        loaded_at: monotonic seconds, before the recipient was looked at.
        begun_at: monotonic seconds of the start.
        key_id: the signing key it is signed with.
        options: what it was sent with; None before the start.
        again: what is different about it; None at first.
        probe: whether it finds out for all others if a token is taken again.
    """

    __slots__ = (
        "_told",
        "again",
        "begun_at",
        "key_id",
        "loaded_at",
        "options",
        "position",
        "probe",
        "record",
        "run",
        "subscription",
    )

    def __init__(
        self,
        run: ShardRun,
        position: int,
        record: SubscriptionRecord,
        subscription: Subscription,
        loaded_at: float,
        told: Callable[[Flight, Answer], None],
    ) -> None:
        self.run = run
        self.position = position
        self.record = record
        self.subscription = subscription
        self.loaded_at = loaded_at
        self.begun_at = 0.0
        self.again: Again | None = run.again.get(position) if run.again else None
        again = self.again
        self.key_id = record.signing_key_id if again is None or again.key_id is None else again.key_id
        self.options: PushOptions | None = None
        self.probe = False
        self._told = told

    def answered(self, answer: Answer) -> None:
        """The transport's call-back."""
        self._told(self, answer)

    def build(self, left: float) -> PushRequest:
        """Encrypt and sign.

        Args:
            left: seconds until the deadline, above 0.

        Raises:
            PayloadTooLarge: it does not fit into one message.
            InvalidInput: the subscription lists no encoding we know.
        """
        run = self.run
        context, maker = run.context, run.maker
        assert context is not None
        assert maker is not None
        options = run.options_for(left)
        if self.again is not None:
            for remedy in self.again.remedies:
                options = apply_remedy(options, remedy)
        self.options = options
        sender = context.senders[self.key_id]
        told = self.record.id, self.record.abilities, run.shard.vendor
        if self.record.signing_key_id in context.leaked:
            with suppress(PayloadTooLarge):  # with the hint: a message is not lost for it
                payload = maker.plaintext(*told, renew=True)
                return sender.build(self.subscription, payload, options, run.vendor)
        return sender.build(self.subscription, maker.plaintext(*told), options, run.vendor)

    @property
    def has_key(self) -> bool:
        """Whether the key it is signed with is in use still: it may have been retired while this waited."""
        return self.run.context is not None and self.key_id in self.run.context.senders


class ShardRun:
    """A shard on loan.

    Args:
        leased: the shard and its notification.
        vendor: the row by which its push service's answers are read.
        lease_ends: monotonic seconds, at least as early as the store's.
        now: monotonic seconds.

    Attributes:
        leased, job, shard, lease: what is on loan.
        vendor: as given.
        context: the project's keys and secrets, looked at with the last load.
        maker: of payloads; None before the first load.
        pending: positions to be loaded.
        ready: loaded, in the order in which they start.
        held: loaded, and not to start before the circuit of their key is closed.
        loading: how many are being loaded.
        in_flight: started, or about to be told whether they may.
        again: what is different about members that are sent once more, by position.
        left: members that are neither settled nor moved.
        lease_ends, progressed_at: monotonic seconds.
        ending: what becomes of the lease when nothing is in flight any more; None to go on.
        not_before: for a release; epoch seconds.
        lost: whether it is another worker's, or nobody's; nothing is written then.
        writing: whether a checkpoint is under way.
        listed: whether it stands among those with something to start.
        served: messages started since its turn among its like began.
    """

    __slots__ = (
        "_options",
        "_results",
        "again",
        "context",
        "ending",
        "held",
        "in_flight",
        "job",
        "lease",
        "lease_ends",
        "leased",
        "left",
        "listed",
        "loading",
        "lost",
        "maker",
        "not_before",
        "pending",
        "progressed_at",
        "ready",
        "served",
        "shard",
        "vendor",
        "writing",
    )

    def __init__(self, leased: Leased, vendor: Vendor, *, lease_ends: float, now: float) -> None:
        self.leased = leased
        self.job = leased.job
        self.shard = leased.shard
        self.lease: LeaseKey = leased.shard.lease
        self.vendor = vendor
        self.context: ProjectContext | None = None
        self.maker: PayloadMaker | None = None
        self.pending: deque[int] = deque(leased.shard.done.unset())
        self.ready: deque[Flight] = deque()
        self.held: list[Flight] = []
        self.loading = 0
        self.in_flight = 0
        self.again: dict[int, Again] = {}
        self.left = len(self.pending)
        self.lease_ends = lease_ends
        self.progressed_at = now
        self.ending: Ending | None = None
        self.not_before = 0.0
        self.lost = False
        self.writing = False
        self.listed = False
        self.served = 0
        self._options: PushOptions | None = None
        self._results = Results.none()

    @property
    def has_results(self) -> bool:
        """Whether there is something to write down."""
        results = self._results
        return bool(results.settled or results.moves or results.updates or results.ended)

    @property
    def unwritten(self) -> int:
        """Members whose results are not written down."""
        return len(self._results.settled) + len(self._results.moves)

    @property
    def waiting(self) -> int:
        """Members that are still to be started."""
        return len(self.pending) + self.loading + len(self.ready) + len(self.held)

    @property
    def finished(self) -> bool:
        """Whether nothing more happens to it here but its last checkpoint."""
        if self.in_flight or self.loading:
            return False
        return self.ending is not None or self.left == 0

    def options_for(self, left: float) -> PushOptions:
        """What a message is sent with that has so many seconds left, above 0."""
        options = self.job.options
        if left >= options.ttl:
            return options
        ttl = wire_ttl(options.ttl, deadline=left, now=0.0)
        if self._options is None or self._options.ttl != ttl:
            self._options = replace(options, ttl=ttl)
        return self._options

    def take_in(
        self, members: Sequence[Member], loaded_at: float, now: float, told: Callable[[Flight, Answer], None]
    ) -> None:
        """Members as they were loaded; ``now`` in epoch seconds.

        Whoever was replaced by a subscription at another push service is not sent to from here, past its lane, its
        rest and its row of quirks, but goes to a follow-up there.
        """
        settled, shard = self.unwritten, self.shard
        for member in members:
            recipient = member.recipient
            if recipient is None or recipient.subscription is None:
                self.settle(SettledMember(member.position, member.skip or Kind.SKIPPED_UNREADABLE))
            elif recipient.record.origin != shard.origin:
                record = recipient.record
                self.move(Move(member.position, now, shard.attempt, shard.history, record.origin, record.vendor))
            elif self.context is None or recipient.record.signing_key_id not in self.context.senders:
                self.settle(SettledMember(member.position, Kind.SKIPPED_KEY))
            else:
                self.ready.append(
                    Flight(self, member.position, recipient.record, recipient.subscription, loaded_at, told)
                )
        self.loading -= len(members)  # last: whatever fails above, they are still being loaded
        if self.unwritten > settled:  # being loaded is no progress: it can happen for ever
            self.progressed_at = loaded_at

    def not_loaded(self, positions: Sequence[int]) -> None:
        """They could not be loaded, or must not be sent now."""
        self.loading -= len(positions)
        self.pending.extendleft(reversed(positions))

    def unload(self) -> int:
        """What was loaded and not started is loaded again before it may start; returns how many."""
        positions = [flight.position for flight in (*self.ready, *self.held)]
        self.ready.clear()
        self.held.clear()
        self.pending.extendleft(reversed(positions))
        return len(positions)

    def end(self, ending: Ending, not_before: float = 0.0) -> None:
        """Start nothing more; what is in flight is waited for. An ending stands, but for a release.

        Args:
            ending: what becomes of the lease then; ``keep`` lets it run out, and counts as one more worker lost.
            not_before: for a release; epoch seconds.
        """
        if self.ending is None or self.ending is Ending.RELEASE:
            self.ending = ending
            self.not_before = max(self.not_before, not_before)
        self.unload()

    def settle(self, member: SettledMember) -> None:
        """A member's state is final."""
        self._results.settled.append(member)
        self.left -= 1

    def move(self, move: Move) -> None:
        """A member goes to a follow-up."""
        self._results.moves.append(move)
        self.left -= 1

    def update(self, update: ResultUpdate, state: State) -> None:
        """A message changed its subscription, which was in this state."""
        self._results.note(update, state)

    def settle_ended(self, member: SettledMember, said: SaidGone) -> None:
        """A member whose push service said that it has ended."""
        self._results.ended.append(replace(said, index=len(self._results.settled)))
        self.settle(member)

    def take_results(self) -> Results:
        """What is to be written now."""
        results, self._results = self._results, Results.none()
        return results

    def put_back(self, results: Results) -> None:
        """It could not be written; next time."""
        self._results = results.and_then(self._results)

    def checkpoint(self, results: Results, *, final: bool) -> Checkpoint:
        """What the store is asked to write."""
        ending = Ending.KEEP
        if final:
            ending = self.ending or Ending.RELEASE
        return Checkpoint(
            self.lease, results.settled, results.moves, results.updates, ending, self.not_before if final else 0.0
        )
