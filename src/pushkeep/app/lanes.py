"""Lanes: all the traffic of one process to one push service, and when its next message may start.

A lane knows four reasons why a message waits: the push service rests, the rate that the operator set is used up, the
lane's window is full, or the process has enough in flight. It counts and answers; it never waits, calls or stores
anything, so one asks again when something ended or the wait it named is over::

    wait = lane.may_start(priority, now, project_id)
    if wait == 0.0:
        lane.started(priority, now, project_id)
        …                                                  # post; when the answer is there:
        lane.ended(priority, verdict, seconds, now)

Push services that nobody knows have small lanes, few of them, and less room together than one known service alone.
A lane is one object for its origin as long as anybody holds it, however long ago it was forgotten here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from pushkeep.domain.pacing import IDLE_SECONDS, Bucket, LaneLimits, Rates, Window
from pushkeep.domain.sending import Priority
from pushkeep.protocol.vendors import OTHER, is_known
from pushkeep.protocol.verdict import Verdict

LANES_KEPT_MAX = 1000
"""Lanes of known push services that are remembered: whole domains belong to them, and anybody can name hosts there."""

PROJECTS_KEPT_MAX = 1000
"""Projects whose buckets are remembered; one that comes back starts with a full one, a quarter second's worth."""

RESTS_KEPT_MAX = 1000
"""Rests that are remembered apart from their lanes: a stranger's lane that gave way still rests when it comes back."""

FREE_TIMES = 2
"""A lane may hold twice as many of the process's slots as are free. One alone can have two thirds of them; two that
hang leave a fifth, three a seventh, and so whoever comes next always finds some."""


