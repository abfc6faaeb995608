"""What PushClient makes of answers that the local push service does not give, and what leaves us on the wire."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Mapping

import http_ece
import pytest

from pushkeep import Outcome, PushClient, SigningKey, Subscription, Verdict
from pushkeep.adapters.http2 import TransportLimits
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.vapid import verify
from tests.protocol.vectors import AS_PRIVATE, AUTH, BODY, PLAINTEXT, SALT, UA_PRIVATE, UA_PUBLIC
from tests.store.doubles import FakeClock
from tests.transport.servers import ORIGIN, Authority, Seen, answer, answer2, http1, http2

from .conftest import CONTACT

WHOM = Subscription(Endpoint.parse(f"{ORIGIN}/wpush/token"), UA_PUBLIC, AUTH)


class KnownEntropy:
    """The salt and key pair of RFC 8291's example."""

    def salt(self) -> bytes:
        return SALT

    def ephemeral_key(self) -> object:
        return AS_PRIVATE

    def token_bytes(self, count: int) -> bytes:
        return bytes(count)


async def send_to(
    authority: Authority, status: int, body: bytes = b"", fields: Mapping[str, str] | None = None, vendor: str = "fcm"
) -> Outcome:
    behave = answer2(status, body, *(fields or {}).items())
    async with (
        http2(behave, authority.server_context(alpn=("h2",))) as server,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[f"{server.entry(authority.file)},vendor={vendor}"],
        ) as client,
    ):
        return await client.send(WHOM, "x")


@pytest.mark.parametrize(
    ("status", "vendor", "verdict"),
    [
        (202, "unknown", Verdict.ACCEPTED),
        (302, "fcm", Verdict.BAD_REQUEST),
        (307, "fcm", Verdict.BAD_REQUEST),
        (400, "fcm", Verdict.BAD_REQUEST),
        (401, "fcm", Verdict.BAD_TOKEN),
        (403, "mozilla", Verdict.BAD_TOKEN),
        (404, "fcm", Verdict.SUSPECT),
        (404, "apple", Verdict.GONE),
        (406, "wns", Verdict.THROTTLED),
        (413, "fcm", Verdict.TOO_LARGE),
        (429, "apple", Verdict.THROTTLED),
        (503, "mozilla", Verdict.TRANSIENT),
    ],
)
async def test_a_status_is_read_by_the_vendors_row(
    authority: Authority, status: int, vendor: str, verdict: Verdict
) -> None:
    outcome = await send_to(authority, status, vendor=vendor)
    assert (outcome.verdict, outcome.status) == (verdict, status)


async def test_retry_after_is_read_as_seconds_and_as_date(authority: Authority) -> None:
    outcome = await send_to(authority, 429, fields={"retry-after": "120"})
    assert outcome.retry_after == 120
    later = email.utils.formatdate(time.time() + 3600, usegmt=True)
    outcome = await send_to(authority, 503, fields={"retry-after": later})
    assert outcome.retry_after is not None
    assert 3500 < outcome.retry_after <= 3600


async def test_an_explanation_is_cut_and_cleaned(authority: Authority) -> None:
    outcome = await send_to(authority, 400, b"<html><h1>Bad\x1b[31m</h1>" + b"word " * 3000)
    assert outcome.explanation is not None
    assert outcome.explanation.text.startswith("Bad [31m")
    assert len(outcome.explanation.text) <= 300


async def test_no_answer_is_an_outcome_too(authority: Authority) -> None:
    async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        http1(hang, authority.server_context()) as server,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[server.entry(authority.file)],
            limits=TransportLimits(total_seconds_max=0.3),
        ) as client,
    ):
        outcome = await client.send(WHOM, "x", reference=5)
    assert (outcome.verdict, outcome.status, outcome.reference) == (Verdict.TRANSIENT, None, 5)
    assert outcome.duration_ms >= 290
    assert outcome.explanation is not None
    assert outcome.explanation.text == "The push service did not answer in time."


async def test_the_body_is_opened_by_another_library(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        for size in (1, 100, 3993):
            await client.send(WHOM, b"m" * size)
    for seen, size in zip(server.requests, (1, 100, 3993), strict=True):
        assert len(seen.body) == size + 103
        opened = http_ece.decrypt(seen.body, private_key=UA_PRIVATE, auth_secret=AUTH, version="aes128gcm")
        assert opened == b"m" * size


async def test_with_known_salt_and_key_the_body_is_the_rfcs(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[server.entry(authority.file)],
            entropy=KnownEntropy(),  # type: ignore[arg-type]
        ) as client,
    ):
        await client.send(WHOM, PLAINTEXT, ttl=10, urgency="low", topic="a-b_")
    (seen,) = server.requests
    assert seen.body == BODY
    headers = {name: seen.header(name) for name in ("ttl", "urgency", "topic", "content-encoding")}
    assert headers == {"ttl": "10", "urgency": "low", "topic": "a-b_", "content-encoding": "aes128gcm"}


async def test_salt_and_key_are_new_for_each_message(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        for _ in range(20):
            await client.send(WHOM, "same")
    assert len({seen.body[:16] for seen in server.requests}) == 20
    assert len({seen.body[21:86] for seen in server.requests}) == 20


async def test_a_token_is_kept_for_its_half_life_and_then_made_anew(authority: Authority) -> None:
    key, clock = SigningKey.generate(), FakeClock(1_800_000_000.0)
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=key, contact=CONTACT, origin_map=[server.entry(authority.file)], clock=clock) as client,
    ):
        for hours in (0, 5, 7):
            clock.time = 1_800_000_000.0 + hours * 3600
            await client.send(WHOM)
            token = server.requests[-1].header("authorization")
            assert token is not None
            claims = verify(token, audience=ORIGIN, now=clock.time)
            assert claims.contact == CONTACT
            assert claims.public_bytes == key.public_bytes
    tokens = [seen.header("authorization") for seen in server.requests]
    assert tokens[0] == tokens[1] != tokens[2]


async def test_cancelling_a_send_leaves_the_client_usable(authority: Authority) -> None:
    arrived = asyncio.Event()

    async def hang_once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if not arrived.is_set():
            arrived.set()
            await asyncio.Event().wait()
        await answer()(seen, writer)

    async with (
        http1(hang_once, authority.server_context()) as server,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[server.entry(authority.file)],
            limits=TransportLimits(in_flight_max=1),
        ) as client,
    ):
        task = asyncio.create_task(client.send(WHOM, "x"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await asyncio.wait_for(client.send(WHOM, "x"), 5)).accepted


async def test_a_closed_client_says_so() -> None:
    client = PushClient(key=SigningKey.generate(), contact=CONTACT)
    await client.aclose()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.send(WHOM, "x")
