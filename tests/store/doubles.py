"""Clock and chance under the test's control."""

from __future__ import annotations

import random

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.adapters.store.sealing import KeyRing, LookupKey, Sealer, Vault

MASTER_KEY = bytes(range(32))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class FakeClock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class SeededEntropy:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def salt(self) -> bytes:
        return self._random.randbytes(16)

    def ephemeral_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self._random.randrange(1, P256_ORDER), ec.SECP256R1())

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class FakeSleeper:
    """Lets time pass on a fake clock at once."""

    def __init__(self, clock: FakeClock) -> None:
        self.slept: list[float] = []
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._clock.time += seconds


def vault(key: bytes = b"d" * 32, lookup_key: bytes = b"l" * 32) -> Vault:
    """A vault without a database."""
    sealer = Sealer(key, SeededEntropy().token_bytes)
    return Vault(KeyRing(0, sealer, {sealer.key_id: sealer}, (LookupKey(1, lookup_key),), b"e" * 32))
