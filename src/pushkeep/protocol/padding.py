"""How many zeros to add to a message: a policy, because both extremes are wrong.

No padding shows the payload's length to the push service; always filling 4 KB breaks Firefox on Android, whose
bridge takes less, and costs batteries. A policy takes the plaintext's length and the room left, both in octets,
and returns the octets to add, never more than the room. The policies made here never lift a payload over a size
limit that it is under by itself, so padding alone never makes a message undeliverable.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from pushkeep.errors import InvalidInput
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX
from pushkeep.protocol.sizes import FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX, SAFE_EVERYWHERE_BYTES

PaddingPolicy = Callable[[int, int], int]

BUCKETS_DEFAULT = (256, 512, 1024, 2048)
"""Most notifications are under 512 octets, so two buckets hide nearly all; each larger one at most doubles a size."""

BUCKETS_MAX = 64
"""So many that more would hide nothing."""

_CAPS = (SAFE_EVERYWHERE_BYTES, FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX, PLAINTEXT_BYTES_MAX)


def no_padding(length: int, room: int) -> int:
    """Add nothing."""
    return 0


def pad_to_multiple(size: int) -> PaddingPolicy:
    """A policy that fills the plaintext up to the next multiple of ``size`` octets, as far as there is room.

    Raises:
        InvalidInput: ``size`` is no whole number from 1.
    """
    if not isinstance(size, int) or size < 1:
        raise InvalidInput("padding must be to a multiple of at least 1 octet.", field="padding")

    def policy(length: int, room: int) -> int:
        return min(-length % size, _cap_of(length) - length, room)

    return policy


def pad_to_buckets(*sizes: int) -> PaddingPolicy:
    """A policy that fills the plaintext up to the next of a few sizes, so that only the bucket can be seen.

    ::

        PushClient(key=key, contact=contact, padding=pad_to_buckets(256, 1024))

    Args:
        sizes: octets of plaintext with padding, in any order; none takes 256, 512, 1,024 and 2,048. The limits 2,800
            (safe everywhere), 2,912 (Firefox on Android) and 3,993 (one message) are always buckets too.

    Raises:
        InvalidInput: a size is no whole number from 1 to 3,993, or there are more than 64.
    """
    if len(sizes) > BUCKETS_MAX or not all(isinstance(size, int) and 0 < size <= PLAINTEXT_BYTES_MAX for size in sizes):
        raise InvalidInput(
            f"padding must be to at most {BUCKETS_MAX} sizes from 1 to {PLAINTEXT_BYTES_MAX} octets.", field="padding"
        )
    buckets = sorted({*(sizes or BUCKETS_DEFAULT), *_CAPS})

    def policy(length: int, room: int) -> int:
        at = bisect_left(buckets, length)
        # Only aesgcm has room above the last bucket, for 84 octets; there the room is the bucket.
        return room if at == len(buckets) else min(buckets[at] - length, room)

    return policy


def _cap_of(length: int) -> int:
    return next((cap for cap in _CAPS if length <= cap), length)
