"""The HTTP resources of RFC 8030: push resources, and the messages they make.

The checks run in the order of Mozilla's service, for every vendor: token, VAPID, key binding, subscription,
headers, size. So a 401 can hide a dead subscription, as it does there.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable

from pushkeep.errors import InvalidToken, RateLimited
from pushkeep.protocol.request import RequestProblem, parse_request
from pushkeep.protocol.vapid import Claims, verify
from pushkeep.pushservice.core import Draft, Subscription
from pushkeep.pushservice.events import Refused
from pushkeep.pushservice.http.message import Request, Response, json_response, text_response
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.personalities import PERSONALITIES, Personality, Refusal

GOOGLE_HOSTS = ("jmt17.google.com", "fcm.googleapis.com", "fcm.google.com")
"""Hosts compiled into Chromium builds; the first is that of unbranded ones such as Debian's."""

_MOZILLA_PATH = re.compile(r"/wpush/(v1|v2)/([^/?]+)")
_FCM_PATH = re.compile(r"/(?:fcm/send|wp|preprod/wp)/([^/?]+)")
_MESSAGE_PATH = re.compile(r"/m/([^/?]+)")
_LEGACY_CHARACTERS_MAX = 1_024  # Encryption and Crypto-Key have about 250 together, and are kept with the message
_REASONS = {
    "malformed": Refusal.MALFORMED_TOKEN,
    "bad_key": Refusal.BAD_KEY,
    "bad_signature": Refusal.BAD_SIGNATURE,
    "wrong_audience": Refusal.WRONG_AUDIENCE,
    "expired": Refusal.EXPIRED_TOKEN,
    "expires_too_late": Refusal.EXPIRES_TOO_LATE,
}
_PROBLEMS = {
    "missing_ttl": Refusal.MISSING_TTL,
    "bad_ttl": Refusal.BAD_TTL,
    "negative_ttl": Refusal.NEGATIVE_TTL,
    "bad_urgency": Refusal.BAD_URGENCY,
    "bad_topic": Refusal.BAD_TOPIC,
    "bad_encoding": Refusal.BAD_ENCODING,
    "legacy_headers": Refusal.LEGACY_HEADERS,
    "body_too_short": Refusal.BAD_BODY,
}


class _RefusedError(Exception):
    """Ends the checks with a refusal."""

    def __init__(self, refusal: Refusal, subscription: Subscription | None = None) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.subscription = subscription


class VerifiedTokens:
    """Remembers tokens whose signature held, as RFC 8292 section 5 foresees: senders use one for hours.

    Only good ones are kept, so a stranger cannot fill it; the audience is part of the key.
    """

    def __init__(self, entries_max: int = 1_000) -> None:
        self._entries_max = entries_max
        self._claims: OrderedDict[tuple[str, str], Claims] = OrderedDict()

    def verify(self, header: str, *, audience: str, now: float) -> Claims:
        """As :func:`pushkeep.protocol.vapid.verify`, raising the same."""
        known = self._claims.get((header, audience))
        # Only expiry can change with time; a token that was not too far ahead once never will be.
        if known is not None and now < known.expires_at:
            self._claims.move_to_end((header, audience))
            return known
        claims = self._claims[header, audience] = verify(header, audience=audience, now=now)
        if len(self._claims) > self._entries_max:
            self._claims.popitem(last=False)
        return claims


