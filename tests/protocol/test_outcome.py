import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.protocol.answer import PushResponse, TransportFailure
from pushkeep.protocol.outcome import EXPLANATION_CHARACTERS_MAX, explain, read_answer
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import Verdict

MOZILLA_GONE = {
    "code": 410,
    "errno": 106,
    "error": "Gone",
    "message": "No such subscription",
    "more_info": "https://autopush.readthedocs.io/en/latest/http.html#error-codes",
}


def test_an_accepted_message_has_its_location() -> None:
    outcome = read_answer(
        VENDORS["mozilla"],
        PushResponse(201, {"location": "https://x/m/1", "ttl": "60", "server": "nginx"}),
        now=0,
        duration_ms=12.34567,
        reference="mine",
    )
    assert outcome.accepted
    assert (outcome.location, outcome.reference, outcome.headers) == ("https://x/m/1", "mine", {"ttl": "60"})
    assert outcome.explanation is None
    assert "https://x/m/1" not in json.dumps(outcome.to_dict()), "a location is a capability"


def test_mozillas_words_are_kept() -> None:
    outcome = read_answer(
        VENDORS["mozilla"], PushResponse(410, {}, json.dumps(MOZILLA_GONE).encode()), now=0, duration_ms=1
    )
    assert outcome.verdict is Verdict.GONE
    assert not outcome.accepted
    assert outcome.explanation is not None
    assert outcome.explanation.to_dict() == {
        "text": "No such subscription",
        "code": 410,
        "errno": 106,
        "more_info": MOZILLA_GONE["more_info"],
    }
    assert outcome.to_dict()["explanation"] == outcome.explanation.to_dict()


def test_no_answer_says_what_failed() -> None:
    outcome = read_answer(
        VENDORS["fcm"], TransportFailure("timeout", "no answer in 30 s", request_sent=True), now=0, duration_ms=30_000
    )
    assert (outcome.status, outcome.verdict) == (None, Verdict.TRANSIENT)
    assert outcome.explanation is not None
    assert outcome.explanation.text == "no answer in 30 s"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"x-wns-continue-after": "9"}, 9.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 20.0),
        ({"retry-after": "later"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_wherever_it_stands(headers: dict[str, str], wait: float | None) -> None:
    assert read_answer(VENDORS["wns"], PushResponse(429, headers), now=10, duration_ms=1).retry_after == wait


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ({}, b'{"reason":"BadJwtToken"}', "BadJwtToken"),
        ({}, b'{"error":"Bad Request","message":""}', "Bad Request"),
        ({}, b'{"message":7}', "HTTP status 400"),
        ({}, b"[1]", "[1]"),
        ({}, b"", "HTTP status 400 without an explanation"),
        ({}, b"<html><style>x{}</style><h1>Unauthorized</h1>\r\n<p>Registration", "Unauthorized Registration"),
        ({}, b"a\x00b\x1b[31mc\xff", "a b [31mc\ufffd"),
        ({"x-wns-error-description": "Ttl value conflicts"}, b"ignored", "Ttl value conflicts"),
        ({"x-wns-status": "dropped"}, b"", "dropped"),
        ({}, b"no " + b"t" * 200 + b" here", "no […] here"),
        ({}, b"no https://ntfy.example/upDzQbwzTjw4yH?up=1 here", "no https://ntfy.example/[\u2026] here"),
        ({}, b"as such: https://push.example/wp/ and a token", "as such: https://push.example/wp/ and a token"),
        ({}, b"no <script>never ends" + b"<script" * 9000, "no"),
        ({}, b"[" * 5000, None),
    ],
)
def test_words_are_found_and_cleaned(headers: dict[str, str], body: bytes, text: str | None) -> None:
    found = explain(PushResponse(400, headers, body)).text
    assert text is None or found == text
    assert len(found) <= EXPLANATION_CHARACTERS_MAX


def test_only_a_sane_link_and_small_numbers_are_taken() -> None:
    hostile = {"message": "x", "more_info": "javascript:alert(1)", "code": True, "errno": 10**9}
    assert explain(PushResponse(400, {}, json.dumps(hostile).encode())).to_dict() == {"text": "x"}
    hostile["more_info"] = "https://push.example.net/wpush/v2/" + "gAAAAABm" * 20  # the endpoint itself
    assert explain(PushResponse(400, {}, json.dumps(hostile).encode())).more_info is None
    hostile["more_info"] = "https://a/" + "x#" * 200
    assert explain(PushResponse(400, {}, json.dumps(hostile).encode())).more_info is None


def test_long_words_are_cut() -> None:
    text = explain(PushResponse(400, {}, b"word " * 1000)).text
    assert len(text) == EXPLANATION_CHARACTERS_MAX
    assert text.endswith("…")


@given(st.binary(max_size=400))
def test_any_body_gives_a_printable_line(body: bytes) -> None:
    text = explain(PushResponse(400, {}, body)).text
    assert 0 < len(text) <= EXPLANATION_CHARACTERS_MAX
    assert all(ord(character) >= 32 for character in text)


def test_the_second_waiting_time_counts_where_the_first_cannot_be_read() -> None:
    headers = {"retry-after": "soon", "x-wns-continue-after": "90"}
    assert read_answer(VENDORS["wns"], PushResponse(406, headers), now=0, duration_ms=1).retry_after == 90


def test_the_requests_warnings_come_back() -> None:
    for answer in (PushResponse(201, {}), TransportFailure("reset", "gone")):
        outcome = read_answer(VENDORS["fcm"], answer, now=0, duration_ms=1, warnings=("payload is long.",))
        assert outcome.warnings == ("payload is long.",)
        assert outcome.to_dict()["warnings"] == ["payload is long."]
