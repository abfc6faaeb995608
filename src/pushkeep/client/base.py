"""What both clients are made of: key, contact, origin map and limits, checked once, and messages made of arguments."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.http2_fork import generation
from pushkeep.adapters.http2_limits import TransportLimits
from pushkeep.app.send import Delivery, Sender
from pushkeep.client.batch import BatchLimits
from pushkeep.client.given import (
    KeyLike,
    Payload,
    SubscriptionLike,
    encode_payload,
    read_key,
    read_origin_map,
    read_subscription,
)
from pushkeep.client.message import Message
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.retry import NO_RETRIES, RetryPolicy
from pushkeep.errors import InvalidInput
from pushkeep.ports import Clock, Entropy
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.padding import PaddingPolicy
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.protocol.vendors import Vendor

LOOK_AHEAD_MAX = 4096
"""About 6 MB of messages: much more than is in flight, so that one slow push service takes long to hold up others."""

_ORIGINS_KEPT_MAX = 1024  # origins come from strangers; there are a dozen of any size


class MessageFactory:
    """Turns what callers give into deliveries. May be used by several threads if ``tokens`` may.

    Raises:
        InvalidInput: ``key``, ``contact`` or ``origin_map`` is not as described at the clients.
    """

    def __init__(
        self,
        *,
        key: KeyLike,
        contact: str,
        origin_map: OriginMap | Iterable[str] | None,
        limits: TransportLimits | None,
        padding: PaddingPolicy,
        retry: RetryPolicy | None,
        clock: Clock | None,
        entropy: Entropy | None,
        tokens: TokenCache,
    ) -> None:
        self.sender = Sender(
            read_key(key),
            check_contact(contact),
            tokens,
            clock or SystemClock(),
            entropy or SystemEntropy(),
            padding,
        )
        self.origin_map = read_origin_map(origin_map)
        self.limits = limits or TransportLimits()
        self._retry = retry or NO_RETRIES
        self._vendors: dict[str, Vendor] = {}
        self._options: tuple[int, str | None, str | None, PushOptions] | None = None

    def delivery(
        self,
        subscription: SubscriptionLike,
        payload: Payload,
        *,
        ttl: int,
        urgency: str | None,
        topic: str | None,
        reference: object,
        retry: RetryPolicy | None,
    ) -> Delivery:
        """One message, ready to be tried.

        Raises:
            InvalidInput: an argument is not as described at :meth:`PushClient.send`.
        """
        whom = read_subscription(subscription)
        return Delivery(
            self.sender,
            subscription=whom,
            payload=encode_payload(payload),
            options=self.options(ttl, urgency, topic),
            vendor=self.vendor(whom),
            retry=retry or self._retry,
            reference=reference,
        )

    def delivery_of(self, message: Message, retry: RetryPolicy | None) -> Delivery:
        """As :meth:`delivery`, of a :class:`Message`."""
        if not isinstance(message, Message):
            raise InvalidInput("messages must be pushkeep.Message objects.", field="messages")
        return self.delivery(
            message.subscription,
            message.payload,
            ttl=message.ttl,
            urgency=message.urgency,
            topic=message.topic,
            reference=message.reference,
            retry=retry,
        )

    def options(self, ttl: int, urgency: str | None, topic: str | None) -> PushOptions:
        """The options, checked; once where they repeat from message to message."""
        last = self._options
        # True equals 1, and is no TTL.
        if last is not None and last[0] == ttl and last[1] == urgency and last[2] == topic and type(ttl) is int:
            return last[3]
        options = PushOptions.of(ttl=ttl, urgency=urgency, topic=topic)
        self._options = (ttl, urgency, topic, options)
        return options

    def vendor(self, subscription: Subscription) -> Vendor:
        """The push service's row."""
        endpoint = subscription.endpoint
        vendor = self._vendors.get(endpoint.origin)
        if vendor is None:
            vendor = self.origin_map.vendor_for(endpoint)
            if len(self._vendors) >= _ORIGINS_KEPT_MAX:
                self._vendors.clear()
            self._vendors[endpoint.origin] = vendor
        return vendor

    def is_stranger(self, delivery: Delivery) -> bool:
        """Whether it goes to a push service that is neither known nor in the origin map."""
        endpoint = delivery.subscription.endpoint
        return not self.vendor(delivery.subscription).known and self.origin_map.get(endpoint.origin) is None

    def batch_limits(
        self, in_flight_max: int | None, origin_in_flight_max: int | None, look_ahead_max: int
    ) -> BatchLimits:
        """The limits of one ``send_many``.

        Raises:
            InvalidInput: one of them is not a whole number from 1, or more is asked for than the transport allows.
        """
        total = self.limits.in_flight_max if in_flight_max is None else in_flight_max
        # Half for one origin leaves the other half to the others when it hangs.
        each = max(1, total // 2) if origin_in_flight_max is None else origin_in_flight_max
        for name, value, most in (
            ("in_flight_max", total, self.limits.in_flight_max),
            ("origin_in_flight_max", each, total),
            ("look_ahead_max", look_ahead_max, None),
        ):
            if (
                isinstance(value, bool)
                or not isinstance(value, int)
                or value < 1
                or (most is not None and value > most)
            ):
                upper = "" if most is None else f" to {most}"
                raise InvalidInput(f"{name} must be a whole number from 1{upper}.", field=name)
        return BatchLimits(total, each, max(each, total // 2), look_ahead_max)


def file_name(path: str | Path | None) -> str | None:
    """A file's name for libcurl."""
    return None if path is None else str(path)


class SharedTokens(TokenCache):
    """Tokens that several threads look up at once."""

    def __init__(self) -> None:
        super().__init__()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._generation = generation()
        self._lock = threading.Lock()

    def header(self, key: SigningKey, *, origin: str, contact: str | None, now: float) -> str:
        """See :class:`~pushkeep.protocol.token_cache.TokenCache`."""
        if self._generation != generation():
            self._begin_anew()  # a thread of the parent's may have held the lock when this process began
        with self._lock:
            return super().header(key, origin=origin, contact=contact, now=now)
