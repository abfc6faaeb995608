"""The facts the local push service announces, and how to wait for one.

A closed list of frozen dataclasses. Each carries ``serial`` (counting from 1, in order) and ``at`` (epoch
seconds); none carries a payload, a token or an endpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""

    serial: int = 0
    at: float = 0.0

    @property
    def name(self) -> str:
        """The event's name as it stands in JSON: the class name in lower case."""
        return type(self).__name__.lower()

    def to_dict(self) -> dict[str, object]:
        """All fields, with the name under ``event``."""
        return {"event": self.name, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Event):
    """A client said hello (autopush) or logged in (MCS); ``via`` is "autopush", "mcs" or "local"."""

    client_id: str
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(Event):
    """A client's connection ended, whoever closed it."""

    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten(Event):
    """A client and all its subscriptions were forgotten through the admin interface."""

    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Event):
    """A subscription was made."""

    subscription_id: str
    client_id: str
    vendor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unregistered(Event):
    """A subscription ended.

    Attributes:
        reason: "client" (unsubscribed there), "expired" or "forgotten" (through the admin interface).
        code: autopush's unregister code: 200 manual, 201 quota, 202 permission revoked; else None.
    """

    subscription_id: str
    client_id: str
    reason: str
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Event):
    """A message was taken (201); ``ttl`` is what was granted."""

    message_id: str
    subscription_id: str
    ttl: int
    topic: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """A request to a push resource was refused.

    Attributes:
        status: the HTTP status answered.
        reason: the row of :class:`~pushkeep.pushservice.personalities.Refusal`.
        vendor: whose answer was given.
        subscription_id: where the token still led to one.
        rule: the name of the rule that was broken, where a strict service refused what the vendor would have taken.
    """

    status: int
    reason: str
    vendor: str
    subscription_id: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(Event):
    """A message was written to a client's connection; ``attempt`` counts from 1."""

    message_id: str
    client_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked(Event):
    """A client acknowledged a message.

    Attributes:
        code: autopush: 100 delivered, 101 undecryptable, 102 not delivered; None over MCS, which only says
            that the message arrived.
    """

    message_id: str
    client_id: str
    subscription_id: str
    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nacked(Event):
    """After the ack, the page's worker failed: 301 exception, 302 rejected promise, 303 internal."""

    message_id: str
    client_id: str
    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Event):
    """A message will not be delivered any more.

    Attributes:
        reason: "expired" (TTL), "offline" (TTL 0 and no connection), "replaced" (same topic), "withdrawn"
            (DELETE on the message), "unregistered", "queue_full", "lost" (a fault).
    """

    message_id: str
    subscription_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulted(Event):
    """A fault hit a request to a push resource.

    Attributes:
        fault_id: as ``faults.add`` gave it.
        fault: the fault's line.
        vendor: whose subscription, where the endpoint is one of ours.
        subscription_id: whose turn it was; None when the endpoint leads to no living subscription.
        number: which of the subscription's requests it was for this fault, from 1.
    """

    fault_id: str
    fault: str
    vendor: str | None
    subscription_id: str | None
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed(Event):
    """A sender followed a redirect that a fault answered with, which no sender should do (RFC 8030 section 5)."""

    method: str


E = TypeVar("E", bound=Event)
Listener = Callable[[Event], None]
_Waiter = tuple[Callable[[Event], bool], "asyncio.Future[Event]"]


class EventLog:
    """The newest events, listeners, and waits.

    A listener is called in line, must be quick, and must not raise.
    """

    def __init__(self, *, now: Callable[[], float], kept: int) -> None:
        self._now = now
        self._events: deque[Event] = deque(maxlen=kept)
        self._listeners: list[Listener] = []
        self._waiters: list[_Waiter] = []
        self.last_serial = 0

    def announce(self, event: Event) -> None:
        """Give the event its serial and time, keep it, and tell whoever listens or waits."""
        self.last_serial += 1
        stamped = replace(event, serial=self.last_serial, at=self._now())
        self._events.append(stamped)
        for listener in tuple(self._listeners):
            listener(stamped)
        for matches, future in tuple(self._waiters):
            if not future.done() and matches(stamped):
                future.set_result(stamped)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each event from now on; the returned function ends that."""
        self._listeners.append(listener)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    def since(self, serial: int = 0) -> list[Event]:
        """The kept events with a larger serial, oldest first."""
        return [event for event in self._events if event.serial > serial]

    async def wait(
        self,
        kind: type[E],
        *,
        seconds: float,
        matching: Callable[[E], bool] = lambda _event: True,
        after: int = 0,
        what: str | None = None,
    ) -> E:
        """The first event of ``kind`` that matches, among those kept after serial ``after`` or still to come.

        Raises:
            TimeoutError: none came within ``seconds``; the text names what was awaited.
        """

        def matches(event: Event) -> bool:
            return isinstance(event, kind) and event.serial > after and matching(event)

        for event in self._events:
            if matches(event):
                assert isinstance(event, kind)
                return event
        waiter: _Waiter = (matches, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                found = await waiter[1]
        except TimeoutError:
            raise TimeoutError(
                f"No {what or kind.__name__.lower()} within {seconds:g} s at the push service."
            ) from None
        finally:
            self._waiters.remove(waiter)
        assert isinstance(found, kind)
        return found
