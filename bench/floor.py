"""What cannot be avoided, and what each layer above it adds.

The floor is the curve work and a request by libcurl, each alone. The steps are the whole way of a message built
up layer by layer, each step the one before it and one thing more, so that the difference of two neighbours is
what that thing costs where it stands, with caches as cold as they are there; a tracing profiler would charge its
own work to whatever makes many small calls.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pycurl
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.servers import ORIGIN, TARGET, Site
from bench.world import CONTACT, IN_FLIGHT, PAYLOAD, RECIPIENTS, TTL_SECONDS, URGENCY, Contender, World, in_parallel, on
from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.http2 import CurlTransport
from pushkeep.app.send import Delivery, Sender
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol import ece
from pushkeep.protocol.answer import Answer, PushResponse
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.request import PushOptions, PushRequest
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.protocol.vendors import FCM

_CURVE = ec.SECP256R1()


def curve(world: World) -> Contender:
    """The floor of encryption: a key pair, the recipient's point, the shared secret, one AES-GCM."""
    publics = [recipient.p256dh for recipient in world.recipients]

    def run(count: int) -> None:
        for number in range(count):
            private = ec.generate_private_key(_CURVE)
            public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, publics[number % RECIPIENTS])
            secret = private.exchange(ec.ECDH(), public)
            AESGCM(secret[:16]).encrypt(secret[16:28], PAYLOAD, None)

    return Contender("curve", "bare curve work, AES-GCM", run)


class BareHandles:
    """libcurl handles used again, with headers made once: nothing is checked, read or kept of an answer."""

    def __init__(self, world: World, site: Site) -> None:
        self._world = world
        self._site = site
        self._idle: list[pycurl.Curl] = []

    def take(self, body: bytes) -> pycurl.Curl:
        """A handle that is about to post ``body``."""
        handle = self._idle.pop() if self._idle else self._make()
        handle.setopt(pycurl.POSTFIELDS, body)
        return handle

    def give_back(self, handle: pycurl.Curl) -> None:
        """The exchange is over."""
        assert handle.getinfo(pycurl.RESPONSE_CODE) == 201
        self._idle.append(handle)

    def _make(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, f"{ORIGIN}{TARGET}")
        handle.setopt(pycurl.CONNECT_TO, [f"::127.0.0.1:{self._site.port}"])
        handle.setopt(pycurl.CAINFO, str(self._world.ca_file))
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(
            pycurl.HTTPHEADER,
            [
                f"TTL: {TTL_SECONDS}",
                f"Urgency: {URGENCY}",
                f"Authorization: vapid t={'x' * 300}, k={self._world.key.public_b64}",
                "Content-Encoding: aes128gcm",
                "Content-Type: application/octet-stream",
            ],
        )
        handle.setopt(pycurl.WRITEFUNCTION, len)
        return handle


