"""Which message is next? The bookkeeping of one ``send_many``, for the event loop and for a blocking caller.

Messages are read one at a time and only while there is room; each belongs to the lane of its push service's origin.
A lane with as many messages in flight as one origin may have parks further ones, and reading goes on for the others
until ``look_ahead_max`` messages have been read whose results the caller has not taken. So a push service that hangs
holds up nobody until that many messages for it have gathered. Push services that nobody knows share a limit besides:
anybody can subscribe with a thousand host names that never answer.

Nothing here waits: a driver calls :meth:`Batch.pump`, delivers answers, and takes results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pushkeep.app.send import Delivery
from pushkeep.app.turn import Turn
from pushkeep.client.message import Message, SendResult
from pushkeep.errors import InvalidInput
from pushkeep.ports import Cancellable
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.request import PushRequest


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much one ``send_many`` has going at once.

    Attributes:
        in_flight_max: messages posted and not yet answered.
        origin_in_flight_max: of these, to one push service.
        strangers_in_flight_max: of these, to push services that are neither known nor in the origin map, together.
        look_ahead_max: messages read whose results have not been taken: in flight, parked, waiting to be tried
            again, or done.
    """

    in_flight_max: int
    origin_in_flight_max: int
    strangers_in_flight_max: int
    look_ahead_max: int


class Driver(Protocol):
    """Who moves a batch."""

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        """Post; call ``done`` later. Raises RuntimeError when the client is closed."""
        ...

    def call_later(self, seconds: float, due: Callable[[], None]) -> Cancellable:
        """Call ``due`` after so many seconds."""
        ...

    def changed(self) -> None:
        """There may be something to start or to take."""
        ...


class _Lane:
    """The messages of one origin."""

    __slots__ = ("in_flight", "parked", "stranger")

    def __init__(self, stranger: bool) -> None:
        self.stranger = stranger
        self.in_flight = 0
        self.parked: deque[_Job] = deque()


class _Job:
    """One message that has been read and is neither refused nor done."""

    __slots__ = ("_batch", "begun", "delivery", "lane", "reference")

    def __init__(self, batch: Batch, delivery: Delivery, lane: _Lane, reference: object) -> None:
        self._batch = batch
        self.delivery = delivery
        self.lane = lane
        self.reference = reference
        self.begun: Cancellable | None = None

    def answered(self, answer: Answer) -> None:
        self._batch.on_answer(self, answer)

    def due(self) -> None:
        self._batch.on_due(self)


