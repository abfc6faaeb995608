"""Bad input is refused with a sentence that names the field, before anything is sent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pushkeep import InvalidInput, OriginMap, PayloadTooLarge, PushClient, SigningKey, Subscription
from pushkeep.client import encode_payload
from pushkeep.client.given import KeyLike, read_key
from pushkeep.protocol.endpoint import Endpoint
from tests.protocol.vectors import AUTH, UA_PUBLIC
from tests.transport.servers import HOST, ORIGIN, Authority, answer2, http2

from .conftest import CONTACT

WHOM = Subscription(Endpoint.parse(f"{ORIGIN}/secret-token"), UA_PUBLIC, AUTH)


class Unprintable:
    """Something JSON has no form for."""


LOOP: dict[str, object] = {}
LOOP["self"] = LOOP


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subscription": "{"}, "subscription"),
        ({"subscription": "[]"}, "subscription"),
        ({"subscription": {}}, "keys"),
        ({"subscription": 5}, "subscription"),
        ({"subscription": {**WHOM.to_dict(), "endpoint": "http://push.example/x"}}, "endpoint"),
        ({"subscription": {**WHOM.to_dict(), "keys": {"p256dh": "AAAA", "auth": "AAAA"}}}, "keys.p256dh"),
        ({"payload": 5}, "payload"),
        ({"payload": ["a"]}, "payload"),
        ({"payload": {"a": Unprintable()}}, "payload"),
        ({"payload": {"a": math.nan}}, "payload"),
        ({"payload": {(1, 2): "a"}}, "payload"),
        ({"payload": LOOP}, "payload"),
        ({"payload": "\ud800"}, "payload"),
        ({"payload": b"x" * 3994}, "payload"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": 1.5}, "ttl"),
        ({"ttl": True}, "ttl"),
        ({"ttl": None}, "ttl"),
        ({"urgency": "urgent"}, "urgency"),
        ({"urgency": ["high"]}, "urgency"),
        ({"topic": ["inbox"]}, "topic"),
        ({"topic": "a b"}, "topic"),
        ({"topic": "x" * 33}, "topic"),
    ],
)
async def test_bad_arguments_name_their_field_and_nothing_is_sent(
    authority: Authority, change: dict[str, object], field: str
) -> None:
    arguments: dict[str, object] = {"subscription": WHOM, "payload": "x", **change}
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        with pytest.raises(InvalidInput) as caught:
            await client.send(**arguments)  # type: ignore[arg-type]
        assert caught.value.field == field
        assert field.split(".")[-1] in caught.value.message
        assert "secret-token" not in str(caught.value)
        assert server.connections == 0


async def test_too_large_a_payload_says_by_how_much() -> None:
    async with PushClient(key=SigningKey.generate(), contact=CONTACT) as client:
        with pytest.raises(PayloadTooLarge) as caught:
            await client.send(WHOM, b"x" * 4000)
    assert caught.value.excess_bytes == 7


def test_bad_keys_are_refused(tmp_path: Path) -> None:
    other_curve = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    folder, text = tmp_path / "folder", tmp_path / "text"
    folder.mkdir()
    text.write_text("not a key")
    for key, words in (
        ("vapid.pem", "give a pathlib.Path"),
        (tmp_path / "missing.pem", "cannot be read: No such file"),
        (folder, "cannot be read: Is a directory"),
        (other_curve, "P-256"),
        (None, "must be a SigningKey"),
        (5, "must be a SigningKey"),
        ("", "."),
        ("\ud800", "."),
        (b"\xff", "."),
        (text, "."),
        ({}, "."),
    ):
        with pytest.raises(InvalidInput, match=words) as caught:
            PushClient(key=key, contact=CONTACT)  # type: ignore[arg-type]
        assert caught.value.field == "key"
        assert len(caught.value.message.splitlines()) == 1


def test_a_mistyped_path_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        PushClient(key=tmp_path / "vapid.pem", contact=CONTACT)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_taken_in_every_form(tmp_path: Path) -> None:
    key = SigningKey.generate()
    forms: list[KeyLike] = [key, key.to_pem(), key.to_pem().encode(), key.to_raw(), key.to_der(), key.to_jwk()]
    forms.append(json.dumps(key.to_jwk()))
    for number, form in enumerate((key.to_pem(), key.to_raw() + "\n", json.dumps(key.to_jwk()))):
        forms.append(tmp_path / f"{number}.txt")
        (tmp_path / f"{number}.txt").write_text(form)
    forms.append(tmp_path / "key.der")
    (tmp_path / "key.der").write_bytes(key.to_der())
    assert {read_key(form).key_id for form in forms} == {key.key_id}


@pytest.mark.parametrize("contact", ["", "ops@example.org", "mailto:a@localhost", "mailto:mailto:a@example.org"])
def test_bad_contacts_are_refused(contact: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PushClient(key=SigningKey.generate(), contact=contact)
    assert caught.value.field == "contact"


def test_an_origin_map_is_taken_in_every_form() -> None:
    key, entry = SigningKey.generate(), f"{ORIGIN}=https://localhost:1"
    for form in (entry, [entry], (item for item in [entry]), OriginMap.parse([entry])):
        PushClient(key=key, contact=CONTACT, origin_map=form)
    for bad in ("nonsense", [entry, entry], [f"{ORIGIN}=http://{HOST}"]):
        with pytest.raises(InvalidInput) as caught:
            PushClient(key=key, contact=CONTACT, origin_map=bad)
        assert caught.value.field == "origin_map"


def test_payloads_are_encoded_as_described() -> None:
    assert encode_payload(None) is None
    assert encode_payload("ü") == "ü".encode()
    assert encode_payload(b"\xff") == b"\xff"
    assert encode_payload({"a": "ü", "b": [1, True]}) == '{"a":"ü","b":[1,true]}'.encode()
