"""How many zeros to add to a message: a policy, because both extremes are wrong.

No padding shows the payload's length to the push service; always filling 4 KB breaks Firefox on Android, whose
bridge takes less, and costs batteries. A policy takes the plaintext's length and the room left, both in octets,
and returns the octets to add, never more than the room.
"""

from __future__ import annotations

from collections.abc import Callable

from pushkeep.errors import InvalidInput

PaddingPolicy = Callable[[int, int], int]


def no_padding(length: int, room: int) -> int:
    """Add nothing."""
    return 0


def pad_to_multiple(size: int) -> PaddingPolicy:
    """A policy that fills the plaintext up to the next multiple of ``size`` octets, as far as there is room.

    Raises:
        InvalidInput: ``size`` is not positive.
    """
    if size < 1:
        raise InvalidInput("padding must be to a multiple of at least 1 octet.", field="padding")

    def policy(length: int, room: int) -> int:
        return min(-length % size, room)

    return policy
