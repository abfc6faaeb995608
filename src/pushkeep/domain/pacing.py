"""How fast one push service is sent to: a window of messages in flight that finds its own size, and token buckets.

Nobody publishes how many requests a push service takes at once. So a lane asks it, as TCP asks a network: the window
grows while answers come as quickly as they ever did, and is halved when they come slowly, or come as refusals, or do
not come. At first it doubles with each round trip, after the first trouble it grows by one.

A window is halved at most once in a round trip: a hundred refusals of one burst are one piece of news. And one refusal
in a hundred is no news about the service at all, but about one mailbox: only an eighth of a window is.

Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from pushkeep.errors import InvalidInput
from pushkeep.protocol.verdict import Verdict

TROUBLE_SHARE = 8
"""One in so many messages of a window must come to grief before it is halved; at least one."""

SLOW_TIMES = 3.0
SLOW_SECONDS = 0.1
"""An average round trip above ``SLOW_TIMES`` the floor and ``SLOW_SECONDS`` more is slow. Our own processor adds some
40 ms where it is the limit (128 in flight at 3,000 a second): that must not look like the service's trouble."""

SLOW_WINDOW_MIN = 8
"""Slowness alone halves no further: an answer that comes late is an answer, and eight at a time burden nobody."""

FLOOR_SECONDS = 300.0
"""The quickest answer counts for five to ten minutes: a route that became longer is not trouble for ever."""

LOOK_WINDOW = 2
LOOK_ANSWERS = 4
"""When the floor is about to be forgotten, it is looked for with so few in flight, for so many answers: a queue of our
own making would else become its own measure, and grow from look to look. It costs two round trips in five minutes."""

IDLE_SECONDS = 60.0
"""What a window had grown to says little after a minute of silence: it starts again, at most at its start."""

BURST_SECONDS = 0.25
"""A bucket holds a quarter second's worth: little enough that no second sees much over its rate, and more than a turn
of the event loop takes."""

DEAD_FAILURES = 10
"""So many failures in a row, with no answer between them that is no failure, and nothing is sent there for a while:
whoever is not sent to has not used up an attempt. Half of all messages failing looks like this once in a thousand."""

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 30.0
"""A pause is twice as long as the one before. No message has less than a minute, so each is tried at least once."""

