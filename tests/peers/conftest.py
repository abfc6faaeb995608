"""A local push service, a signing key in the forms peers want, and a client wired to the service."""

from __future__ import annotations

import pytest

from pushkeep import SigningKey
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.client.conftest import CONTACT, client, service

__all__ = ["CONTACT", "client", "service"]  # the last two are fixtures

SECONDS = 5
"""Bound on waits for a message that is on its way; it takes milliseconds."""


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(scope="session")
def raw_key(key: SigningKey) -> str:
    """The private key as web-push and py_vapid write it."""
    return key.to_raw()


VENDORS = ("mozilla", "fcm", "apple", "wns", "unifiedpush")
LEGACY_VENDORS = ("mozilla", "fcm", "wns")
"""Apple takes no aesgcm, and UnifiedPush drops the headers it needs."""
SPOKEN = [(vendor, "aes128gcm") for vendor in VENDORS] + [(vendor, "aesgcm") for vendor in LEGACY_VENDORS]


async def subscriber_of(service: PushService, key: SigningKey, vendor: str) -> LocalSubscriber:
    """A subscriber of that vendor that lists both encodings, at an address that is reached without an origin map."""
    return await service.subscribe(key.public_bytes, vendor=vendor, encodings=("aes128gcm", "aesgcm"))
