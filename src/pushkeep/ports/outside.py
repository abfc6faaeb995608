"""The world outside: push services, time, chance, and what lies around a sender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from pushkeep.protocol.answer import Answer
from pushkeep.protocol.request import PushRequest

if TYPE_CHECKING:  # the library needs neither
    from pushkeep.domain.doctor.identity import KeyFile
    from pushkeep.domain.doctor.secrets import Folder
    from pushkeep.domain.doctor.site import Fetched


class Cancellable(Protocol):
    """Something begun that can be given up."""

    def cancel(self) -> object:
        """Give it up; nothing happens if it has ended."""
        ...


class Transport(Protocol):
    """Carries one push request to its endpoint."""

    async def post(self, request: PushRequest) -> Answer:
        """Post ``request`` once and return what came of it; a failure is a value, never an exception."""
        ...

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        """Post ``request`` once and call ``done`` with what came of it, without a task: for many at a time.

        ``done`` is called from the event loop, never before this returns, and not if the result is cancelled.

        Raises:
            RuntimeError: the transport is closed.
        """
        ...

    async def aclose(self) -> None:
        """Let requests in flight finish within the transport's time limit, then close every connection."""
        ...


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never step back; for measuring durations."""
        ...


class Entropy(Protocol):
    """Draws what must not be guessed."""

    def salt(self) -> bytes:
        """16 random octets, fresh for each message (RFC 8188 section 2.1)."""
        ...

    def ephemeral_key(self) -> EllipticCurvePrivateKey:
        """A fresh P-256 key pair for one message (RFC 8291 section 3.1)."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """``count`` random octets for identifiers and secrets."""
        ...


class Sleeper(Protocol):
    """Waits; apart from the clock so that tests let hours pass at once."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...


class BlockingSleeper(Protocol):
    """As :class:`Sleeper`, for callers without an event loop."""

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...


class Surroundings(Protocol):
    """Looks at what lies around a sender: files, names, a site. Nothing it does fails; what it cannot see it says."""

    async def secret_file(self, path: str) -> KeyFile:
        """A file with a secret, its permissions, and what git has to do with it."""
        ...

    async def folder(self, path: str) -> Folder:
        """A directory with secrets: who may do what there, where it lies, and the files in it that hold secrets."""
        ...

    async def addresses(self, host: str, port: int) -> Sequence[tuple[str, str | None]]:
        """The addresses of a name, each with the reason why no endpoint may lead there; none if it has none."""
        ...

    async def fetch(self, url: str) -> Fetched:
        """GET a URL of the operator's own site, without following a redirect."""
        ...
