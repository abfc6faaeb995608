"""Subscriptions by the hundred thousand, without a browser: derived when they are asked for.

Key pair, auth secret and endpoint of each follow from a seed and its number, and an endpoint's token says which
number it is of. So nothing is kept of a subscription but how many messages it got and whether it has ended: four
octets and a bit.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.errors import InvalidInput, Undecryptable
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.subscription import AUTH_BYTES
from pushkeep.protocol.subscription import Subscription as BrowserSubscription
from pushkeep.pushservice.core import Client, Message, Subscription
from pushkeep.pushservice.subscriber import ReceivedMessage, read_message
from pushkeep.pushservice.tokens import Tokens

COUNT_MAX = 10_000_000
"""Of one crowd: 40 MB of counters."""
KEY_PAIRS_MAX = 1_000
"""Different key pairs of one crowd: making one takes 0.15 ms. Auth secrets are all different, and so are the keys
that messages are encrypted with."""
MESSAGES_KEPT = 1_000
"""The newest, still sealed, for looking into: at most 4 MB."""

_MARK = b"\0crowd\0"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256: a private key is a number from 1 up to, not including, this."""


@dataclass(frozen=True, slots=True)
class CrowdMessage:
    """A message to one of them: whose, by number, and what it says, or why it cannot be read."""

    number: int
    received: ReceivedMessage | Undecryptable


class SyntheticSubscribers:
    """A crowd of subscribers, numbered from 0. They are always connected and take every message.

    Made by :meth:`PushService.subscribe_many`.

    Attributes:
        vendor: whose subscriptions they are.
        delivered: messages they got in all.
    """

    def __init__(
        self,
        tokens: Tokens,
        client: Client,
        *,
        crowd_number: int,
        count: int,
        vendor: str,
        key: bytes | None,
        seed: bytes,
        endpoint_of: Callable[[Subscription], str],
        unsubscribe: Callable[[Subscription], None],
    ) -> None:
        if not 1 <= count <= COUNT_MAX:
            raise InvalidInput(f"count must be from 1 to {COUNT_MAX}.", field="count")
        self.vendor = vendor
        self.delivered = 0
        self._tokens = tokens
        self._client = client
        self._crowd_number = crowd_number
        self._key = key
        self._seed = seed
        self._endpoint_of = endpoint_of
        self._unsubscribe = unsubscribe
        self._deliveries = array("I", bytes(4 * count))
        self._ended = bytearray((count + 7) // 8)
        self._publics: dict[int, bytes] = {}
        self._newest: deque[Message] = deque(maxlen=MESSAGES_KEPT)

    def __repr__(self) -> str:
        return f"<SyntheticSubscribers {self.vendor} {len(self)}>"

    def __len__(self) -> int:
        return len(self._deliveries)

    def __iter__(self) -> Iterator[BrowserSubscription]:
        return (self.subscription(number) for number in range(len(self)))

    def subscription(self, number: int) -> BrowserSubscription:
        """What a page would have sent to its server; derived anew at each call, 0.1 ms."""
        mailbox = self._mailbox(self._checked(number))
        endpoint = Endpoint.parse(self._endpoint_of(mailbox))
        pair = number % KEY_PAIRS_MAX
        if pair not in self._publics:
            self._publics[pair] = encode_point(self._private(number).public_key())
        return BrowserSubscription(endpoint, self._publics[pair], self._auth(number))

    def deliveries(self, number: int) -> int:
        """How many messages one of them got."""
        return self._deliveries[self._checked(number)]

    def reached(self) -> int:
        """How many of them got a message at least."""
        return len(self) - self._deliveries.count(0)

    def unsubscribe(self, number: int) -> None:
        """End one, as a page's ``unsubscribe()``: its endpoint is gone. Calling it again does no harm."""
        living = self._living(self._checked(number))
        if living is not None:
            self._unsubscribe(living)

    def messages(self) -> Iterator[CrowdMessage]:
        """The newest messages, oldest first, decrypted one by one as they are taken."""
        return map(self._read, tuple(self._newest))

    def message(self, message_id: str) -> CrowdMessage | None:
        """One of the newest messages, decrypted."""
        found = next((message for message in reversed(self._newest) if message.id == message_id), None)
        return None if found is None else self._read(found)

    def _read(self, message: Message) -> CrowdMessage:
        number = self._number_of(message.subscription.id)
        assert number is not None
        return CrowdMessage(number, read_message(message, private=self._private(number), auth=self._auth(number)))

    # For the core: see Crowd there

    def find(self, token: str) -> Subscription | None:
        """The living subscription behind an endpoint's token."""
        identity = self._tokens.identity(self.vendor, token)
        if identity is None or identity[:8] != _MARK + bytes([self._crowd_number]):
            return None
        return self._living(int.from_bytes(identity[8:]), token)

    def find_by_id(self, subscription_id: str) -> Subscription | None:
        """The living subscription with this short id."""
        number = self._number_of(subscription_id)
        return None if number is None else self._living(number)

    def receive(self, message: Message) -> None:
        """Count a message."""
        number = self._number_of(message.subscription.id)
        assert number is not None
        self._deliveries[number] += 1
        self.delivered += 1
        self._newest.append(message)

    def end(self, subscription: Subscription) -> None:
        """The subscription ends."""
        number = self._number_of(subscription.id)
        assert number is not None
        self._ended[number >> 3] |= 1 << (number & 7)

    def _living(self, number: int, token: str | None = None) -> Subscription | None:
        if number >= len(self) or self._ended[number >> 3] >> (number & 7) & 1:
            return None
        return self._mailbox(number, token)

    def _mailbox(self, number: int, token: str | None = None) -> Subscription:
        if token is None:
            identity = _MARK + bytes([self._crowd_number]) + number.to_bytes(8)
            token = self._tokens.endpoint_token(self.vendor, self._key, identity=identity)
        client = self._client
        return Subscription(
            f"c{self._crowd_number}n{number}", token, client, self.vendor, client.id, self._key, "", client.created_at
        )

    def _number_of(self, subscription_id: str) -> int | None:
        head, _, digits = subscription_id.partition("n")
        is_ours = head == f"c{self._crowd_number}" and digits.isascii() and digits.isdigit() and len(digits) < 12
        return int(digits) if is_ours else None

    def _checked(self, number: int) -> int:
        if not 0 <= number < len(self):
            raise InvalidInput(f"number must be from 0 to {len(self) - 1}.", field="number")
        return number

    def _derived(self, number: int, purpose: bytes, count: int) -> bytes:
        return hashlib.blake2b(number.to_bytes(8), key=self._seed, person=purpose, digest_size=count).digest()

    def _private(self, number: int) -> ec.EllipticCurvePrivateKey:
        # 128 bits more than the order has, so that every key is as likely as any other.
        value = int.from_bytes(self._derived(number % KEY_PAIRS_MAX, b"key", 48)) % (_ORDER - 1) + 1
        return ec.derive_private_key(value, ec.SECP256R1())

    def _auth(self, number: int) -> bytes:
        return self._derived(number, b"auth", AUTH_BYTES)
