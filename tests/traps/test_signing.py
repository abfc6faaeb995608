"""Traps 1 to 5: tokens."""

from __future__ import annotations

import json

import pytest

from pushkeep import InvalidInput, PushClient, RetryPolicy, SigningKey, Subscription
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.protocol.vapid import parse_authorization, verify
from tests.store.doubles import FakeClock, FakeSleeper
from tests.transport.servers import Seen, Server, answer, http1

from .conftest import CONTACT, ORIGINS, UA, header, led_to


async def test_trap_01_claims_are_never_shared_between_services(wire: Server, key: SigningKey) -> None:
    clock = FakeClock()
    async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire), clock=clock) as client:
        for origin in (*ORIGINS, *reversed(ORIGINS)):
            await client.send(UA.to_dict(f"{origin}/x"), "x")
            claims = verify(header(wire.requests[-1], "authorization"), audience=origin, now=clock.now())
            assert (claims.audience, claims.contact) == (origin, CONTACT)


@pytest.mark.parametrize(
    ("endpoint", "audience"),
    [
        ("https://push.example.net/x", "https://push.example.net"),
        ("https://push.example.net:8443/x", "https://push.example.net:8443"),
        ("https://push.example.net:443/x", "https://push.example.net"),
        ("https://PUSH.Example.net/X", "https://push.example.net"),
        ("https://[2001:DB8:0:0::1]/x", "https://[2001:db8::1]"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443"),
    ],
)
async def test_trap_02_aud_is_an_origin(wire: Server, key: SigningKey, endpoint: str, audience: str) -> None:
    async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire, audience)) as client:
        assert (await client.send(UA.to_dict(endpoint), "x")).accepted
    token, _ = parse_authorization(header(wire.requests[-1], "authorization"))
    assert json.loads(b64_decode(token.split(".")[1], field="claims"))["aud"] == audience


def test_trap_02_no_audience_is_made_of_user_information() -> None:
    with pytest.raises(InvalidInput, match="user information"):
        Subscription.from_dict(UA.to_dict("https://someone:secret@push.example.net/x"))


@pytest.mark.parametrize(
    "contact",
    [CONTACT, "https://example.com", "https://example.com/", "https://example.com/contact?team=push"],
)
def test_trap_03_every_real_contact_is_taken(key: SigningKey, contact: str) -> None:
    PushClient(key=key, contact=contact)


@pytest.mark.parametrize(
    "contact",
    [
        "",
        "ops@example.com",
        "mailto: ops@example.com",
        "mailto:<ops@example.com>",
        "mailto:mailto:ops@example.com",
        "mailto:ops@localhost",
        "mailto:ops@x.invalid",
        "mailto:ops@printer.local",
        "https://localhost/",
        "https://192.0.2.1/",
        "http://example.com",
    ],
)
def test_trap_03_contacts_that_apple_refuses_are_refused_before_anything_is_sent(key: SigningKey, contact: str) -> None:
    with pytest.raises(InvalidInput, match="Apple") as caught:
        PushClient(key=key, contact=contact)
    assert caught.value.field == "contact"


def test_trap_03_there_is_no_placeholder_to_forget(key: SigningKey) -> None:
    with pytest.raises(TypeError, match="contact"):
        PushClient(key=key)  # type: ignore[call-arg]


async def test_trap_04_a_token_lives_half_a_day_and_is_renewed_long_before_its_end(
    wire: Server, key: SigningKey
) -> None:
    clock, start = FakeClock(), 1_800_000_000.0
    async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire), clock=clock) as client:
        for minutes in range(0, 48 * 60, 97):
            clock.time = start + minutes * 60
            await client.send(UA.to_dict(f"{ORIGINS[0]}/x"), "x")
            claims = verify(header(wire.requests[-1], "authorization"), audience=ORIGINS[0], now=clock.now())
            assert 6 * 3600 < claims.expires_at - clock.now() <= 12 * 3600


async def test_trap_04_every_attempt_has_the_token_of_its_own_moment(key: SigningKey) -> None:
    clock, start = FakeClock(), 1_800_000_000.0

    async def busy_for_seven_hours(seen: Seen, writer: object) -> None:
        clock.time = start + 7 * 3600
        await (answer("503 Busy") if len(server.requests) == 1 else answer())(seen, writer)  # type: ignore[arg-type]

    async with (
        http1(busy_for_seven_hours, None) as server,
        PushClient(
            key=key,
            contact=CONTACT,
            origin_map=led_to(server),
            clock=clock,
            sleeper=FakeSleeper(clock),
            retry=RetryPolicy(),
        ) as client,
    ):
        assert (await client.send(UA.to_dict(f"{ORIGINS[0]}/x"), "x")).accepted
    first, second = (header(seen, "authorization") for seen in server.requests)
    assert first != second
    assert verify(second, audience=ORIGINS[0], now=clock.now()).expires_at > start + 18 * 3600


def test_trap_05_two_keys_or_contacts_never_share_a_token(key: SigningKey) -> None:
    cache, other = TokenCache(), SigningKey.generate()
    made = {
        (signer.key_id, origin, contact): cache.header(signer, origin=origin, contact=contact, now=0)
        for signer in (key, other)
        for origin in ORIGINS
        for contact in (CONTACT, "https://example.com/")
    }
    assert len(set(made.values())) == len(made)
    for (key_id, origin, contact), value in made.items():
        claims = verify(value, audience=origin, now=0)
        signer = key if key_id == key.key_id else other
        assert (claims.public_bytes, claims.contact) == (signer.public_bytes, contact)


def test_trap_05_the_cache_is_asked_by_origin_not_by_host() -> None:
    first, second = (Endpoint.parse(f"https://push.example.net{port}/x") for port in ("", ":8443"))
    assert first.origin != second.origin
