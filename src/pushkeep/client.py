"""The library: send a Web Push message and learn what became of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.http2 import CurlTransport, TransportLimits
from pushkeep.app.send import send_one
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import InvalidInput
from pushkeep.ports import Clock, Entropy
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushOptions
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.protocol.vapid import PEM_BYTES_MAX, SigningKey

ORIGIN_MAP_VARIABLE = "PUSHKEEP_ORIGIN_MAP"
"""The same variable configures the server."""

SubscriptionLike = Subscription | Mapping[str, object] | str | bytes
Payload = str | bytes | Mapping[str, object] | None


class PushClient:
    """Sends messages; one instance serves any number of subscriptions, at the same time and over few connections.

    ::

        async with PushClient(key=Path("vapid.pem"), contact="mailto:ops@example.org") as client:
            outcome = await client.send(subscription, {"title": "Hello"}, ttl=60, urgency="high", topic="inbox")
        if outcome.verdict is Verdict.GONE:
            await forget(subscription)

    An instance belongs to the event loop it is first used in. Endpoints of any push service are taken, also unknown
    ones, but never one that leads to an address that is not public.

    Args:
        key: the signing key: a :class:`SigningKey`, PEM text, or the :class:`~pathlib.Path` of a PEM file.
        contact: where a push service can reach you: ``mailto:you@your-domain.org`` or an https page.
        origin_map: push services that are dialled elsewhere: an :class:`OriginMap`, or entries of the form
            ``ORIGIN=BASE[,ca=FILE][,vendor=NAME]``. None reads the entries, separated by white space, from the
            environment variable ``PUSHKEEP_ORIGIN_MAP``, so that an application can be run against the local push
            service unchanged; an empty list maps nothing whatever the environment says.
        proxy: ``http://`` or ``https://`` URL of a proxy. None uses none, whatever the environment says.
        ca_file: PEM file of trusted authorities, instead of the system's.
        limits: time, size and number limits of the transport.
        padding: hides the length of payloads; see :mod:`pushkeep.protocol.padding`.
        clock: tells the time.
        entropy: draws salts and key pairs.

    Raises:
        InvalidInput: ``key``, ``contact`` or ``origin_map`` is not as described; the error names the field.
        ConfigurationError: ``proxy`` is not as described.
    """

    def __init__(
        self,
        *,
        key: SigningKey | str | bytes | Path,
        contact: str,
        origin_map: OriginMap | Iterable[str] | None = None,
        proxy: str | None = None,
        ca_file: str | Path | None = None,
        limits: TransportLimits | None = None,
        padding: PaddingPolicy = no_padding,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        limits = limits or TransportLimits()
        self._key = _signing_key(key)
        self._contact = check_contact(contact)
        self._origin_map = _origin_map(origin_map)
        self._padding = padding
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._tokens = TokenCache()
        # Taken before encrypting: otherwise ten thousand sends begun together would all be encrypted, and held in
        # memory, before the first of them is posted.
        self._turns = asyncio.Semaphore(limits.in_flight_max)
        self._transport = CurlTransport(
            origin_map=self._origin_map,
            limits=limits,
            proxy=proxy,
            ca_file=None if ca_file is None else str(ca_file),
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
    ) -> Outcome:
        """Send one message, once.

        Args:
            subscription: what the browser gave: a :class:`Subscription`, the object of ``toJSON()``, or its text.
            payload: text, octets, or an object that is sent as JSON; at most 3,993 octets. None or nothing in it
                sends a message without payload.
            ttl: seconds the push service keeps the message for a browser that is offline. The default is four
                weeks, the longest that every known service honours; 0 means now or never.
            urgency: ``very-low``, ``low``, ``normal`` or ``high``; None is ``normal``.
            topic: replaces a message of the same topic that is still waiting for the same browser.
            reference: anything of yours; handed back in the outcome.

        Returns:
            what became of it. A refusal, a time-out or a subscription that has ended is an outcome, not an error.

        Raises:
            InvalidInput: an argument is not as described; nothing was sent. ``PayloadTooLarge`` is one of these
                and says by how many octets.
            RuntimeError: the client is closed, or used from another event loop.
        """
        whom = read_subscription(subscription)
        octets = encode_payload(payload)
        options = PushOptions.of(ttl=ttl, urgency=urgency, topic=topic)
        vendor = self._origin_map.vendor_for(whom.endpoint)
        async with self._turns:
            return await send_one(
                self._transport,
                self._clock,
                self._entropy,
                self._tokens,
                subscription=whom,
                key=self._key,
                contact=self._contact,
                payload=octets,
                options=options,
                vendor=vendor,
                padding=self._padding,
                reference=reference,
            )

    async def aclose(self) -> None:
        """Let messages in flight finish within their time limit, then close every connection."""
        await self._transport.aclose()


def read_subscription(value: SubscriptionLike) -> Subscription:
    """Take a subscription in any of the forms people have it in.

    Raises:
        InvalidInput: it is none of them; the error names the offending field.
    """
    if isinstance(value, Subscription):
        return value
    if isinstance(value, str | bytes):
        return Subscription.from_json(value)
    return Subscription.from_dict(value)


def encode_payload(value: Payload) -> bytes | None:
    """The octets of a payload: text as UTF-8, an object as compact JSON.

    Raises:
        InvalidInput: another type, or something in the object that JSON has no form for.
    """
    if value is None or isinstance(value, bytes):
        return value
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, Mapping):
            return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput("payload cannot be written as UTF-8 or JSON.", field="payload") from None
    raise InvalidInput("payload must be text, bytes, a dict (sent as JSON) or None.", field="payload")


def _signing_key(value: SigningKey | str | bytes | Path) -> SigningKey:
    if isinstance(value, SigningKey):
        return value
    if isinstance(value, Path):
        try:
            with value.open("rb") as file:
                return SigningKey.from_pem(file.read(PEM_BYTES_MAX + 1))
        except OSError as error:
            raise InvalidInput(f"key file {value} cannot be read: {error.strerror}.", field="key") from None
    if isinstance(value, str | bytes):
        pem = value.encode(errors="replace") if isinstance(value, str) else value
        if b"-----BEGIN" not in pem:
            raise InvalidInput("key is not PEM text; to name a file give a pathlib.Path.", field="key")
        return SigningKey.from_pem(pem)
    raise InvalidInput("key must be a SigningKey, PEM text, or the Path of a PEM file.", field="key")


def _origin_map(value: OriginMap | Iterable[str] | None) -> OriginMap:
    if value is None:
        return OriginMap.parse(os.environ.get(ORIGIN_MAP_VARIABLE, "").split())
    if isinstance(value, OriginMap):
        return value
    if isinstance(value, str):  # an iterable of characters, and surely meant as one entry
        return OriginMap.parse([value])
    return OriginMap.parse(value)