class Lane:
    """The traffic to one push service; made by :meth:`Lanes.lane`.

    Attributes:
        origin: of its endpoints.
        vendor: the vendor row's name.
        stranger: whether it is a push service that nobody knows.
        in_flight: messages started and not ended.
    """

    __slots__ = ("__weakref__", "_bucket", "_ended_at", "_lanes", "_quiet_until", "_rests_until", "_window",
                 "in_flight", "origin", "stranger", "vendor")  # fmt: skip

    def __init__(self, lanes: Lanes, origin: str, vendor: str) -> None:
        limits = lanes.limits
        self._lanes = lanes
        self.origin = origin
        self.vendor = vendor
        self.stranger = not is_known(vendor)
        self.in_flight = 0
        most = limits.stranger_in_flight_max if self.stranger else limits.window_max
        self._window = Window(limits.window_start, most)
        self._bucket: Bucket | None = None
        self._rests_until = self._quiet_until = -math.inf
        self._ended_at = math.inf

    @property
    def window(self) -> int:
        """Messages that may be in flight at this moment."""
        return self._window.size

    @property
    def label(self) -> str:
        """Its name in metrics: see :func:`pushkeep.protocol.vendors.label_of`."""
        return OTHER if self.stranger else self.vendor

    @property
    def rests_until(self) -> float:
        """Monotonic seconds until which nothing starts; in the past where it does not rest.

        That is a rest that the push service asked for, or a pause because it has failed for a while.
        """
        return self._quiet_until

    def room(self, priority: Priority) -> int:
        """How many more messages of this priority its window has room for at this moment; 0 or more."""
        return max(self._most(priority) - self.in_flight, 0)

    def may_start(self, priority: Priority, now: float, project_id: int | None = None) -> float:
        """Whether a message may start.

        Args:
            priority: of the message; transactional ones have slots and tokens of their own.
            now: monotonic seconds.
            project_id: whose rate counts; None where projects have none.

        Returns:
            0.0 for go, else seconds after which it is worth asking again; infinite where there is no room until
            something ends.
        """
        if now < self._quiet_until:
            return self._quiet_until - now
        lanes = self._lanes
        if self.in_flight >= self._most(priority) or not lanes.has_room(self, priority):
            return math.inf
        if not lanes.rated:
            return 0.0
        hurry = priority is Priority.TRANSACTIONAL
        wait = 0.0
        bucket = self._tokens(now)
        if bucket is not None:
            wait = bucket.wait_seconds(now, hurry=hurry)
        tokens = lanes.project_bucket(project_id, now)
        return wait if tokens is None else max(wait, tokens.wait_seconds(now, hurry=hurry))

    def started(self, priority: Priority, now: float, project_id: int | None = None) -> None:
        """A message was started, after :meth:`may_start` said 0.0 for the same arguments."""
        if self.in_flight == 0 and now - self._ended_at >= IDLE_SECONDS:
            self._window.idled()
        lanes = self._lanes
        self.in_flight += 1
        lanes.count(self, 1)
        if lanes.rated:
            for bucket in (self._tokens(now), lanes.project_bucket(project_id, now)):
                if bucket is not None:
                    bucket.take(now)

    def ended(self, priority: Priority, verdict: Verdict | None, seconds: float, now: float) -> None:
        """A message that was started has ended.

        Args:
            priority: as it was started.
            verdict: what its answer meant; None where it was given up and teaches nothing.
            seconds: from start to end.
            now: monotonic seconds.
        """
        if verdict is not None:
            self._window.ended(verdict, seconds, self.in_flight, now)
            self._quiet_until = max(self._rests_until, self._window.pauses_until)
        self.in_flight -= 1
        self._ended_at = now
        self._lanes.count(self, -1)

    def rest_until(self, moment: float) -> None:
        """Start nothing before ``moment``, in monotonic seconds; a shorter rest never cuts a longer one."""
        self._rests_until = max(self._rests_until, moment)
        self._quiet_until = max(self._rests_until, self._window.pauses_until)
        self._lanes.remember_rest(self.origin, self._rests_until)

    def _most(self, priority: Priority) -> int:
        size = self._window.size
        if priority is Priority.TRANSACTIONAL:
            return max(size, 2)  # one may always go beside whatever holds the last slot
        return max(size - min(max(size // 8, 1), self._lanes.limits.reserved_max), 1)

    def _tokens(self, now: float) -> Bucket | None:
        rate = self._lanes.rate(self._lanes.rates.origin_per_second_max)
        self._bucket = _in_step(self._bucket, rate, now)
        return self._bucket


class Lanes:
    """The lanes of one process.

    Args:
        limits: how much is in flight.
        rates: what the operator allows for the whole installation.
        monotonic: seconds that never step back.

    Attributes:
        limits, rates: as given.
        in_flight: messages started and not ended, in all lanes.
        rated: whether any rate is set.
    """

    def __init__(self, limits: LaneLimits, rates: Rates, monotonic: Callable[[], float]) -> None:
        self.limits = limits
        self.rates = rates
        self.in_flight = 0
        self.rated = rates != Rates()
        self._monotonic = monotonic
        self._workers = 1
        self._strangers_in_flight = 0
        self._alive: WeakValueDictionary[str, Lane] = WeakValueDictionary()
        self._kept: OrderedDict[str, Lane] = OrderedDict()  # known ones, the one unused for longest first
        self._seats: OrderedDict[str, Lane] = OrderedDict()  # strangers that may send, alike
        self._rests: OrderedDict[str, float] = OrderedDict()
        self._buckets: OrderedDict[int, Bucket] = OrderedDict()
        # Slots of the whole process that only transactional messages may take, as in each lane.
        self._reserved = min(limits.reserved_max * 4, limits.in_flight_max // 8)
        self._strangers_reserved = limits.strangers_in_flight_max // 8

    def lane(self, origin: str, vendor: str) -> Lane:
        """The lane to a push service, one object for each origin.

        A stranger's beyond the number of strangers' lanes is given, too: nothing starts in it (``may_start`` is
        infinite) until another one is idle and gives way.

        Args:
            origin: of the endpoint.
            vendor: the vendor row's name.
        """
        found = self._alive.get(origin)
        if found is None:
            found = self._alive[origin] = Lane(self, origin, vendor)
            found.rest_until(self._rests.get(origin, -math.inf))
        if not found.stranger:
            self._kept[origin] = found
            self._kept.move_to_end(origin)
            if len(self._kept) > LANES_KEPT_MAX:
                self._kept.popitem(last=False)
        else:
            self._seat(found)
        return found

    def resting(self, now: float) -> frozenset[str]:
        """Push services to which nothing starts now, whether anything is in hand for them or not."""
        lanes = (lane.origin for lane in list(self._alive.values()) if now < lane.rests_until)
        return frozenset(origin for origin, moment in self._rests.items() if now < moment).union(lanes)

    def stranger_origins(self) -> tuple[str, ...]:
        """Push services nobody knows that have a lane, whether it is full or not."""
        return tuple(sorted(self._seats))

    @property
    def stranger_lanes_free(self) -> int:
        """How many further push services that nobody knows can have a lane now; idle lanes give way."""
        return self.limits.stranger_lanes_max - sum(lane.in_flight > 0 for lane in self._seats.values())

    def rest(self, origin: str, moment: float) -> None:
        """Let a push service rest, whether it has a lane now or later; see :meth:`Lane.rest_until`."""
        found = self._alive.get(origin)
        if found is not None:
            found.rest_until(moment)
        else:
            self.remember_rest(origin, max(moment, self._rests.get(origin, -math.inf)))

    def rests_until(self, origin: str) -> float:
        """Monotonic seconds until which a push service rests; minus infinity where nothing is known of a rest."""
        return self._rests.get(origin, -math.inf)

    def remember_rest(self, origin: str, moment: float) -> None:
        """Keep a rest for when its lane has been forgotten; called by the lane."""
        if moment <= self._monotonic():
            return
        self._rests[origin] = moment
        self._rests.move_to_end(origin)
        if len(self._rests) > RESTS_KEPT_MAX:
            self._rests.popitem(last=False)

    def share(self, workers: int) -> None:
        """So many processes send at this moment, this one included: each takes its part of the rates."""
        self._workers = max(workers, 1)

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """Messages in flight and window by label: sums over the lanes of a vendor."""
        sums: dict[str, tuple[int, int]] = {}
        for lane in list(self._alive.values()):
            in_flight, window = sums.get(lane.label, (0, 0))
            sums[lane.label] = (in_flight + lane.in_flight, window + lane.window)
        return sums

    def has_room(self, lane: Lane, priority: Priority) -> bool:
        """Whether the process has room for one more message in a lane: in all, and a stranger's among strangers."""
        return self._has_slots(lane, priority) and (not lane.stranger or self._seat(lane))

    def count(self, lane: Lane, change: int) -> None:
        """One message more or less is in flight; called by the lane."""
        self.in_flight += change
        if lane.stranger:
            self._strangers_in_flight += change

    def rate(self, installation: float | None) -> float | None:
        """This process's part of a rate of the installation."""
        return None if installation is None else installation / self._workers

    def project_bucket(self, project_id: int | None, now: float) -> Bucket | None:
        """The tokens of a project; None where it has no limit."""
        rate = self.rate(self.rates.project_per_second_max)
        if rate is None or project_id is None:
            return None
        bucket = _in_step(self._buckets.get(project_id), rate, now)
        assert bucket is not None
        self._buckets[project_id] = bucket
        self._buckets.move_to_end(project_id)
        if len(self._buckets) > PROJECTS_KEPT_MAX:
            self._buckets.popitem(last=False)
        return bucket

    def _has_slots(self, lane: Lane, priority: Priority) -> bool:
        limits, bulk = self.limits, priority is not Priority.TRANSACTIONAL
        free = limits.in_flight_max - (self._reserved if bulk else 0) - self.in_flight
        if lane.in_flight >= FREE_TIMES * free:
            return False
        if not lane.stranger:
            return True
        free = limits.strangers_in_flight_max - (self._strangers_reserved if bulk else 0) - self._strangers_in_flight
        return lane.in_flight < FREE_TIMES * free

    def _seat(self, lane: Lane) -> bool:
        """Give a stranger's lane a seat, of which there are few; whether it has one."""
        seats = self._seats
        if lane.origin not in seats:
            if len(seats) >= self.limits.stranger_lanes_max:
                idle = next((origin for origin, other in seats.items() if other.in_flight == 0), None)
                if idle is None:
                    return False
                del seats[idle]
            seats[lane.origin] = lane
        seats.move_to_end(lane.origin)
        return True


def _in_step(bucket: Bucket | None, rate: float | None, now: float) -> Bucket | None:
    """A bucket of a rate: the one there is, changed where the rate has."""
    if rate is None:
        return None
    if bucket is None:
        return Bucket(rate, now)
    if bucket.per_second != rate:
        bucket.change(rate, now)
    return bucket
