"""Every shape of answer that push services are known to give has its explanation, and every explanation a remedy."""

import json
from collections.abc import Mapping

import pytest

from pushkeep.domain.explanations import EXPLANATIONS, diagnose
from pushkeep.protocol.answer import Answer, FailureKind, PushResponse, TransportFailure
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import Verdict


def apple(status: int, reason: str = "") -> PushResponse:
    return PushResponse(status, {}, json.dumps({"reason": reason}).encode() if reason else b"")


def mozilla(status: int, errno: int | None = None, message: str = "") -> PushResponse:
    if status == 404:
        return PushResponse(404, {}, b"")
    return PushResponse(status, {}, json.dumps({"code": status, "errno": errno, "message": message}).encode())


def fcm(status: int, text: str = "") -> PushResponse:
    return PushResponse(status, {}, text.encode())


def wns(status: int, headers: Mapping[str, str] | None = None) -> PushResponse:
    return PushResponse(status, headers or {}, b"")


FCM_403 = (
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create the "
    "subscriptions."
)
SHAPES: list[tuple[str, Answer, Verdict, str]] = [
    ("fcm", fcm(201), Verdict.ACCEPTED, "nobody but the browser"),
    ("fcm", fcm(400, "<TITLE>UnauthorizedRegistration</TITLE>"), Verdict.BAD_TOKEN, "UnauthorizedRegistration"),
    ("fcm", fcm(400, "bad"), Verdict.BAD_REQUEST, "does not accept the request"),
    ("fcm", fcm(403, "permission denied: invalid JWT provided"), Verdict.BAD_TOKEN, "Google refuses the token"),
    ("fcm", fcm(401, "permission denied: invalid JWT provided"), Verdict.BAD_TOKEN, "Google refuses the token"),
    ("fcm", fcm(403, "the aud claim in the token MUST include the origin"), Verdict.BAD_TOKEN, "Google refuses"),
    ("fcm", fcm(403, FCM_403), Verdict.KEY_MISMATCH, "Google knows the subscription under another key"),
    ("fcm", fcm(403, "invalid push subscription endpoint."), Verdict.SUSPECT, "no valid endpoint"),
    ("fcm", fcm(404, "A valid push subscription endpoint should be specified"), Verdict.SUSPECT, "no valid endpoint"),
    ("fcm", fcm(410, "push subscription has unsubscribed or expired."), Verdict.GONE, "ended at Google"),
    ("fcm", fcm(413), Verdict.TOO_LARGE, "4,096"),
    ("fcm", fcm(429), Verdict.THROTTLED, "fewer messages"),
    ("fcm", fcm(500), Verdict.TRANSIENT, "passes"),
    ("mozilla", mozilla(201), Verdict.ACCEPTED, "TTL is 0"),
    ("mozilla", mozilla(400, 101), Verdict.BAD_REQUEST, "encryption"),
    ("mozilla", mozilla(404), Verdict.GONE, "cannot read the endpoint"),
    ("mozilla", mozilla(410, 103), Verdict.GONE, "ended at Mozilla"),
    ("mozilla", mozilla(413, 104), Verdict.TOO_LARGE, "Firefox for Android"),
    ("mozilla", mozilla(410, 105), Verdict.GONE, "ended at Mozilla"),
    ("mozilla", mozilla(410, 106), Verdict.GONE, "ended at Mozilla"),
    ("mozilla", mozilla(400, 108), Verdict.BAD_REQUEST, "cannot route"),
    ("mozilla", mozilla(401, 109, "Invalid bearer token"), Verdict.BAD_TOKEN, "Mozilla refuses the token"),
    ("mozilla", mozilla(401, 109, "VAPID public key mismatch"), Verdict.KEY_MISMATCH, "Mozilla knows"),
    ("mozilla", mozilla(400, 110), Verdict.BAD_REQUEST, "encryption"),
    ("mozilla", mozilla(400, 111), Verdict.BAD_REQUEST, "TTL or Topic"),
    ("mozilla", mozilla(400, 112), Verdict.BAD_REQUEST, "TTL or Topic"),
    ("mozilla", mozilla(400, 113), Verdict.BAD_REQUEST, "TTL or Topic"),
    ("mozilla", mozilla(400, 114), Verdict.BAD_REQUEST, "TTL or Topic"),
    ("mozilla", mozilla(503, 201), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(500, 201), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(503, 202), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(502, 900), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(502, 901), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(502, 902), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(502, 903), Verdict.TRANSIENT, "could not store"),
    ("mozilla", mozilla(500, 999), Verdict.TRANSIENT, "passes"),
    ("mozilla", mozilla(400), Verdict.BAD_REQUEST, "cannot route"),
    ("mozilla", mozilla(502), Verdict.TRANSIENT, "passes"),
    ("apple", apple(201), Verdict.ACCEPTED, "nothing about whether the iPhone shows it"),
    ("apple", apple(400, "BadTtl"), Verdict.BAD_REQUEST, "TTL"),
    ("apple", apple(400, "BadUrgency"), Verdict.BAD_REQUEST, "Urgency"),
    ("apple", apple(400, "BadWebPushTopic"), Verdict.BAD_REQUEST, "Topic"),
    ("apple", apple(400, "BadWebPushRequest"), Verdict.BAD_REQUEST, "BadWebPushRequest"),
    ("apple", apple(400, "VapidPkHashMismatch"), Verdict.KEY_MISMATCH, "VapidPkHashMismatch"),
    ("apple", apple(403, "VapidPkHashMismatch"), Verdict.KEY_MISMATCH, "VapidPkHashMismatch"),
    ("apple", apple(403, "BadJwtToken"), Verdict.BAD_TOKEN, "silent on iPhone"),
    ("apple", apple(403, "BadAuthorizationHeader"), Verdict.BAD_TOKEN, "Authorization header"),
    ("apple", apple(400, "BadAuthorizationHeader"), Verdict.BAD_TOKEN, "Authorization header"),
    ("apple", apple(403, "BadVapidPublicKey"), Verdict.BAD_TOKEN, "public key"),
    ("apple", apple(400, "BadVapidPublicKey"), Verdict.BAD_TOKEN, "public key"),
    ("apple", apple(403), Verdict.BAD_TOKEN, "refuses our token"),
    ("apple", apple(404, "BadPath"), Verdict.GONE, "path"),
    ("apple", apple(405, "MethodNotAllowed"), Verdict.BAD_REQUEST, "POST"),
    ("apple", apple(410, "Unregistered"), Verdict.GONE, "ended at Apple"),
    ("apple", apple(413, "PayloadTooLarge"), Verdict.TOO_LARGE, "4,096"),
    ("apple", apple(429, "TooManyRequests"), Verdict.THROTTLED, "one device"),
    ("apple", apple(500, "InternalServerError"), Verdict.TRANSIENT, "Apple has a fault"),
    ("apple", apple(503, "ServiceUnavailable"), Verdict.TRANSIENT, "Apple has a fault"),
    ("apple", apple(503, "Shutdown"), Verdict.TRANSIENT, "Apple has a fault"),
    ("apple", apple(500, "IdleTimeout"), Verdict.TRANSIENT, "Apple has a fault"),
    ("wns", wns(201, {"x-wns-status": "received"}), Verdict.ACCEPTED, "Microsoft took the message"),
    ("wns", wns(200, {"x-wns-notificationstatus": "received"}), Verdict.ACCEPTED, "Microsoft took the message"),
    ("wns", wns(200, {"x-wns-notificationstatus": "dropped"}), Verdict.TRANSIENT, "dropped the message"),
    ("wns", wns(200, {"x-wns-status": "channelthrottled"}), Verdict.THROTTLED, "Microsoft throttles"),
    (
        "wns",
        wns(400, {"x-wns-error-description": "Ttl value conflicts with X-WNS-Cache-Policy."}),
        Verdict.BAD_REQUEST,
        "conflict",
    ),
    ("wns", wns(400), Verdict.BAD_REQUEST, "its headers say why"),
    (
        "wns",
        wns(401, {"x-wns-error-description": "JWT Authentication Failed, unable to validate token signature"}),
        Verdict.BAD_TOKEN,
        "does not accept the sender",
    ),
    (
        "wns",
        wns(401, {"x-wns-error-description": "The public key does not match the channel"}),
        Verdict.KEY_MISMATCH,
        "under another key",
    ),
    ("wns", wns(403), Verdict.BAD_TOKEN, "does not accept the sender"),
    ("wns", wns(404), Verdict.GONE, "channel"),
    ("wns", wns(405), Verdict.BAD_REQUEST, "its headers say why"),
    ("wns", wns(406), Verdict.THROTTLED, "Microsoft throttles"),
    ("wns", wns(410), Verdict.GONE, "channel"),
    ("wns", wns(413), Verdict.TOO_LARGE, "4,096"),
    ("wns", wns(500), Verdict.TRANSIENT, "passes"),
    ("wns", wns(503), Verdict.TRANSIENT, "passes"),
    ("unifiedpush", fcm(201), Verdict.ACCEPTED, "nobody but the browser"),
    ("unifiedpush", fcm(302), Verdict.BAD_REQUEST, "redirect"),
    ("unifiedpush", fcm(400), Verdict.BAD_REQUEST, "does not accept the request"),
    ("unifiedpush", fcm(404), Verdict.SUSPECT, "does not know the endpoint's path"),
    ("unifiedpush", fcm(413), Verdict.TOO_LARGE, "4,096"),
    ("unifiedpush", fcm(429), Verdict.THROTTLED, "fewer messages"),
    ("unifiedpush", fcm(507, '{"code":50701}'), Verdict.THROTTLED, "no app connected"),
    ("unknown", fcm(410), Verdict.GONE, "has ended"),
    ("unknown", fcm(403), Verdict.BAD_TOKEN, "refuses our token"),
    ("unknown", fcm(418), Verdict.BAD_REQUEST, "does not accept the request"),
    ("unknown", fcm(700), Verdict.TRANSIENT, "passes"),
    *(
        ("unknown", TransportFailure(kind, "x"), verdict, words)
        for kind, verdict, words in (
            ("refused_address", Verdict.REFUSED_ENDPOINT, "not public"),
            ("resolve", Verdict.TRANSIENT, "cannot be resolved"),
            ("connect", Verdict.TRANSIENT, "No connection"),
            ("tls", Verdict.TRANSIENT, "certificate"),
            ("timeout", Verdict.TRANSIENT, "in time"),
            ("reset", Verdict.TRANSIENT, "connection broke"),
            ("protocol", Verdict.TRANSIENT, "proper HTTP"),
        )
    ),
]


