"""What the use cases ask of the outside world: small protocols, each implemented in ``adapters``."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from pushkeep.protocol.answer import Answer
from pushkeep.protocol.request import PushRequest


class Transport(Protocol):
    """Carries one push request to its endpoint."""

    async def post(self, request: PushRequest) -> Answer:
        """Post ``request`` once and return what came of it; a failure is a value, never an exception."""
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
