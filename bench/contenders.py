"""What is compared. Each contender is prepared once and then sends a number of messages at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import aiohttp
import pycurl
import pywebpush
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from py_vapid import Vapid02

from bench.sinks import ORIGIN, TARGET, Sinks
from pushkeep import Outcome, PushClient, SigningKey, Subscription
from pushkeep.protocol.ece import OVERHEAD_BYTES
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point

RECIPIENTS = 500
"""Different keys, so that nothing can be remembered from one message to the next."""

PAYLOAD = (
    b'{"web_push":8030,"notification":{"title":"Your order has been sent","navigate":"https://shop.example/o/1",'
    b'"body":"It should arrive on Thursday between 9 and 11.","tag":"order-1"},"mutable":true}'
)
CONCURRENCY = 100
CONTACT = "mailto:bench@example.org"

Run = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Contender:
    """One line of the results.

    Attributes:
        name: the key in the results.
        title: what it is, for people.
        weight: share of the messages it gets; the slow ones get few.
        run: sends so many messages.
        loop: "uvloop" or "asyncio".
    """

    name: str
    title: str
    weight: float
    run: Run
    loop: str = "uvloop"


async def in_parallel(count: int, send: Callable[[int], Awaitable[object]]) -> None:
    """Call ``send`` with 0 to ``count`` - 1, ``CONCURRENCY`` at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await send(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(worker())


class World:
    """Recipients and the signing key."""

    def __init__(self, sinks: Sinks, directory: Path) -> None:
        self.sinks = sinks
        self.key = SigningKey.generate()
        self.key_file = directory / "vapid.pem"
        self.key_file.write_text(self.key.to_pem())
        publics = [encode_point(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(RECIPIENTS)]
        auths = [os.urandom(16) for _ in range(RECIPIENTS)]
        # The same path for all: nghttpd answers with a file. pywebpush has no origin map, so its endpoints name the
        # server itself.
        self.over_http2, self.over_http1 = (
            [
                Subscription(Endpoint.parse(f"{origin}{TARGET}"), public, auth)
                for public, auth in zip(publics, auths, strict=True)
            ]
            for origin in (ORIGIN, f"https://localhost:{sinks.http1}")
        )
        self.as_json = [subscription.to_json() for subscription in self.over_http2]
        self.as_dicts = [subscription.to_dict() for subscription in self.over_http1]

    def client(self) -> PushClient:
        """A client that dials the sink instead of Google: the address check is as active as ever."""
        entry = f"{ORIGIN}=https://127.0.0.1:{self.sinks.http2},ca={self.sinks.ca_file}"
        return PushClient(key=self.key, contact=CONTACT, origin_map=[entry])


def curve(world: World) -> Contender:
    """The floor of encryption: a key pair, the recipient's point, the shared secret, one AES-GCM."""
    publics = [subscription.p256dh for subscription in world.over_http2]

    async def run(count: int) -> None:
        for number in range(count):
            private = ec.generate_private_key(ec.SECP256R1())
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), publics[number % RECIPIENTS])
            secret = private.exchange(ec.ECDH(), public)
            AESGCM(secret[:16]).encrypt(secret[16:28], PAYLOAD, None)

    return Contender("curve", "bare curve work, AES-GCM", 1, run)


@contextlib.asynccontextmanager
async def libcurl(world: World) -> AsyncIterator[Contender]:
    """The floor of HTTP: libcurl with handles used again, a body of the same size and headers made once."""
    body = os.urandom(len(PAYLOAD) + OVERHEAD_BYTES)
    token = "vapid t=" + "x" * 300 + ", k=" + world.key.public_b64
    headers = [
        "TTL: 60",
        f"Authorization: {token}",
        "Content-Encoding: aes128gcm",
        "Content-Type: application/octet-stream",
    ]
    async with pycurl.AsyncCurlMulti() as multi:
        idle: list[pycurl.Curl] = []

        async def send(_number: int) -> None:
            handle = idle.pop() if idle else _bare_handle(world, headers)
            handle.setopt(pycurl.POSTFIELDS, body)
            await multi.perform(handle)
            assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
            idle.append(handle)

        async def run(count: int) -> None:
            await in_parallel(count, send)

        yield Contender("libcurl", "bare libcurl request", 1, run)


def _bare_handle(world: World, headers: list[str]) -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, f"{ORIGIN}{TARGET}")
    handle.setopt(pycurl.CONNECT_TO, [f"::127.0.0.1:{world.sinks.http2}"])
    handle.setopt(pycurl.CAINFO, str(world.sinks.ca_file))
    handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    handle.setopt(pycurl.PIPEWAIT, 1)
    handle.setopt(pycurl.HTTPHEADER, headers)
    handle.setopt(pycurl.WRITEFUNCTION, len)
    return handle


@contextlib.asynccontextmanager
async def pushkeep(world: World, *, loop: str = "uvloop", as_json: bool = False) -> AsyncIterator[Contender]:
    """Our own client, 100 sends at a time."""
    recipients: list[Subscription] | list[str] = world.as_json if as_json else world.over_http2
    async with world.client() as client:

        async def send(number: int) -> None:
            outcome: Outcome = await client.send(recipients[number % RECIPIENTS], PAYLOAD, ttl=60, urgency="high")
            assert outcome.accepted, outcome

        async def run(count: int) -> None:
            await in_parallel(count, send)

        if as_json:
            yield Contender("pushkeep_json", "PushClient.send, from JSON", 1, run)
        elif loop == "uvloop":
            yield Contender("pushkeep", "PushClient.send", 1, run)
        else:
            yield Contender("pushkeep_asyncio", "PushClient.send, asyncio loop", 1, run, loop)


def pywebpush_documented(world: World) -> Contender:
    """pywebpush as its README shows it: one call, one connection, key from a file."""

    async def run(count: int) -> None:
        for whom in islice(_endlessly(world.as_dicts), count):
            response = pywebpush.webpush(
                whom, PAYLOAD, vapid_private_key=str(world.key_file), vapid_claims={"sub": CONTACT}, ttl=60
            )
            assert response.status_code == 201

    return Contender("pywebpush", "pywebpush as documented", 0.02, run)


@contextlib.asynccontextmanager
async def pywebpush_async(world: World) -> AsyncIterator[Contender]:
    """pywebpush at its best: asynchronous, one shared session, key loaded once, 100 at a time."""
    key = Vapid02.from_file(str(world.key_file))
    trust = ssl.create_default_context(cafile=str(world.sinks.ca_file))
    connector = aiohttp.TCPConnector(ssl=trust, limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def send(number: int) -> None:
            response = await pywebpush.webpush_async(
                world.as_dicts[number % RECIPIENTS],
                PAYLOAD,
                vapid_private_key=key,
                vapid_claims={"sub": CONTACT},
                ttl=60,
                aiohttp_session=session,
            )
            assert response.status == 201

        async def run(count: int) -> None:
            await in_parallel(count, send)

        yield Contender("pywebpush_async", "pywebpush, async session", 0.1, run)


def _endlessly(items: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    while True:
        yield from items
