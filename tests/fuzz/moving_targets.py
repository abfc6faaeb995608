"""Files that are imported: tables of other products, our own exports, and files with keys."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pushkeep.adapters.formats.fields import Wishes
from pushkeep.adapters.formats.files import open_foreign
from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.portable_file import PortableFile, is_portable
from pushkeep.adapters.formats.vapid_file import read_vapid
from pushkeep.domain.moving import Fault
from pushkeep.protocol.signing_key import SigningKey
from tests.formats.samples import AUTH, P256DH, as_csv, as_lines, browser_json, device_row, laravel_row, url
from tests.fuzz.target import MESSAGE_CHARACTERS_MAX, Target
from tests.store.doubles import SeededEntropy

KEY = SigningKey(SeededEntropy(20).ephemeral_key())
_DIRECTORY = tempfile.TemporaryDirectory()
_FILE = Path(_DIRECTORY.name) / "file"
_SECRETS = (P256DH, AUTH, url())


def read_file(data: bytes) -> None:
    """Read it as whatever it looks like: each record that is wrong is one sentence without its secrets."""
    _FILE.write_bytes(data)
    octets = Octets(_FILE)
    try:
        source = PortableFile(octets) if is_portable(octets) else open_foreign(octets, None, Wishes())
        source.digest()
        for number, found in enumerate(source.read(), start=1):
            assert found.number == number or is_portable(octets), "records are counted"
            if isinstance(found, Fault):
                assert 0 < len(found.message) <= MESSAGE_CHARACTERS_MAX, "the fault is not one sentence"
                assert found.message.isprintable(), "the fault holds control characters of its input"
                assert not any(secret in found.message for secret in _SECRETS), "the fault shows a secret"
    finally:
        octets.close()


def read_key(data: bytes) -> None:
    """A key comes out, or an error."""
    assert isinstance(read_vapid(data), SigningKey)


_DUMP = [
    {"model": "webpush.group", "pk": 1, "fields": {"name": "news"}},
    {
        "model": "webpush.subscriptioninfo",
        "pk": 1,
        "fields": {"endpoint": url(), "p256dh": P256DH, "auth": AUTH, "browser": "", "user_agent": ""},
    },
    {"model": "webpush.pushinformation", "pk": 1, "fields": {"user": 17, "subscription": 1, "group": 1}},
]

MOVING_TARGETS = (
    Target(
        "import",
        read_file,
        (
            as_csv([laravel_row(), laravel_row("two")]).encode(),
            as_lines([{"subscription": browser_json(), "user_id": 17}]).encode(),
            json.dumps([laravel_row(), laravel_row("two")], indent=1).encode(),
            json.dumps(_DUMP).encode(),
            as_csv([device_row(), device_row("two")], separator=";").encode(),
        ),
    ),
    Target(
        "vapid-file",
        read_key,
        (
            KEY.to_raw().encode(),
            f"VAPID_PUBLIC_KEY={KEY.public_b64}\nVAPID_PRIVATE_KEY={KEY.to_raw()}\n".encode(),
            f"Public Key:\n{KEY.public_b64}\n\nPrivate Key:\n{KEY.to_raw()}\n".encode(),
        ),
    ),
)
