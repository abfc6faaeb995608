import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.protocol.answer import PushResponse, TransportFailure
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import VERDICT_TABLE, Verdict, classify

FCM_WRONG_KEY = (
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create the "
    "subscriptions."
)

CASES = [
    # vendor, status, headers, body, verdict
    ("mozilla", 201, {}, "", "accepted"),
    ("wns", 200, {"x-wns-status": "received"}, "", "accepted"),
    ("unifiedpush", 202, {}, "", "accepted"),
    ("wns", 201, {"x-wns-status": "dropped"}, "", "transient"),
    ("wns", 200, {"x-wns-notificationstatus": "Dropped"}, "", "transient"),
    ("wns", 200, {"x-wns-status": "channelthrottled"}, "", "throttled"),
    ("wns", 200, {"x-wns-notificationstatus": "channelThrottled"}, "", "throttled"),
    ("fcm", 201, {"x-wns-status": "dropped"}, "", "accepted"),
    ("fcm", 410, {}, "push subscription has unsubscribed or expired.", "gone"),
    ("unknown", 410, {}, "", "gone"),
    ("mozilla", 404, {}, "", "gone"),
    ("apple", 404, {}, '{"reason":"BadPath"}', "gone"),
    ("wns", 404, {}, "", "gone"),
    ("fcm", 404, {}, "A valid push subscription endpoint should be specified", "suspect"),
    ("unifiedpush", 404, {}, "", "suspect"),
    ("unknown", 404, {}, "", "suspect"),
    ("fcm", 403, {}, "Invalid push subscription endpoint.", "suspect"),
    ("apple", 400, {}, '{"reason":"VapidPkHashMismatch"}', "key_mismatch"),
    ("apple", 403, {}, '{"reason":"VapidPkHashMismatch"}', "key_mismatch"),
    ("fcm", 403, {}, FCM_WRONG_KEY, "key_mismatch"),
    ("mozilla", 401, {}, '{"errno":109,"message":"VAPID public key mismatch"}', "key_mismatch"),
    ("wns", 401, {"x-wns-error-description": "The public key does not match the channel"}, "", "key_mismatch"),
    ("wns", 403, {"x-wns-error-description": "Not authorized to send to this channel"}, "", "key_mismatch"),
    ("fcm", 403, {}, "MismatchSenderId", "key_mismatch"),
    ("wns", 401, {"x-wns-error-description": "unable to validate token signature"}, "", "bad_token"),
    ("mozilla", 401, {}, '{"errno":109,"message":"Invalid token"}', "bad_token"),
    ("fcm", 403, {}, "permission denied: invalid JWT provided", "bad_token"),
    ("apple", 403, {}, '{"reason":"BadJwtToken"}', "bad_token"),
    ("apple", 400, {}, '{"reason":"BadVapidPublicKey"}', "bad_token"),
    ("fcm", 400, {}, "<TITLE>UnauthorizedRegistration</TITLE>", "bad_token"),
    ("mozilla", 413, {}, "", "too_large"),
    ("apple", 400, {}, '{"reason":"PayloadTooLarge"}', "too_large"),
    ("apple", 429, {}, '{"reason":"TooManyRequests"}', "throttled"),
    ("wns", 406, {}, "", "throttled"),
    ("mozilla", 406, {}, "", "bad_request"),
    ("unifiedpush", 507, {}, '{"code":50701}', "throttled"),
    ("mozilla", 507, {}, "", "transient"),
    ("mozilla", 400, {}, '{"errno":111}', "bad_request"),
    ("apple", 400, {}, '{"reason":"BadWebPushTopic"}', "bad_request"),
    ("apple", 405, {}, "", "bad_request"),
    ("wns", 411, {}, "", "bad_request"),
    ("fcm", 302, {"location": "https://elsewhere.example"}, "", "bad_request"),
    ("fcm", 307, {}, "", "bad_request"),
    ("fcm", 408, {}, "", "transient"),
    ("fcm", 425, {}, "", "transient"),
    ("mozilla", 503, {"retry-after": "120"}, "", "transient"),
    ("fcm", 500, {}, "", "transient"),
    ("fcm", 101, {}, "", "transient"),
    ("fcm", 999, {}, "", "transient"),
]


@pytest.mark.parametrize(("vendor", "status", "headers", "body", "verdict"), CASES)
def test_an_answer_has_its_verdict(vendor: str, status: int, headers: dict[str, str], body: str, verdict: str) -> None:
    assert classify(VENDORS[vendor], PushResponse(status, headers, body.encode())) == verdict


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("refused_address", "refused_endpoint")]
    + [(kind, "transient") for kind in ("resolve", "connect", "tls", "timeout", "reset", "protocol")],
)
def test_no_answer_has_its_verdict(kind: str, verdict: str) -> None:
    for vendor in VENDORS.values():
        assert classify(vendor, TransportFailure(kind, "…")) == verdict  # type: ignore[arg-type]


@given(
    st.sampled_from(list(VENDORS.values())),
    st.integers(100, 999).filter(lambda status: status not in (404, 410)),
    st.dictionaries(st.sampled_from(["x-wns-status", "x-wns-error-description", "location"]), st.text()),
    st.binary(max_size=60),
)
def test_nothing_but_404_and_410_ever_means_gone(
    vendor: object, status: int, headers: dict[str, str], body: bytes
) -> None:
    assert classify(vendor, PushResponse(status, headers, body)) is not Verdict.GONE  # type: ignore[arg-type]


def test_every_row_is_reached_by_a_case() -> None:
    def row_of(vendor: str, answer: PushResponse | TransportFailure) -> int:
        return next((i for i, row in enumerate(VERDICT_TABLE) if row.matches(VENDORS[vendor], answer)), -1)

    reached = {
        row_of(vendor, PushResponse(status, headers, body.encode())) for vendor, status, headers, body, _ in CASES
    }
    reached |= {row_of("fcm", TransportFailure(kind, "…")) for kind in ("refused_address", "tls")}  # type: ignore[arg-type]
    assert reached >= set(range(len(VERDICT_TABLE)))


def test_every_row_says_why() -> None:
    assert all(row.because for row in VERDICT_TABLE)