@pytest.mark.parametrize(("vendor", "answer", "verdict", "words"), SHAPES)
def test_every_known_answer_is_explained(vendor: str, answer: Answer, verdict: Verdict, words: str) -> None:
    found = diagnose(VENDORS[vendor], answer)
    assert (found.verdict, found.row.verdict) == (verdict, verdict)
    assert words in found.row.meaning
    assert found.does


def test_every_row_is_reached_by_a_known_answer() -> None:
    reached = {id(diagnose(VENDORS[vendor], answer).row) for vendor, answer, _, _ in SHAPES}
    assert [row.meaning for row in EXPLANATIONS if id(row) not in reached] == []


@pytest.mark.parametrize("row", EXPLANATIONS, ids=lambda row: f"{row.verdict}: {row.meaning[:40]}")
def test_no_row_is_without_causes_remedy_and_source(row: object) -> None:
    for text in (row.meaning, row.remedy, row.source):  # type: ignore[attr-defined]
        assert len(text) > 10
    assert row.meaning.endswith(".")  # type: ignore[attr-defined]
    assert row.remedy.endswith(".")  # type: ignore[attr-defined]
    assert row.causes  # type: ignore[attr-defined]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_ends_with_an_explanation_for_the_rest(verdict: Verdict) -> None:
    last = [row for row in EXPLANATIONS if row.verdict is verdict][-1]
    assert (last.vendors, last.statuses, last.said, last.failure) == (None, None, None, None)


