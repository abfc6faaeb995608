"""``make test-live`` without the internet: what it asks for, when it refuses, and that it tells a difference."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import PushService
from tests.pushservice.helpers import Sender
from tests.recorded import live
from tests.recorded.provoking import Ask
from tests.recorded.recording import VENDORS

KEY = SigningKey.generate()
CONTACT = "mailto:push@acme-news.org"


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    subscription = {
        "endpoint": "https://web.push.apple.com/QAbc",
        "keys": {"p256dh": KEY.public_b64, "auth": "AAAAAAAAAAAAAAAAAAAAAA"},
    }
    (tmp_path / "key.pem").write_text(KEY.to_pem())
    return {
        "PUSHKEEP_LIVE_SUBSCRIPTION": json.dumps([subscription, subscription]),
        "PUSHKEEP_LIVE_KEY": str(tmp_path / "key.pem"),
        "PUSHKEEP_LIVE_CONTACT": CONTACT,
    } | changes


def test_it_reads_values_and_files(tmp_path: Path) -> None:
    settings = live.read_settings(environment(tmp_path))
    assert (len(settings.subscriptions), settings.key.public_b64) == (2, KEY.public_b64)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"CI": "true"}, "never runs in CI"),
        ({"PUSHKEEP_LIVE_KEY": ""}, "It needs the internet"),
        ({"PUSHKEEP_LIVE_SUBSCRIPTION": "{}"}, "keys must be an object"),
        ({"PUSHKEEP_LIVE_SUBSCRIPTION": "no json"}, "It needs the internet"),
        ({"PUSHKEEP_LIVE_CONTACT": "mailto:a@localhost"}, "contact must have"),
    ],
)
def test_it_refuses_in_a_sentence(tmp_path: Path, changes: dict[str, str], text: str) -> None:
    with pytest.raises(SystemExit, match=text):
        live.read_settings(environment(tmp_path, **changes))


@pytest.mark.parametrize("vendor", VENDORS)
async def test_it_finds_the_local_service_as_recorded(service: PushService, sender: Sender, vendor: str) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)

    async def send(ask: Ask) -> httpx.Response:
        return await sender.request(ask.method, ask.url, headers=dict(ask.headers), body=ask.body)

    findings = await live.compare(vendor, subscriber.subscription, key=KEY, contact=CONTACT, send=send, pause_seconds=0)
    assert findings
    assert [str(finding) for finding in findings if finding.differences] == []
    assert live.vendor_of(subscriber.subscription.endpoint) == vendor


async def test_it_tells_what_is_different_without_the_endpoint(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor="apple")
    subscription = subscriber.subscription

    async def send(ask: Ask) -> httpx.Response:
        if ask.method == "PUT":
            raise httpx.ReadTimeout("")
        return httpx.Response(410, text=f"no such thing as {subscription.endpoint.target}")

    findings = await live.compare("apple", subscription, key=KEY, contact=CONTACT, send=send, pause_seconds=0)
    story = "\n".join(map(str, findings))
    assert "DIFFERENT  apple: no TTL" in story
    assert "status 410 instead of 400" in story
    assert "no answer: ReadTimeout" in story
    assert subscription.endpoint.target not in story
