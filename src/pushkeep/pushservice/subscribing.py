"""Subscribers without a browser: one by one, and by the hundred thousand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.errors import InvalidInput, RateLimited
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import POINT_BYTES, decode_point, encode_point
from pushkeep.protocol.subscription import AUTH_BYTES
from pushkeep.protocol.subscription import Subscription as BrowserSubscription
from pushkeep.pushservice.addresses import Addresses
from pushkeep.pushservice.core import Client
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.personalities import PERSONALITIES
from pushkeep.pushservice.resources import ANDROID, Resources
from pushkeep.pushservice.subscriber import LocalSubscriber
from pushkeep.pushservice.synthetic import SyntheticSubscribers
from pushkeep.pushservice.tokens import TokenBytes

_CROWDS_MAX = 256  # an octet of the token says which


class Subscribing(Addresses):
    """Makes subscribers that a :class:`~pushkeep.pushservice.PushService` itself receives for."""

    _hub: Hub
    _resources: Resources
    _seed: int | None
    _now: Callable[[], float]
    _token_bytes: TokenBytes

    async def subscribe(
        self,
        application_server_key: bytes | None = None,
        *,
        vendor: str = "mozilla",
        encodings: tuple[str, ...] = ("aes128gcm",),
        device: str = "desktop",
    ) -> LocalSubscriber:
        """Make a subscription that is received here; it is connected at once.

        Args:
            application_server_key: 65 octets; the subscription is bound to it. May be None for "mozilla" and
                "unifiedpush" only.
            vendor: "mozilla", "fcm", "apple", "wns" or "unifiedpush": whose endpoint, limits and answers.
            encodings: what the subscription says that its browser supports.
            device: "android" for one that Mozilla reaches through Google's service, with its lower limit; it does
                not show in the endpoint.

        Raises:
            InvalidInput: another vendor or device, or a key that is not a P-256 point.
            RateLimited: a limit on subscriptions is reached.
        """
        _check_kind(application_server_key, vendor, device)
        hub, tokens = self._hub, self._hub.core.tokens
        client = hub.core.client(tokens.short_id(), "local", hub.now())
        app = ANDROID if device == ANDROID else ""
        mailbox = hub.subscribe(client, vendor=vendor, channel=client.id, key=application_server_key, app=app)
        private = ec.generate_private_key(ec.SECP256R1())
        subscription = BrowserSubscription(
            Endpoint.parse(self._endpoint_of(mailbox)),
            encode_point(private.public_key()),
            self._token_bytes(AUTH_BYTES),
            encodings=encodings,
        )
        subscriber = LocalSubscriber(
            hub, client, mailbox, subscription=subscription, private=private, own_endpoint=self._own_endpoint_of
        )
        self._resources.know(subscriber)
        subscriber.connect()
        return subscriber

    async def subscribe_many(
        self, count: int, application_server_key: bytes | None = None, *, vendor: str = "mozilla"
    ) -> SyntheticSubscribers:
        """Make subscriptions by the hundred thousand; each costs five octets and is derived when asked for.

        With the service's ``seed`` their keys are the same in every run.

        Args:
            count: how many, up to 10,000,000.
            application_server_key: as for :meth:`subscribe`; all of them are bound to it.
            vendor: likewise.

        Raises:
            InvalidInput: ``count`` is out of range, another vendor, or a key that is not a P-256 point.
            RateLimited: there are 256 crowds already.
        """
        _check_kind(application_server_key, vendor, "desktop")
        core, crowd_number = self._hub.core, len(self._hub.core.crowds)
        if crowd_number >= _CROWDS_MAX:
            raise RateLimited(f"There are {_CROWDS_MAX} crowds of subscribers already.", retry_after_seconds=3600)
        client = Client(core.tokens.short_id(), "synthetic", self._now())
        chance = self._token_bytes(32) if self._seed is None else f"{self._seed} {crowd_number}".encode()
        crowd = SyntheticSubscribers(
            core.tokens,
            client,
            crowd_number=crowd_number,
            count=count,
            vendor=vendor,
            key=application_server_key,
            seed=hashlib.sha256(chance).digest(),
            endpoint_of=self._endpoint_of,
            unsubscribe=lambda mailbox: self._hub.end(mailbox, "client", 200),
        )
        core.crowds[client.id] = crowd
        return crowd


def _check_kind(key: bytes | None, vendor: str, device: str) -> None:
    if vendor not in PERSONALITIES:
        raise InvalidInput(f"vendor must be one of {', '.join(PERSONALITIES)}.", field="vendor")
    if device not in ("desktop", ANDROID) or (device == ANDROID and vendor != "mozilla"):
        raise InvalidInput("device must be desktop, or android for the vendor mozilla.", field="device")
    if key is not None:
        decode_point(key, field="application_server_key")
    elif vendor not in ("mozilla", "unifiedpush"):
        raise InvalidInput(
            f"application_server_key must be {POINT_BYTES} octets; only mozilla and unifiedpush do without.",
            field="application_server_key",
        )
