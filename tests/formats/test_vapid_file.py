"""VAPID keys in the files in which products keep them."""

from __future__ import annotations

import json

import pytest

from pushkeep.adapters.formats.vapid_file import read_vapid
from pushkeep.errors import InvalidInput
from pushkeep.protocol.signing_key import SigningKey

KEY = SigningKey.generate()
OTHER = SigningKey.generate()
RULE = "=" * 39

FORMS = {
    "PEM": KEY.to_pem().encode(),
    "DER": KEY.to_der(),
    "JWK": json.dumps(KEY.to_jwk()).encode(),
    "raw": KEY.to_raw().encode(),
    "web-push --json": json.dumps({"publicKey": KEY.public_b64, "privateKey": KEY.to_raw()}).encode(),
    "web-push": (f"\n{RULE}\n\nPublic Key:\n{KEY.public_b64}\n\nPrivate Key:\n{KEY.to_raw()}\n\n{RULE}\n".encode()),
    "Laravel": (
        f"APP_KEY=base64:abc\nVAPID_SUBJECT=mailto:a@example.org\nVAPID_PUBLIC_KEY={KEY.public_b64}\r\n"
        f"VAPID_PRIVATE_KEY={KEY.to_raw()}\r\nVAPID_PEM_FILE=\n".encode()
    ),
    "quoted": f"export VAPID_PRIVATE_KEY='{KEY.to_raw()}'\n".encode(),
    "prefixed": f'NEXT_PUBLIC_VAPID_PUBLIC_KEY="{KEY.public_b64}"\nVAPID_PRIVATE="{KEY.to_raw()}"\n'.encode(),
    "Django": (
        f'WEBPUSH_SETTINGS = {{\n    "VAPID_PUBLIC_KEY": "{KEY.public_b64}",\n'
        f'    "VAPID_PRIVATE_KEY": "{KEY.to_raw()}",\n}}\n'.encode()
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_found_in(form: str) -> None:
    assert read_vapid(FORMS[form]).public_bytes == KEY.public_bytes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "vapid: "),
        (KEY.public_b64.encode(), "public key"),
        (b"VAPID_PRIVATE_KEY=\n", "vapid: "),
        (b"VAPID_PRIVATE_KEY=private_key.pem\n", "vapid: "),
        (f"VAPID_PRIVATE_KEY={KEY.to_raw()}\nOLD_VAPID_PRIVATE_KEY={OTHER.to_raw()}\n".encode(), "several keys"),
        (f"VAPID_PUBLIC_KEY={OTHER.public_b64}\nVAPID_PRIVATE_KEY={KEY.to_raw()}\n".encode(), "do not belong together"),
        (b"x" * 100_000, "over 8192 octets"),
    ],
)
def test_what_has_no_key_is_refused_in_a_sentence(content: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        read_vapid(content)
    assert refused.value.field == "vapid"
    assert KEY.to_raw() not in refused.value.message