_TROUBLE = frozenset({Verdict.THROTTLED, Verdict.TRANSIENT})


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much one process has in flight.

    Attributes:
        in_flight_max: messages posted and not answered, to all push services together.
        window_start: to one push service, before anything is known of it. Fits one HTTP/2 connection.
        window_max: to one push service at most. At 100 ms a round trip 256 carry 2,500 messages a second, which is
            about what one processor encrypts.
        reserved_max: of each window, slots that only transactional messages may take; at most an eighth of it.
        stranger_in_flight_max: to a push service that nobody knows.
        strangers_in_flight_max: to all of these together: anybody can subscribe with a thousand host names.
        stranger_lanes_max: such push services at one time.

    Raises:
        InvalidInput: one of them is no whole number above 0, or the window starts above its maximum.
    """

    in_flight_max: int = 512
    window_start: int = 32
    window_max: int = 256
    reserved_max: int = 8
    stranger_in_flight_max: int = 4
    strangers_in_flight_max: int = 64
    stranger_lanes_max: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"{field.name} must be a whole number above 0.", field=field.name)
        if self.window_start > self.window_max:
            raise InvalidInput(f"window_start must be at most window_max, {self.window_max}.", field="window_start")


@dataclass(frozen=True, slots=True)
class Rates:
    """How many messages a second leave the whole installation; its live processes share them evenly.

    Attributes:
        origin_per_second_max: to one push service; None for as many as it takes.
        project_per_second_max: of one project; None for no limit.

    Raises:
        InvalidInput: one of them is no number above 0.
    """

    origin_per_second_max: float | None = None
    project_per_second_max: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InvalidInput(f"{field.name} must be a number above 0, or None for no limit.", field=field.name)


class Window:
    """How many messages may be in flight to one push service at this moment.

    Args:
        start: at first.
        most: at most.

    Attributes:
        pauses_until: monotonic seconds until which nothing is to start, because everything failed; in the past where
            that is not so.
    """

    __slots__ = (
        "_changed_at",
        "_doubling",
        "_failures",
        "_floor",
        "_floor_before",
        "_floor_since",
        "_looked",
        "_looks_since",
        "_most",
        "_pause_seconds",
        "_round_count",
        "_round_seconds",
        "_round_since",
        "_size",
        "_size_before",
        "_start",
        "_trouble",
        "pauses_until",
    )

    def __init__(self, start: int, most: int) -> None:
        self._start = float(min(start, most))
        self._most = float(most)
        self._size = self._start
        self._doubling = True
        self._changed_at = -math.inf  # when it was halved last
        self._round_since = -math.inf  # messages started later belong to the round that is looked at
        self._round_count = 0
        self._round_seconds = 0.0
        self._trouble = 0
        self._floor = self._floor_before = math.inf
        self._floor_since: float | None = None  # before the first answer
        self._looks_since: float | None = None  # while it does not look for its floor
        self._looked = 0
        self._size_before = self._start
        self._failures = 0  # in a row
        self._pause_seconds = 0.0
        self.pauses_until = -math.inf

    @property
    def size(self) -> int:
        """Messages in flight that it allows; from 1 to its maximum."""
        return int(self._size)

    @property
    def floor_seconds(self) -> float:
        """The quickest answer of the last minutes; infinite before the first."""
        return min(self._floor, self._floor_before)

    def idled(self) -> None:
        """Nothing was in flight for a while: begin again, but not above what was learnt."""
        self._stop_looking()
        self._failures, self._pause_seconds = 0, 0.0
        if self._size > self._start:
            self._size = self._start
            self._doubling = True

    def ended(self, verdict: Verdict, seconds: float, in_flight: int, now: float) -> None:
        """Learn from one message.

        Args:
            verdict: what its answer meant. ``refused_endpoint`` is our own refusal, and teaches nothing.
            seconds: from its start to its end.
            in_flight: how many were in flight with it: a window that is not used does not grow.
            now: monotonic seconds.
        """
        if verdict is Verdict.REFUSED_ENDPOINT:
            return
        started = now - seconds
        if verdict in _TROUBLE:
            if started > self._changed_at:  # else the window has been halved since, for its kind
                self._trouble += 1
                if self._trouble * TROUBLE_SHARE >= self._size:
                    self._halve(now, 1.0)
            if verdict is Verdict.TRANSIENT:
                self._fail(started, now)
            else:
                self._lives()
            return
        self._lives()
        self._note(seconds, now)
        if self._looks_since is not None:
            self._look(started > self._looks_since)
            return
        if started > self._round_since:
            self._round_count += 1
            self._round_seconds += seconds
            if self._round_count >= self._size:
                self._finish_round(now)
        if self._trouble == 0 and in_flight * 2 >= self._size and self._size < self._most:
            self._size = min(self._size + (1.0 if self._doubling else 1.0 / self._size), self._most)

    def _fail(self, started: float, now: float) -> None:
        self._failures += 1
        if self._failures >= DEAD_FAILURES and started >= self.pauses_until:  # else it is one of the last round
            self._pause_seconds = min(max(2 * self._pause_seconds, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX)
            self.pauses_until = now + self._pause_seconds

    def _lives(self) -> None:
        """It answers."""
        self._failures, self._pause_seconds = 0, 0.0

    def _finish_round(self, now: float) -> None:
        average = self._round_seconds / self._round_count
        slow = average > SLOW_TIMES * self.floor_seconds + SLOW_SECONDS
        self._begin_round(now)
        if slow and self._size > SLOW_WINDOW_MIN:
            self._halve(now, float(SLOW_WINDOW_MIN))

    def _begin_round(self, now: float) -> None:
        self._round_since = now
        self._round_count = 0
        self._round_seconds = 0.0
        self._trouble = 0

    def _halve(self, now: float, least: float) -> None:
        self._stop_looking()
        self._size = max(self._size / 2.0, min(least, self._size))
        self._doubling = False
        self._changed_at = now
        self._begin_round(now)

    def _note(self, seconds: float, now: float) -> None:
        if self._floor_since is not None and now - self._floor_since < FLOOR_SECONDS:
            self._floor = min(self._floor, seconds)
            return
        if self._floor_since is not None:
            self._stop_looking()
            self._looks_since = now
            self._looked = 0
            self._size_before = self._size
            self._size = min(self._size, float(LOOK_WINDOW))
        self._floor_before = self._floor
        self._floor = seconds
        self._floor_since = now

    def _look(self, counts: bool) -> None:
        self._looked += counts
        if self._looked >= LOOK_ANSWERS:
            self._stop_looking()

    def _stop_looking(self) -> None:
        if self._looks_since is not None:
            self._size = self._size_before
            self._looks_since = None


class Bucket:
    """A token bucket: so many messages a second in the long run, and a little more at once.

    It starts full. A quarter of what it holds is kept for messages that are in a hurry.

    Args:
        per_second: above 0.
        now: monotonic seconds.

    Attributes:
        per_second: its rate.
    """

    __slots__ = ("_at", "_holds", "_kept", "_tokens", "per_second")

    def __init__(self, per_second: float, now: float) -> None:
        self._at = now
        self._tokens = 0.0
        self._set(per_second)
        self._tokens = self._holds

    def _set(self, per_second: float) -> None:
        self.per_second = per_second
        self._holds = max(1.0, per_second * BURST_SECONDS)
        self._kept = self._holds / 4 if self._holds >= 4 else 0.0
        self._tokens = min(self._tokens, self._holds)

    def change(self, per_second: float, now: float) -> None:
        """Another rate from now on; what is in it stays, as far as it fits."""
        self._fill(now)
        self._set(per_second)

    def wait_seconds(self, now: float, *, hurry: bool) -> float:
        """Until one message may go; 0.0 for now."""
        self._fill(now)
        missing = (1.0 if hurry else 1.0 + self._kept) - self._tokens
        return missing / self.per_second if missing > _DUST else 0.0

    def take(self, now: float) -> None:
        """One message goes."""
        self._fill(now)
        self._tokens -= 1.0

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._holds, self._tokens + (now - self._at) * self.per_second)
            self._at = now


_DUST = 1e-9
"""Rounding must not leave a wait so short that no clock can measure it."""