class Resources:
    """Routes and checks requests to push and message resources.

    Args:
        own_origins: origins of this service by which it may be addressed as Mozilla's, given late because the
            port is known only once it listens.
    """

    def __init__(self, hub: Hub, own_origins: Callable[[], frozenset[str]]) -> None:
        self._hub = hub
        self._own_origins = own_origins
        self._verified = VerifiedTokens()
        self._google_origins = {f"https://{host}" for host in GOOGLE_HOSTS}

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        origin = f"{request.scheme}://{request.authority.lower().removesuffix(':443')}"
        if origin in self._google_origins:
            vendor, match = "fcm", _FCM_PATH.fullmatch(request.path)
        elif origin in self._own_origins():
            vendor, match = "mozilla", _MOZILLA_PATH.fullmatch(request.path)
        else:
            return text_response(421, "This service does not answer for the host in the request.\n")
        message = _MESSAGE_PATH.fullmatch(request.path)
        if message is not None:
            return self._message(request, message.group(1))
        if match is None:
            return PERSONALITIES[vendor].refuse(Refusal.UNKNOWN_ENDPOINT)
        if request.method != "POST":
            return text_response(405, "A push resource takes POST.\n", {"allow": "POST"})
        return self._push(request, PERSONALITIES[vendor], origin, match)

    def _message(self, request: Request, message_id: str) -> Response:
        if request.method != "DELETE":
            return text_response(405, "A message resource takes DELETE.\n", {"allow": "DELETE"})
        if not self._hub.core.tokens.is_message_id(message_id):
            return json_response(400, {"code": 400, "errno": None, "message": "Invalid message ID"})
        self._hub.withdraw(message_id)
        return Response(204)  # also when it is gone already, as Mozilla answers

    def _push(self, request: Request, personality: Personality, origin: str, match: re.Match[str]) -> Response:
        try:
            subscription, draft = self._check(request, personality, origin, match)
            try:
                message = self._hub.submit(subscription, draft)
            except RateLimited:
                raise _RefusedError(Refusal.OVERLOADED, subscription) from None
        except _RefusedError as refused:
            response = personality.refuse(refused.refusal)
            self._hub.events.announce(
                Refused(
                    status=response.status,
                    reason=refused.refusal.value,
                    vendor=personality.vendor,
                    subscription_id=refused.subscription.id if refused.subscription else None,
                )
            )
            return response
        return personality.accept(f"{origin}/m/{message.id}", draft.ttl)

    def _check(
        self, request: Request, personality: Personality, origin: str, match: re.Match[str]
    ) -> tuple[Subscription, Draft]:
        token = match.group(match.lastindex or 0)
        claims = self._hub.core.tokens.open_endpoint_token(personality.vendor, token)
        restricted = claims is not None and claims.key_hash is not None
        if claims is None or (personality.vendor == "mozilla" and match.group(1) != ("v2" if restricted else "v1")):
            raise _RefusedError(Refusal.UNKNOWN_ENDPOINT)
        subscription = self._hub.core.subscriptions.get(token)
        self._authorize(request, origin, claims.key_hash, subscription)
        if subscription is None:
            raise _RefusedError(Refusal.GONE)
        return subscription, _read_message(request, personality, subscription)

    def _authorize(
        self, request: Request, origin: str, key_hash: bytes | None, subscription: Subscription | None
    ) -> None:
        header = _authorization(request)
        if header is None:
            if key_hash is None:
                return  # unrestricted: RFC 8292 section 4.2 asks for a token on restricted ones only
            raise _RefusedError(Refusal.MISSING_TOKEN, subscription)
        try:
            claims = self._verified.verify(header, audience=origin, now=self._hub.now())
        except InvalidToken as error:
            raise _RefusedError(_REASONS[error.reason], subscription) from None
        signer = hashlib.sha256(claims.public_bytes).digest()
        if key_hash is not None and not hmac.compare_digest(signer, key_hash):
            raise _RefusedError(Refusal.KEY_MISMATCH, subscription)


def _authorization(request: Request) -> str | None:
    """The VAPID header; the draft-01 form, which goes with aesgcm, is brought into today's."""
    header = request.header("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    key = _parameter(request.header("crypto-key"), "p256ecdsa")
    if scheme.lower() in ("webpush", "bearer") and key is not None:
        return f"vapid t={token.strip()}, k={key}"
    return header


def _parameter(header: str | None, name: str) -> str | None:
    for part in re.split("[;,]", header or ""):
        key, equals, value = part.strip().partition("=")
        if equals and key == name and value:
            return value.strip('"')
    return None


def _read_message(request: Request, personality: Personality, subscription: Subscription) -> Draft:
    try:
        push = parse_request(request.headers, request.body)
    except RequestProblem as problem:
        raise _RefusedError(_PROBLEMS[problem.problem], subscription) from None
    if request.body_bytes > personality.body_bytes_max:
        raise _RefusedError(Refusal.TOO_LARGE, subscription)
    if push.encoding == "aes128gcm" and not _has_aes128gcm_shape(push.body):
        raise _RefusedError(Refusal.BAD_BODY, subscription)
    legacy = push.encoding == "aesgcm"
    given = len(push.encryption or "") + len(push.crypto_key or "")
    if legacy and (
        given > _LEGACY_CHARACTERS_MAX
        or not (_parameter(push.encryption, "salt") and _parameter(push.crypto_key, "dh"))
    ):
        raise _RefusedError(Refusal.BAD_ENCODING, subscription)
    return Draft(
        body=push.body,
        ttl=min(push.ttl, personality.ttl_seconds_max),
        urgency=push.urgency.value,
        topic=push.topic,
        encoding=push.encoding,
        crypto_key=push.crypto_key if legacy else None,
        encryption=push.encryption if legacy else None,
    )


def _has_aes128gcm_shape(body: bytes) -> bool:
    """Salt, record size of at least 18, a key id of 65 octets that is an uncompressed point (RFC 8291 section 4)."""
    return int.from_bytes(body[16:20]) >= 18 and body[20] == 65 and body[21] == 4
