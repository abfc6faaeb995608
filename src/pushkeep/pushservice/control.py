"""What can be seen and done at a running service from outside its protocols: the admin verbs, and waiting."""

# ruff: noqa: ASYNC109 - these waits name in their TimeoutError what did not come, which a caller's cannot

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar

from pushkeep.errors import NotFound
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.pushservice.core import Client, Subscription
from pushkeep.pushservice.events import (
    Acked,
    Connected,
    Disconnected,
    Event,
    Listener,
    Registered,
    Unregistered,
)
from pushkeep.pushservice.faults.control import FaultInfo, Faults
from pushkeep.pushservice.hub import Ack, Hub
from pushkeep.pushservice.personalities.routes import token_of

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client. ``kind`` is "firefox", "chromium" or "local"; ``refused`` that it may not connect for now."""

    id: str
    kind: str
    connected: bool
    refused: bool
    subscriptions: int
    messages: int
    created_at: float


@dataclass(frozen=True, slots=True, repr=False)
class SubscriptionInfo:
    """A subscription.

    Attributes:
        endpoint: the whole capability. Chromium builds its endpoint itself and may use another of Google's
            hosts than the one shown here; the token at its end is what counts.
        application_server_key: base64url, or None for an unrestricted one.
        messages: how many are not acknowledged yet.
    """

    id: str
    client_id: str
    vendor: str
    channel: str
    endpoint: str
    application_server_key: str | None
    messages: int
    created_at: float

    def __repr__(self) -> str:
        return f"<SubscriptionInfo {self.vendor} {self.id}>"


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """A message that is not acknowledged yet; ``state`` is "waiting" or "sent"."""

    id: str
    subscription_id: str
    client_id: str
    state: str
    attempts: int
    body_bytes: int
    ttl: int
    urgency: str
    topic: str | None
    encoding: str | None
    received_at: float
    expires_at: float


class Control:
    """The admin verbs on one hub. The HTTP form of each is in :mod:`pushkeep.pushservice.admin`.

    Attributes:
        faults: what goes wrong on purpose; add and remove at any time.
    """

    def __init__(self, hub: Hub, endpoint_of: Callable[[Subscription], str], faults: Faults) -> None:
        self.faults = faults
        self._hub = hub
        self._endpoint_of = endpoint_of

    # Looking

    def clients(self) -> list[ClientInfo]:
        """Every client that is connected or has subscriptions."""
        hub = self._hub
        return [
            ClientInfo(
                client.id,
                client.kind,
                hub.is_online(client),
                hub.is_barred(client.id),
                len(client.subscriptions),
                len(client.waiting) + len(client.sent),
                client.created_at,
            )
            for client in hub.core.clients.values()
        ]

    def subscriptions(self) -> list[SubscriptionInfo]:
        """Every living subscription, oldest first."""
        return [self._info(subscription) for subscription in self._hub.core.subscriptions.values()]

    def subscription_for(self, endpoint: str) -> SubscriptionInfo | None:
        """The living subscription behind an endpoint of any vendor, found by its token."""
        found = self._hub.core.find(token_of(endpoint))
        return self._info(found) if found is not None else None

    def messages(self) -> list[MessageInfo]:
        """Every message that is not acknowledged yet, oldest first."""
        return [
            MessageInfo(
                message.id,
                message.subscription.id,
                message.subscription.client.id,
                "sent" if message.id in message.subscription.client.sent else "waiting",
                message.attempts,
                len(message.draft.body),
                message.draft.ttl,
                message.draft.urgency,
                message.draft.topic,
                message.draft.encoding,
                message.received_at,
                message.expires_at,
            )
            for message in self._hub.core.messages.values()
        ]

    def acks(self) -> list[Ack]:
        """The newest acknowledgements, oldest first."""
        return list(self._hub.acks)

    def events(self, after: int = 0) -> list[Event]:
        """The newest events with a serial larger than ``after``, oldest first."""
        return self._hub.events.since(after)

    @property
    def last_event_serial(self) -> int:
        """Serial of the newest event: pass it as ``after`` to wait for what comes next only."""
        return self._hub.events.last_serial

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each event from now on; the returned function ends that."""
        return self._hub.events.listen(listener)

    # Doing

    async def forget_client(self, client_id: str) -> None:
        """Forget a client and its subscriptions, and drop its connection.

        Firefox gets a new UAID at its next hello, drops its subscriptions and fires
        ``pushsubscriptionchange``; Chromium is not told.

        Raises:
            NotFound: no such client.
        """
        client = self._client(client_id)
        link = self._hub.links.get(client_id)
        self._hub.forget(client)
        if link is not None:
            await link.close(None)

    async def drop_connection(self, client_id: str, *, code: int | None = None, refuse: bool = False) -> bool:
        """End a client's connection; from this call on its messages wait.

        A Chromium connection is closed only when it is ten seconds old, because the browser would stay away
        for half a minute otherwise; the call returns when it is closed.

        Args:
            client_id: whose.
            code: WebSocket close code; 4774 makes Firefox stay away until its network changes.
            refuse: also keep it out until :meth:`admit_client`. Firefox is refused and tries again with its
                back-off. Chromium is let in and given nothing, because it answers a refused login with a pause
                of half a minute.

        Returns:
            whether there was a connection.
        """
        client = self._client(client_id)
        if refuse:
            self._hub.bar(client_id)
        link = self._hub.links.get(client_id)
        if link is None:
            return False
        self._hub.detach(client, link)
        await link.close(code)
        return True

    def admit_client(self, client_id: str) -> None:
        """Let a client connect again after ``drop_connection(…, refuse=True)``."""
        self._hub.admit(client_id)

    def close_registration(self, *, hold: bool = False) -> None:
        """Make no new subscriptions for any browser; those there are go on.

        Refused, ``subscribe()`` rejects at once. With ``hold`` the browser gets no answer until
        :meth:`open_registration`, when it gets the right one: so an attempt that its page has given up succeeds late.
        Firefox itself gives up after ten to twenty seconds, Chromium waits.
        """
        self._hub.close_registration(hold=hold)

    def open_registration(self) -> None:
        """Make new subscriptions again."""
        self._hub.open_registration()

    def expire(self, subscription_id: str) -> None:
        """End a subscription as if it had expired: its endpoint answers 410, the client is not told.

        Raises:
            NotFound: no such subscription.
        """
        subscription = self._hub.core.subscription_by_id(subscription_id)
        if subscription is None:
            raise NotFound(f"There is no subscription {subscription_id} at the push service.")
        self._hub.end(subscription, "expired")

    # Waiting

    async def wait_for(
        self,
        kind: type[E],
        timeout: float,
        *,
        matching: Callable[[E], bool] = lambda _event: True,
        after: int = 0,
    ) -> E:
        """The first event of a kind that matches, kept since serial ``after`` or still to come.

        Raises:
            TimeoutError: none within ``timeout`` seconds. So do all the waits below.
        """
        return await self._hub.events.wait(kind, seconds=timeout, matching=matching, after=after)

    async def wait_for_ack(self, message_id: str, timeout: float) -> Acked:
        """The client's acknowledgement of a message; ``message_id`` may be the whole Location, or an ``apns-id``."""
        wanted = self._hub.core.tokens.message_id_of(message_id)
        return await self._hub.events.wait(
            Acked, seconds=timeout, matching=lambda event: event.message_id == wanted, what="ack"
        )

    async def wait_for_client(
        self, timeout: float, *, via: str | None = None, client_id: str | None = None, after: int = 0
    ) -> Connected:
        """A client that connected, over "autopush" or "mcs" if ``via`` says so."""
        return await self._hub.events.wait(
            Connected,
            seconds=timeout,
            matching=lambda event: (
                event.via == (via or event.via) and event.client_id == (client_id or event.client_id)
            ),
            after=after,
            what="connection",
        )

    async def wait_for_disconnect(self, client_id: str, timeout: float, *, after: int = 0) -> Disconnected:
        """The end of a client's connection."""
        return await self._hub.events.wait(
            Disconnected,
            seconds=timeout,
            matching=lambda event: event.client_id == client_id,
            after=after,
            what="disconnection",
        )

    async def wait_for_subscription(self, timeout: float, *, after: int = 0) -> SubscriptionInfo:
        """The next subscription that is made after serial ``after`` and still lives."""
        living = self._hub.core
        event = await self._hub.events.wait(
            Registered,
            seconds=timeout,
            matching=lambda event: living.subscription_by_id(event.subscription_id) is not None,
            after=after,
            what="subscription",
        )
        subscription = living.subscription_by_id(event.subscription_id)
        if subscription is None:
            raise NotFound("The subscription ended while it was being waited for.")
        return self._info(subscription)

    async def wait_for_unsubscription(self, subscription_id: str, timeout: float) -> Unregistered:
        """The end of a subscription."""
        return await self._hub.events.wait(
            Unregistered,
            seconds=timeout,
            matching=lambda event: event.subscription_id == subscription_id,
            what="end of the subscription",
        )

    def _client(self, client_id: str) -> Client:
        client = self._hub.core.clients.get(client_id)
        if client is None:
            raise NotFound(f"There is no client {client_id[:40]} at the push service.")
        return client

    def _info(self, subscription: Subscription) -> SubscriptionInfo:
        key = subscription.key
        return SubscriptionInfo(
            subscription.id,
            subscription.client.id,
            subscription.vendor,
            subscription.channel,
            self._endpoint_of(subscription),
            b64url_encode(key) if key is not None else None,
            sum(1 for _ in self._hub.core.waiting(subscription)),
            subscription.created_at,
        )


def as_json(info: ClientInfo | SubscriptionInfo | MessageInfo | Ack | FaultInfo) -> dict[str, object]:
    """Its fields."""
    return asdict(info)
