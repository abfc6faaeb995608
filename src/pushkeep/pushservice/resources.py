"""The HTTP resources of RFC 8030: push resources, and the messages they make.

The checks run in the order of Mozilla's service, for every vendor: token, VAPID, key binding, subscription,
headers, size. So a 401 can hide a dead subscription, as it does there. What a vendor looks at besides, or does not
look at, stands in its personality.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from pushkeep.errors import InvalidToken, RateLimited, Undecryptable
from pushkeep.protocol.aesgcm import header_parameters
from pushkeep.protocol.request import ReceivedPush, RequestProblem, parse_request
from pushkeep.protocol.vapid import TOKEN_LIFETIME_SECONDS_MAX, Claims, parse_authorization, verify
from pushkeep.pushservice.core import Draft, Subscription
from pushkeep.pushservice.events import Refused
from pushkeep.pushservice.http.message import Request, Response, json_response, text_response
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.personalities import Personality, Quirks, Refusal, Taken, personalities
from pushkeep.pushservice.personalities.mozilla import ANDROID_BODY_BYTES_MAX, ANDROID_TTL_SECONDS
from pushkeep.pushservice.personalities.routes import Route, find_route
from pushkeep.pushservice.personalities.strict import StrictService, refusal
from pushkeep.pushservice.personalities.strict_facts import Facts
from pushkeep.pushservice.personalities.strict_rules import Rule
from pushkeep.pushservice.personalities.unifiedpush import TTL_SECONDS_DEFAULT, discovery
from pushkeep.pushservice.subscriber import LocalSubscriber

ANDROID = "android"
"""``Subscription.app`` of one that Mozilla reaches through Google's service for Android."""

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
    """Ends the checks with a refusal; ``rule`` where it is the strict service's and not the vendor's."""

    def __init__(self, refusal: Refusal, subscription: Subscription | None = None, *, rule: Rule | None = None) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.subscription = subscription
        self.rule = rule


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
        # Only expiry changes with time; that it is not too far ahead, where a fault puts the clock back.
        if known is not None and now < known.expires_at <= now + TOKEN_LIFETIME_SECONDS_MAX:
            self._claims.move_to_end((header, audience))
            return known
        claims = self._claims[header, audience] = verify(header, audience=audience, now=now)
        if len(self._claims) > self._entries_max:
            self._claims.popitem(last=False)
        return claims


