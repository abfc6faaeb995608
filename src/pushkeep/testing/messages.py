"""A message as the local push service got it from the sender under test."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pushkeep.errors import Undecryptable


class Payload:
    """Something with ``data``: octets, or None for a push without payload."""

    __slots__ = ()

    @property
    def data(self) -> bytes | None:
        """The plaintext; None for a push without payload."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The data as UTF-8; raises AssertionError for a push without payload."""
        data = self.data
        if data is None:
            raise AssertionError("the push has no payload")
        return data.decode()

    def json(self) -> object:
        """The data as JSON; raises AssertionError for a push without payload."""
        value: object = json.loads(self.text)
        return value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PushMessage(Payload):
    """One request of the sender and what the push service answered.

    Attributes:
        status: the HTTP status answered; None where a fault on purpose left the sender without a readable answer.
        vendor: whose personality answered: "mozilla", "fcm", "apple", "wns", "unifiedpush".
        headers: the request's, names in lower case; ``authorization`` among them.
        body_bytes: length of the sealed body.
        message_id: the service's own number of an accepted message.
        subscription_id: the service's own number of the subscription, where the endpoint led to one.
        words: what the vendor says to a refusal.
        reason: the check of the service that failed, as a word.
        remedy: what to change, a sentence.
        faults: the faults on purpose that hit the request, a line each.
    """

    status: int | None
    vendor: str
    headers: Mapping[str, str]
    body_bytes: int
    message_id: str | None = None
    subscription_id: str | None = None
    words: str = ""
    reason: str = ""
    remedy: str = ""
    faults: tuple[str, ...] = ()
    opened: Callable[[], bytes | None] | None = field(default=None)

    @property
    def accepted(self) -> bool:
        """Whether the push service took it, even if a fault kept that from the sender."""
        return self.message_id is not None or (self.status is not None and 200 <= self.status < 300)

    @property
    def data(self) -> bytes | None:
        """The plaintext; None for a push without payload.

        Raises:
            Undecryptable: it was not encrypted for this subscription, or only a browser has the keys.
        """
        if self.body_bytes == 0:
            return None
        if self.opened is None:
            raise Undecryptable("only the subscription's browser can open this message; ask it with receive()")
        return self.opened()

    @property
    def ttl(self) -> int | None:
        """Seconds, as sent; None without a readable TTL header."""
        value = self.headers.get("ttl", "")
        return int(value) if value.isascii() and value.isdigit() else None

    @property
    def urgency(self) -> str:
        """As sent; "normal" when the sender says nothing (RFC 8030 section 5.3)."""
        return self.headers.get("urgency", "normal")

    @property
    def topic(self) -> str | None:
        """As sent."""
        return self.headers.get("topic")

    @property
    def encoding(self) -> str | None:
        """``aes128gcm`` or ``aesgcm``; None for a push without payload."""
        return self.headers.get("content-encoding")

    @property
    def claims(self) -> Mapping[str, object]:
        """What the sender's VAPID token says: ``aud``, ``exp``, ``sub``; empty without a readable one."""
        scheme, _, rest = self.headers.get("authorization", "").partition(" ")
        found = rest if scheme.lower() != "vapid" else _parameter(rest, "t")
        try:
            middle = found.split(".")[1]
            value: object = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        except (IndexError, ValueError, binascii.Error):
            return {}
        return value if isinstance(value, dict) else {}

    def __str__(self) -> str:
        sent = f"{self.body_bytes} octets, TTL {self.headers.get('ttl', 'missing')}"
        if self.topic is not None:
            sent += f", topic {self.topic}"
        hit = "".join(f", fault `{fault}`" for fault in self.faults)
        status = self.status or "no answer"
        if self.accepted:
            return f"{status}, accepted by {self.vendor} ({sent}{hit})"
        said = f": {self.words}" if self.words else ""
        return f"{status} from {self.vendor}{said} ({sent}{hit}). {self.remedy}".rstrip()

    def __repr__(self) -> str:
        return f"<PushMessage {self}>"


@dataclass(frozen=True, slots=True)
class BrowserMessage(Payload):
    """A push as the browser's service worker got it, decrypted by the browser."""

    payload: bytes | None = field(repr=False)

    @property
    def data(self) -> bytes | None:
        """What ``PushEvent.data`` held; None for a push without payload."""
        return self.payload


def _parameter(header: str, name: str) -> str:
    for part in header.split(","):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value.strip('" ')
    return ""
