"""The local push service as a whole: three listeners, one state."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import secrets
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import TracebackType

from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.endpoint import is_loopback_host
from pushkeep.pushservice.addresses import LOOPBACK_NAMES
from pushkeep.pushservice.admin import ADMIN_PREFIX, Admin
from pushkeep.pushservice.autopush import Autopush
from pushkeep.pushservice.certificates import Certificates, write_private
from pushkeep.pushservice.control import Control
from pushkeep.pushservice.core import Core
from pushkeep.pushservice.events import EventLog
from pushkeep.pushservice.faults import Fault, Faults
from pushkeep.pushservice.faults.application import FaultLayer
from pushkeep.pushservice.fcm.checkin import CHECKIN_PATH, answer_checkin
from pushkeep.pushservice.fcm.mcs import Mcs
from pushkeep.pushservice.fcm.registration import REGISTRATION_PATH, answer_registration
from pushkeep.pushservice.http.http1 import Http1Connection
from pushkeep.pushservice.http.http2 import Http2Connection
from pushkeep.pushservice.http.listener import Listener
from pushkeep.pushservice.http.message import Request, Response, text_response
from pushkeep.pushservice.http.stream import Stream
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.limits import Limits
from pushkeep.pushservice.personalities import Quirks
from pushkeep.pushservice.personalities.routes import VENDOR_HOSTS, WNS_HOST
from pushkeep.pushservice.personalities.strict import StrictService
from pushkeep.pushservice.resources import Resources
from pushkeep.pushservice.sink import Sink
from pushkeep.pushservice.subscribing import Subscribing
from pushkeep.pushservice.tokens import TokenBytes, Tokens

_SECRET_BYTES = 32
_SWEEP_SECONDS = 5.0  # only when an expired message leaves the lists; delivery looks at the TTL itself


Observer = Callable[[Request, Response], None]


class PushService(Subscribing, Control):
    """A push service for stock browsers on this machine. Use it as an async context manager.

    Args:
        host: address to listen on.
        port: https: push resources, messages and the admin interface; 0 takes any free port, here and below.
        autopush_port: plain http on loopback: autopush WebSocket, check-in and registration.
        mcs_port: MCS over TLS.
        state_dir: where certificates and the secret behind tokens are kept, so that a browser profile made with
            an earlier run still trusts and knows this one; None keeps nothing. Subscriptions are never kept.
        allow_remote: needed to listen on an address that is not loopback: the plain http port has no
            protection of its own.
        admin_token: for the admin interface; None makes one.
        limits: what is accepted from outside.
        quirks: what real services do only at times.
        strict: refuse also what some vendor or RFC forbids or a good sender avoids, with the rule's own sentence.
        strict_except: names of rules that are left out.
        http2: whether HTTP/2 is offered to senders, as every real service does; HTTP/1.1 always is.
        sink: take every POST on the https port with 201 and keep nothing, for benchmarks; :attr:`sink` counts.
        faults: in force from the beginning; :attr:`faults` adds and removes them later.
        seed: makes every chance of the faults, and the ids of subscriptions, the same in each run.
        now: epoch seconds; decides TTLs and token lifetimes.
        token_bytes: chance.

    Raises:
        InvalidInput: one of ``faults`` cannot be read, or ``strict_except`` names no rule; or ``sink`` is
            combined with either.
        ConfigurationError: from ``start()``; an address cannot be bound, or the state directory not written.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        autopush_port: int = 0,
        mcs_port: int = 0,
        state_dir: Path | None = None,
        allow_remote: bool = False,
        admin_token: str | None = None,
        limits: Limits | None = None,
        quirks: Quirks | None = None,
        strict: bool = False,
        strict_except: Collection[str] = (),
        http2: bool = True,
        sink: bool = False,
        faults: Iterable[Fault | str] = (),
        seed: int | None = None,
        now: Callable[[], float] = time.time,
        token_bytes: TokenBytes = secrets.token_bytes,
    ) -> None:
        if not (allow_remote or is_loopback_host(host)):
            raise ConfigurationError(
                f"The push service listens on loopback only, and {host} is not: it is a test tool. Use 127.0.0.1, or "
                "from Python PushService(allow_remote=True) on a network that you trust.",
                field="host",
            )
        given = tuple(faults)
        if sink and (given or strict):
            raise InvalidInput(
                "A sink takes every request with 201: it goes neither with faults nor with strict.", field="sink"
            )
        self._host = host
        self._ports = (port, autopush_port, mcs_port)
        self.sink: Sink | None = None
        self._is_sink = sink
        self._protocols = ("h2", "http/1.1") if http2 else ("http/1.1",)
        self._seed = seed
        self._state_dir = state_dir
        self._limits = limits or Limits()
        self._now = now
        self._token_bytes = token_bytes
        self._cleanup = contextlib.AsyncExitStack()
        self._certificates: Certificates | None = None
        self._plain = self._mcs = Listener(_serve_nothing, limits=self._limits)
        self._https = self._plain
        self.admin_token = admin_token or token_bytes(24).hex()
        core = Core(Tokens(self._secret(), token_bytes), self._limits, subscription_id=_ids(seed))
        in_force = Faults(seed=seed or 0, now=now, counters_max=self._limits.fault_counters_max)
        events = EventLog(now=now, kept=self._limits.events_kept)
        super().__init__(Hub(core, events, now=now, limits=self._limits), self._endpoint_of, in_force)
        self._autopush = Autopush(self._hub, self._endpoint_of)
        if strict_except and not strict:
            raise InvalidInput("strict_except goes with strict.", field="strict_except")
        self._judge = judge = StrictService(strict_except) if strict else None
        self._resources = Resources(self._hub, self._own_origins, quirks=quirks, strict=judge)
        for fault in given:
            in_force.add(fault)
        resources = self._resources
        self._faulty = FaultLayer(in_force, self._hub, resources.handle, resources.route, resources.personalities)
        self._http1_hosts = (WNS_HOST,) if quirks is not None and quirks.wns_http1_only else ()
        self._admin = Admin(self, self.admin_token, self.overview)
        self._observers: list[Observer] = []

    def __repr__(self) -> str:
        return f"<PushService {self._host}>"

    # Lifecycle

    async def __aenter__(self) -> PushService:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on all three ports; raises ConfigurationError and leaves nothing behind if that fails."""
        try:
            names = dict.fromkeys((*LOOPBACK_NAMES, *VENDOR_HOSTS, self._host))
            certificates = Certificates.load_or_make(self._directory(), tuple(names))
            self._certificates = certificates
            https = certificates.server_context(self._protocols, http1_hosts=self._http1_hosts)
            if self._is_sink:
                self._https = self.sink = Sink(limits=self._limits, tls=https)
            else:
                self._https = Listener(self._serve_https, limits=self._limits, tls=https)
            self._plain = Listener(self._serve_plain, limits=self._limits)
            mcs = Mcs(self._hub)
            self._mcs = Listener(mcs.serve, limits=self._limits, tls=certificates.server_context(()))
            for listener, port in zip((self._https, self._plain, self._mcs), self._ports, strict=True):
                await listener.start(self._host, port)
                self._cleanup.push_async_callback(listener.stop)
            sweeper = asyncio.create_task(self._sweep())
            self._cleanup.push_async_callback(_end, sweeper)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection and port; may be called twice."""
        await self._cleanup.aclose()

    def _directory(self) -> Path:
        if self._state_dir is not None:
            return self._state_dir
        return Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pushkeep-pushservice-")))

    def _secret(self) -> bytes:
        if self._state_dir is None:
            return self._token_bytes(_SECRET_BYTES)
        path = self._state_dir / "secret"
        try:
            if path.exists():
                secret = path.read_bytes()
                if len(secret) == _SECRET_BYTES:
                    return secret
            self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            secret = self._token_bytes(_SECRET_BYTES)
            write_private(path, secret)
        except OSError as error:
            raise ConfigurationError(
                f"The push service cannot keep its secret in {self._state_dir} ({error.strerror}); "
                "choose another state directory.",
                field="state_dir",
            ) from None
        return secret

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._hub.expire()
            if self.sink is not None:
                self.sink.sweep()

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Show ``observer`` each request to a push resource with its answer; the returned function ends that.

        It is called in the request's own task just before the answer is written, must be quick, and must not raise.
        """
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def forget_senders(self) -> None:
        """A strict service compares no token, salt or key with those before; so that tests do not meet each other."""
        if self._judge is not None:
            self._judge.forget()

    # Connections

    async def _serve_https(self, stream: Stream) -> None:
        if stream.alpn == "h2":
            await Http2Connection(
                stream, self._answer_https, limits=self._limits, stream_limit=self.faults.stream_limit
            ).run()
        else:
            await Http1Connection(stream, self._answer_https, limits=self._limits, upgrade=self._autopush.serve).run()

    async def _serve_plain(self, stream: Stream) -> None:
        await Http1Connection(stream, self._answer_plain, limits=self._limits, upgrade=self._autopush.serve).run()

    async def _answer_https(self, request: Request) -> Response:
        if request.path.startswith(ADMIN_PREFIX):
            return await self._admin.handle(request)
        response = await self._faulty.handle(request)
        for observer in tuple(self._observers):
            observer(request, response)
        return response

    async def _answer_plain(self, request: Request) -> Response:
        if request.path == CHECKIN_PATH:
            return answer_checkin(request, self._hub.core.tokens, now=self._now())
        if request.path == REGISTRATION_PATH:
            return await answer_registration(request, self._hub)
        return text_response(404, "Here are check-in, registration and the autopush WebSocket.\n")


def _ids(seed: int | None) -> Callable[[], str] | None:
    """Ids of subscriptions by seed and order; None leaves them to chance."""
    if seed is None:
        return None
    numbers = itertools.count(1)
    return lambda: hashlib.blake2b(f"{seed} {next(numbers)}".encode(), digest_size=8).hexdigest()


async def _serve_nothing(_stream: Stream) -> None:
    """The listener of a service that is not started."""


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