class Resources:
    """Routes and checks requests to push and message resources.

    Args:
        own_origins: origins of this service itself, given late because the port is known only once it listens.
        quirks: what the personalities do besides.
        strict: judges requests besides; None for what real services do.

    Attributes:
        personalities: by vendor name.
    """

    def __init__(
        self,
        hub: Hub,
        own_origins: Callable[[], frozenset[str]],
        *,
        quirks: Quirks | None = None,
        strict: StrictService | None = None,
    ) -> None:
        self._hub = hub
        self._own_origins = own_origins
        self._verified = VerifiedTokens()
        self._quirks = quirks or Quirks()
        self._strict = strict
        self.personalities = personalities(self._quirks)
        self._readers: WeakValueDictionary[str, LocalSubscriber] = WeakValueDictionary()

    def know(self, subscriber: LocalSubscriber) -> None:
        """Let the strict service look into what is sent to this one; it is forgotten with its last user."""
        if self._strict is not None:
            self._readers[subscriber.subscription_id] = subscriber

    def route(self, request: Request) -> Route | None:
        """Where a request leads; None if its host is not one of ours."""
        if request.scheme != "https":
            return None
        return find_route(request.authority, request.target, self._own_origins())

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        route = self.route(request)
        if route is None:
            return text_response(421, "This service does not answer for the host in the request.\n")
        if route.message_id is not None:
            return self._message(request, route.message_id)
        return self._push(request, self.personalities[route.vendor], route)

    def _message(self, request: Request, message_id: str) -> Response:
        if request.method != "DELETE":
            return text_response(405, "A message resource takes DELETE.\n", {"allow": "DELETE"})
        if not self._hub.core.tokens.is_message_id(message_id):
            return json_response(400, {"code": 400, "errno": None, "message": "Invalid message ID"})
        self._hub.withdraw(message_id)
        return Response(204)  # also when it is gone already, as Mozilla answers

    def _push(self, request: Request, personality: Personality, route: Route) -> Response:
        if request.method == "GET" and route.vendor == "unifiedpush":
            return discovery()
        try:
            subscription, draft = self._check(request, personality, route)
            try:
                message = self._hub.submit(subscription, draft)
            except RateLimited:
                raise _RefusedError(Refusal.OVERLOADED, subscription) from None
        except _RefusedError as refused:
            if refused.rule is not None:
                response = refusal(refused.rule)
            else:
                response = personality.refuse(refused.refusal, self._hub.core.tokens.message_id())
            self._hub.events.announce(
                Refused(
                    status=response.status,
                    reason=refused.refusal.value,
                    vendor=personality.vendor,
                    subscription_id=refused.subscription.id if refused.subscription else None,
                    rule=refused.rule.name if refused.rule else None,
                )
            )
            return response
        location = f"{route.origin}/m/{message.id}"
        return personality.accept(Taken(location, message.id, draft.ttl, subscription.id, message.received_at))

    def _check(self, request: Request, personality: Personality, route: Route) -> tuple[Subscription, Draft]:
        if route.token is None:
            raise _RefusedError(Refusal.UNKNOWN_ENDPOINT)
        if request.method != "POST":
            raise _RefusedError(Refusal.METHOD)
        if route.is_missing_query:
            raise _RefusedError(Refusal.MISSING_QUERY)
        claims = self._hub.core.tokens.open_endpoint_token(personality.vendor, route.token)
        restricted = claims is not None and claims.key_hash is not None
        if claims is None or route.version not in (None, "v2" if restricted else "v1"):
            raise _RefusedError(Refusal.UNKNOWN_ENDPOINT)
        subscription = self._hub.core.find(route.token)
        strict, facts = self._strict, Facts(request, route, self._hub.now())
        if strict is not None:
            _object_strictly(strict.objection(facts), subscription)
        _object(personality.check_head(request), subscription)
        self._authorize(request, personality, route.origin, claims.key_hash, subscription)
        if subscription is None or self._is_settling(subscription):
            raise _RefusedError(Refusal.GONE, subscription)
        if personality.needs_listener and not self._hub.is_online(subscription.client):
            raise _RefusedError(Refusal.NO_SUBSCRIBER, subscription)
        draft = _read_message(request, personality, subscription)
        if strict is not None:
            _object_strictly(self._objection_to_payload(strict, subscription, draft), subscription)
            _object_strictly(strict.objection_to_repetition(facts), subscription)
        return subscription, draft

    def _objection_to_payload(self, strict: StrictService, subscription: Subscription, draft: Draft) -> Rule | None:
        reader = self._readers.get(subscription.id)
        if reader is None:
            return None
        try:
            plaintext = reader.open(
                draft.body, encoding=draft.encoding, encryption=draft.encryption, crypto_key=draft.crypto_key
            )
        except Undecryptable:
            return None  # which is for the subscriber to say, as it is for a browser
        return None if plaintext is None else strict.objection_to_payload(subscription.vendor, plaintext)

    def _is_settling(self, subscription: Subscription) -> bool:
        """Whether this is one of FCM's fresh subscriptions that it does not know everywhere yet."""
        seconds = self._quirks.fcm_settling_seconds
        return subscription.vendor == "fcm" and self._hub.now() < subscription.created_at + seconds

    def _authorize(
        self,
        request: Request,
        personality: Personality,
        origin: str,
        key_hash: bytes | None,
        subscription: Subscription | None,
    ) -> None:
        header = _authorization(request)
        if header is None:
            if key_hash is None or not personality.needs_token:
                return  # unrestricted: RFC 8292 section 4.2 asks for a token on restricted ones only
            raise _RefusedError(Refusal.MISSING_TOKEN, subscription)
        try:
            claims = self._verified.verify(header, audience=origin, now=self._hub.now())
        except InvalidToken as error:
            raise _RefusedError(_reason(error, header), subscription) from None
        _object(personality.check_claims(claims), subscription)
        signer = hashlib.sha256(claims.public_bytes).digest()
        if key_hash is not None and not hmac.compare_digest(signer, key_hash):
            raise _RefusedError(Refusal.KEY_MISMATCH, subscription)