@pytest.mark.parametrize("vendor", list(VENDORS.values()), ids=lambda vendor: vendor.name)
def test_nothing_is_left_unexplained(vendor: object) -> None:
    for status in range(0, 1000):
        assert diagnose(vendor, PushResponse(status, {}, b"\xff\x00nonsense"))  # type: ignore[arg-type]
    kinds: list[FailureKind] = ["refused_address", "resolve", "connect", "tls", "timeout", "reset", "protocol"]
    for kind in kinds:
        assert diagnose(vendor, TransportFailure(kind, ""))  # type: ignore[arg-type]


def test_silent_on_iphone_names_the_contact_first() -> None:
    found = diagnose(VENDORS["apple"], apple(403, "BadJwtToken"))
    assert "sub" in found.row.causes[0]
    assert "mailto:" in found.row.remedy


def test_accepted_by_apple_and_silent_names_silent_pushes_and_ttl() -> None:
    causes = " ".join(diagnose(VENDORS["apple"], apple(201)).row.causes)
    assert "three pushes" in causes
    assert "TTL was 0" in causes
    assert "Home Screen" in causes


def test_a_diagnosis_is_a_json_object() -> None:
    found = diagnose(VENDORS["apple"], apple(403, "BadJwtToken")).to_dict()
    assert json.loads(json.dumps(found))["verdict"] == "bad_token"
