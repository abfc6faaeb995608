"""Send one message to one subscription: encrypt, sign, post, understand. The library and the server both go here."""

from __future__ import annotations

from pushkeep.ports import Clock, Entropy, Transport
from pushkeep.protocol.outcome import Outcome, read_answer
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.request import PushOptions, build_request
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.protocol.vapid import SigningKey
from pushkeep.protocol.vendors import Vendor


async def send_one(
    transport: Transport,
    clock: Clock,
    entropy: Entropy,
    tokens: TokenCache,
    *,
    subscription: Subscription,
    key: SigningKey,
    contact: str | None,
    payload: bytes | None,
    options: PushOptions,
    vendor: Vendor,
    padding: PaddingPolicy = no_padding,
    reference: object = None,
) -> Outcome:
    """Make one attempt. Whatever the push service or the network does is in the outcome.

    The token is the one valid at this moment, taken from ``tokens``: a repeat must not go out with the token of
    the first attempt, which may have expired while it waited.

    Args:
        transport: carries the request.
        clock: dates the token and measures the attempt.
        entropy: gives salt and key pair, fresh for this attempt; both must never be used twice.
        tokens: kept tokens, shared by everything that sends.
        subscription: whom to send to.
        key: the signing key the subscription was made with.
        contact: goes into the token; already checked.
        payload: the plaintext, or None for a message without payload.
        options: TTL, urgency and topic.
        vendor: the push service's row, by which the answer is read.
        padding: decides how many zeros hide the payload's length.
        reference: handed back in the outcome.

    Raises:
        PayloadTooLarge: the payload does not fit into one message; nothing was sent.
    """
    authorization = tokens.header(key, origin=subscription.endpoint.origin, contact=contact, now=clock.now())
    request = build_request(
        subscription,
        payload,
        options=options,
        authorization=authorization,
        as_private=entropy.ephemeral_key() if payload else None,
        salt=entropy.salt() if payload else b"",
        padding=padding,
        vendor=vendor,
    )
    started = clock.monotonic()
    answer = await transport.post(request)
    duration_ms = (clock.monotonic() - started) * 1000
    return read_answer(vendor, answer, now=clock.now(), duration_ms=duration_ms, reference=reference)
