"""For those who have an HTTP client already: the request built, the answer understood, nothing sent.

What :class:`PushClient` does at the socket is then the caller's to do: endpoints come from strangers, so refuse
addresses that are not public, follow no redirect, set time limits, and take no proxy from the environment unawares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pushkeep.adapters.clock import SystemClock
from pushkeep.client.base import MessageFactory, SharedTokens
from pushkeep.client.given import KeyLike, Payload, SubscriptionLike, encode_payload, read_subscription
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import InvalidInput
from pushkeep.ports import Clock, Entropy
from pushkeep.protocol.answer import RESPONSE_BODY_BYTES_MAX, PushResponse
from pushkeep.protocol.outcome import Outcome, read_answer
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushRequest
from pushkeep.protocol.vendors import VENDORS, Vendor, vendor_for

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""What HTTP clients give: ``response.headers`` of httpx, requests and aiohttp are such."""


class RequestBuilder:
    """Encrypts and signs messages for another HTTP client; sends nothing and opens nothing.

    ::

        builder = RequestBuilder(key=Path("vapid.pem"), contact="mailto:ops@example.org")
        request = builder.build(subscription, {"title": "Hello"}, ttl=60)
        response = httpx.post(request.endpoint.url, headers=dict(request.headers), content=request.body)
        outcome = parse_response(
            request, status=response.status_code, headers=response.headers, body=response.content
        )

    Tokens are kept between calls. One instance may be used by several threads.

    Args:
        key: as in :class:`PushClient`.
        contact: as there.
        padding: as there.
        origin_map: only for the vendor rows in it; where requests go is the other client's matter.
        clock: as there.
        entropy: as there.

    Raises:
        InvalidInput: ``key``, ``contact`` or ``origin_map`` is not as described.
    """

    def __init__(
        self,
        *,
        key: KeyLike,
        contact: str,
        padding: PaddingPolicy = no_padding,
        origin_map: OriginMap | Iterable[str] | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self._factory = MessageFactory(
            key=key,
            contact=contact,
            origin_map=origin_map,
            limits=None,
            padding=padding,
            retry=None,
            clock=clock,
            entropy=entropy,
            tokens=SharedTokens(),
        )

    def build(
        self,
        subscription: SubscriptionLike,
        payload: Payload = None,
        *,
        ttl: int = TTL_SECONDS_DEFAULT,
        urgency: str | None = None,
        topic: str | None = None,
    ) -> PushRequest:
        """One request, to be sent once: a second attempt needs another, with a salt, key pair and token of its own.

        Args:
            subscription: as in :meth:`PushClient.send`.
            payload: likewise.
            ttl: likewise.
            urgency: likewise.
            topic: likewise.

        Returns:
            a POST: ``request.endpoint.url`` goes on the wire as it is, with ``request.headers`` and ``request.body``.

        Raises:
            InvalidInput: an argument is not as described.
        """
        factory = self._factory
        whom = read_subscription(subscription)
        options = factory.options(ttl, urgency, topic)
        return factory.sender.build(whom, encode_payload(payload), options, factory.vendor(whom))


def parse_response(
    request: PushRequest,
    *,
    status: int,
    headers: Headers = (),
    body: bytes | str = b"",
    duration_ms: float = 0.0,
    reference: object = None,
    vendor: str | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """What an answer means, as :meth:`PushClient.send` would have said.

    Args:
        request: what was sent.
        status: the HTTP status of the endpoint's own answer; a redirect must not have been followed.
        headers: names in any case.
        body: the answer's, of which the first 64 KiB are looked at.
        duration_ms: how long it took, if you care to keep it in the outcome.
        reference: anything of yours; handed back in the outcome.
        vendor: the push service's row by name, if its host does not tell: ``fcm``, ``mozilla``, ``apple``, ``wns``,
            ``unifiedpush`` or ``unknown``.
        clock: tells the time, against which a ``Retry-After`` date is held.

    Raises:
        InvalidInput: ``status`` is not a number from 100 to 999, or there is no such vendor.
    """
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
        raise InvalidInput("status must be a whole number from 100 to 999.", field="status")
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    answer = PushResponse(
        status,
        {name.lower(): value for name, value in pairs},
        (body.encode(errors="replace") if isinstance(body, str) else bytes(body))[:RESPONSE_BODY_BYTES_MAX],
    )
    return read_answer(
        _vendor(request, vendor),
        answer,
        now=(clock or SystemClock()).now(),
        duration_ms=duration_ms,
        endpoint=request.endpoint,
        reference=reference,
        warnings=request.warnings,
    )


def _vendor(request: PushRequest, name: str | None) -> Vendor:
    if name is None:
        return vendor_for(request.endpoint.host)
    if name not in VENDORS:
        raise InvalidInput(f"vendor must be one of {', '.join(VENDORS)}.", field="vendor")
    return VENDORS[name]
