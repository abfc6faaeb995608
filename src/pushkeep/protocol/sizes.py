"""How much fits into one message: a hard limit per push service, and a lower one that works on every device.

The services' own limits all lie above what encryption leaves of 4,096 octets. The one that hurts is hidden: Firefox on
Android gets its messages through Google's service, whose limit holds for Mozilla's JSON with the body in base64. Its
endpoints look like those of Firefox on a desktop, so all one can do is warn.
"""

from __future__ import annotations

from pushkeep.errors import PayloadTooLarge
from pushkeep.protocol.aesgcm import LEGACY_OVERHEAD_BYTES, LEGACY_PLAINTEXT_BYTES_MAX
from pushkeep.protocol.ece import OVERHEAD_BYTES, PLAINTEXT_BYTES_MAX
from pushkeep.protocol.vendors import Vendor

SAFE_EVERYWHERE_BYTES = 2800
"""Plaintext with its padding that every known push service brings to every device."""

FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX = 2912
"""Above it Mozilla answers 413 (errno 104) for Firefox on Android: the JSON of its bridge, of which the body is a
part in base64, is held to 4,096 octets; that leaves a body of 3,015 octets."""


def plaintext_bytes_max(vendor: Vendor, *, legacy: bool = False) -> int:
    """The most plaintext, padding included, that goes into one message for this push service."""
    if legacy:
        return min(LEGACY_PLAINTEXT_BYTES_MAX, vendor.body_bytes_max - LEGACY_OVERHEAD_BYTES)
    return min(PLAINTEXT_BYTES_MAX, vendor.body_bytes_max - OVERHEAD_BYTES)


def check_size(vendor: Vendor, plaintext_bytes: int, *, legacy: bool = False) -> None:
    """Refuse a payload before it is encrypted.

    Raises:
        PayloadTooLarge: over the limit of this push service; says by how many octets.
    """
    limit = plaintext_bytes_max(vendor, legacy=legacy)
    excess = plaintext_bytes - limit
    if excess > 0:
        raise PayloadTooLarge(
            f"payload is {excess} octets too large: it has {plaintext_bytes}, and one message holds {limit}; shorten "
            "it, or send an id and let the worker fetch the rest.",
            excess_bytes=excess,
        )


def size_warning(vendor: Vendor, plaintext_bytes: int) -> str | None:
    """A sentence if the message, padding included, will be refused for some devices of this push service."""
    if not vendor.relays_to_android or plaintext_bytes <= FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX:
        return None
    return (
        f"payload has {plaintext_bytes} octets with its padding, and Firefox on Android takes "
        f"{FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX}: stay under {SAFE_EVERYWHERE_BYTES} to reach every device."
    )
