"""Corner cases of ``firefox_push`` and ``chromium_push``; run by test_visitor.py in a pytest of its own."""

from __future__ import annotations

import http_ece
import pytest
from pywebpush import WebPushException, webpush

from pushkeep import PushClient
from pushkeep.testing.record import SentMessages
from pushkeep.testing.vapid_key import VapidKey
from pushkeep.testing.visitor import BrowserPush

CLAIMS = {"sub": "mailto:me@my-site.org"}


@pytest.fixture(params=["firefox_push", "chromium_push"])
def visitor(request: pytest.FixtureRequest) -> BrowserPush:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, BrowserPush)
    return found


def send(visitor: BrowserPush, key: VapidKey, payload: bytes | str | None) -> None:
    webpush(visitor.subscription.to_dict(), payload, vapid_private_key=key.private, vapid_claims=dict(CLAIMS), ttl=60)


def test_text_octets_no_payload_and_declarative_ones(visitor: BrowserPush, vapid_key: VapidKey) -> None:
    send(visitor, vapid_key, "Grüße, 世界 🎉\0")
    assert visitor.receive().text == "Grüße, 世界 🎉\0"
    octets = bytes(range(256))
    send(visitor, vapid_key, octets)
    # Chromium carries the payload as text within itself: what is no UTF-8 reaches the worker as no payload.
    assert visitor.receive().data == (octets if "firefox" in repr(visitor) else None)
    send(visitor, vapid_key, None)
    with pytest.raises(AssertionError, match="no payload"):
        _ = visitor.receive().text
    send(visitor, vapid_key, '{"web_push": 8030, "notification": {"title": "Declared", "body": "b", "tag": "t"}}')
    visitor.receive()
    shown = visitor.notifications()
    assert "Push without payload" in [each.title for each in shown]
    assert ("Declared", "b", "t") in [(each.title, each.body, each.tag) for each in shown]


def test_what_cannot_be_decrypted_is_told_by_what_the_service_saw(
    visitor: BrowserPush, vapid_key: VapidKey, monkeypatch: pytest.MonkeyPatch, sent_messages: SentMessages
) -> None:
    monkeypatch.setattr(http_ece, "encrypt", lambda *_, **__: bytes(16) + b"\0\0\x10\0\x41\x04" + bytes(200))
    send(visitor, vapid_key, "Hello")
    with pytest.raises(AssertionError, match=r"got no push within 1 s.*\n.*201, accepted[^\n]*\n.*without a word"):
        visitor.receive(timeout=1)
    assert len(sent_messages) == 1
    assert sent_messages[0].vendor in ("mozilla", "fcm")


async def test_a_sender_that_knows_the_origin_map(visitor: BrowserPush, vapid_key: VapidKey) -> None:
    """The very subscription of the page: Chromium's is on a host of Google's."""
    async with PushClient(key=vapid_key.signing_key, contact=CLAIMS["sub"]) as client:
        outcome = await client.send(visitor.real_subscription.to_json(), "From Pushkeep", ttl=60)
    assert outcome.accepted, outcome
    assert (await visitor.areceive()).text == "From Pushkeep"
    assert (visitor.real_subscription.endpoint == visitor.subscription.endpoint) == ("firefox" in repr(visitor))


def test_a_visitor_leaves_once(visitor: BrowserPush, vapid_key: VapidKey) -> None:
    visitor.unsubscribe()
    with pytest.raises(AssertionError, match="no subscription to end"):
        visitor.unsubscribe()
    with pytest.raises(WebPushException, match="410"):
        send(visitor, vapid_key, "Hello")