def _object(objection: Refusal | None, subscription: Subscription | None) -> None:
    if objection is not None:
        raise _RefusedError(objection, subscription)


def _object_strictly(rule: Rule | None, subscription: Subscription | None) -> None:
    if rule is not None:
        raise _RefusedError(Refusal.STRICT, subscription, rule=rule)


def _reason(error: InvalidToken, header: str) -> Refusal:
    """The refusal of a token; a header that holds none at all is a kind of its own."""
    if error.reason == "malformed":
        try:
            parse_authorization(header)
        except InvalidToken:
            return Refusal.MALFORMED_HEADER
    return _REASONS[error.reason]


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
    return next(filter(None, header_parameters(header or "", name)), None)


def _read_message(request: Request, personality: Personality, subscription: Subscription) -> Draft:
    if personality.is_lenient:
        return _read_leniently(request, personality, subscription)
    try:
        push = parse_request(request.headers, request.body)
    except RequestProblem as problem:
        raise _RefusedError(_PROBLEMS[problem.problem], subscription) from None
    if push.encoding is not None and push.encoding not in personality.encodings:
        raise _RefusedError(Refusal.BAD_ENCODING, subscription)
    is_android = subscription.app == ANDROID
    if request.body_bytes > (ANDROID_BODY_BYTES_MAX if is_android else personality.body_bytes_max):
        raise _RefusedError(Refusal.TOO_LARGE, subscription)
    if push.encoding == "aes128gcm" and not has_aes128gcm_shape(push.body):
        raise _RefusedError(Refusal.BAD_BODY, subscription)
    legacy = push.encoding == "aesgcm"
    if legacy and not _has_legacy_headers(push):
        raise _RefusedError(Refusal.BAD_ENCODING, subscription)
    _object(personality.check_push(request, push), subscription)
    ttl = min(push.ttl, personality.ttl_seconds_max)
    return Draft(
        body=push.body,
        ttl=min(max(ttl, ANDROID_TTL_SECONDS[0]), ANDROID_TTL_SECONDS[1]) if is_android else ttl,
        urgency=push.urgency.value,
        topic=push.topic,
        encoding=push.encoding,
        crypto_key=push.crypto_key if legacy else None,
        encryption=push.encryption if legacy else None,
        keeps_one=personality.keeps_one,
    )


def _read_leniently(request: Request, personality: Personality, subscription: Subscription) -> Draft:
    """Only the size is looked at; a header that is wrong counts as absent."""
    if request.body_bytes > personality.body_bytes_max:
        raise _RefusedError(Refusal.TOO_LARGE, subscription)
    if not request.body:
        raise _RefusedError(Refusal.BAD_BODY, subscription)
    default = ("ttl", str(TTL_SECONDS_DEFAULT))
    headers = [field for field in request.headers if field[0] in ("ttl", "urgency", "topic")]
    while True:
        try:
            push = parse_request(headers, b"")
            break
        except RequestProblem as problem:
            name = str(problem.field).lower()
            headers = [field for field in headers if field[0] != name] + ([default] if name == "ttl" else [])
    return Draft(
        body=request.body,
        ttl=min(push.ttl, personality.ttl_seconds_max),
        urgency=push.urgency.value,
        topic=push.topic,
        encoding="aes128gcm",
    )


def _has_legacy_headers(push: ReceivedPush) -> bool:
    """Salt and sender key are there, and both headers are short enough to be kept with the message."""
    given = len(push.encryption or "") + len(push.crypto_key or "")
    return given <= _LEGACY_CHARACTERS_MAX and bool(
        _parameter(push.encryption, "salt") and _parameter(push.crypto_key, "dh")
    )


def has_aes128gcm_shape(body: bytes) -> bool:
    """Salt, record size of at least 18, a key id of 65 octets that is an uncompressed point (RFC 8291 section 4)."""
    return int.from_bytes(body[16:20]) >= 18 and body[20] == 65 and body[21] == 4
