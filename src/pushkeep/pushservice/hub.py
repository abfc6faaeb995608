"""Where the state, the clock and the live connections meet; every protocol front end talks to this.

The front ends (autopush, MCS, the subscriber API) attach a :class:`Link` per client and take messages from
here; the HTTP resources and the admin interface put things in. Every change of state is announced here and
nowhere else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol

from pushkeep.errors import NotFound
from pushkeep.pushservice.core import Client, Core, Draft, Loss, Message, Subscription
from pushkeep.pushservice.events import (
    Accepted,
    Acked,
    Connected,
    Delivered,
    Disconnected,
    Dropped,
    EventLog,
    Forgotten,
    Nacked,
    Registered,
    Unregistered,
)
from pushkeep.pushservice.limits import Limits


class Link(Protocol):
    """One live connection of one client."""

    via: str

    def wake(self) -> None:
        """Something may wait for this client: call :meth:`Hub.take` soon. Never blocks."""

    async def close(self, code: int | None) -> None:
        """End the connection; ``code`` is a WebSocket close code, ignored by protocols without one."""


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement, kept for listing; the fields are those of :class:`~.events.Acked`."""

    message_id: str
    subscription_id: str
    client_id: str
    code: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Fate:
    """What a fault does with the request under way.

    Attributes:
        lost: its message is accepted and never delivered.
        copies: how many times the message is delivered.
        skew_seconds: how far off the clock is by which tokens are judged.
    """

    lost: bool = False
    copies: int = 1
    skew_seconds: float = 0.0


FATE: ContextVar[Fate] = ContextVar("FATE", default=Fate())  # noqa: B039 - frozen
"""Of the request under way; every request is answered in a task, or in a turn, of its own."""


