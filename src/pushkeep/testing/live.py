"""The local push service for any test: in a thread with its own event loop, with a synchronous face.

So it answers whatever the test itself does meanwhile: blocking senders, Django's test client, other processes,
and coroutines alike::

    with LivePushService() as push:
        phone = push.subscribe(public_key, vendor="apple")
        os.environ.update(push.environment())
        ...  # send something to phone.to_dict()
        assert phone.receive().text == "Hello"
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pushkeep.errors import Unavailable
from pushkeep.protocol.encoding import b64_decode
from pushkeep.pushservice import PushService
from pushkeep.testing.background import BackgroundLoop
from pushkeep.testing.faults import LiveFaults
from pushkeep.testing.record import Record, SentMessages
from pushkeep.testing.subscriptions import PushSubscription

STOP_SECONDS_MAX = 10.0

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Name a file of all authorities to trust: for requests, for curl, and for OpenSSL, so urllib, httpx, Go and others."""

NODE_VARIABLE = "NODE_EXTRA_CA_CERTS"
"""Names a file of authorities that Node trusts beside its own."""


class LivePushService:
    """A push service that runs beside the test. Use it as a context manager, or the fixture ``push_service``.

    Args:
        strict: refuse also what only some vendor or RFC forbids or a good sender avoids (``docs/strict.md``).
        strict_except: names of rules that are left out.
        seed: decides all chance of faults, so that a run can be repeated.
    """

    def __init__(self, *, strict: bool = False, strict_except: Collection[str] = (), seed: int = 0) -> None:
        self.loop = BackgroundLoop("pushkeep-push-service")
        self._strict, self._strict_except, self._seed = strict, tuple(strict_except), seed
        self._service: PushService | None = None
        self._record: Record | None = None
        self._ours: list[PushSubscription] = []
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._ssl_context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"<LivePushService {self.url if self.running else 'stopped'}>"

    # Lifecycle

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread and listen on free ports of loopback. Starting twice is allowed.

        Raises:
            Unavailable: the thread does not start.
            InvalidInput: ``strict_except`` names no rule.
            ConfigurationError: nothing can be listened on, or no file written.
        """
        if self._service is not None:
            return
        self.loop.start()
        try:
            self._service, self._record = self.loop.run(self._start())
            self._directory = tempfile.TemporaryDirectory(prefix="pushkeep-trust-")
            _write_bundle(self.bundle_file, _trusted(), self.ca_file)
            _write_bundle(self._node_file, _named(NODE_VARIABLE), self.ca_file)
        except BaseException:
            self.stop()
            raise

    async def _start(self) -> tuple[PushService, Record]:
        service = PushService(strict=self._strict, strict_except=self._strict_except, seed=self._seed)
        await service.start()
        return service, Record(service)

    def stop(self) -> None:
        """Close every connection and end the thread, in bounded time. May be called twice."""
        service, self._service, self._record, self._ssl_context = self._service, None, None, None
        self._ours.clear()
        try:
            if service is not None:
                self.loop.run(service.stop(), seconds=STOP_SECONDS_MAX)
        finally:
            self.loop.stop()
            if self._directory is not None:
                self._directory.cleanup()
                self._directory = None

    def reset(self) -> None:
        """Leave nothing to the next test: faults are cleared, its subscriptions end, the record begins anew."""
        self.faults.clear()
        self.loop.call(self.service.forget_senders)
        for subscription in self._ours:
            subscription.end()
        self._ours.clear()
        self.record.forget()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._service is not None

    @property
    def faults(self) -> LiveFaults:
        """What goes wrong on purpose."""
        return LiveFaults(self.loop, self.service.faults)

    # Where it is

    @property
    def service(self) -> PushService:
        """The service itself, for what this face does not offer. It lives in the other thread: use it by way of
        ``loop.call(function)`` and ``loop.run(coroutine)``.
        """
        if self._service is None:
            raise Unavailable("the push service is not running; start it first")
        return self._service

    @property
    def record(self) -> Record:
        """Everything the sender did since the start or the last :meth:`reset`."""
        if self._record is None:
            raise Unavailable("the push service is not running; start it first")
        return self._record

    @property
    def sent(self) -> SentMessages:
        """The same as a list of messages."""
        return SentMessages(self.record)

    @property
    def url(self) -> str:
        """Its https origin, ``https://localhost:PORT``."""
        return self.service.url

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate, PEM."""
        return self.service.ca_file

    @property
    def bundle_file(self) -> Path:
        """The authorities this machine trusts, and that one."""
        return self._file("bundle.pem")

    @property
    def _node_file(self) -> Path:
        return self._file("node.pem")

    def _file(self, name: str) -> Path:
        if self._directory is None:
            raise Unavailable("the push service is not running; start it first")
        return Path(self._directory.name) / name

    @property
    def origin_map(self) -> list[str]:
        """Entries for Pushkeep's origin map: endpoints on the vendors' own hosts are dialled here."""
        return self.service.origin_map_entries()

    def ssl_context(self) -> ssl.SSLContext:
        """A client's context that trusts the service, for senders that read no environment variable."""
        if self._ssl_context is None:  # reading a hundred authorities takes 30 ms
            self._ssl_context = ssl.create_default_context(cafile=str(self.bundle_file))
        return self._ssl_context

    def environment(self) -> dict[str, str]:
        """Variables by which senders in any language trust and find the service; see ``docs/testing.md``."""
        without_proxy = [value for name in ("NO_PROXY", "no_proxy") if (value := os.environ.get(name))][:1]
        no_proxy = ",".join([*without_proxy, "localhost", "127.0.0.1"])
        return {
            "PUSHKEEP_ORIGIN_MAP": " ".join(self.origin_map),
            **dict.fromkeys(CA_VARIABLES, str(self.bundle_file)),
            NODE_VARIABLE: str(self._node_file),
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }

    # Subscribers

    def subscribe(
        self,
        key: str | bytes,
        *,
        vendor: str = "mozilla",
        encodings: Sequence[str] = ("aes128gcm",),
        real_host: bool = False,
    ) -> PushSubscription:
        """Make a subscription without a browser; the arguments are those of :meth:`PushSubscription.__call__`.

        Raises:
            InvalidInput: no such vendor, or a key that is not a P-256 point.
        """
        public = b64_decode(key, field="key") if isinstance(key, str) else key
        service = self.service
        subscriber = self.loop.run(service.subscribe(public, vendor=vendor, encodings=tuple(encodings)))
        self.record.know(
            subscriber.subscription_id,
            vendor,
            lambda request: subscriber.open(
                request.body,
                encoding=request.header("content-encoding"),
                encryption=request.header("encryption"),
                crypto_key=request.header("crypto-key"),
            ),
        )
        made = PushSubscription(self, subscriber, vendor=vendor, key=public, real_host=real_host)
        self._ours.append(made)
        return made


def _write_bundle(path: Path, trusted: Sequence[Path], ca_file: Path) -> None:
    """What was trusted so far and ours: the variables replace a program's own list instead of adding to it."""
    path.write_bytes(b"\n".join(file.read_bytes().rstrip() for file in (*trusted, ca_file)) + b"\n")


def _trusted() -> list[Path]:
    """What the environment names; if it names nothing, what Python trusts."""
    named = [file for name in CA_VARIABLES for file in _named(name)]
    otherwise = [Path(name) for name in (ssl.get_default_verify_paths().cafile, _certifi()) if name]
    return list(dict.fromkeys(named)) or otherwise[:1]


def _named(variable: str) -> list[Path]:
    file = Path(os.environ.get(variable, ""))
    return [file] if file.is_file() else []


def _certifi() -> str | None:
    try:
        import certifi
    except ModuleNotFoundError:
        return None
    return certifi.where()
