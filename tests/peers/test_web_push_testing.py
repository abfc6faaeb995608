"""Our sender posts to npm web-push-testing, whose own server checks the token, decrypts and reports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from pushkeep import PushClient, SigningKey, Verdict, pad_to_multiple

from .conftest import CONTACT
from .node_driver import started_testing_server

ORIGIN = "https://push.example.net"
"""It speaks plain http only; the origin map dials it for this origin."""
LARGEST = {"aes128gcm": 3993, "aesgcm": 4077}
"""Only the legacy encoding has room for the latter, so its arrival shows which one was spoken."""


@pytest.fixture
async def server() -> AsyncIterator[httpx.AsyncClient]:
    async with started_testing_server() as base, httpx.AsyncClient(base_url=base, trust_env=False) as connected:
        yield connected


async def subscribe(server: httpx.AsyncClient, key: SigningKey) -> dict[str, object]:
    answer = await server.post("/subscribe", json={"userVisibleOnly": "true", "applicationServerKey": key.public_b64})
    made: dict[str, object] = answer.json()["data"]
    return made | {"endpoint": f"{ORIGIN}/notify/{made['clientHash']}"}


async def messages(server: httpx.AsyncClient, subscription: dict[str, object]) -> list[str]:
    answer = await server.post("/get-notifications", json={"clientHash": subscription["clientHash"]})
    found: list[str] = answer.json()["data"]["messages"]
    return found


def client(server: httpx.AsyncClient, key: SigningKey) -> PushClient:
    return PushClient(
        key=key,
        contact=CONTACT,
        origin_map=[f"{ORIGIN}={str(server.base_url).rstrip('/')}"],
        padding=pad_to_multiple(256),
    )


@pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm"])
async def test_it_decrypts_what_we_send(server: httpx.AsyncClient, key: SigningKey, encoding: str) -> None:
    subscription = await subscribe(server, key) | {"encodings": [encoding]}
    payloads = ["x", "Grüße, 你好", "z" * LARGEST[encoding]]
    async with client(server, key) as sender:
        for payload in payloads:
            outcome = await sender.send(subscription, payload, ttl=60)
            assert outcome.accepted, outcome
    assert await messages(server, subscription) == payloads


async def test_it_refuses_another_key(server: httpx.AsyncClient, key: SigningKey) -> None:
    subscription = await subscribe(server, SigningKey.generate())
    async with client(server, key) as sender:
        outcome = await sender.send(subscription, "x")
    assert (outcome.status, outcome.verdict) == (400, Verdict.BAD_REQUEST)
    assert await messages(server, subscription) == []


async def test_an_expired_subscription_is_gone(server: httpx.AsyncClient, key: SigningKey) -> None:
    subscription = await subscribe(server, key)
    await server.post(f"/expire-subscription/{subscription['clientHash']}")
    async with client(server, key) as sender:
        outcome = await sender.send(subscription, "x")
    assert (outcome.status, outcome.verdict) == (410, Verdict.GONE)
