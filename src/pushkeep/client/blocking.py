"""The library without an event loop: the same client for threads, scripts, task queues and synchronous frameworks."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pushkeep.adapters.clock import SystemBlockingSleeper
from pushkeep.adapters.http2_blocking import BlockingTransport
from pushkeep.adapters.http2_fork import generation
from pushkeep.adapters.http2_limits import TransportLimits
from pushkeep.app.turn import Turn
from pushkeep.client.base import LOOK_AHEAD_MAX, MessageFactory, SharedTokens, file_name
from pushkeep.client.batch import Batch, BatchLimits
from pushkeep.client.given import KeyLike, Payload, SubscriptionLike
from pushkeep.client.message import Message, SendResult
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.retry import RetryPolicy
from pushkeep.ports import BlockingSleeper, Cancellable, Clock, Entropy
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushRequest


class SyncPushClient:
    """As :class:`PushClient`, without ``await``; works in any thread, also in one where an event loop is running.

    ::

        with SyncPushClient(key=Path("vapid.pem"), contact="mailto:ops@example.org") as client:
            outcome = client.send(subscription, {"title": "Hello"}, ttl=60, urgency="high", topic="inbox")

    Several threads may send at the same time; each then has connections of its own, which are kept for the next. It
    may be made before a process forks: the child gets connections of its own. Within a running event loop it blocks
    the loop: that is for scripts and notebooks, not for servers.

    Args:
        key: as in :class:`PushClient`.
        contact: as there.
        origin_map: as there.
        proxy: as there.
        ca_file: as there.
        limits: as there; they count for each thread that is sending.
        padding: as there.
        retry: as there.
        clock: as there.
        entropy: as there.
        sleeper: waits between attempts.

    Raises:
        InvalidInput: as there.
        ConfigurationError: as there.
    """

    def __init__(
        self,
        *,
        key: KeyLike,
        contact: str,
        origin_map: OriginMap | Iterable[str] | None = None,
        proxy: str | None = None,
        ca_file: str | Path | None = None,
        limits: TransportLimits | None = None,
        padding: PaddingPolicy = no_padding,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        sleeper: BlockingSleeper | None = None,
    ) -> None:
        self._factory = MessageFactory(
            key=key,
            contact=contact,
            origin_map=origin_map,
            limits=limits,
            padding=padding,
            retry=retry,
            clock=clock,
            entropy=entropy,
            tokens=SharedTokens(),
        )
        self._sleeper = sleeper or SystemBlockingSleeper()
        self._transports = _Transports(
            lambda: BlockingTransport(
                self._factory.sender.clock.monotonic,
                origin_map=self._factory.origin_map,
                limits=self._factory.limits,
                proxy=proxy,
                ca_file=file_name(ca_file),
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(
        self,
        subscription: SubscriptionLike,
        payload: Payload = None,
        *,
        ttl: int = TTL_SECONDS_DEFAULT,
        urgency: str | None = None,
        topic: str | None = None,
        reference: object = None,
        retry: RetryPolicy | None = None,
    ) -> Outcome:
        """Send one message and wait for what becomes of it; arguments and errors as in :meth:`PushClient.send`."""
        delivery = self._factory.delivery(
            subscription, payload, ttl=ttl, urgency=urgency, topic=topic, reference=reference, retry=retry
        )
        while True:
            request = delivery.request()
            with self._transports.borrowed() as transport:
                wait = delivery.answered(transport.post(request))
            if wait is None:
                assert delivery.outcome is not None
                return delivery.outcome
            if wait > 0:  # the remedy of an answer is tried at once
                self._sleeper.sleep(wait)
                if self._transports.closed:
                    assert delivery.outcome is not None
                    return delivery.outcome

    def send_many(
        self,
        messages: Iterable[Message],
        *,
        in_flight_max: int | None = None,
        origin_in_flight_max: int | None = None,
        look_ahead_max: int = LOOK_AHEAD_MAX,
        retry: RetryPolicy | None = None,
    ) -> Generator[SendResult, None, None]:
        """Send any number of messages and hand out each result as it comes; see :meth:`PushClient.send_many`.

        ``messages`` is read in the calling thread. While the caller works on a result nothing moves; the time limits
        of what is in flight stand still as long.
        """
        limits = self._factory.batch_limits(in_flight_max, origin_in_flight_max, look_ahead_max)
        return self._send_many(messages, limits, retry)

    def close(self) -> None:
        """Let messages in flight in other threads finish within their time limit, then close every connection.

        A ``send_many`` under way hands out the results of what is in flight and then raises RuntimeError; one that
        its caller has left standing is closed when it goes on or is given up.
        """
        limits = self._factory.limits
        self._transports.close(limits.connect_seconds_max + limits.total_seconds_max)

    def _send_many(
        self, messages: Iterable[Message], limits: BatchLimits, retry: RetryPolicy | None
    ) -> Generator[SendResult, None, None]:
        with self._transports.borrowed() as transport:
            driver = _Driver(transport, self._transports.check, self._sleeper, self._factory.sender.clock)
            factory = self._factory
            batch = Batch(
                driver, limits, lambda message: factory.delivery_of(message, retry), factory.is_stranger, iter(messages)
            )
            try:
                yield from driver.run(batch)
            finally:
                batch.cancel()


class _Driver:
    """Moves one batch in the calling thread."""

    def __init__(
        self, transport: BlockingTransport, check: Callable[[], None], sleeper: BlockingSleeper, clock: Clock
    ) -> None:
        self._transport = transport
        self._check = check
        self._sleeper = sleeper
        self._clock = clock
        self._waits: list[tuple[float, int, _Wait]] = []
        self._order = itertools.count()  # two that are due at one moment must not be compared

    def run(self, batch: Batch) -> Iterator[SendResult]:
        turn = Turn(self._clock.monotonic)
        while not batch.done:
            more = batch.pump(turn)
            self._move(batch, at_once=more or bool(batch.results))
            if batch.failure is not None:
                raise batch.failure
            if batch.results:
                left_at = self._clock.monotonic()
                while batch.results:
                    yield batch.take()
                away = self._clock.monotonic() - left_at
                if away > _AWAY_SECONDS_UNNOTICED:
                    self._transport.extend(away)
        if batch.source_error is not None:
            raise batch.source_error

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        """See :class:`~pushkeep.client.batch.Driver`."""
        self._check()
        return self._transport.start(request, done)

    def call_later(self, seconds: float, due: Callable[[], None]) -> Cancellable:
        """See :class:`~pushkeep.client.batch.Driver`."""
        wait = _Wait(due)
        heapq.heappush(self._waits, (self._clock.monotonic() + seconds, next(self._order), wait))
        return wait

    def changed(self) -> None:
        """See :class:`~pushkeep.client.batch.Driver`: it is looked after anyway."""

    def _move(self, batch: Batch, *, at_once: bool) -> None:
        """Let something happen: an answer, or the end of a wait. With ``at_once`` only what has happened already."""
        until = max(self._waits[0][0] - self._clock.monotonic(), 0.0) if self._waits else None
        if batch.in_flight:
            self._transport.run_once(0 if at_once else until)
        elif until is not None and not at_once:
            self._sleeper.sleep(until)
        while self._waits and self._waits[0][0] <= self._clock.monotonic():
            heapq.heappop(self._waits)[2].end()


_AWAY_SECONDS_UNNOTICED = 0.01
"""A caller who is quicker than this takes nothing of a time limit worth giving back."""


class _Wait:
    """The time until a message is tried again."""

    __slots__ = ("_due",)

    def __init__(self, due: Callable[[], None]) -> None:
        self._due: Callable[[], None] | None = due

    def cancel(self) -> None:
        self._due = None

    def end(self) -> None:
        if self._due is not None:
            self._due()


class _Transports:
    """The transports of all threads: one is used by one thread at a time, and kept for whoever sends next."""

    def __init__(self, make: Callable[[], BlockingTransport]) -> None:
        self._make = make
        make().close()  # so that a wrong proxy is refused where it is given
        self.closed = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._generation = generation()
        self._changed = threading.Condition()
        self._idle: list[BlockingTransport] = []
        self._borrowed: dict[BlockingTransport, int] = {}

    def check(self) -> None:
        """Raise RuntimeError if it is closed."""
        if self.closed:
            raise RuntimeError("This client is closed.")

    @contextmanager
    def borrowed(self) -> Iterator[BlockingTransport]:
        """A transport for this thread.

        Raises:
            RuntimeError: it is closed.
        """
        if self._generation != generation():
            self._begin_anew()  # a fork: the connections are the parent's, and so may be whoever holds the lock
        with self._changed:
            self.check()
            transport = self._idle.pop() if self._idle else self._make()
            self._borrowed[transport] = threading.get_ident()
        usable = False
        try:
            yield transport
            usable = True
        except (Exception, GeneratorExit):
            usable = True
            raise
        finally:  # not usable: interrupted in the midst of something
            with self._changed:
                self._borrowed.pop(transport, None)
                if usable and not self.closed:
                    self._idle.append(transport)
                else:
                    transport.close()
                self._changed.notify_all()

    def close(self, seconds_max: float) -> None:
        """Refuse new work, wait for that of other threads, and close."""
        me = threading.get_ident()
        with self._changed:
            self.closed = True
            self._changed.wait_for(lambda: all(thread == me for thread in self._borrowed.values()), seconds_max)
            while self._idle:
                self._idle.pop().close()