async def libcurl(world: World, site: Site, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> Contender:
    """The floor of HTTP: bare libcurl on the event loop, a body of a message's size."""
    multi = await stack.enter_async_context(pycurl.AsyncCurlMulti())
    handles, body = BareHandles(world, site), os.urandom(len(PAYLOAD) + ece.OVERHEAD_BYTES)

    async def send(_number: int) -> None:
        handle = handles.take(body)
        await multi.perform(handle)
        handles.give_back(handle)

    return Contender("libcurl", "bare libcurl request", on(loop, lambda count: in_parallel(count, send)))


class SelectDriver:
    """libcurl driven by the calling thread, without an event loop.

    Args:
        handles: the handles to use.
        body: makes the body of the message of that number, when its turn comes.
    """

    def __init__(self, handles: BareHandles, body: Callable[[int], bytes]) -> None:
        self._handles = handles
        self._body = body
        self._poll = select.epoll()
        self._watched: set[int] = set()
        self._due = float("inf")
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def run(self, count: int) -> None:
        """Send so many."""
        begun = done = 0
        multi, handles = self._multi, self._handles
        while done < count:
            while begun < count and begun - done < IN_FLIGHT:
                multi.add_handle(handles.take(self._body(begun)))
                begun += 1
            for descriptor, what in self._poll.poll(min(max(self._due - time.monotonic(), 0), 1)):
                ready = pycurl.CSELECT_IN if what & ~select.EPOLLOUT else 0
                multi.socket_action(descriptor, ready | (pycurl.CSELECT_OUT if what & select.EPOLLOUT else 0))
            if time.monotonic() >= self._due:
                self._due = float("inf")
                multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            _, finished, failed = multi.info_read()
            assert not failed, failed
            for handle in finished:
                multi.remove_handle(handle)
                handles.give_back(handle)
            done += len(finished)

    def _on_socket(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._poll.unregister(descriptor)
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        (self._poll.modify if descriptor in self._watched else self._poll.register)(descriptor, mask)
        self._watched.add(descriptor)

    def _on_timer(self, timeout_ms: int) -> None:
        self._due = float("inf") if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000


def libcurl_select(world: World, site: Site) -> Contender:
    """Bare libcurl without an event loop: what asyncio costs is the difference."""
    body = os.urandom(len(PAYLOAD) + ece.OVERHEAD_BYTES)
    driver = SelectDriver(BareHandles(world, site), lambda _number: body)
    return Contender("libcurl_select", "bare libcurl, no event loop", driver.run)


STEPS = {
    "step_curve": "curve: a key pair and its octets, the recipient's point, the secret",
    "step_hkdf": "HKDF: five HMACs",
    "step_aes": "AES-GCM: salt, encryption, and the body put together",
    "step_request": "request: kept token, limits, header fields, the request as a value",
    "step_libcurl": "libcurl: HTTP/2, TLS and sockets, driven as tightly as can be",
    "step_transport": "transport: event loop, what may be dialled, reading the answer",
    "step_outcome": "outcome: the verdict, the outcome as a value, clocks",
    "step_client": "send_many: input checked, turns, results handed out",
}
"""The way of a message, step by step; the last step is the client itself."""


class Steps:
    """The way of a message up to each step, without the client: called back, as ``send_many`` is, not awaited."""

    def __init__(self, world: World, site: Site) -> None:
        self._world = world
        self._site = site
        self._options = PushOptions.of(ttl=TTL_SECONDS, urgency=URGENCY)
        self._sender = Sender(world.key, CONTACT, TokenCache(), SystemClock(), SystemEntropy())

    async def contenders(self, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> list[Contender]:
        """Every step below the client."""
        origin_map = OriginMap.parse(self._world.origin_map(self._site))
        transport = await stack.enter_async_context(CurlTransport(origin_map=origin_map))
        driver = SelectDriver(BareHandles(self._world, self._site), lambda number: self.request(number).body)

        def post(number: int, ended: Callable[[], None]) -> None:
            def answered(answer: Answer) -> None:
                assert isinstance(answer, PushResponse), answer
                ended()

            transport.start(self.request(number), answered)

        def deliver(number: int, ended: Callable[[], None]) -> None:
            delivery = self.delivery(number)

            def answered(answer: Answer) -> None:
                delivery.answered(answer)
                assert delivery.outcome is not None
                assert delivery.outcome.accepted
                ended()

            transport.start(delivery.request(), answered)

        runs = {
            "step_curve": _repeat(self.secret),
            "step_hkdf": _repeat(self.keys),
            "step_aes": _repeat(self.body),
            "step_request": _repeat(self.request),
            "step_libcurl": driver.run,
            "step_transport": on(loop, lambda count: called_back(count, post)),
            "step_outcome": on(loop, lambda count: called_back(count, deliver)),
        }
        return [Contender(name, STEPS[name], run) for name, run in runs.items()]

    def secret(self, number: int) -> tuple[bytes, bytes]:
        """The curve work that a message needs with this library, and nothing else."""
        private = self._sender.entropy.ephemeral_key()
        public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, self._world.recipient(number).p256dh)
        return encode_point(private.public_key()), private.exchange(ec.ECDH(), public)

    def keys(self, number: int) -> tuple[bytes, bytes]:
        """And the keys made of it."""
        as_public, secret = self.secret(number)
        whom = self._world.recipient(number)
        return ece.derive(secret, auth=whom.auth, ua_public=whom.p256dh, as_public=as_public, salt=whom.auth)

    def body(self, number: int) -> bytes:
        """The whole encryption."""
        whom = self._world.recipient(number)
        return ece.seal(
            PAYLOAD,
            ua_public=whom.p256dh,
            auth=whom.auth,
            as_private=self._sender.entropy.ephemeral_key(),
            salt=self._sender.entropy.salt(),
        )

    def request(self, number: int) -> PushRequest:
        """The request, ready to be posted."""
        return self._sender.build(self._world.recipient(number), PAYLOAD, self._options, FCM)

    def delivery(self, number: int) -> Delivery:
        """The same, with what reads its answer."""
        whom = self._world.recipient(number)
        return Delivery(self._sender, subscription=whom, payload=PAYLOAD, options=self._options, vendor=FCM)


async def called_back(count: int, begin: Callable[[int, Callable[[], None]], None]) -> None:
    """Begin 0 to ``count`` - 1, ``IN_FLIGHT`` at a time; each calls back when it has ended."""
    loop = asyncio.get_running_loop()
    numbers, left, all_ended = iter(range(count)), count, loop.create_future()

    def ended() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            all_ended.set_result(None)
        loop.call_soon(step)

    def step() -> None:
        for number in numbers:
            begin(number, ended)
            return

    for _ in range(min(IN_FLIGHT, count)):
        step()
    await all_ended


def _repeat(step: Callable[[int], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for number in range(count):
            step(number)

    return run
