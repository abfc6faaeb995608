"""Identity tokens as the operator has set them up: public keys from a file, an audience."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pushkeep.app.subscribe import find_subscription
from pushkeep.compose.services import IDENTITY_KEYS_BYTES_MAX
from pushkeep.errors import ConfigurationError
from tests.web.conftest import running_site, settings_for
from tests.web.subscriptions import subscription_json

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def test_a_providers_token_gives_an_owner(tmp_path: Path) -> None:
    (tmp_path / "keys.pem").write_bytes(PUBLIC)
    settings = settings_for(tmp_path, identity_keys_file=tmp_path / "keys.pem", identity_audience="push")
    async with running_site(settings) as site:
        now = site.services.clock.now()

        async def registered(**claims: object) -> Any:
            token = jwt.encode({"sub": "ann", "exp": now + 60, "iat": now, **claims}, KEY, algorithm="ES256")
            return await site.register(subscription_json(), identity=token)

        answer = await registered(aud=["shop", "push"])
        assert (answer.status_code, answer.json()["owned"]) == (201, True)
        record = await find_subscription(site.services, site.project, answer.json()["id"])
        assert record.contact_external_id == "ann"
        for claims in ({}, {"aud": "shop"}):
            refused = await registered(**claims)
            assert (refused.status_code, refused.json()["reason"]) == (403, "wrong_audience")
        own = await site.register(subscription_json(), identity=await site.identity("ann"))
        assert own.json()["owned"], "our own form needs no audience: its secret is this project's alone"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "has 0 public keys"),
        (b"\xff", "must be text"),
        (PRIVATE, "private or secret key"),
        (b"x" * (IDENTITY_KEYS_BYTES_MAX + 1), "no file of keys"),
    ],
    ids=["missing", "empty", "no text", "private", "large"],
)
async def test_a_file_that_is_none_stops_the_start(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "keys.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        async with running_site(settings_for(tmp_path, identity_keys_file=file)):
            pass
    assert caught.value.field == "identity_keys_file"
    assert str(file) in caught.value.message
    assert "BEGIN" not in caught.value.message
