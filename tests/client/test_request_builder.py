"""With somebody else's HTTP client: httpx, requests and aiohttp against the local push service."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine

import aiohttp
import httpx
import pytest
import requests

from pushkeep import (
    InvalidInput,
    Outcome,
    PayloadTooLarge,
    PushRequest,
    RequestBuilder,
    SigningKey,
    Verdict,
    pad_to_multiple,
    parse_response,
)
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.protocol.vectors import AUTH, UA_PUBLIC

from .conftest import CONTACT
from .test_send_many import whom

SECONDS = 10
"""Bound on waits for a message that is on its way; it takes milliseconds."""

Post = Callable[[PushRequest, str], Coroutine[None, None, Outcome]]


async def with_httpx(request: PushRequest, ca_file: str) -> Outcome:
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=ca_file), follow_redirects=False, trust_env=False, timeout=SECONDS
    ) as client:
        response = await client.post(request.endpoint.url, headers=dict(request.headers), content=request.body)
    return parse_response(
        request, status=response.status_code, headers=response.headers, body=response.content, reference=1
    )


async def with_requests(request: PushRequest, ca_file: str) -> Outcome:
    def work() -> Outcome:
        response = requests.post(
            request.endpoint.url,
            headers=dict(request.headers),
            data=request.body,
            allow_redirects=False,
            timeout=SECONDS,
            verify=ca_file,
        )
        return parse_response(
            request, status=response.status_code, headers=response.headers, body=response.content, reference=1
        )

    return await asyncio.to_thread(work)


async def with_aiohttp(request: PushRequest, ca_file: str) -> Outcome:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(
            request.endpoint.url,
            headers=dict(request.headers),
            data=request.body,
            allow_redirects=False,
            ssl=ssl.create_default_context(cafile=ca_file),
        ) as response,
    ):
        return parse_response(
            request, status=response.status, headers=response.headers, body=await response.read(), reference=1
        )


clients = pytest.mark.parametrize("post", [with_httpx, with_requests, with_aiohttp])


@pytest.fixture
def builder(key: SigningKey) -> RequestBuilder:
    return RequestBuilder(key=key, contact=CONTACT)


@pytest.fixture
async def subscriber(service: PushService, key: SigningKey) -> LocalSubscriber:
    return await service.subscribe(key.public_bytes)


@clients
async def test_a_message_arrives(
    service: PushService, subscriber: LocalSubscriber, builder: RequestBuilder, post: Post
) -> None:
    for payload, arrives in (({"n": 1}, b'{"n":1}'), (None, None)):
        request = builder.build(subscriber.subscription, payload, ttl=60, urgency="high", topic="inbox")
        outcome = await post(request, str(service.ca_file))
        assert (outcome.verdict, outcome.status, outcome.reference) == (Verdict.ACCEPTED, 201, 1)
        assert outcome.headers["ttl"] == "60"
        message = await subscriber.receive(SECONDS)
        assert (message.data, message.urgency, message.topic) == (arrives, "high", "inbox")


@clients
async def test_a_visitor_who_left_is_gone(
    service: PushService, subscriber: LocalSubscriber, builder: RequestBuilder, post: Post
) -> None:
    await subscriber.unsubscribe()
    outcome = await post(builder.build(subscriber.subscription.to_json(), "x"), str(service.ca_file))
    assert (outcome.verdict, outcome.status) == (Verdict.GONE, 410)
    assert outcome.explanation is not None
    assert outcome.explanation.errno == 106


def test_the_builder_refuses_what_the_client_refuses(builder: RequestBuilder) -> None:
    with pytest.raises(PayloadTooLarge):
        builder.build(whom(), b"x" * 3994)
    for arguments in ({"subscription": "{"}, {"ttl": -1}, {"payload": 5}, {"topic": " "}):
        with pytest.raises(InvalidInput):
            builder.build(**{"subscription": whom(), **arguments})  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        RequestBuilder(key=SigningKey.generate(), contact="you")


def test_every_request_is_fresh_and_padded_as_told(key: SigningKey) -> None:
    builder = RequestBuilder(key=key, contact=CONTACT, padding=pad_to_multiple(512))
    first, second = builder.build(whom(), "x"), builder.build(whom(), "x" * 300)
    assert len(first.body) == len(second.body)
    assert first.body[:16] != second.body[:16]
    assert dict(first.headers)["Authorization"] == dict(second.headers)["Authorization"]
    assert UA_PUBLIC not in first.body
    assert AUTH not in first.body


@pytest.mark.parametrize("status", [0, 99, 1000, True, "201", None])
def test_a_status_must_be_one(builder: RequestBuilder, status: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_response(builder.build(whom()), status=status)  # type: ignore[arg-type]
    assert caught.value.field == "status"


def test_an_answer_is_read_by_the_hosts_row_or_the_one_named(builder: RequestBuilder) -> None:
    request = builder.build(whom("https://web.push.apple.com"), "x")
    assert parse_response(request, status=404).verdict is Verdict.GONE
    assert parse_response(builder.build(whom()), status=404).verdict is Verdict.SUSPECT
    assert parse_response(builder.build(whom()), status=404, vendor="apple").verdict is Verdict.GONE
    with pytest.raises(InvalidInput):
        parse_response(request, status=404, vendor="acme")


def test_headers_and_body_are_taken_in_any_form(builder: RequestBuilder) -> None:
    request = builder.build(whom(), "x")
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 600))
    for headers in ({"Retry-After": later}, [("retry-after", later)]):
        outcome = parse_response(request, status=429, headers=headers, body='{"message":"slow down"}')
        assert outcome.verdict is Verdict.THROTTLED
        assert outcome.retry_after is not None
        assert 500 < outcome.retry_after <= 600
        assert outcome.explanation is not None
        assert outcome.explanation.text == "slow down"
    assert parse_response(request, status=302).verdict is Verdict.BAD_REQUEST


async def test_several_threads_build_with_one_token(builder: RequestBuilder) -> None:
    def work() -> set[str]:
        return {dict(builder.build(whom(), "x").headers)["Authorization"] for _ in range(20)}

    tokens = await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
    assert len(set().union(*tokens)) == 1
