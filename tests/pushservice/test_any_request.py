"""Whatever a request holds, each personality has an answer for it, strict or not, and never an exception."""

from __future__ import annotations

import asyncio
import base64
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import Limits
from pushkeep.pushservice.core import Core
from pushkeep.pushservice.events import EventLog
from pushkeep.pushservice.http.message import Request
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.personalities import PERSONALITIES, Quirks
from pushkeep.pushservice.personalities.routes import endpoint, find_route, own_endpoint, token_of
from pushkeep.pushservice.personalities.strict import StrictService
from pushkeep.pushservice.resources import Resources
from pushkeep.pushservice.tokens import Tokens

OWN, UP = "https://localhost:8443", "https://127.0.0.1:8443"
KEY = SigningKey.generate()
NOW = 1_800_000_000.0
HUB = Hub(
    Core(Tokens(b"s" * 32, random.Random(1).randbytes), Limits()),
    EventLog(now=lambda: NOW, kept=10),
    now=lambda: NOW,
    limits=Limits(),
)
SERVICES = [
    Resources(HUB, lambda: frozenset({OWN, UP}), strict=strict, quirks=quirks)
    for strict, quirks in ((None, None), (StrictService(), Quirks(ntfy=True)))
]


def endpoints() -> list[str]:
    """One of each vendor, bound and, where there is such a thing, not; on both origins."""
    found = []
    for vendor in sorted(PERSONALITIES):
        for key in (KEY.public_bytes, None) if vendor in ("mozilla", "unifiedpush") else (KEY.public_bytes,):
            client = HUB.core.client(HUB.core.tokens.short_id(), "local", NOW)
            made = HUB.subscribe(client, vendor=vendor, channel="c", key=key)
            restricted = key is not None
            found += [
                endpoint(vendor, made.token, restricted=restricted, own_origin=OWN, unifiedpush_origin=UP),
                own_endpoint(vendor, made.token, restricted=restricted, own_origin=OWN),
            ]
    return found


ENDPOINTS = endpoints()
NAMES = [
    "ttl",
    "urgency",
    "topic",
    "authorization",
    "content-encoding",
    "content-length",
    "crypto-key",
    "encryption",
    "expect",
    "link",
]
VALUES = st.sampled_from(
    ["0", "60", "-1", "9" * 400, "high", "aes128gcm", "aesgcm", "vapid t=a.b.c, k=", "vapid", "salt=", "dh=;p256ecdsa="]
) | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = st.dictionaries(st.sampled_from(["aud", "exp", "sub"]), JSON)


def bearing(claims: object) -> str:
    """An Authorization header with these claims and no signature worth the name."""
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"vapid t=eyJhbGciOiJFUzI1NiJ9.{middle}.{'A' * 86}, k={KEY.public_b64}"


HEADERS = st.lists(
    st.tuples(st.sampled_from(NAMES), VALUES) | st.tuples(st.just("authorization"), CLAIMS.map(bearing)), max_size=8
)
BODIES = st.binary(max_size=200) | st.builds(
    lambda start, rest: start + b"\0\0\x10\0A\x04" + rest, st.binary(min_size=16, max_size=16), st.binary(max_size=100)
)


def ask(service: Resources, url: str, method: str, headers: list[tuple[str, str]], body: bytes) -> int:
    authority, slash, target = url.removeprefix("https://").partition("/")
    request = Request(method, "https", authority, slash + target, tuple(headers), body, len(body), "2")
    return asyncio.run(service.handle(request)).status


@given(
    service=st.sampled_from(SERVICES),
    url=st.sampled_from(ENDPOINTS),
    method=st.sampled_from(["POST", "GET", "DELETE"]),
    headers=HEADERS,
    body=BODIES,
)
def test_every_request_to_an_endpoint_is_answered(
    service: Resources, url: str, method: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    status = ask(service, url, method, headers, body)
    assert 200 <= status < 500 or status in (503, 507)


@given(
    service=st.sampled_from(SERVICES),
    url=st.sampled_from(ENDPOINTS),
    cut=st.integers(0, 80),
    more=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
def test_every_mangled_endpoint_is_answered(service: Resources, url: str, cut: int, more: str) -> None:
    status = ask(service, url[: max(len(url) - cut, len("https://localhost:8443/"))] + more, "POST", [], b"")
    assert 200 <= status < 500


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_address_has_a_route_or_none(authority: str, target: str) -> None:
    find_route(authority, target, {OWN})
    token_of(target)


@pytest.mark.parametrize("url", ENDPOINTS)
def test_an_endpoint_leads_to_its_own_token(url: str) -> None:
    authority, slash, target = url.removeprefix("https://").partition("/")
    route = find_route(authority, slash + target, {OWN, UP})
    assert route is not None
    assert route.token == token_of(url)
    subscription = HUB.core.find(route.token)
    assert subscription is not None
    assert subscription.vendor == route.vendor
