"""Which rules of the strict service the other libraries break, and why: exactly those, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import pytest
import requests
from pywebpush import WebPushException, webpush

from pushkeep import SigningKey
from pushkeep.pushservice import LocalSubscriber, PushService
from pushkeep.pushservice.personalities.strict_rules import RULES

from .conftest import LEGACY_VENDORS, SECONDS, VENDORS, subscriber_of
from .node_driver import run

CONTACT = "mailto:push@acme-news.org"
PAYLOAD = "Grüße, 你好"
EXCEPTED = ("token_refreshed",)
"""Both sign each message afresh; see the last test."""


@dataclass(frozen=True)
class Use:
    """A way to use both libraries. ``ttl`` of None leaves the library's own; ``payload`` may be left out."""

    name: str
    ttl: int | None = None
    payload: str | None = PAYLOAD
    encoding: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


DEFAULTS = Use("defaults")
CAREFUL = Use("careful", ttl=60, options={"urgency": "high", "topic": "news"})
AT_ONCE = Use("ttl-0", ttl=0)
EMPTY = Use("no-payload", ttl=60, payload=None)
LEGACY = Use("aesgcm", ttl=60, encoding="aesgcm")


@dataclass(frozen=True)
class Broken:
    """A rule that a library breaks when it is used so, and why; ``rule`` is None where only the vendor itself objects.

    ``status``: what the vendor answers once the rule is left out.
    """

    peer: str
    use: Use
    vendor: str
    rule: str | None
    reason: str
    status: str = "201"


_OWN_TTL = "its ttl is 0 unless one is given"
_NO_POLICY = "it never sends X-WNS-Cache-Policy, without which WNS takes no TTL of 0"
_DRAFT = "with aesgcm it signs as the draft of that time has it"
_ASKED = "it still has aesgcm for whoever asks"
_SILENT = "it sends a push without payload to anybody"
BROKEN = (
    Broken("pywebpush", DEFAULTS, "apple", "ttl_zero", _OWN_TTL),
    Broken("pywebpush", DEFAULTS, "wns", "ttl_cache_policy", f"{_OWN_TTL}; {_NO_POLICY}", "400"),
    Broken("web-push", AT_ONCE, "apple", "ttl_zero", "it sends the TTL of 0 that was asked for"),
    Broken("web-push", AT_ONCE, "wns", "ttl_cache_policy", _NO_POLICY, "400"),
    *(
        row
        for peer in ("pywebpush", "web-push")
        for row in (
            Broken(peer, EMPTY, "apple", "payload_missing", _SILENT),
            Broken(peer, EMPTY, "unifiedpush", None, _SILENT, "400"),
        )
    ),
    *(Broken("web-push", LEGACY, vendor, "token_scheme", _DRAFT) for vendor in (*LEGACY_VENDORS, "apple")),
    *(
        Broken(peer, LEGACY, vendor, "encoding_legacy", _ASKED, "400" if vendor == "apple" else "201")
        for peer in ("pywebpush", "web-push")
        for vendor in (*LEGACY_VENDORS, "apple")
    ),
)
"""Every one; in the order in which a request that breaks several is told of them."""

CASES = [
    (peer, use, vendor)
    for peer, uses in {
        "pywebpush": (DEFAULTS, CAREFUL, EMPTY, LEGACY),
        "web-push": (DEFAULTS, CAREFUL, AT_ONCE, EMPTY, LEGACY),
    }.items()
    for use in uses
    for vendor in VENDORS
    if not (use is LEGACY and vendor == "unifiedpush")  # it drops the headers that aesgcm needs
]

Send = Callable[[PushService, LocalSubscriber, SigningKey, Use], Awaitable[str]]


def told(status: object, body: object) -> str:
    """The rule that an answer names, or its status."""
    words = str(body).split(": ")
    return words[1] if words[0] == "strict" else str(status)


async def with_pywebpush(service: PushService, subscriber: LocalSubscriber, key: SigningKey, use: Use) -> str:
    with requests.Session() as session:
        session.verify = str(service.ca_file)
        session.trust_env = False
        send = partial(
            webpush,
            subscriber.local_subscription.to_dict(),
            use.payload,
            vapid_private_key=key.to_raw(),
            vapid_claims={"sub": CONTACT},
            headers=dict(use.options),
            timeout=30,
            requests_session=session,
            **({} if use.ttl is None else {"ttl": use.ttl}),
            **({} if use.encoding is None else {"content_encoding": use.encoding}),
        )
        try:
            answer = await asyncio.to_thread(send)
        except WebPushException as error:
            refused = error.response
            return told(refused.status_code, refused.text) if refused is not None else str(error)
    return told(answer.status_code, answer.text)


async def with_web_push(service: PushService, subscriber: LocalSubscriber, key: SigningKey, use: Use) -> str:
    details = {"subject": CONTACT, "publicKey": key.public_b64, "privateKey": key.to_raw()}
    options: dict[str, object] = {"vapidDetails": details, **use.options}
    options |= {} if use.ttl is None else {"TTL": use.ttl}
    options |= {} if use.encoding is None else {"contentEncoding": use.encoding}
    job: dict[str, object] = {
        "verb": "send",
        "subscription": subscriber.local_subscription.to_dict(),
        "options": options,
    }
    job |= {} if use.payload is None else {"payload": use.payload}
    (result,) = await run("web_push.cjs", [job], ca_file=service.ca_file)
    return told(result.get("statusCode"), result.get("body"))


PEERS: Mapping[str, Send] = {"pywebpush": with_pywebpush, "web-push": with_web_push}


async def all_told(send: Send, key: SigningKey, vendor: str, use: Use) -> list[str]:
    """The rules that are named one after the other, each left out once it was, and the status at last."""
    told_so_far: list[str] = []
    names = {rule.name for rule in RULES}
    while not told_so_far or told_so_far[-1] in names:
        async with PushService(strict=True, strict_except=(*EXCEPTED, *told_so_far)) as service:
            subscriber = await subscriber_of(service, key, vendor)
            told_so_far.append(await send(service, subscriber, key, use))
            if told_so_far[-1] == "201":
                assert (await subscriber.receive(SECONDS)).data == (use.payload and use.payload.encode())
    return told_so_far


@pytest.mark.parametrize(("peer", "use", "vendor"), CASES, ids=str)
async def test_exactly_these_rules_are_broken(key: SigningKey, peer: str, use: Use, vendor: str) -> None:
    rows = [row for row in BROKEN if (row.peer, row.use, row.vendor) == (peer, use, vendor)]
    expected = [*(row.rule for row in rows if row.rule), rows[-1].status if rows else "201"]
    assert await all_told(PEERS[peer], key, vendor, use) == expected, rows


def test_every_row_has_its_case() -> None:
    assert {(row.peer, str(row.use), row.vendor) for row in BROKEN} <= {(p, str(u), v) for p, u, v in CASES}


@pytest.mark.parametrize("vendor", ["mozilla", "apple"])
@pytest.mark.parametrize("peer", PEERS)
async def test_both_sign_every_message_afresh(key: SigningKey, peer: str, vendor: str) -> None:
    async with PushService(strict=True) as service:
        subscriber = await subscriber_of(service, key, vendor)
        assert [await PEERS[peer](service, subscriber, key, CAREFUL) for _ in range(2)] == ["201", "token_refreshed"]
