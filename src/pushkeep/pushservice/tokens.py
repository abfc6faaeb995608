"""Capability tokens: endpoint tokens, message ids and device credentials, recognised without a table.

An endpoint token carries the hash of the key it is bound to and a MAC, as Mozilla's (encrypted) tokens do. So
"never issued here" (404), "another key" (401/403) and "issued, but gone" (410) can be told apart in this
order, after a restart and for ever, and nothing about ended subscriptions is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode, b64url_encode

IDENTITY_BYTES = 16  # RFC 8030 section 8.3 asks for 120 bits or more
_MAC_BYTES = 16
_TOKEN_CHARACTERS_MAX = 256
_FCM_MARK = ":APA91b"  # real registration tokens look so; a sender that mangles a colon in a path shows up here
_WNS_MARK = "BQYAAAD%2f%2b"  # real channel tokens begin and are encoded so; a sender that decodes the query shows up
_PERCENT = {"+": "%2b", "/": "%2f", "=": "%3d"}
_APNS_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{22}")

TokenBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What an endpoint token issued here says about itself.

    Attributes:
        vendor: the name of a personality.
        key_hash: SHA-256 of the application server key it is bound to; None for an unrestricted one.
    """

    vendor: str
    key_hash: bytes | None


class Tokens:
    """Issues and recognises tokens under one secret of at least 32 octets."""

    def __init__(self, secret: bytes, token_bytes: TokenBytes) -> None:
        self._secret = secret
        self._token_bytes = token_bytes

    def __repr__(self) -> str:
        return "<Tokens>"

    def _mac(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + b"\0" + data, "sha256")[:_MAC_BYTES]

    def endpoint_token(self, vendor: str, key: bytes | None, *, identity: bytes | None = None) -> str:
        """A token for an endpoint of ``vendor``, bound to ``key`` if one is given, as it stands in the URL.

        It is a new one unless its ``identity``, 16 octets, is given; :meth:`identity` finds that again.
        """
        known = identity or self._token_bytes(IDENTITY_BYTES)
        content = known + (hashlib.sha256(key).digest() if key else b"")
        prefix = b64url_encode(self._mac(b"prefix", known)[:8]) + _FCM_MARK if vendor == "fcm" else ""
        data = content + self._mac((vendor + prefix).encode(), content)
        return _wns_text(data) if vendor == "wns" else prefix + b64url_encode(data)

    def open_endpoint_token(self, vendor: str, token: str) -> TokenClaims | None:
        """Read a token; None if it was not issued here, or not for ``vendor``."""
        content = self._content(vendor, token)
        return None if content is None else TokenClaims(vendor, content[IDENTITY_BYTES:] or None)

    def identity(self, vendor: str, token: str) -> bytes | None:
        """The identity in a token issued here for ``vendor``."""
        content = self._content(vendor, token)
        return None if content is None else content[:IDENTITY_BYTES]

    def _content(self, vendor: str, token: str) -> bytes | None:
        if len(token) > _TOKEN_CHARACTERS_MAX:
            return None
        head, mark, rest = token.partition(_FCM_MARK)
        prefix, sealed = (head + mark, rest) if vendor == "fcm" else ("", token)
        if vendor == "wns":
            sealed = unquote(token.removeprefix(_WNS_MARK))
        try:
            data = b64_decode(sealed, field="token")
        except InvalidInput:
            return None
        if (_wns_text(data) if vendor == "wns" else prefix + b64url_encode(data)) != token:
            return None  # the same octets in another spelling: the sender has not kept the endpoint byte for byte
        content, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac((vendor + prefix).encode(), content)):
            return None
        return content

    def message_id(self) -> str:
        """A new message id, 128 bits: whoever knows it may withdraw the message."""
        return b64url_encode(self._token_bytes(IDENTITY_BYTES))

    @staticmethod
    def message_id_of(text: str) -> str:
        """The message id in a Location, an ``apns-id``, or a message id."""
        name = text.rpartition("/")[2]
        return b64url_encode(bytes.fromhex(name.replace("-", ""))) if _APNS_ID.fullmatch(name) else name

    @staticmethod
    def is_message_id(text: str) -> bool:
        """Whether ``text`` has the shape of a message id."""
        return _MESSAGE_ID.fullmatch(text) is not None

    def short_id(self) -> str:
        """A new id for lists and logs that opens nothing, 16 hex digits."""
        return self._token_bytes(8).hex()

    def user_agent_id(self) -> str:
        """A new autopush UAID: 32 hex digits."""
        return self._token_bytes(16).hex()

    def device(self) -> tuple[int, int]:
        """New credentials for Chromium: (android_id, security_token), both non-zero and below 2**63."""
        android_id = int.from_bytes(self._token_bytes(8)) >> 1 | 1
        return android_id, self.security_token(android_id)

    def security_token(self, android_id: int) -> int:
        """The security token that belongs to an android_id; derived, so that check-ins need no memory."""
        return int.from_bytes(self._mac(b"device", str(android_id).encode())[:8]) >> 1 | 1

    def is_device(self, android_id: str, security_token: str) -> bool:
        """Whether the pair, as decimal text, was issued here."""
        if not (_is_decimal(android_id) and _is_decimal(security_token)):
            return False
        expected = str(self.security_token(int(android_id)))
        return hmac.compare_digest(expected.encode(), security_token.encode())


def _wns_text(data: bytes) -> str:
    """Standard base64 with padding, percent-encoded in small letters, as WNS does it."""
    text = base64.b64encode(data).decode("ascii")
    return _WNS_MARK + "".join(_PERCENT.get(character, character) for character in text)


def _is_decimal(text: str) -> bool:
    return 0 < len(text) <= 20 and text.isascii() and text.isdigit()