class Hub:
    """One push service's state with its connections."""

    def __init__(self, core: Core, events: EventLog, *, now: Callable[[], float], limits: Limits) -> None:
        self.core = core
        self.events = events
        self._clock = now
        self.limits = limits
        self.links: dict[str, Link] = {}
        self.acks: deque[Ack] = deque(maxlen=limits.acks_kept)
        self._barred: dict[str, asyncio.Event] = {}
        self._registration_open = asyncio.Event()
        self._registration_open.set()
        self._registration_held = False

    def now(self) -> float:
        """Epoch seconds, by a wrong clock while a fault has it so."""
        return self._clock() + FATE.get().skew_seconds

    # Clients and connections

    def attach(self, client: Client, link: Link) -> Link | None:
        """Make ``link`` the client's connection; returns the one it replaces, for the caller to close."""
        replaced = self.links.get(client.id)
        if replaced is not None:
            self._lost(self.core.release(client, self._clock()))
        self.links[client.id] = link
        self.events.announce(Connected(client_id=client.id, via=link.via))
        link.wake()
        return replaced

    def detach(self, client: Client, link: Link) -> None:
        """The link is closed, closing, or to be given nothing more; calling it again does no harm.

        Also for a link whose peer hung up before it was attached: its client must not stay behind.
        """
        if self.links.get(client.id) is link:
            del self.links[client.id]
            self._lost(self.core.release(client, self._clock()))
            self.events.announce(Disconnected(client_id=client.id))
        forgettable = not client.subscriptions and client.id not in self.links
        if forgettable and self.core.clients.get(client.id) is client:
            # A browser without subscriptions says hello without an id next time: nothing to remember.
            del self.core.clients[client.id]

    def is_online(self, client: Client) -> bool:
        """Whether the client has a connection that takes messages."""
        return client.id in self.links

    def bar(self, client_id: str) -> None:
        """Keep this client out, in the way its protocol allows, until :meth:`admit`."""
        self._barred.setdefault(client_id, asyncio.Event())

    def admit(self, client_id: str) -> None:
        """Let a barred client connect again."""
        admission = self._barred.pop(client_id, None)
        if admission is not None:
            admission.set()

    def is_barred(self, client_id: str) -> bool:
        """Whether connections of this client are refused."""
        return client_id in self._barred

    async def admission(self, client_id: str) -> None:
        """Return when the client may connect: at once unless it is barred."""
        while (admission := self._barred.get(client_id)) is not None:
            await admission.wait()

    # Subscriptions

    def close_registration(self, *, hold: bool) -> None:
        """Make no new subscriptions until :meth:`open_registration`: refuse them, or leave them unanswered."""
        self._registration_held = hold
        self._registration_open.clear()

    def open_registration(self) -> None:
        """Make new subscriptions again; whoever was left unanswered is answered now."""
        self._registration_open.set()

    async def may_register(self) -> bool:
        """Whether new subscriptions are made; returns only when they are, while they are left unanswered."""
        if self._registration_held:
            await self._registration_open.wait()
        return self._registration_open.is_set()

    def subscribe(self, client: Client, *, vendor: str, channel: str, key: bytes | None, app: str = "") -> Subscription:
        """Make or find a subscription.

        Raises:
            NotFound: the client was forgotten meanwhile.
            RateLimited, Conflict: as :meth:`Core.subscribe`.
        """
        now = self._clock()
        if self.core.clients.get(client.id) is not client:
            raise NotFound("This client was forgotten; it must say hello again.")
        subscription, is_new = self.core.subscribe(client, vendor=vendor, channel=channel, key=key, app=app, now=now)
        if is_new:
            self.events.announce(Registered(subscription_id=subscription.id, client_id=client.id, vendor=vendor))
        return subscription

    def end(self, subscription: Subscription, reason: str, code: int | None = None) -> None:
        """End a subscription; ``reason`` and ``code`` as in :class:`~.events.Unregistered`."""
        losses = self.core.end(subscription)
        self._ended(subscription, reason, code)
        self._lost(losses)

    def forget(self, client: Client) -> None:
        """Forget the client and all it had; its connection is the caller's to close."""
        link = self.links.get(client.id)
        ended, losses = self.core.forget(client)
        for subscription in ended:
            self._ended(subscription, "forgotten", None)
        self._lost(losses)
        self.events.announce(Forgotten(client_id=client.id))
        if link is not None:
            self.detach(client, link)

    def _ended(self, subscription: Subscription, reason: str, code: int | None) -> None:
        self.events.announce(
            Unregistered(subscription_id=subscription.id, client_id=subscription.client.id, reason=reason, code=code)
        )

    # Messages

    def submit(self, subscription: Subscription, draft: Draft) -> Message:
        """Take a message for delivery; raises what :meth:`Core.accept` raises."""
        client, fate = subscription.client, FATE.get()
        if client.id in self.core.crowds:
            return self._submit_to_crowd(subscription, draft, fate)
        message, losses = self.core.accept(subscription, draft, online=self.is_online(client), now=self._clock())
        self.events.announce(
            Accepted(message_id=message.id, subscription_id=subscription.id, ttl=draft.ttl, topic=draft.topic)
        )
        self._lost(losses)
        if fate.lost:
            self._lost(self.core.lose(message, "lost"))
        for _ in range(fate.copies - 1):
            # Each copy would otherwise replace the one before.
            copy = replace(draft, topic=None, keeps_one=False)
            self._lost(self.core.accept(subscription, copy, online=self.is_online(client), now=self._clock())[1])
        link = self.links.get(client.id)
        if link is not None:
            link.wake()
        return message

    def _submit_to_crowd(self, subscription: Subscription, draft: Draft, fate: Fate) -> Message:
        """It is always connected, and takes every message at once."""
        now = self._clock()
        message = Message(self.core.tokens.message_id(), subscription, draft, now, now + draft.ttl, attempts=1)
        self.events.announce(
            Accepted(message_id=message.id, subscription_id=subscription.id, ttl=draft.ttl, topic=draft.topic)
        )
        if fate.lost:
            self._lost([Loss(message, "lost")])
            return message
        for _ in range(fate.copies):
            self.core.crowds[subscription.client.id].receive(message)
            self.written(message)
        return message

    def take(self, client: Client, link: Link) -> list[Message]:
        """What ``link`` should write now: never more than the in-flight limit, nothing for a stale link."""
        if self.links.get(client.id) is not link:
            return []
        room = self.limits.in_flight_per_client_max - len(client.sent)
        ready, losses = self.core.take(client, count_max=room, now=self._clock())
        self._lost(losses)
        return ready

    def written(self, message: Message) -> None:
        """The message is being written to its client's connection."""
        self.events.announce(
            Delivered(message_id=message.id, client_id=message.subscription.client.id, attempt=message.attempts)
        )

    def acknowledge(self, client: Client, message_id: str, *, code: int | None, channel: str | None = None) -> bool:
        """The client has the message; False if it is not (any more) one of its messages."""
        message = self.core.acknowledge(client, message_id, channel)
        if message is None:
            return False
        ack = Ack(message.id, message.subscription.id, client.id, code, self._clock())
        self.acks.append(ack)
        self.events.announce(
            Acked(
                message_id=ack.message_id,
                client_id=ack.client_id,
                subscription_id=ack.subscription_id,
                code=code,
            )
        )
        link = self.links.get(client.id)
        if link is not None and client.waiting:
            link.wake()  # the in-flight window has room again
        return True

    def nack(self, client: Client, message_id: str, code: int | None) -> None:
        """The page's worker failed on a message that was acknowledged before."""
        self.events.announce(Nacked(message_id=message_id, client_id=client.id, code=code))

    def withdraw(self, message_id: str) -> None:
        """The sender deleted the message resource."""
        self._lost(self.core.withdraw(message_id))

    def expire(self) -> None:
        """Drop what is overdue."""
        self._lost(self.core.expire(self._clock()))

    def _lost(self, losses: Iterable[Loss]) -> None:
        for loss in losses:
            self.events.announce(
                Dropped(
                    message_id=loss.message.id,
                    subscription_id=loss.message.subscription.id,
                    reason=loss.reason,
                )
            )
