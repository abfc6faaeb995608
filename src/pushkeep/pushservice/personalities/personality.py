"""What makes one vendor's push service different from another's, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pushkeep.errors import InvalidInput
from pushkeep.protocol.request import ReceivedPush
from pushkeep.protocol.vapid import Claims
from pushkeep.protocol.vendors import VENDORS
from pushkeep.pushservice.http.message import Request, Response
from pushkeep.pushservice.personalities.refusal import Refusal

BODY_ENCODINGS = frozenset({"aes128gcm", "aesgcm"})
_DAY_SECONDS = 86_400
_TTL_SECONDS_MAX = 30 * _DAY_SECONDS  # where a vendor documents none; Mozilla and Apple keep messages as long
_NO_TRACE = "A" * 22
_BY_STATUS = {
    401: Refusal.BAD_SIGNATURE,
    403: Refusal.BAD_SIGNATURE,
    404: Refusal.UNKNOWN_ENDPOINT,
    405: Refusal.METHOD,
    406: Refusal.THROTTLED,
    410: Refusal.GONE,
    413: Refusal.TOO_LARGE,
    429: Refusal.THROTTLED,
    503: Refusal.OVERLOADED,
    507: Refusal.NO_SUBSCRIBER,
}


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a real service does only at times, off unless asked for.

    Attributes:
        fcm_settling_seconds: a subscription at FCM younger than this answers 410; senders have seen it of
            subscriptions made seconds before.
        ntfy: UnifiedPush answers as ntfy does: 200 with JSON, and 507 while no subscriber is connected.
        wns_http1_only: WNS does not offer HTTP/2; whether the real one does is not documented.
        wns_status: WNS's status of success: 201 for Web Push, as senders report, or 200 as documented.
    """

    fcm_settling_seconds: float = 0.0
    ntfy: bool = False
    wns_http1_only: bool = False
    wns_status: int = 201

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Quirks:
        """Read quirks as the command line has them: ``ntfy``, ``wns-http1-only``, ``fcm-settling-seconds=3``, ….

        Raises:
            InvalidInput: another name, or a value that does not go with it.
        """
        found: dict[str, float | bool | int] = {}
        for text in texts:
            name, equals, value = text.partition("=")
            match name, bool(equals):
                case "ntfy" | "wns-http1-only", False:
                    found[name.replace("-", "_")] = True
                case "wns-status", True if value in ("200", "201"):
                    found["wns_status"] = int(value)
                case "fcm-settling-seconds", True if value.isascii() and value.isdigit() and len(value) < 6:
                    found["fcm_settling_seconds"] = float(value)
                case _:
                    raise InvalidInput(
                        f"{text[:40]!r} is no quirk: there are ntfy, wns-http1-only, wns-status=200 or 201, and "
                        "fcm-settling-seconds=N.",
                        field="quirk",
                    )
        return cls(**found)  # type: ignore[arg-type] # each name has its own type above


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was accepted, for its answer.

    Attributes:
        location: URL of the message resource.
        message_id: its end.
        ttl: seconds granted.
        topic: of the endpoint, for services that name it in their answer: an id that opens nothing.
        at: epoch seconds.
    """

    location: str
    message_id: str
    ttl: int
    topic: str
    at: float


def _no_objection(*_: object) -> Refusal | None:
    return None


@dataclass(frozen=True, slots=True)
class Personality:
    """One vendor's manners.

    Attributes:
        vendor: the name of its row in the vendor table.
        refusals: the answer to a refusal, given it and a trace id of 22 base64url characters.
        accept: the answer to a message that was taken.
        body_bytes_max: a larger body is answered with ``TOO_LARGE``.
        ttl_seconds_max: a larger TTL is cut to this.
        encodings: content encodings it takes.
        needs_token: whether a subscription bound to a key is refused without a VAPID token.
        keeps_one: whether only the newest undelivered message of a subscription is kept.
        is_lenient: whether headers that RFC 8030 would have refused are ignored, and the body is passed on as it is.
        needs_listener: whether a message for a client that is not connected is refused.
        check_head: an objection to the request before its token is looked at.
        check_claims: an objection to a token that holds otherwise.
        check_push: an objection to headers that are each right.
    """

    vendor: str
    refusals: Callable[[Refusal, str], Response]
    accept: Callable[[Taken], Response]
    body_bytes_max: int
    ttl_seconds_max: int
    encodings: frozenset[str] = BODY_ENCODINGS
    needs_token: bool = True
    keeps_one: bool = False
    is_lenient: bool = False
    needs_listener: bool = False
    check_head: Callable[[Request], Refusal | None] = _no_objection
    check_claims: Callable[[Claims], Refusal | None] = _no_objection
    check_push: Callable[[Request, ReceivedPush], Refusal | None] = _no_objection

    def refuse(self, refusal: Refusal, trace: str = _NO_TRACE) -> Response:
        """The answer to a refusal; ``trace`` is what names it in vendors' headers, 22 base64url characters."""
        return self.refusals(refusal, trace)

    def fail(self, status: int, *, retry_after: str | None = None, trace: str = _NO_TRACE) -> Response:
        """An answer with this status in the vendor's words, for faults made on purpose.

        Args:
            status: any; where the vendor has no words of its own for it, those of the nearest kind.
            retry_after: value of ``Retry-After``; None leaves what the vendor sends with this status.
            trace: as for :meth:`refuse`.
        """
        kind = Refusal.BAD_BODY if status < 500 else Refusal.FAILED
        answer = self.refuse(_BY_STATUS.get(status, kind), trace)
        if status != answer.status:
            answer = _with_status(answer, status)
        if retry_after is None:
            return answer
        kept = tuple(field for field in answer.headers if field[0] != "retry-after")
        return replace(answer, headers=(*kept, ("retry-after", retry_after)))


def _with_status(answer: Response, status: int) -> Response:
    """Another status; a JSON body that repeats the old one is brought into step."""
    body = answer.body.replace(b'"code":%d,' % answer.status, b'"code":%d,' % status)
    return replace(answer, status=status, body=body)


def limits(vendor: str) -> tuple[int, int]:
    """``body_bytes_max`` and ``ttl_seconds_max`` of the vendor table's row."""
    row = VENDORS[vendor]
    return row.body_bytes_max, row.ttl_seconds_max or _TTL_SECONDS_MAX
