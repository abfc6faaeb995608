"""The local push service without its sockets, in virtual time: its state is what decides which subscriptions live."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.request import PushRequest
from pushkeep.pushservice.core import Client, Core, Subscription
from pushkeep.pushservice.events import EventLog
from pushkeep.pushservice.faults import Faults
from pushkeep.pushservice.faults.application import FaultLayer
from pushkeep.pushservice.http.message import Manner, Request
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.limits import Limits
from pushkeep.pushservice.personalities.routes import endpoint, token_of
from pushkeep.pushservice.resources import Resources
from pushkeep.pushservice.tokens import Tokens
from tests.engine.virtual_time import VirtualClock, VirtualLoop

VENDORS = {"firefox": "mozilla", "chromium": "fcm"}
MOZILLA = "https://updates.push.services.mozilla.com"
ANSWER_SECONDS = (0.02, 0.08)
HANG_SECONDS = 30.0

_KEYS = tuple(ec.derive_private_key(number, ec.SECP256R1()) for number in range(2001, 2033))
"""Made once: nobody here reads in between."""


@dataclass
class Arrival:
    """A message on its way into a browser, opened with the browser's key."""

    profile: str
    endpoint: str
    text: str


@dataclass
class _Line:
    """A browser's connection to its push service."""

    via: str
    wake_up: Callable[[], None]

    def wake(self) -> None:
        self.wake_up()

    async def close(self, code: int | None) -> None:
        return None


@dataclass
class Mailbox:
    """A subscription as its browser has it."""

    subscription: Subscription
    private: ec.EllipticCurvePrivateKey
    auth: bytes


@dataclass
class Service:
    """Every push service there is.

    Attributes:
        arrivals: what has reached a browser and is not handed to it yet.
        mailboxes: by endpoint, ended ones too.
        posted: endpoint and status of every request, in order.
    """

    loop: VirtualLoop
    chance: random.Random
    arrivals: list[Arrival] = field(default_factory=list)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    posted: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock, limits = VirtualClock(self.loop), Limits()
        core = Core(Tokens(self.chance.randbytes(32), self.chance.randbytes), limits)
        self.faults = Faults(seed=self.chance.randrange(2**32), now=clock.now, counters_max=1000)
        self.hub = Hub(core, EventLog(now=clock.now, kept=0), now=clock.now, limits=limits)
        resources = Resources(self.hub, lambda: frozenset({MOZILLA}))
        layer = FaultLayer(self.faults, self.hub, resources.handle, resources.route, resources.personalities)
        self.answer = layer.handle
        self._clients: dict[str, Client] = {}
        self._names: dict[str, str] = {}
        self._channels = 0

    # --- browsers -------------------------------------------------------------------------------------------------

    def client(self, profile: str, kind: str) -> Client:
        """Who a browser is here; somebody new once the service has forgotten it."""
        known = self._clients.get(profile)
        if known is None or self.hub.core.clients.get(known.id) is not known:
            known = self.hub.core.client(self.chance.randbytes(8).hex(), kind, self.hub.now())
            self._clients[profile], self._names[known.id] = known, profile
            self.connect(profile)
        return known

    def connect(self, profile: str) -> None:
        """The browser is reachable; what waits for it arrives."""
        client = self._clients.get(profile)
        if client is None or client.id in self.hub.links:
            return
        line = _Line("played", lambda: None)

        def flow() -> None:
            for message in self.hub.take(client, line):
                self.hub.written(message)
                self._arrive(profile, message.subscription, message.draft.body)
                self.hub.acknowledge(client, message.id, code=None)

        line.wake_up = flow
        self.hub.attach(client, line)

    def disconnect(self, profile: str) -> None:
        """The browser is offline for its push service; messages wait."""
        client = self._clients.get(profile)
        if client is not None and client.id in self.hub.links:
            self.hub.detach(client, self.hub.links[client.id])

    def subscribe(self, profile: str, kind: str, key: str) -> dict[str, str]:
        """A new subscription for a browser: endpoint and keys, in base64url."""
        self._channels += 1
        public = b64_decode(key, field="key", length=65)
        made = self.hub.subscribe(
            self.client(profile, kind), vendor=VENDORS[kind], channel=f"channel{self._channels}", key=public
        )
        url = endpoint(made.vendor, made.token, restricted=True, own_origin=MOZILLA, unifiedpush_origin=MOZILLA)
        box = Mailbox(made, self.chance.choice(_KEYS), self.chance.randbytes(16))
        self.mailboxes[url] = box
        point = encode_point(box.private.public_key())
        return {"endpoint": url, "p256dh": b64url_encode(point), "auth": b64url_encode(box.auth)}

    def end(self, url: str) -> None:
        """A browser gives a subscription up."""
        if self.lives(url):
            self.hub.end(self.mailboxes[url].subscription, "unsubscribed")

    def forget(self, profile: str) -> list[str]:
        """The service forgets a browser; the endpoints that ended with it."""
        client = self._clients.get(profile)
        if client is None or self.hub.core.clients.get(client.id) is not client:
            return []
        ended = [url for url, box in self.mailboxes.items() if box.subscription.client is client and self.lives(url)]
        self.hub.forget(client)
        return ended

    def lives(self, url: str) -> bool:
        """Whether the service still takes messages for an endpoint."""
        return self.hub.core.find(token_of(url)) is not None

    def key_of(self, url: str) -> bytes | None:
        """The application server key an endpoint is bound to."""
        return self.mailboxes[url].subscription.key

    def take_arrivals(self) -> Iterator[Arrival]:
        """What has reached browsers since."""
        while self.arrivals:
            yield self.arrivals.pop(0)

    def _arrive(self, profile: str, subscription: Subscription, body: bytes) -> None:
        url, box = next((url, box) for url, box in self.mailboxes.items() if box.subscription is subscription)
        text = open_sealed(body, ua_private=box.private, auth=box.auth).decode()
        self.arrivals.append(Arrival(profile, url, text))


class ServiceTransport:
    """The transport port, into that service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> asyncio.Task[None]:
        async def go() -> None:
            done(await self.post(request))

        task = asyncio.get_running_loop().create_task(go())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def post(self, request: PushRequest) -> Answer:
        service = self._service
        url = request.endpoint.url
        host, _, target = url.removeprefix("https://").partition("/")
        headers = (("host", host), *((name.lower(), value) for name, value in request.headers))
        whole = Request("POST", "https", host, f"/{target}", headers, request.body, len(request.body), "2")
        response = await service.answer(whole)
        service.posted.append((url, response.status if response.manner is None else 0))
        if response.manner is Manner.HANG:
            await asyncio.sleep(HANG_SECONDS)
            return TransportFailure("timeout", "no answer within 30 s", request_sent=True)
        await asyncio.sleep(service.chance.uniform(*ANSWER_SECONDS))
        if response.manner is not None:
            return TransportFailure("reset", "the connection was cut", request_sent=True)
        return PushResponse(response.status, dict(response.headers), response.body)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
