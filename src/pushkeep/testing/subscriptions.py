"""Subscriptions as a page would have sent them to its server, and what arrives for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from pushkeep.errors import Undecryptable
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice import LocalSubscriber, ReceivedMessage
from pushkeep.testing.messages import PushMessage

if TYPE_CHECKING:
    from pushkeep.testing.live import LivePushService

T = TypeVar("T")

RECEIVE_SECONDS = 5.0
"""Delivery takes a millisecond; this is for senders that work in the background."""


def unless_failed(found: T | AssertionError) -> T:
    """What a wait in the other thread found. Raised here, a failure shows the test's own line and nothing of ours."""
    __tracebackhide__ = True
    if isinstance(found, AssertionError):
        raise found
    return found


class SubscriptionData:
    """A subscription in the forms that senders ask for. ``repr()`` holds neither endpoint nor keys.

    Attributes:
        vendor: "mozilla", "fcm", "apple", "wns" or "unifiedpush".
    """

    def __init__(self, subscription: Subscription, vendor: str) -> None:
        self._subscription = subscription
        self.vendor = vendor

    @property
    def endpoint(self) -> str:
        """Where to post."""
        return self._subscription.endpoint.url

    @property
    def p256dh(self) -> str:
        """The public key: base64url of 65 octets."""
        return b64url_encode(self._subscription.p256dh)

    @property
    def auth(self) -> str:
        """The authentication secret: base64url of 16 octets."""
        return b64url_encode(self._subscription.auth)

    def to_dict(self) -> dict[str, object]:
        """What ``PushSubscription.toJSON()`` gives in a page: endpoint, expirationTime and keys."""
        keys: dict[str, object] = {"p256dh": self.p256dh, "auth": self.auth}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.vendor} {self._subscription.endpoint.label}>"


class PushSubscription(SubscriptionData):
    """A subscription without a browser: it receives and decrypts in the test.

    Call it for more of them: ``push_subscription(vendor="apple")``.
    """

    def __init__(
        self, live: LivePushService, subscriber: LocalSubscriber, *, vendor: str, key: bytes, real_host: bool
    ) -> None:
        super().__init__(subscriber.subscription if real_host else subscriber.local_subscription, vendor)
        self._live = live
        self._subscriber = subscriber
        self._key = key

    def __call__(
        self,
        vendor: str | None = None,
        *,
        key: str | bytes | None = None,
        encodings: Sequence[str] = ("aes128gcm",),
        real_host: bool = False,
    ) -> PushSubscription:
        """Make another subscription.

        Args:
            vendor: whose endpoint, limits and answers; None for the same as this one's.
            key: the application server key it is bound to, 65 octets or base64url; None for the same.
            encodings: what the browser lists in ``PushManager.supportedContentEncodings``.
            real_host: give it an endpoint on the vendor's own host, as in production, and not on the local
                service's. A sender must know ``PUSHKEEP_ORIGIN_MAP`` for that, as Pushkeep itself does.

        Raises:
            InvalidInput: no such vendor, or a key that is not a P-256 point.
        """
        return self._live.subscribe(
            self._key if key is None else key, vendor=vendor or self.vendor, encodings=encodings, real_host=real_host
        )

    @property
    def subscription_id(self) -> str:
        """The push service's own number of it, which opens nothing."""
        return self._subscriber.subscription_id

    @property
    def messages(self) -> list[PushMessage]:
        """The accepted messages to this subscription so far, whether received or not."""
        return [message for message in self._live.sent if message.subscription_id == self.subscription_id]

    def receive(self, timeout: float = RECEIVE_SECONDS) -> PushMessage:
        """The next message that arrives here, decrypted as a browser would.

        Raises:
            AssertionError: none within ``timeout`` seconds, with what the push service saw meanwhile; or it cannot
                be decrypted.
        """
        __tracebackhide__ = True
        # A little longer outside, so that it is the inner limit that ends the wait.
        return unless_failed(self._live.loop.run(self._received(timeout), seconds=timeout + 5))

    async def areceive(self, timeout: float = RECEIVE_SECONDS) -> PushMessage:  # noqa: ASYNC109 - as receive()
        """The same for a test whose sender runs in the test's own event loop."""
        __tracebackhide__ = True
        return unless_failed(await asyncio.wrap_future(self._live.loop.submit(self._received(timeout))))

    async def _received(self, seconds: float) -> PushMessage | AssertionError:
        try:
            received = await self._subscriber.receive(seconds)
        except TimeoutError:
            return AssertionError(
                f"No message within {seconds:g} s for this {self.vendor} subscription. {self._live.record.describe()}"
            )
        except Undecryptable as error:
            return AssertionError(
                f"A message came that a browser could not open: {error.message} Encrypt it for this subscription's"
                " p256dh and auth."
            )
        return self._live.record.find(received.message_id) or _unrecorded(received, self.vendor)

    def end(self) -> None:
        """The visitor leaves: the next message is answered as the vendor answers for an ended subscription."""
        self._live.loop.run(self._subscriber.unsubscribe())

    def go_offline(self) -> None:
        """From now on messages wait at the service, by TTL and topic, until :meth:`go_online`."""
        self._live.loop.call(self._subscriber.disconnect)

    def go_online(self) -> None:
        """Get what waits, and what comes."""
        self._live.loop.call(self._subscriber.connect)


def _unrecorded(received: ReceivedMessage, vendor: str) -> PushMessage:
    """A message of which no request was recorded, because the record was emptied meanwhile."""
    headers = {"ttl": str(received.ttl), "urgency": received.urgency}
    optional = {"topic": received.topic, "content-encoding": received.encoding}
    headers |= {name: value for name, value in optional.items() if value is not None}
    return PushMessage(
        201, vendor, headers, received.body_bytes, message_id=received.message_id, opened=lambda: received.data
    )
