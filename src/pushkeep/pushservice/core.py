"""What a push service remembers: clients, their subscriptions, and the messages that wait.

Pure state. Time is an argument, ids come from :class:`~pushkeep.pushservice.tokens.Tokens`, and no method waits
or writes anywhere; :mod:`~pushkeep.pushservice.hub` adds the clock, the connections and the announcements.

A message is *waiting* until it is handed to a connection, then *sent* until the client acknowledges it. A
connection that ends makes its sent messages wait again, except those with TTL 0, which have had their one
chance (RFC 8030 section 5.2), and those whose topic has been taken over meanwhile (section 5.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pushkeep.errors import Conflict, RateLimited
from pushkeep.pushservice.limits import Limits
from pushkeep.pushservice.tokens import Tokens

KEY_BYTES = 65


@dataclass(slots=True, eq=False, repr=False)
class Client:
    """A browser profile, or a synthetic subscriber.

    Attributes:
        id: autopush UAID, Chromium's android_id in decimal, or a short id for a synthetic one.
        kind: "firefox", "chromium" or "local".
        subscriptions: by (channel, application server key); autopush keeps a channel under every key it was
            registered with, and Chromium asks for one app id with several senders.
        waiting: messages to deliver, oldest first.
        sent: messages handed to the connection and not acknowledged, in that order.
    """

    id: str
    kind: str
    created_at: float
    subscriptions: dict[tuple[str, bytes | None], Subscription] = field(default_factory=dict)
    waiting: dict[str, Message] = field(default_factory=dict)
    sent: dict[str, Message] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Client {self.kind} {self.id[:8]}>"


@dataclass(slots=True, eq=False, repr=False)
class Subscription:
    """One mailbox of a client.

    Attributes:
        id: short id that opens nothing.
        token: the capability at the end of the endpoint's path; never to be logged.
        vendor: the name of a personality: who answers for it.
        channel: autopush channelID, or Chromium's X-subtype.
        key: the application server key it is bound to, 65 octets, or None.
        app: Chromium's product category; "android" where Mozilla reaches the browser through Google; else empty.
        topics: the newest undelivered message of each topic.
    """

    id: str
    token: str
    client: Client
    vendor: str
    channel: str
    key: bytes | None
    app: str
    created_at: float
    topics: dict[str, Message] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Subscription {self.vendor} {self.id}>"


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """A checked message before it is taken. ``ttl`` in seconds, already capped; ``body`` still sealed.

    ``keeps_one``: it takes the place of whatever waits for the subscription (Apple).
    """

    body: bytes
    ttl: int
    urgency: str
    topic: str | None
    encoding: str | None
    crypto_key: str | None = None
    encryption: str | None = None
    keeps_one: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Message:
    """A message taken for delivery; ``attempts`` counts how often it was written to a connection."""

    id: str
    subscription: Subscription
    draft: Draft
    received_at: float
    expires_at: float
    attempts: int = 0

    def __repr__(self) -> str:
        return f"<Message {self.id[:6]}…>"


@dataclass(frozen=True, slots=True)
class Loss:
    """A message that will not be delivered any more; ``reason`` as in :class:`~.events.Dropped`."""

    message: Message
    reason: str


class Crowd(Protocol):
    """Subscriptions that are not remembered one by one; all of them are of one client."""

    def find(self, token: str) -> Subscription | None:
        """The living subscription behind an endpoint's token."""

    def find_by_id(self, subscription_id: str) -> Subscription | None:
        """The living subscription with this short id."""

    def receive(self, message: Message) -> None:
        """A message is delivered."""

    def end(self, subscription: Subscription) -> None:
        """The subscription ends."""


