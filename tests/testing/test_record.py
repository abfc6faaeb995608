"""What is kept of a sender's requests, and what is said about them."""

from __future__ import annotations

import httpx
import pytest
from pywebpush import webpush

from pushkeep.errors import Undecryptable
from pushkeep.protocol.verdict import Verdict
from pushkeep.pushservice.personalities import Refusal
from pushkeep.testing import record, remedies
from pushkeep.testing.live import LivePushService
from pushkeep.testing.messages import PushMessage
from pushkeep.testing.vapid_key import VapidKey

KEY = VapidKey()


def test_every_refusal_has_a_remedy_and_every_verdict_but_those_that_need_none() -> None:
    assert set(remedies.REMEDIES) == set(Refusal)
    assert set(remedies.FOR_VERDICTS) == set(Verdict) - {Verdict.ACCEPTED, Verdict.REFUSED_ENDPOINT}


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ("vapid t=e30.eyJhdWQiOiJodHRwczovL2EifQ.x, k=y", {"aud": "https://a"}),
        ("vapid k=y,t=e30.eyJhdWQiOiJodHRwczovL2EifQ.x", {"aud": "https://a"}),
        ("WebPush e30.eyJhdWQiOiJodHRwczovL2EifQ.x", {"aud": "https://a"}),
        ("vapid t=nonsense, k=y", {}),
        ("vapid t=e30.W10.x, k=y", {}),
        ("vapid t=e30.!!!.x", {}),
        ("vapid k=y", {}),
        ("", {}),
    ],
)
def test_claims_are_read_from_any_token_and_are_none_of_a_broken_one(header: str, claims: dict[str, object]) -> None:
    assert PushMessage(201, "apple", {"authorization": header}, 0).claims == claims


def test_a_message_without_payload_or_without_keys_says_so() -> None:
    empty = PushMessage(201, "fcm", {"ttl": "0"}, 0)
    assert (empty.data, empty.ttl, empty.urgency, empty.topic, empty.encoding) == (None, 0, "normal", None, None)
    with pytest.raises(AssertionError, match="no payload"):
        empty.json()
    browsers = PushMessage(201, "fcm", {"ttl": "soon"}, 100)
    assert browsers.ttl is None
    with pytest.raises(Undecryptable, match="ask it with receive"):
        _ = browsers.data


def test_requests_to_nobody_are_kept_too() -> None:
    with LivePushService() as live:
        context = live.ssl_context()
        for path in ("/wpush/v2/nobody", "/apple/nobody"):
            httpx.post(live.url + path, verify=context, trust_env=False, headers={"ttl": "5"})
        httpx.get(live.url + "/wpush/v2/nobody", verify=context, trust_env=False)
        unknown, apple = live.sent.requests
        assert (unknown.status, unknown.vendor, unknown.subscription_id) == (404, "mozilla", None)
        assert apple.vendor == "apple"
        assert "nothing decoded or cut" in apple.remedy


def test_a_long_record_is_told_in_short() -> None:
    with LivePushService() as live, httpx.Client(verify=live.ssl_context(), trust_env=False) as client:
        for _ in range(record.SHOWN_MAX + 3):
            client.post(live.url + "/wpush/v2/nobody")
        text = live.record.describe()
        assert "… 3 before" in text
        assert text.count("404 from mozilla") == record.SHOWN_MAX
        with pytest.raises(AssertionError, match="23 of 23 requests were refused"):
            live.sent.assert_all_accepted()
        live.reset()
        with pytest.raises(AssertionError, match="saw no request"):
            live.sent.assert_all_accepted()


def test_a_message_of_the_test_before_that_comes_late_is_still_received() -> None:
    with LivePushService() as live:
        phone = live.subscribe(KEY.public)
        phone.go_offline()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in live.environment().items():
                patch.setenv(name, value)
            webpush(
                phone.to_dict(), "late", vapid_private_key=KEY.private, vapid_claims={"sub": "mailto:a@b.org"}, ttl=60
            )
        live.record.forget()
        phone.go_online()
        message = phone.receive()
        assert (message.text, message.ttl, message.encoding) == ("late", 60, "aes128gcm")
        assert message.status == httpx.codes.CREATED
