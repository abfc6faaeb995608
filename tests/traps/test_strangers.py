"""Traps 21 to 26: endpoints and keys that come from elsewhere, and what is kept of them."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from pushkeep import InvalidInput, PushClient, SigningKey, Subscription, Verdict
from pushkeep.adapters.http2 import CurlTransport
from pushkeep.app.subscribe import list_subscriptions
from pushkeep.app.visitor import unregister
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.subscription import State
from pushkeep.errors import Conflict, InvalidToken
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.vendors import vendor_for
from pushkeep.pushservice import PushService
from tests.app.conftest import World
from tests.cli.conftest import Cli
from tests.store.samples import sendable, subscription
from tests.transport.servers import Server, answer, http1

from .conftest import CONTACT, FCM, UA, led_to


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "[fd00::1]", "0.0.0.0"],
)
async def test_trap_21_an_endpoint_never_leads_into_the_private_network(
    wire: Server, key: SigningKey, host: str
) -> None:
    async with PushClient(key=key, contact=CONTACT, origin_map=[]) as client:
        outcome = await client.send(UA.to_dict(f"https://{host}:{wire.port}/x"), "x")
    assert (outcome.verdict, wire.connections) == (Verdict.REFUSED_ENDPOINT, 0)


async def test_trap_21_the_address_is_checked_when_it_is_dialled_not_when_it_is_read(wire: Server) -> None:
    """A name that had a good address when the browser subscribed has another one now."""
    addresses = {"push.example.net": ["127.0.0.1"]}
    endpoint = Endpoint.parse(f"https://push.example.net:{wire.port}/x")
    async with CurlTransport(pinned_addresses=addresses) as transport:
        failure = await transport.post(PushRequest(endpoint, (("TTL", "0"),), b""))
    assert isinstance(failure, TransportFailure)
    assert (failure.kind, wire.connections) == ("refused_address", 0)


@pytest.mark.parametrize(
    "host",
    [
        "fcm.googleapis.com.evil.example",
        "evil-fcm.googleapis.com",
        "xfcm.googleapis.com",
        "jmt17.google.com.evil.example",
        "push.services.mozilla.com.evil.example",
        "jmt.google.com",
    ],
)
def test_trap_21_a_known_name_is_matched_as_a_whole(host: str) -> None:
    assert vendor_for(host).name == "unknown"
    assert Endpoint.parse(f"https://{host}/fcm.googleapis.com").host == host


async def test_trap_21_what_a_provider_says_is_cut_and_gives_no_secret_back(key: SigningKey) -> None:
    token = "s3cret" * 20
    said = f"<h1>No</h1> {FCM}/fcm/send/{token} or {token} \x1b[31m".encode() + b"word " * 1000
    async with (
        http1(answer("400 Bad", said), None) as server,
        PushClient(key=key, contact=CONTACT, origin_map=led_to(server)) as client,
    ):
        outcome = await client.send(UA.to_dict(f"{FCM}/fcm/send/{token}"), "x")
    assert outcome.explanation is not None
    assert len(outcome.explanation.text) <= 300
    assert "s3crets3cret" not in str(outcome.to_dict())
    assert "\x1b" not in outcome.explanation.text


async def test_trap_22_an_endpoint_is_a_secret_in_logs_errors_and_representations(
    service: PushService, client: PushClient, key: SigningKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    subscriber = await service.subscribe(key.public_bytes)
    whom = subscriber.subscription
    outcomes = [await client.send(whom, "x")]
    await subscriber.unsubscribe()
    outcomes.append(await client.send(whom, "x"))
    with pytest.raises(InvalidInput) as caught:
        await client.send({"endpoint": whom.endpoint.url + "#", "keys": whom.to_dict()["keys"]}, "x")
    secret = whom.endpoint.target.rsplit("/", 1)[1][:24]
    shown = [str(caught.value), repr(whom), str(whom.endpoint), repr(whom.endpoint), repr(subscriber), caplog.text]
    assert not [text for text in (*shown, *(str(outcome.to_dict()) for outcome in outcomes)) if secret in text]


async def test_trap_22_who_knows_an_endpoint_can_neither_remove_nor_take_it(world: World) -> None:
    await world.register("victim", owner="ann")
    (before,) = await world.records()
    for token in (subscription("victim").endpoint.url, before.public_id, before.short_id, ""):
        with pytest.raises(InvalidToken):
            await unregister(world.services, world.project, token)
    with pytest.raises(Conflict, match="other keys"):
        await world.register(subscription("victim", p256dh=UA.public))
    assert await world.records() == [before]


def test_trap_23_a_mistyped_path_is_an_error_and_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        PushClient(key=tmp_path / "vapidd.pem", contact=CONTACT)
    assert list(tmp_path.iterdir()) == []


async def test_trap_23_a_new_key_overwrites_nothing_and_is_for_its_owner_alone(cli: Cli, tmp_path: Path) -> None:
    assert (await cli("keys", "generate", "--out", "vapid.pem")).status == 0
    made = (tmp_path / "vapid.pem").read_bytes()
    assert (tmp_path / "vapid.pem").stat().st_mode & 0o777 == 0o600
    again = await cli("keys", "generate", "--out", "vapid.pem")
    assert again.status != 0
    assert "not overwritten" in again.err
    assert (tmp_path / "vapid.pem").read_bytes() == made


@pytest.mark.parametrize(
    "command",
    [
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey"],
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"],
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ],
    ids=["with EC PARAMETERS", "SEC 1", "PKCS 8"],
)
def test_trap_23_whatever_openssl_writes_is_read_as_text_and_as_file(command: list[str], tmp_path: Path) -> None:
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    file = tmp_path / "vapid.pem"
    file.write_text(text)
    public = SigningKey.read(text).public_b64
    assert SigningKey.read(SigningKey.read(text.encode()).to_raw(), public=public).public_b64 == public
    PushClient(key=text, contact=CONTACT)
    PushClient(key=file, contact=CONTACT)


async def test_trap_24_long_endpoints_are_told_apart_and_kept_whole(world: World) -> None:
    name = "t" * (2048 - len(subscription("").endpoint.url) - 1)
    for last in "ab":
        await world.register(subscription(name + last))
        await world.register(subscription(name + last))
    assert len(await world.records()) == 2
    recipients = await sendable(world.services.store, world.project)
    kept = [recipient.subscription for recipient in recipients]
    assert {len(one.endpoint.url) for one in kept if one is not None} == {2048}


async def test_trap_25_a_switch_of_accounts_moves_the_device_and_leaves_no_copy(world: World) -> None:
    from pushkeep.app.projects import identity_secret

    secret = await identity_secret(world.services, world.project)
    for name in ("ann", "bob"):
        identity = sign_identity(secret, external_id=name, expires_at=world.clock.time + 60)
        await world.register(identity=identity)
    page = await list_subscriptions(world.services, world.project)
    assert [(item.contact_external_id, item.state) for item in page.items] == [("bob", State.ACTIVE)]


async def test_trap_25_a_key_that_is_not_ours_is_answered_with_ours_instead_of_being_stored(world: World) -> None:
    current, world.key = world.key, SigningKey.generate().public_b64
    with pytest.raises(Conflict, match="subscribe again") as caught:
        await world.register()
    assert caught.value.details["application_server_key"] == current
    assert await world.records() == []


@pytest.mark.parametrize(
    "extra",
    [
        {"expirationTime": None},
        {"expirationTime": 1_800_000_000_000.5},
        {"options": {"userVisibleOnly": True}, "subscriptionId": 5},
        {"endpoint_arn": "x", "keys2": [], "": {}},
    ],
)
def test_trap_26_fields_that_are_not_known_harm_nobody(extra: dict[str, object]) -> None:
    plain = UA.to_dict()
    keys = plain["keys"]
    assert isinstance(keys, dict)
    found = Subscription.from_dict({**plain, **extra, "keys": {**keys, "extra": 5}})
    assert found.endpoint.url == plain["endpoint"]
