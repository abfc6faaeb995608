"""The same message by npm web-push and by us: every header the same, or the difference is in the table with its reason.

Theirs is what ``generateRequestDetails`` returns, ours is read from the wire. A row of the table that no case needs
any more fails too.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from pushkeep import PushClient, SigningKey
from pushkeep.protocol.encoding import b64_decode
from tests.transport.servers import Server, answer, http1

from .browser import Browser
from .conftest import CONTACT
from .node_driver import run

UA = Browser()
ABSENT = "absent"
Shown = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One message; the options as web-push names them."""

    endpoint: str
    payload: str | None = "Grüße"
    encoding: str = "aes128gcm"
    contact: str = CONTACT
    options: Mapping[str, object] = field(default_factory=dict)


CASES = {
    "defaults": Case("https://push.example.net/abc"),
    "mozilla": Case("https://updates.push.services.mozilla.com/wpush/v2/abc", options={"TTL": 60, "urgency": "high"}),
    "google": Case("https://fcm.googleapis.com/fcm/send/abc", options={"TTL": 0, "topic": "news"}),
    "google-gcm": Case("https://android.googleapis.com/gcm/send/abc"),
    "apple": Case("https://web.push.apple.com/abc", options={"urgency": "very-low", "topic": "abcd"}),
    "apple-topic": Case("https://web.push.apple.com/abc", options={"topic": "news5"}),
    "microsoft": Case("https://wns2-ln2p.notify.windows.com/w/?token=BQ%2f%2b", options={"TTL": 60}),
    "microsoft-now": Case("https://wns2-ln2p.notify.windows.com/w/?token=BQ%2f%2b", options={"TTL": 0}),
    "no-payload": Case("https://push.example.net/abc", payload=None, options={"urgency": "normal"}),
    "largest": Case("https://push.example.net/abc", payload="x" * 3993),
    "https-contact": Case("https://push.example.net/abc", contact="https://example.org/contact"),
    "port": Case("https://push.example.net:8443/abc"),
    "default-port": Case("https://push.example.net:443/abc"),
    "upper-case": Case("https://Push.Example.Net/Abc"),
    "ipv6": Case("https://[2001:DB8::1]:8443/abc"),
    "ipv6-in-full": Case("https://[2001:DB8:0:0:0:0:0:1]:8443/abc"),
    "aesgcm": Case("https://push.example.net/abc", encoding="aesgcm", options={"TTL": 60, "topic": "t"}),
    "aesgcm-no-payload": Case("https://push.example.net/abc", payload=None, encoding="aesgcm"),
    "aesgcm-largest": Case("https://push.example.net/abc", payload="x" * 4077, encoding="aesgcm"),
}


@dataclass(frozen=True)
class Permitted:
    """A difference that is meant: patterns of the shown values on both sides."""

    header: str
    ours: str
    theirs: str
    reason: str


PERMITTED = (
    Permitted("urgency", ABSENT, "normal", "RFC 8030 section 5.3: absent means normal; the octets are saved"),
    Permitted("user-agent", "pushkeep", ABSENT, "whoever runs a push service can see who calls; it has no version"),
    Permitted(
        "topic",
        r"[A-Za-z0-9_-]{32}",
        "news5",
        "Apple refuses a Topic whose length no base64url text has (BadWebPushTopic); the hash is as good a topic",
    ),
    Permitted(
        "x-wns-cache-policy",
        "cache",
        ABSENT,
        "Microsoft wants the policy to agree with the TTL: kept messages are cached",
    ),
    Permitted("x-wns-cache-policy", "no-cache", ABSENT, "and refuses TTL 0 with 400 unless it is no-cache"),
    Permitted(
        "authorization",
        r"vapid \{.*\}",
        ABSENT,
        "web-push wants an API key of former times for this host, which is dead; we sign for every host alike",
    ),
    Permitted(
        "authorization",
        r"vapid \{.*\}",
        r"WebPush \{.*\}",
        "without a payload nothing is encoded, and today's form of the token is the one that every service takes",
    ),
    Permitted("crypto-key", ABSENT, "p256ecdsa=.*", "which has the key beside it and needs no Crypto-Key"),
    Permitted(
        "authorization",
        r'vapid \{.*"aud": "https://push\.example\.net".*\}',
        r'vapid \{.*"aud": "https://push\.example\.net:443".*\}',
        "aud is an origin (RFC 8292 section 2), and origins do not name the default port (RFC 6454 section 6.1)",
    ),
    Permitted(
        "authorization",
        r'vapid \{.*"aud": "https://\[2001:db8::1\]:8443".*\}',
        r'vapid \{.*"aud": "https://\[2001:db8:0:0:0:0:0:1\]:8443".*\}',
        "the origin of an IPv6 address is in its compressed form (WHATWG URL, host serializing)",
    ),
)


