"""The only module that reads a clock, waits or draws a random number."""

from __future__ import annotations

import asyncio
import secrets
import time

from cryptography.hazmat.primitives.asymmetric import ec


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()


class SystemSleeper:
    """Really waits."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)


class SystemBlockingSleeper:
    """Really waits, and keeps the thread."""

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        time.sleep(seconds)


class SystemEntropy:
    """The operating system's random numbers."""

    def salt(self) -> bytes:
        """16 random octets."""
        return secrets.token_bytes(16)

    def ephemeral_key(self) -> ec.EllipticCurvePrivateKey:
        """A fresh P-256 key pair."""
        return ec.generate_private_key(ec.SECP256R1())

    def token_bytes(self, count: int) -> bytes:
        """``count`` random octets."""
        return secrets.token_bytes(count)


def unique_name() -> str:
    """16 hexadecimal digits for the name of a file that nobody else is to meet."""
    return SystemEntropy().token_bytes(8).hex()
