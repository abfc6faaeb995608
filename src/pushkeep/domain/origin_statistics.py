"""What each push service has answered of late: enough to tell one subscription's trouble from everybody's.

Three questions are answered, each from a window of fixed size, so that memory stays bounded however much is sent:

- Is there a storm of ``gone``? A push service that by mistake calls living subscriptions ended would otherwise empty
  the database in one broadcast. It happened with FCM's 404 in 2019.
- Is the whole origin throttling us, and not one mailbox?
- Is the same signing key taken for others there, so that a refused token is this subscription's own trouble?

Times are monotonic seconds, given by the caller. Endpoints are known by any stable token, never by their URL.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from pushkeep.protocol.verdict import Verdict

WINDOW_SECONDS = 600
"""How far back "of late" reaches."""

GONE_SENDS_MIN = 200
"""Fewer sends prove nothing: two dead browsers out of ten are an ordinary small list."""

GONE_SHARE_MAX = 0.05
"""A list that is sent to regularly loses well under 1 % between two broadcasts."""

GONE_TIMES_HISTORY = 3.0
"""What "far above its own history" means."""

HISTORY_DAYS_MAX = 14
"""Days of history an origin keeps. Today does not count: a storm must not become its own measure."""

HISTORY_DAYS_MIN = 3
"""Fewer days are no history, and of more the middle one counts: a storm that lasts over midnight is one day of them."""

HISTORY_DAY_SENDS_MIN = 20
"""A day with fewer sends says nothing about what is usual."""

THROTTLED_ENDPOINTS = 10
THROTTLED_SECONDS = 5.0
"""So many different endpoints throttled within so many seconds mean the whole origin."""

REFUSED_ENDPOINTS = 3
"""So many different endpoints that refuse a key's token, with none that takes it in between, are no endpoint's own
trouble, however often the key was taken before."""

KEYS_MAX = 64
"""Signing keys whose successes are remembered at one origin."""

ORIGINS_MAX = 1000
"""Push services in one process: four vendors and the self-hosted; the one unused for longest is forgotten."""

RESTING_ENDPOINTS_MAX = 10_000
"""Endpoints that asked for patience; of more, the one asked about for longest is forgotten."""

_MINUTE_SECONDS = 60
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class OriginView:
    """What the statistics say about an origin, as far as one message's answer is concerned.

    Attributes:
        gone_storm: so many subscriptions ended there that it is hard to believe.
        throttled_widely: many different endpoints were throttled within seconds.
        key_taken_for_others: the same signing key was accepted there for another endpoint of late, and not refused
            by three since.
    """

    gone_storm: bool = False
    throttled_widely: bool = False
    key_taken_for_others: bool = False


@dataclass(slots=True)
class _Count:
    """Answers within one minute or one day."""

    number: int
    sends: int = 0
    gone: int = 0


@dataclass(slots=True)
class _Origin:
    minutes: deque[_Count] = field(default_factory=lambda: deque(maxlen=WINDOW_SECONDS // _MINUTE_SECONDS + 1))
    # One more than is read: the last one is today.
    days: deque[_Count] = field(default_factory=lambda: deque(maxlen=HISTORY_DAYS_MAX + 1))
    throttled: OrderedDict[Hashable, float] = field(default_factory=OrderedDict)
    # By key: the endpoint taken last and when, then another one before it.
    taken: OrderedDict[Hashable, tuple[tuple[Hashable, float], ...]] = field(default_factory=OrderedDict)
    # By key that was taken: the first endpoints that refused it since.
    refused: dict[Hashable, set[Hashable]] = field(default_factory=dict)


class OriginStatistics:
    """The windows of every origin that was sent to."""

    def __init__(self) -> None:
        self._origins: OrderedDict[str, _Origin] = OrderedDict()
        self._resting: OrderedDict[Hashable, float] = OrderedDict()

    def record(self, origin: str, verdict: Verdict, *, endpoint: Hashable, key: Hashable, now: float) -> None:
        """Count one answer.

        Args:
            origin: of the endpoint.
            verdict: what the answer meant.
            endpoint: identifies the endpoint without being a secret, such as its row's number.
            key: identifies the signing key of the token.
            now: monotonic seconds.
        """
        found = self._of(origin)
        for counts, unit in ((found.minutes, _MINUTE_SECONDS), (found.days, _DAY_SECONDS)):
            number = int(now // unit)
            if not counts or counts[-1].number != number:
                counts.append(_Count(number))
            counts[-1].sends += 1
            counts[-1].gone += verdict is Verdict.GONE
        if verdict is Verdict.THROTTLED:
            found.throttled[endpoint] = now
            found.throttled.move_to_end(endpoint)
            if len(found.throttled) > THROTTLED_ENDPOINTS:
                found.throttled.popitem(last=False)
        elif verdict is Verdict.ACCEPTED:
            before = next((entry for entry in found.taken.get(key, ()) if entry[0] != endpoint), None)
            found.taken[key] = ((endpoint, now), before) if before else ((endpoint, now),)
            found.taken.move_to_end(key)
            found.refused.pop(key, None)
            if len(found.taken) > KEYS_MAX:
                found.refused.pop(found.taken.popitem(last=False)[0], None)
        elif verdict is Verdict.BAD_TOKEN and key in found.taken:
            refused = found.refused.setdefault(key, set())
            if len(refused) < REFUSED_ENDPOINTS:
                refused.add(endpoint)

    def view(self, origin: str, *, endpoint: Hashable, key: Hashable, now: float) -> OriginView:
        """What is known of an origin at this moment, for an endpoint and a signing key."""
        found = self._origins.get(origin)
        if found is None:
            return OriginView()
        return OriginView(
            gone_storm=_gone_storm(found, now),
            throttled_widely=(
                len(found.throttled) == THROTTLED_ENDPOINTS
                and now - next(iter(found.throttled.values())) <= THROTTLED_SECONDS
            ),
            key_taken_for_others=len(found.refused.get(key, ())) < REFUSED_ENDPOINTS
            and any(other != endpoint and now - at <= WINDOW_SECONDS for other, at in found.taken.get(key, ())),
        )

    def hold_endpoint(self, endpoint: Hashable, until: float) -> None:
        """Let one endpoint rest until a moment."""
        self._resting[endpoint] = until
        self._resting.move_to_end(endpoint)
        if len(self._resting) > RESTING_ENDPOINTS_MAX:
            self._resting.popitem(last=False)

    def held_seconds(self, endpoint: Hashable, now: float) -> float:
        """For how long the endpoint still rests; 0 when it does not."""
        return max(self._resting.get(endpoint, now) - now, 0.0)

    def _of(self, origin: str) -> _Origin:
        found = self._origins.get(origin)
        if found is None:
            found = self._origins[origin] = _Origin()
        else:
            self._origins.move_to_end(origin)
        if len(self._origins) > ORIGINS_MAX:
            self._origins.popitem(last=False)
        return found

    def __len__(self) -> int:
        return len(self._origins)


def _gone_storm(origin: _Origin, now: float) -> bool:
    oldest = int((now - WINDOW_SECONDS) // _MINUTE_SECONDS)
    recent = [count for count in origin.minutes if count.number > oldest]
    sends, gone = sum(count.sends for count in recent), sum(count.gone for count in recent)
    if sends < GONE_SENDS_MIN or gone <= GONE_SHARE_MAX * sends:
        return False
    today = int(now // _DAY_SECONDS)
    shares = [
        count.gone / count.sends
        for count in origin.days
        if today - HISTORY_DAYS_MAX <= count.number < today and count.sends >= HISTORY_DAY_SENDS_MIN
    ]
    return len(shares) < HISTORY_DAYS_MIN or gone / sends > GONE_TIMES_HISTORY * statistics.median(shares)
