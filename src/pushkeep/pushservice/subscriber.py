"""A subscriber without a browser: makes a subscription at the service, receives and decrypts."""

# ruff: noqa: ASYNC109 - these waits name in their TimeoutError what did not come, which a caller's cannot

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.errors import Undecryptable
from pushkeep.protocol.aesgcm import open_legacy
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice.core import Client, Message
from pushkeep.pushservice.core import Subscription as Mailbox
from pushkeep.pushservice.hub import Hub


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A push as the subscriber got it.

    Attributes:
        data: the plaintext; None for a push without payload.
        ttl: seconds, as granted.
        message_id: the end of the Location that the sender was given.
        body_bytes: length of the sealed body.
    """

    data: bytes | None = field(repr=False)
    ttl: int
    urgency: str
    topic: str | None
    message_id: str
    encoding: str | None
    body_bytes: int
    attempts: int


class LocalSubscriber:
    """One subscription with its keys; the :class:`~pushkeep.pushservice.hub.Link` of its client.

    Messages are decrypted and acknowledged on arrival, as a browser does: code 100, or 101 if they cannot be
    decrypted. No more arrive while ``in_flight_per_client_max`` of them have not been fetched.

    Attributes:
        subscription: what a page would have sent to its server; its endpoint is on the vendor's own host.
        client_id: for the admin verbs.
        subscription_id: likewise.
    """

    via = "local"
    __slots__ = (
        "__weakref__",
        "_arrival",
        "_arrived",
        "_client",
        "_hub",
        "_mailbox",
        "_own_endpoint",
        "_private",
        "_scheduled",
        "client_id",
        "subscription",
        "subscription_id",
    )

    def __init__(
        self,
        hub: Hub,
        client: Client,
        mailbox: Mailbox,
        *,
        subscription: Subscription,
        private: ec.EllipticCurvePrivateKey,
        own_endpoint: Callable[[Mailbox], str],
    ) -> None:
        self.subscription = subscription
        self.client_id = client.id
        self.subscription_id = mailbox.id
        self._hub = hub
        self._client = client
        self._mailbox = mailbox
        self._private = private
        self._own_endpoint = own_endpoint
        # A list and no event of its own while nobody waits: there may be 100,000 of these.
        self._arrived: list[ReceivedMessage | Undecryptable] = []
        self._arrival: asyncio.Event | None = None
        self._scheduled = False

    @property
    def local_subscription(self) -> Subscription:
        """The same subscription with an endpoint on the service's own origin, whoever the vendor is.

        For senders that cannot be given an origin map: they need no more than to trust the service's CA.
        """
        return replace(self.subscription, endpoint=Endpoint.parse(self._own_endpoint(self._mailbox)))

    def __repr__(self) -> str:
        return f"<LocalSubscriber {self.subscription.endpoint.label}>"

    async def receive(self, timeout: float) -> ReceivedMessage:
        """The next message.

        Raises:
            TimeoutError: none within ``timeout`` seconds.
            Undecryptable: one came that cannot be decrypted.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._arrived:
                    self._arrival = self._arrival or asyncio.Event()
                    self._arrival.clear()
                    await self._arrival.wait()
        except TimeoutError:
            raise TimeoutError(f"No message within {timeout:g} s for {self.subscription.endpoint.label}.") from None
        received = self._arrived.pop(0)
        self.wake()
        if isinstance(received, Undecryptable):
            raise received
        return received

    async def unsubscribe(self) -> None:
        """End the subscription, as a page's ``unsubscribe()``; calling it again does no harm."""
        if self._hub.core.subscription_by_id(self.subscription_id) is self._mailbox:
            self._hub.end(self._mailbox, "client", 200)
        self.disconnect()

    def disconnect(self) -> None:
        """Go offline: messages wait at the service."""
        self._hub.detach(self._client, self)

    def connect(self) -> None:
        """Come back online and get what waits."""
        if self._hub.links.get(self.client_id) is not self:
            self._hub.attach(self._client, self)

    def wake(self) -> None:
        """See :class:`~pushkeep.pushservice.hub.Link`."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._fetch)

    async def close(self, code: int | None) -> None:
        """See :class:`~pushkeep.pushservice.hub.Link`: there is no connection to close."""

    def _fetch(self) -> None:
        self._scheduled = False
        if len(self._arrived) >= self._hub.limits.in_flight_per_client_max:
            return  # receive() wakes it again
        for message in self._hub.take(self._client, self):
            self._hub.written(message)
            received = read_message(message, private=self._private, auth=self.subscription.auth)
            code = 101 if isinstance(received, Undecryptable) else 100
            self._arrived.append(received)
            self._hub.acknowledge(self._client, message.id, code=code)
        if self._arrival is not None:
            self._arrival.set()

    def open(
        self, body: bytes, *, encoding: str | None, encryption: str | None = None, crypto_key: str | None = None
    ) -> bytes | None:
        """Decrypt a body as this subscription's browser would; it need not have come by way of the service.

        Args:
            body: as posted; an empty one is a push without payload, and None is returned.
            encoding: the Content-Encoding.
            encryption: the header of that name, which goes with aesgcm.
            crypto_key: likewise.

        Raises:
            Undecryptable: another encoding, or not encrypted for this subscription.
        """
        return _open_body(
            body,
            encoding=encoding,
            encryption=encryption,
            crypto_key=crypto_key,
            private=self._private,
            auth=self.subscription.auth,
        )


def read_message(
    message: Message, *, private: ec.EllipticCurvePrivateKey, auth: bytes
) -> ReceivedMessage | Undecryptable:
    """Decrypt a message with a subscription's keys; what cannot be decrypted is returned as the error."""
    draft = message.draft
    try:
        data = _open_body(
            draft.body,
            encoding=draft.encoding,
            encryption=draft.encryption,
            crypto_key=draft.crypto_key,
            private=private,
            auth=auth,
        )
    except Undecryptable as error:
        return error
    return ReceivedMessage(
        data, draft.ttl, draft.urgency, draft.topic, message.id, draft.encoding, len(draft.body), message.attempts
    )


def _open_body(
    body: bytes,
    *,
    encoding: str | None,
    encryption: str | None,
    crypto_key: str | None,
    private: ec.EllipticCurvePrivateKey,
    auth: bytes,
) -> bytes | None:
    if not body:
        return None
    if encoding == "aesgcm":
        return open_legacy(
            body, encryption=encryption or "", crypto_key=crypto_key or "", ua_private=private, auth=auth
        )
    if encoding != "aes128gcm":
        raise Undecryptable("Content-Encoding must be aes128gcm or aesgcm.")
    return open_sealed(body, ua_private=private, auth=auth)
