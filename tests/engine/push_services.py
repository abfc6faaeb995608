"""Played push services with a record of their own: who posted what, when, and what was answered.

They stand outside every process: what was posted arrives although its sender has died, and answers are sent to nobody.
Messages are really encrypted, and read here with the key of the browsers, which all share one.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vapid import parse_authorization
from tests.engine.virtual_time import Process, VirtualLoop
from tests.store.doubles import SeededEntropy

BROWSER_KEY = SeededEntropy(10).ephemeral_key()
BROWSER = SigningKey(BROWSER_KEY)
AUTH = b"a" * 16
FOREIGN = SigningKey(SeededEntropy(11).ephemeral_key()).public_bytes
"""The public half of a signing key that is not ours."""

FCM = "https://fcm.googleapis.com"
MOZILLA = "https://updates.push.services.mozilla.com"
APPLE = "https://web.push.apple.com"
WNS = "https://db5p.notify.windows.com"
KNOWN = (FCM, MOZILLA, APPLE, WNS)
STRANGERS = tuple(f"https://push{number}.example.net" for number in range(4))

HANG_SECONDS = 30.0
"""When the transport gives up on an answer."""


def subscription_at(origin: str, name: str) -> Subscription:
    """A browser's subscription at a played push service."""
    return Subscription(Endpoint.parse(f"{origin}/push/{name}"), BROWSER.public_bytes, AUTH)


@dataclass(frozen=True)
class Manner:
    """How a push service treats its requests.

    Attributes:
        kind: ``accept``; ``throttle`` (429 with ``retry_after``); ``fail`` (503, maybe with ``retry_after``);
            ``hang`` (takes nothing and does not answer); ``reset`` (takes nothing, cuts the connection); ``lose``
            (takes the message, then cuts the connection); ``refuse_token`` (403); ``gone`` (410); ``refuse`` (400);
            ``doubt`` (403 with FCM's words about an endpoint that may be invalid).
        share: of the requests; the others are accepted.
        retry_after: seconds.
        seconds: the least and the longest until the answer.
    """

    kind: str = "accept"
    share: float = 1.0
    retry_after: int | None = None
    seconds: tuple[float, float] = (0.02, 0.08)


@dataclass
class Posted:
    """One request, as the push service remembers it.

    Attributes:
        number: in the order of arrival.
        at: when it was started.
        process: whose it was.
        origin, name: of the endpoint.
        ttl: the header.
        topic: the header, or None.
        key: the public half of the key it is signed with.
        body: encrypted.
        kind: of the manner that it met.
        took: whether the push service keeps the message for the browser.
        retry_after: what was asked for.
        heard_at: when its sender got the answer; None where it never did.
    """

    number: int
    at: float
    process: Process
    origin: str
    name: str
    ttl: int
    topic: str | None
    key: bytes = field(repr=False)
    body: bytes = field(repr=False)
    kind: str = "accept"
    took: bool = False
    retry_after: int | None = None
    heard_at: float | None = None

    @cached_property
    def notification_id(self) -> str:
        """Which notification it carries, by its payload."""
        plain = open_sealed(self.body, ua_private=BROWSER_KEY, auth=AUTH)
        return str(json.loads(plain)["pushkeep"]["id"])


class PushServices:
    """Every push service there is.

    Args:
        loop: whose time it is.
        chance: draws shares and how long an answer takes.

    Attributes:
        record: everything that was ever posted.
        manners: by origin; accepting, where there is none.
        ended: names of endpoints whose subscription has ended here: 410.
        keys: by the endpoint's name the public half of the key that its subscription was really made with.
        watchers: called with each request when it is started.
    """

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance
        self._outside = contextvars.Context()
        self.record: list[Posted] = []
        self.manners: dict[str, Manner] = {}
        self.ended: set[str] = set()
        self.keys: dict[str, bytes] = {}
        self.watchers: list[Callable[[Posted], None]] = []

    def receive(self, process: Process, request: PushRequest, done: Callable[[Answer], None]) -> asyncio.Handle:
        """Take a request of a process; ``done`` is called in it with the answer, if it lives."""
        headers = {name.lower(): value for name, value in request.headers}
        posted = Posted(
            number=len(self.record),
            at=self._loop.time(),
            process=process,
            origin=request.endpoint.origin,
            name=request.endpoint.url.rsplit("/", 1)[1],
            ttl=int(headers["ttl"]),
            topic=headers.get("topic"),
            key=parse_authorization(headers["authorization"])[1],
            body=request.body,
        )
        manner = self.manners.get(posted.origin, Manner())
        met = manner if self._chance.random() < manner.share else Manner(seconds=manner.seconds)
        if self.keys.get(posted.name, posted.key) != posted.key and met.kind in ("accept", "lose"):
            met = Manner("mismatch", seconds=manner.seconds)
        elif posted.name in self.ended and met.kind in ("accept", "lose"):
            met = Manner("gone", seconds=manner.seconds)
        answer, seconds = self._answer(met)
        posted.kind = met.kind
        posted.retry_after = met.retry_after if met.kind in ("throttle", "fail") else None
        posted.took = met.kind in ("accept", "lose")
        self.record.append(posted)
        try:
            for watcher in self.watchers:
                watcher(posted)
        except Exception as error:  # not to be caught by who posts
            self._loop.errors.append({"message": "a watcher failed", "exception": error})

        def hand_over() -> None:
            posted.heard_at = self._loop.time()
            done(answer)

        def arrive() -> None:
            if not given_up.cancelled():
                process.call_soon(hand_over)

        given_up: asyncio.Handle = self._loop.call_later(seconds, arrive, context=self._outside)
        return given_up

    def _answer(self, manner: Manner) -> tuple[Answer, float]:
        seconds = self._chance.uniform(*manner.seconds)
        headers: Mapping[str, str] = {} if manner.retry_after is None else {"retry-after": str(manner.retry_after)}
        match manner.kind:
            case "accept":
                return PushResponse(201, {"location": "https://push.example/m/1"}), seconds
            case "throttle":
                return PushResponse(429, headers), seconds
            case "fail":
                return PushResponse(503, headers), seconds
            case "refuse_token":
                return PushResponse(403, {}), seconds
            case "refuse":
                return PushResponse(400, {}), seconds
            case "doubt":
                return PushResponse(403, {}, b"invalid push subscription endpoint."), seconds
            case "mismatch":
                return PushResponse(401, {}, b"VAPID public key mismatch"), seconds
            case "gone":
                return PushResponse(410, {}), seconds
            case "hang":
                return TransportFailure("timeout", "no answer within 30 s", request_sent=True), HANG_SECONDS
            case "reset" | "lose":
                return TransportFailure("reset", "the connection was cut", request_sent=True), seconds
        raise ValueError(manner.kind)


class PlayedTransport:
    """The transport port of one process."""

    def __init__(self, services: PushServices, process: Process) -> None:
        self._services = services
        self._process = process

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> asyncio.Handle:
        if self._process.buried:
            raise RuntimeError("the transport of a dead process")
        return self._services.receive(self._process, request, done)

    async def post(self, request: PushRequest) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        handle = self.start(request, lambda answer: answered.done() or answered.set_result(answer))
        try:
            return await answered
        finally:
            handle.cancel()

    async def aclose(self) -> None:
        return None
