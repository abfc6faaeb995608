"""The library on an event loop: send Web Push messages and learn what became of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from pushkeep.adapters.clock import SystemSleeper
from pushkeep.adapters.http2 import CurlTransport
from pushkeep.adapters.http2_limits import TransportLimits
from pushkeep.app.turn import Turn
from pushkeep.client.base import LOOK_AHEAD_MAX, MessageFactory, file_name
from pushkeep.client.batch import Batch, BatchLimits
from pushkeep.client.given import KeyLike, Payload, SubscriptionLike
from pushkeep.client.message import Message, SendResult
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.retry import RetryPolicy
from pushkeep.ports import Cancellable, Clock, Entropy, Sleeper
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushRequest
from pushkeep.protocol.token_cache import TokenCache


class PushClient:
    """Sends messages; one instance serves any number of subscriptions, at the same time and over few connections.

    ::

        async with PushClient(key=Path("vapid.pem"), contact="mailto:ops@example.org") as client:
            outcome = await client.send(subscription, {"title": "Hello"}, ttl=60, urgency="high", topic="inbox")
        if outcome.verdict is Verdict.GONE:
            await forget(subscription)

    An instance belongs to the event loop it is first used in, and to the process it was made in. Endpoints of any
    push service are taken, also unknown ones, but never one that leads to an address that is not public.

    Args:
        key: the signing key: a :class:`SigningKey`; PEM, raw base64url or JWK text; DER octets; a JWK mapping; or
            the :class:`~pathlib.Path` of a file with any of these.
        contact: where a push service can reach you: ``mailto:you@your-domain.org`` or an https page.
        origin_map: push services that are dialled elsewhere: an :class:`OriginMap`, or entries of the form
            ``ORIGIN=BASE[,ca=FILE][,vendor=NAME]``. None reads the entries, separated by white space, from the
            environment variable ``PUSHKEEP_ORIGIN_MAP``, so that an application can be run against the local push
            service unchanged; an empty list maps nothing whatever the environment says.
        proxy: ``http://`` or ``https://`` URL of a proxy. None uses none, whatever the environment says.
        ca_file: PEM file of trusted authorities, instead of the system's.
        limits: time, size and number limits of the transport.
        padding: hides the length of payloads; see :mod:`pushkeep.protocol.padding`.
        retry: how often and how patiently each message is tried where a call does not say; None is once.
        clock: tells the time.
        entropy: draws salts and key pairs.
        sleeper: waits between attempts.

    Raises:
        InvalidInput: ``key``, ``contact`` or ``origin_map`` is not as described; the error names the field.
        ConfigurationError: ``proxy`` is not as described.
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
        sleeper: Sleeper | None = None,
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
            tokens=TokenCache(),
        )
        self._sleeper = sleeper or SystemSleeper()
        self._sleeping: set[asyncio.Future[None]] = set()
        # Taken before encrypting: otherwise ten thousand sends begun together would all be encrypted, and held in
        # memory, before the first of them is posted.
        self._turns = asyncio.Semaphore(self._factory.limits.in_flight_max)
        self._transport = CurlTransport(
            origin_map=self._factory.origin_map,
            limits=self._factory.limits,
            proxy=proxy,
            ca_file=file_name(ca_file),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def send(
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
        """Send one message.

        Args:
            subscription: what the browser gave: a :class:`Subscription`, the object of ``toJSON()``, or its text.
            payload: text, octets, or an object that is sent as JSON; at most 3,993 octets. None or nothing in it
                sends a message without payload.
            ttl: seconds the push service keeps the message for a browser that is offline. The default is four
                weeks, the longest that every known service honours; 0 means now or never.
            urgency: ``very-low``, ``low``, ``normal`` or ``high``; None is ``normal``.
            topic: replaces a message of the same topic that is still waiting for the same browser.
            reference: anything of yours; handed back in the outcome.
            retry: how often and how patiently to try; None is as the client was made. Every attempt has its own
                token, salt and key pair, and what is left of ``ttl``; none begins later than ``ttl`` seconds (or a
                minute, if that is longer) after the first, nor before the push service's ``Retry-After``.

        Returns:
            what became of it, after the last attempt. A refusal, a time-out or a subscription that has ended is an
            outcome, not an error.

        Raises:
            InvalidInput: an argument is not as described; nothing was sent. ``PayloadTooLarge`` is one of these
                and says by how many octets.
            RuntimeError: the client is closed, was made before a fork, or is used from another event loop. A message
                that waits to be tried again when the client is closed has its last outcome instead.
        """
        delivery = self._factory.delivery(
            subscription, payload, ttl=ttl, urgency=urgency, topic=topic, reference=reference, retry=retry
        )
        self._transport.check()
        while True:
            async with self._turns:
                wait = delivery.answered(await self._transport.post(delivery.request()))
            if wait is None:
                assert delivery.outcome is not None
                return delivery.outcome
            if wait > 0:  # the remedy of an answer is tried at once
                await self._wait(wait)
                if self._transport.is_closing():
                    assert delivery.outcome is not None
                    return delivery.outcome

    def send_many(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        *,
        in_flight_max: int | None = None,
        origin_in_flight_max: int | None = None,
        look_ahead_max: int = LOOK_AHEAD_MAX,
        retry: RetryPolicy | None = None,
    ) -> AsyncGenerator[SendResult, None]:
        """Send any number of messages in bounded memory, and hand out each result as it comes.

        ::

            async for result in client.send_many(messages()):
                if result.error is not None:
                    log.warning("%s: %s", result.reference, result.error)
                elif result.outcome.verdict is Verdict.GONE:
                    await forget(result.reference)

        A message that cannot be sent, because its subscription is damaged or its payload too large, is a result with
        an ``error`` and stops nobody. Results are not in the order of the messages: go by the reference.

        ``messages`` is read as it is needed: never more than ``look_ahead_max`` messages ahead of the results taken.
        A push service that hangs or throttles keeps at most ``origin_in_flight_max`` requests busy; messages for it
        are set aside while the others go on, until ``look_ahead_max`` have gathered. From then on everybody waits
        for it, at most ``limits.total_seconds_max`` for each ``origin_in_flight_max`` messages. Push services that are
        neither known nor in the origin map have half of ``in_flight_max`` together: strangers choose their names.

        Leaving the loop early ends what is in flight; to wait for that to have happened, use
        :func:`contextlib.aclosing`. What ``messages`` itself raises is raised here, after every message read before
        has had its result.

        Args:
            messages: :class:`Message` objects. A plain iterable is read in the event loop and should not block; an
                asynchronous one is read in a task of its own.
            in_flight_max: requests at once; None is the transport's limit, 256.
            origin_in_flight_max: of these to one push service; None is half.
            look_ahead_max: messages read whose results have not been taken.
            retry: as in :meth:`send`. A message that waits to be tried again counts as read ahead, not as in flight.

        Raises:
            InvalidInput: a limit is not a whole number of at least 1, or above that of the transport.
            RuntimeError: as in :meth:`send`.
        """
        limits = self._factory.batch_limits(in_flight_max, origin_in_flight_max, look_ahead_max)
        return _Sending(self._transport, self._wait, self._factory).run(messages, limits, retry)

    async def aclose(self) -> None:
        """Let messages in flight finish within their time limit, then close every connection.

        A message that waits to be tried again has had its last attempt. A ``send_many`` under way hands out the
        results of what is in flight or waits, and then raises RuntimeError.
        """
        for sleeping in self._sleeping:
            if sleeping.get_loop() is asyncio.get_running_loop():
                sleeping.cancel()  # who waits goes on in a later turn of the loop, when the transport is closing
        await self._transport.aclose()

    async def _wait(self, seconds: float) -> None:
        """Return after ``seconds``, or when the client is closed."""
        sleeping = asyncio.ensure_future(self._sleeper.sleep(seconds))
        self._sleeping.add(sleeping)
        try:
            await asyncio.wait([sleeping])
            if not sleeping.cancelled():
                sleeping.result()
        finally:
            self._sleeping.discard(sleeping)
            sleeping.cancel()


class _Sending:
    """Moves one batch on the event loop."""

    def __init__(
        self, transport: CurlTransport, wait: Callable[[float], Awaitable[None]], factory: MessageFactory
    ) -> None:
        self._factory = factory
        self._transport = transport
        self._wait = wait
        self._batch: Batch | None = None
        # The caller's messages and padding policy run in it, not in that of whatever request an answer belongs to.
        self._context = contextvars.copy_context()
        self._turn = Turn(factory.sender.clock.monotonic)
        self._step_due: asyncio.Handle | None = None
        self._wanted: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._waits: set[asyncio.Task[None]] = set()

    async def run(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        limits: BatchLimits,
        retry: RetryPolicy | None,
    ) -> AsyncGenerator[SendResult, None]:
        self._transport.check()
        loop, factory = asyncio.get_running_loop(), self._factory
        source = None if isinstance(messages, AsyncIterable) else iter(messages)
        batch = self._batch = Batch(
            self, limits, lambda message: factory.delivery_of(message, retry), factory.is_stranger, source
        )
        reader: asyncio.Task[None] | None = None
        if isinstance(messages, AsyncIterable):
            reader = loop.create_task(self._read(batch, messages))
        try:
            self.changed()
            while not batch.done:
                while batch.results and batch.failure is None:
                    result = batch.take()
                    self.changed()  # there is room for one more, also while the caller is busy with this one
                    yield result
                if batch.failure is not None:
                    raise batch.failure
                if not batch.done:
                    self._wanted = loop.create_future()
                    await self._wanted
            if batch.source_error is not None:
                raise batch.source_error
        finally:
            batch.cancel()
            await self._stop(reader)

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        """See :class:`~pushkeep.client.batch.Driver`."""
        return self._transport.start(request, done)

    def call_later(self, seconds: float, due: Callable[[], None]) -> Cancellable:
        """See :class:`~pushkeep.client.batch.Driver`."""

        async def wait() -> None:
            await self._wait(seconds)
            due()

        task = asyncio.get_running_loop().create_task(wait())
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)
        return task

    def changed(self) -> None:
        """See :class:`~pushkeep.client.batch.Driver`. Many changes of one moment make one step."""
        if self._step_due is None:
            self._step_due = asyncio.get_running_loop().call_soon(self._step, context=self._context)

    def _step(self) -> None:
        self._step_due = None
        batch = self._batch
        assert batch is not None
        try:
            if batch.pump(self._turn):
                self.changed()
        except (KeyboardInterrupt, SystemExit):
            raise  # of the event loop itself, which ends with it
        except BaseException as error:  # a caller's messages may raise what is no Exception, such as CancelledError
            batch.failure = error
        self._wake(batch)
        if self._room is not None and batch.may_read and not self._room.done():
            self._room.set_result(None)

    def _wake(self, batch: Batch) -> None:
        """Let the caller go on, if there is something for it."""
        if self._wanted is not None and (batch.results or batch.failure is not None or batch.done):
            wanted, self._wanted = self._wanted, None
            if not wanted.done():
                wanted.set_result(None)

    async def _read(self, batch: Batch, messages: AsyncIterable[Message]) -> None:
        """Read an asynchronous source, beside everything else."""
        error: Exception | None = None
        try:
            source, turn = aiter(messages), Turn(self._factory.sender.clock.monotonic)
            while True:
                while not batch.may_read:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
                message = await anext(source)
                if batch.ended:
                    return  # the source has made light of being cancelled
                batch.offer(message)
                self.changed()
                if turn.ends():
                    await asyncio.sleep(0)  # a source that never waits must not keep the loop for itself
                    turn.begin()
        except StopAsyncIteration:
            pass
        except Exception as raised:
            error = raised
        except BaseException as raised:
            batch.failure = batch.failure or raised
            self._wake(batch)
            raise
        batch.end(error)
        self.changed()

    async def _stop(self, reader: asyncio.Task[None] | None) -> None:
        if self._step_due is not None:
            self._step_due.cancel()
        tasks = [*self._waits, *([reader] if reader is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._batch = None  # or batch and driver would keep each other until the next garbage collection
