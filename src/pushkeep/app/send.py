"""Send one message to one subscription: encrypt, sign, post, understand. The library and the server both go here.

:class:`Delivery` is one message on its way, without any waiting of its own: whoever drives it posts what it asks
for, tells it the answer, and waits when it says so. So the event loop and a blocking caller share every decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pushkeep.domain.retry import CHANCE_BYTES, NO_RETRIES, RetryPolicy, chance_of, wait_before_retry
from pushkeep.ports import Clock, Entropy, Transport
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.outcome import Outcome, read_answer
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.remedy import apply_remedy, is_of_use
from pushkeep.protocol.request import PushOptions, PushRequest, build_request
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.protocol.vendors import Vendor

DEADLINE_SECONDS_MIN = 60.0
"""How long a message is tried whatever its TTL: TTL 0 says that the push service shall not keep it, not that a
fault of a second loses it."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What the messages of one sender have in common.

    Attributes:
        key: the signing key the subscriptions were made with.
        contact: goes into the token; already checked.
        tokens: kept tokens, shared by everything that sends.
        clock: dates tokens and measures attempts.
        entropy: gives salt and key pair, fresh for each attempt; both must never be used twice.
        padding: decides how many zeros hide a payload's length.
    """

    key: SigningKey
    contact: str | None
    tokens: TokenCache
    clock: Clock
    entropy: Entropy
    padding: PaddingPolicy = no_padding

    def build(
        self, subscription: Subscription, payload: bytes | None, options: PushOptions, vendor: Vendor
    ) -> PushRequest:
        """One request, with the token that is valid at this moment, its own salt and its own key pair.

        Raises:
            PayloadTooLarge: the payload does not fit into one message.
        """
        entropy = self.entropy
        return build_request(
            subscription,
            payload,
            options=options,
            authorization=self.tokens.header(
                self.key, origin=subscription.endpoint.origin, contact=self.contact, now=self.clock.now()
            ),
            as_private=entropy.ephemeral_key() if payload else None,
            salt=entropy.salt() if payload else b"",
            padding=self.padding,
            vendor=vendor,
        )


class Delivery:
    """One message on its way: call :meth:`request`, post it, call :meth:`answered`; as long as that says to wait,
    wait and begin again.

    Args:
        sender: signs and encrypts.
        subscription: whom to send to.
        payload: the plaintext, or None for a message without payload.
        options: TTL, urgency and topic. Their TTL also sets the deadline: no attempt is made later than that many
            seconds from now, or than a minute if that is longer.
        vendor: the push service's row, by which answers are read.
        retry: how often and how patiently to try.
        reference: handed back in the outcome.

    Attributes:
        subscription: whom it goes to.
        outcome: what the last answer meant; None before the first.
    """

    __slots__ = (
        "_attempt",
        "_deadline",
        "_options",
        "_payload",
        "_reference",
        "_remedied",
        "_retry",
        "_sender",
        "_sent",
        "_started",
        "_vendor",
        "_warnings",
        "outcome",
        "subscription",
    )

    def __init__(
        self,
        sender: Sender,
        *,
        subscription: Subscription,
        payload: bytes | None,
        options: PushOptions,
        vendor: Vendor,
        retry: RetryPolicy = NO_RETRIES,
        reference: object = None,
    ) -> None:
        self.subscription = subscription
        self.outcome: Outcome | None = None
        self._sender = sender
        self._payload = payload
        self._options = self._sent = options
        self._vendor = vendor
        self._retry = retry
        self._reference = reference
        self._attempt = 0
        self._remedied = False
        self._started = 0.0
        self._warnings: tuple[str, ...] = ()
        # By the clock that nobody sets: a step of the other one would lose the message, or repeat it for hours.
        self._deadline = sender.clock.monotonic() + max(options.ttl, DEADLINE_SECONDS_MIN)

    def request(self) -> PushRequest:
        """The request of the next attempt; nothing of an earlier one is used again but the plaintext.

        Raises:
            PayloadTooLarge: the payload does not fit into one message; nothing was sent.
        """
        sender, options = self._sender, self._options
        if self._attempt > 0:
            # Not down to 0: "now or never" is another kind of message, and one that WNS may refuse.
            left = max(int(self._deadline - sender.clock.monotonic()), 1)
            if left < options.ttl:
                options = replace(options, ttl=left)
        self._sent = options
        request = sender.build(self.subscription, self._payload, options, self._vendor)
        self._attempt += 1
        self._warnings = request.warnings
        self._started = sender.clock.monotonic()
        return request

    def answered(self, answer: Answer) -> float | None:
        """Take the answer into :attr:`outcome`.

        Returns:
            seconds to wait before the next attempt; None when the outcome is final.
        """
        clock, policy = self._sender.clock, self._retry
        ended = clock.monotonic()
        outcome = read_answer(
            self._vendor,
            answer,
            now=clock.now(),
            duration_ms=(ended - self._started) * 1000,
            endpoint=self.subscription.endpoint,
            reference=self._reference,
            warnings=self._warnings,
        )
        self.outcome = outcome if self._attempt == 1 else replace(outcome, attempts=self._attempt)
        if self._attempt >= policy.attempts_max or outcome.accepted:
            return None
        remedy, remaining_seconds = outcome.remedy, self._deadline - ended
        if remedy is not None and not self._remedied and remaining_seconds > 0 and is_of_use(self._sent, remedy):
            self._remedied = True
            self._options = apply_remedy(self._sent, remedy)
            return 0.0
        return wait_before_retry(
            policy,
            verdict=outcome.verdict,
            attempt=self._attempt,
            retry_after=outcome.retry_after,
            remaining_seconds=remaining_seconds,
            chance=chance_of(self._sender.entropy.token_bytes(CHANCE_BYTES)),
        )


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
    delivery = Delivery(
        Sender(key, contact, tokens, clock, entropy, padding),
        subscription=subscription,
        payload=payload,
        options=options,
        vendor=vendor,
        reference=reference,
    )
    delivery.answered(await transport.post(delivery.request()))
    assert delivery.outcome is not None
    return delivery.outcome