class Core:
    """All state of one push service. Methods return what was lost on the way, so that it can be announced."""

    def __init__(self, tokens: Tokens, limits: Limits, *, subscription_id: Callable[[], str] | None = None) -> None:
        self.tokens = tokens
        self._subscription_id = subscription_id or tokens.short_id
        self.limits = limits
        self.clients: dict[str, Client] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.messages: dict[str, Message] = {}
        self.crowds: dict[str, Crowd] = {}
        self._by_id: dict[str, Subscription] = {}
        self._body_bytes = 0

    # Clients and subscriptions

    def client(self, client_id: str, kind: str, now: float) -> Client:
        """The client with this id, made if there is none.

        Raises:
            RateLimited: ``clients_max`` are remembered already.
        """
        known = self.clients.get(client_id)
        if known is not None:
            return known
        if len(self.clients) >= self.limits.clients_max:
            raise _full("clients_max", self.limits.clients_max)
        created = self.clients[client_id] = Client(client_id, kind, now)
        return created

    def subscribe(
        self, client: Client, *, vendor: str, channel: str, key: bytes | None, app: str, now: float
    ) -> tuple[Subscription, bool]:
        """Make a subscription, or give the one this client already has for the channel and key.

        Returns:
            The subscription, and whether it is new.

        Raises:
            RateLimited: a limit on subscriptions is reached.
            Conflict: the key is not 65 octets.
        """
        if key is not None and len(key) != KEY_BYTES:
            raise Conflict(f"the key must be {KEY_BYTES} octets, got {len(key)}.", field="key")
        known = client.subscriptions.get((channel, key))
        if known is not None:
            return known, False
        if len(client.subscriptions) >= self.limits.subscriptions_per_client_max:
            raise _full("subscriptions_per_client_max", self.limits.subscriptions_per_client_max)
        if len(self.subscriptions) >= self.limits.subscriptions_max:
            raise _full("subscriptions_max", self.limits.subscriptions_max)
        token = self.tokens.endpoint_token(vendor, key)
        made = Subscription(self._subscription_id(), token, client, vendor, channel, key, app, now)
        client.subscriptions[channel, key] = self.subscriptions[token] = self._by_id[made.id] = made
        return made, True

    def find(self, token: str) -> Subscription | None:
        """The living subscription behind an endpoint's token."""
        found = self.subscriptions.get(token)
        if found is None and self.crowds:
            return next(filter(None, (crowd.find(token) for crowd in self.crowds.values())), None)
        return found

    def subscription_by_id(self, subscription_id: str) -> Subscription | None:
        """Look a subscription up by its short id."""
        found = self._by_id.get(subscription_id)
        if found is None and self.crowds:
            return next(filter(None, (crowd.find_by_id(subscription_id) for crowd in self.crowds.values())), None)
        return found

    def channel(self, client: Client, channel: str, key: bytes | None = None) -> list[Subscription]:
        """A client's subscriptions of one channel, under ``key`` only if one is given."""
        return [
            found for (name, bound), found in client.subscriptions.items() if name == channel and key in (None, bound)
        ]

    def end(self, subscription: Subscription) -> list[Loss]:
        """End a subscription with all its messages; its endpoint is gone from now on."""
        client = subscription.client
        if client.id in self.crowds:
            self.crowds[client.id].end(subscription)
        lost = [m for m in (*client.waiting.values(), *client.sent.values()) if m.subscription is subscription]
        for message in lost:
            self._remove(message)
        client.subscriptions.pop((subscription.channel, subscription.key), None)
        self.subscriptions.pop(subscription.token, None)
        self._by_id.pop(subscription.id, None)
        return [Loss(message, "unregistered") for message in lost]

    def forget(self, client: Client) -> tuple[list[Subscription], list[Loss]]:
        """Forget a client, its subscriptions and their messages."""
        ended = list(client.subscriptions.values())
        lost = [loss for subscription in ended for loss in self.end(subscription)]
        self.clients.pop(client.id, None)
        return ended, lost

    # Messages

    def accept(
        self, subscription: Subscription, draft: Draft, *, online: bool, now: float
    ) -> tuple[Message, list[Loss]]:
        """Take a message. With TTL 0 and no connection it is lost at once, and still accepted.

        Raises:
            RateLimited: the service as a whole holds ``messages_max`` or ``message_bytes_max``.
        """
        message = Message(self.tokens.message_id(), subscription, draft, now, now + draft.ttl)
        if draft.ttl == 0 and not online:
            return message, [Loss(message, "offline")]
        if len(self.messages) >= self.limits.messages_max:
            raise _full("messages_max", self.limits.messages_max)
        if self._body_bytes + len(draft.body) > self.limits.message_bytes_max:
            raise _full("message_bytes_max", self.limits.message_bytes_max)
        losses = self._make_room(subscription, draft)
        client = subscription.client
        client.waiting[message.id] = self.messages[message.id] = message
        self._body_bytes += len(draft.body)
        if draft.topic is not None:
            subscription.topics[draft.topic] = message
        return message, losses

    def _make_room(self, subscription: Subscription, draft: Draft) -> list[Loss]:
        client, losses = subscription.client, []
        if draft.keeps_one:
            waiting = [message for message in client.waiting.values() if message.subscription is subscription]
            losses += [self._lose(message, "replaced") for message in waiting]
        replaced = subscription.topics.get(draft.topic) if draft.topic is not None else None
        # One that is on its way may still be acknowledged; it is dropped in release() if it is not.
        if replaced is not None and replaced.id in client.waiting:
            losses.append(self._lose(replaced, "replaced"))
        while len(client.waiting) + len(client.sent) >= self.limits.messages_per_client_max:
            oldest = next(iter(client.sent.values()), None) or next(iter(client.waiting.values()))
            losses.append(self._lose(oldest, "queue_full"))
        return losses

    def take(self, client: Client, *, count_max: int, now: float) -> tuple[list[Message], list[Loss]]:
        """Up to ``count_max`` waiting messages to write to the client's connection; they count as sent."""
        ready: list[Message] = []
        losses: list[Loss] = []
        while client.waiting and len(ready) < count_max:
            message = next(iter(client.waiting.values()))
            if _expired(message, now):
                losses.append(self._lose(message, "expired"))
                continue
            del client.waiting[message.id]
            client.sent[message.id] = message
            message.attempts += 1
            ready.append(message)
        return ready, losses

    def acknowledge(self, client: Client, message_id: str, channel: str | None = None) -> Message | None:
        """Strike off a message the client has; None if it has no such message (any more).

        A message that already waits again is struck off too: the client got it before the connection broke.
        """
        message = client.sent.get(message_id) or client.waiting.get(message_id)
        if message is None or (channel is not None and message.subscription.channel != channel):
            return None
        self._remove(message)
        return message

    def release(self, client: Client, now: float) -> list[Loss]:
        """The client's connection ended: what was sent and not acknowledged waits again, first in line."""
        losses = []
        unacknowledged = client.sent
        client.sent, client.waiting = {}, unacknowledged | client.waiting
        for message in list(unacknowledged.values()):
            topic = message.draft.topic
            if message.draft.ttl == 0:
                losses.append(self._lose(message, "offline"))
            elif _expired(message, now):
                losses.append(self._lose(message, "expired"))
            elif topic is not None and message.subscription.topics.get(topic) is not message:
                losses.append(self._lose(message, "replaced"))
        return losses

    def withdraw(self, message_id: str) -> list[Loss]:
        """The sender deleted the message; one that is already on its way cannot be called back."""
        message = self.messages.get(message_id)
        if message is None or message_id in message.subscription.client.sent:
            return []
        return [self._lose(message, "withdrawn")]

    def lose(self, message: Message, reason: str) -> list[Loss]:
        """Drop a message, wherever it is; nothing if it is gone already."""
        return [self._lose(message, reason)] if message.id in self.messages else []

    def expire(self, now: float) -> list[Loss]:
        """Drop every waiting message whose TTL has passed."""
        overdue = [
            message
            for message in self.messages.values()
            if _expired(message, now) and message.id in message.subscription.client.waiting
        ]
        return [self._lose(message, "expired") for message in overdue]

    def waiting(self, subscription: Subscription) -> Iterator[Message]:
        """The messages of one subscription that are not acknowledged yet, oldest first."""
        client = subscription.client
        for queue in (client.sent, client.waiting):
            yield from (message for message in queue.values() if message.subscription is subscription)

    def _lose(self, message: Message, reason: str) -> Loss:
        self._remove(message)
        return Loss(message, reason)

    def _remove(self, message: Message) -> None:
        client = message.subscription.client
        client.waiting.pop(message.id, None)
        client.sent.pop(message.id, None)
        if self.messages.pop(message.id, None) is not None:
            self._body_bytes -= len(message.draft.body)
        topic = message.draft.topic
        if topic is not None and message.subscription.topics.get(topic) is message:
            del message.subscription.topics[topic]


def _expired(message: Message, now: float) -> bool:
    # TTL 0 is "now or never": whether it is too late is decided by the connection, not by the clock.
    return message.draft.ttl > 0 and now >= message.expires_at


def _full(name: str, limit: int) -> RateLimited:
    return RateLimited(
        f"The push service holds its {limit} ({name}); end some, or raise the limit.", retry_after_seconds=120
    )