class Batch:
    """One ``send_many``.

    Args:
        driver: posts, waits and wakes.
        limits: how much at once.
        prepare: makes a delivery of a message, or raises InvalidInput.
        is_stranger: whether a delivery goes to a push service that nobody knows.
        source: the messages, where they can be read without waiting; None if :meth:`offer` brings them.

    Attributes:
        results: to be taken with :meth:`take`.
        ended: no further message will come.
        source_error: what the caller's messages raised, or why no more may be sent; to be raised once all is done.
        failure: a fault of ours, of the caller's padding policy, or what is no Exception; to be raised at once.
    """

    def __init__(
        self,
        driver: Driver,
        limits: BatchLimits,
        prepare: Callable[[Message], Delivery],
        is_stranger: Callable[[Delivery], bool],
        source: Iterator[Message] | None = None,
    ) -> None:
        self._driver = driver
        self._limits = limits
        self._prepare = prepare
        self._is_stranger = is_stranger
        self._source = source
        self._lanes: dict[str, _Lane] = {}
        self._runnable: deque[_Lane] = deque()  # lanes that may have something to start; some more than once
        self._held: deque[_Lane] = deque()  # strangers' lanes that wait for their common limit
        self._strangers_in_flight = 0
        self._begun: set[_Job] = set()
        self._outstanding = 0
        self.in_flight = 0
        self.results: deque[SendResult] = deque()
        self.ended = False
        self.source_error: Exception | None = None
        self.failure: BaseException | None = None

    @property
    def may_read(self) -> bool:
        """Whether one more message may be read now."""
        limits = self._limits
        return not self.ended and self._outstanding < limits.look_ahead_max and self.in_flight < limits.in_flight_max

    @property
    def done(self) -> bool:
        """Whether every message has been read and every result taken."""
        return self.ended and self._outstanding == 0

    def take(self) -> SendResult:
        """The next result, which makes room for another message."""
        self._outstanding -= 1
        return self.results.popleft()

    def pump(self, turn: Turn) -> bool:
        """Read and start what may be, parked messages first.

        Returns:
            whether the end of the turn ended it, and there may be more.
        """
        turn.begin()
        while True:
            if self.failure is not None or not (self._start_parked() or self._read_one()):
                return False
            if turn.ends():
                return True

    def offer(self, message: Message) -> None:
        """Take one message in; only while :attr:`may_read`."""
        self._outstanding += 1
        reference = getattr(message, "reference", None)
        try:
            delivery = self._prepare(message)
        except InvalidInput as error:
            self.results.append(SendResult(reference, None, error))
            return
        except Exception as error:
            self.failure = error
            return
        lane = self._lane(delivery)
        job = _Job(self, delivery, lane, reference)
        if self._has_room(lane) and self.in_flight < self._limits.in_flight_max:
            self._start(job)
        else:
            self._park(job)

    def end(self, error: Exception | None = None) -> None:
        """No further message will come, because of ``error`` if there is one."""
        self.ended = True
        self._source = None
        self.source_error = self.source_error or error

    def cancel(self) -> None:
        """Give up everything that has been begun, and begin nothing more."""
        self.end()
        self._runnable.clear()
        self._held.clear()
        begun, self._begun = self._begun, set()
        for job in begun:
            if job.begun is not None:
                job.begun.cancel()

    def on_answer(self, job: _Job, answer: Answer) -> None:
        """What came of a job's request."""
        self._begun.discard(job)
        self._freed(job)
        try:
            wait = job.delivery.answered(answer)
            if wait is None:
                self.results.append(SendResult(job.reference, job.delivery.outcome))
            elif wait <= 0:
                self._park(job, first=True)
            else:
                job.begun = self._driver.call_later(wait, job.due)
                self._begun.add(job)
        except Exception as error:
            self.failure = error
        self._driver.changed()

    def on_due(self, job: _Job) -> None:
        """A job's wait is over."""
        self._begun.discard(job)
        self._park(job, first=True)
        self._driver.changed()

    def _read_one(self) -> bool:
        if self._source is None or not self.may_read:
            return False
        try:
            message = next(self._source)
        except StopIteration:
            self.end()
            return False
        except Exception as error:
            self.end(error)
            return False
        self.offer(message)
        return True

    def _start_parked(self) -> bool:
        limits = self._limits
        while self.in_flight < limits.in_flight_max:
            if self._held and self._strangers_in_flight < limits.strangers_in_flight_max:
                lane = self._held.popleft()
            elif self._runnable:
                lane = self._runnable.popleft()
            else:
                return False
            if not lane.parked or lane.in_flight >= limits.origin_in_flight_max:
                continue
            if self._has_room(lane):
                self._start(lane.parked.popleft())
                return True
            self._held.append(lane)
        return False

    def _start(self, job: _Job) -> None:
        job.lane.in_flight += 1
        self.in_flight += 1
        self._strangers_in_flight += job.lane.stranger
        try:
            job.begun = self._driver.start(job.delivery.request(), job.answered)
            self._begun.add(job)
            return
        except InvalidInput as error:
            self.results.append(SendResult(job.reference, None, error))
        except RuntimeError as error:  # the client was closed: what is in flight ends, nothing else begins
            self._give_up(job)
            self._abandon(error)
        except Exception as error:
            self.failure = error
        self._freed(job)

    def _abandon(self, error: RuntimeError) -> None:
        """Start nothing more; what is not in flight is given up."""
        self.end(error)
        for lane in self._lanes.values():
            while lane.parked:
                self._give_up(lane.parked.popleft())

    def _give_up(self, job: _Job) -> None:
        """A job that will not be started: the outcome of its last attempt stands, if there was one."""
        if job.delivery.outcome is None:
            self._outstanding -= 1
        else:
            self.results.append(SendResult(job.reference, job.delivery.outcome))

    def _freed(self, job: _Job) -> None:
        """A job has left the air: its lane has room."""
        lane = job.lane
        lane.in_flight -= 1
        self.in_flight -= 1
        if lane.stranger:
            self._strangers_in_flight -= 1
        if lane.parked:
            self._runnable.append(lane)
        elif lane.in_flight == 0:
            self._lanes.pop(job.delivery.subscription.endpoint.origin, None)

    def _park(self, job: _Job, *, first: bool = False) -> None:
        # Found anew: after a wait the lane may have been given up and another begun.
        lane = job.lane = self._lane(job.delivery)
        if first:
            lane.parked.appendleft(job)
        else:
            lane.parked.append(job)
        if lane.in_flight < self._limits.origin_in_flight_max:
            self._runnable.append(lane)

    def _has_room(self, lane: _Lane) -> bool:
        limits = self._limits
        return lane.in_flight < limits.origin_in_flight_max and (
            not lane.stranger or self._strangers_in_flight < limits.strangers_in_flight_max
        )

    def _lane(self, delivery: Delivery) -> _Lane:
        origin = delivery.subscription.endpoint.origin
        lane = self._lanes.get(origin)
        if lane is None:
            lane = self._lanes[origin] = _Lane(self._is_stranger(delivery))
        return lane
