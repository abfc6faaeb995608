"""What sealing costs: of a message that opens its recipient, of a registration that hashes and seals one.

Only the steps themselves, one after the other in one process, since a broadcast or a registration as a whole is
measured elsewhere with them in it. What would be done without sealing (reading the same text from JSON) is measured
beside it and taken off.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from bench.engine_results import Sealing
from bench.servers import ORIGIN, TARGET
from pushkeep.adapters.store.sealing import KeyRing, LookupKey, Sealer, Vault
from pushkeep.domain.project import Project
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.subscription import Subscription

COUNT = 5_000
ROUNDS = 7

_PROJECT_ID = "00000000-0000-7000-8000-000000000001"
_PROJECT = Project(1, _PROJECT_ID, "x", "https://example.com", "pk_x", "mailto:a@example.com")


def measure() -> Sealing:
    """Medians over interleaved rounds, in microseconds."""
    sealer = Sealer(os.urandom(32), os.urandom)
    vault = Vault(KeyRing(0, sealer, {sealer.key_id: sealer}, (LookupKey(1, os.urandom(32)),), os.urandom(32)))
    point = encode_point(ec.generate_private_key(ec.SECP256R1()).public_key())
    whom = [
        Subscription(Endpoint.parse(f"{ORIGIN}{TARGET[:-8]}{number:08}"), point, os.urandom(16))
        for number in range(COUNT)
    ]
    hashes = [vault.endpoint_hash(one.endpoint) for one in whom]
    blobs = [vault.seal_subscription(_PROJECT, digest, one) for digest, one in zip(hashes, whom, strict=True)]
    texts = [json.dumps([one.endpoint.url, one.expiration_time, one.encodings]) for one in whom]

    def read() -> None:
        for number in range(COUNT):
            url, expiration_time, encodings = json.loads(texts[number])
            Subscription(Endpoint.known(url), point, b"a" * 16, expiration_time, tuple(encodings))

    def opened() -> None:
        for number in range(COUNT):
            vault.open_subscription(_PROJECT_ID, hashes[number], blobs[number])

    def sealed() -> None:
        for number in range(COUNT):
            vault.seal_subscription(_PROJECT, hashes[number], whom[number])

    def hashed() -> None:
        for number in range(COUNT):
            vault.endpoint_hash(whom[number].endpoint)
            vault.keys_hash(whom[number])

    costs: dict[Callable[[], None], list[float]] = {step: [] for step in (read, opened, sealed, hashed)}
    for _ in range(ROUNDS):
        for step, found in costs.items():
            began = time.process_time()
            step()
            found.append((time.process_time() - began) / COUNT * 1e6)
    middle = {step: statistics.median(found) for step, found in costs.items()}
    return Sealing(max(middle[opened] - middle[read], 0.0), middle[sealed], middle[hashed])