def show(headers: Mapping[str, object], now: float) -> Shown:
    """Header fields by lower-case name, what is new in every message replaced by its form."""
    shown = {name.lower(): str(value) for name, value in headers.items()}
    shown.pop("host", None)  # of the request line, which web-push leaves to Node
    if "authorization" in shown:
        shown["authorization"] = show_token(shown["authorization"], now)
    for name in ("encryption", "crypto-key"):
        if name in shown:
            shown[name] = ";".join(_show_parameter(part) for part in shown[name].split(";"))
    return shown


def _show_parameter(part: str) -> str:
    name, _, value = part.partition("=")
    return f"{name}={value if name == 'p256ecdsa' else len(b64_decode(value, field=name))}"


def show_token(header: str, now: float) -> str:
    match = re.fullmatch(r"(vapid) t=([^,]+), k=([\w-]+)|(WebPush) ([\w.-]+)", header)
    assert match, header
    scheme, token, key = match.group(1) or match.group(4), match.group(2) or match.group(5), match.group(3)
    first, claims, signature = token.split(".")
    read = json.loads(b64_decode(claims, field="claims"))
    hours = (read.pop("exp") - now) / 3600
    assert 11.9 < hours <= 12.1  # both sign for half a day
    told = {
        "header": json.loads(b64_decode(first, field="header")),
        "claims": read,
        "signature": len(b64_decode(signature, field="signature")),
        "key": key,
    }
    return f"{scheme} {json.dumps(told, sort_keys=True)}"


@pytest.fixture
async def wire() -> AsyncIterator[Server]:
    async with http1(answer(), None) as server:
        yield server


async def ours(wire: Server, case: Case, key: SigningKey) -> tuple[Shown, bytes]:
    parts = urlsplit(case.endpoint)
    subscription = UA.to_dict(case.endpoint) | {"encodings": [case.encoding]}
    entry = f"{parts.scheme}://{parts.netloc}=http://127.0.0.1:{wire.port}"
    async with PushClient(key=key, contact=case.contact, origin_map=[entry]) as client:
        options = {name.lower(): value for name, value in case.options.items()}
        outcome = await client.send(subscription, case.payload, **options)  # type: ignore[arg-type]
    assert outcome.accepted, outcome
    seen = wire.requests[-1]
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    assert (seen.method, seen.target) == ("POST", target)
    return show(dict(seen.headers), time.time()), seen.body


async def theirs(key: SigningKey, raw_key: str) -> dict[str, tuple[Shown, bytes]]:
    """All cases, in one process."""
    jobs: list[Mapping[str, object]] = [
        {
            "verb": "details",
            "subscription": UA.to_dict(case.endpoint),
            "payload": case.payload,
            "options": {
                "vapidDetails": {"subject": case.contact, "publicKey": key.public_b64, "privateKey": raw_key},
                "contentEncoding": case.encoding,
                **case.options,
            },
        }
        for case in CASES.values()
    ]
    found = {}
    for (name, case), result in zip(CASES.items(), await run("web_push.cjs", jobs), strict=True):
        assert (result.get("method"), result.get("endpoint")) == ("POST", case.endpoint), result
        headers = result["headers"]
        assert isinstance(headers, dict)
        found[name] = show(headers, time.time()), base64.b64decode(str(result["body"] or ""))
    return found


def permits(row: Permitted, header: str, our: str, their: str) -> bool:
    return row.header == header and bool(re.fullmatch(row.ours, our)) and bool(re.fullmatch(row.theirs, their))


async def test_every_difference_is_in_the_table_and_every_row_is_needed(
    wire: Server, key: SigningKey, raw_key: str
) -> None:
    needed: set[Permitted] = set()
    surprises = []
    for name, (their, their_body) in (await theirs(key, raw_key)).items():
        our, our_body = await ours(wire, CASES[name], key)
        assert len(our_body) == len(their_body), name
        for header in sorted(our.keys() | their.keys()):
            pair = our.get(header, ABSENT), their.get(header, ABSENT)
            rows = [row for row in PERMITTED if permits(row, header, *pair)]
            needed.update(rows)
            if pair[0] != pair[1] and not rows:
                surprises.append((name, header, *pair))
    assert not surprises
    assert needed == set(PERMITTED)
