from __future__ import annotations

import json

import pytest

from pushkeep.errors import InvalidInput
from pushkeep.protocol.request import parse_request
from pushkeep.pushservice.personalities import PERSONALITIES, Quirks, Refusal, Taken
from pushkeep.pushservice.personalities.refusal import ALWAYS_ANSWERED


@pytest.mark.parametrize("vendor", sorted(PERSONALITIES))
@pytest.mark.parametrize("refusal", sorted(ALWAYS_ANSWERED))
def test_every_refusal_has_an_answer(vendor: str, refusal: Refusal) -> None:
    answer = PERSONALITIES[vendor].refuse(refusal)
    assert 400 <= answer.status < 600
    if answer.status == 503 and vendor in ("mozilla", "fcm"):
        assert ("retry-after", "120") in answer.headers
    if vendor == "mozilla" and refusal not in (Refusal.UNKNOWN_ENDPOINT, Refusal.MISSING_QUERY):
        content = json.loads(answer.body)
        assert content["code"] == answer.status
        assert content["message"]


def test_quirks_are_read_as_the_command_line_has_them() -> None:
    assert Quirks.parse(()) == Quirks()
    texts = ["ntfy", "wns-http1-only", "wns-status=200", "fcm-settling-seconds=3"]
    assert Quirks.parse(texts) == Quirks(3.0, ntfy=True, wns_http1_only=True, wns_status=200)
    for text in ("", "ntfy=1", "wns-status=404", "fcm-settling-seconds", "fcm-settling-seconds=-1", "x" * 1000):
        with pytest.raises(InvalidInput, match="is no quirk"):
            Quirks.parse([text])


def test_limits_are_those_of_the_vendor_table() -> None:
    assert (PERSONALITIES["mozilla"].body_bytes_max, PERSONALITIES["fcm"].body_bytes_max) == (4096, 4096)
    assert PERSONALITIES["fcm"].ttl_seconds_max < PERSONALITIES["mozilla"].ttl_seconds_max


def test_an_accepted_message_has_location_and_ttl() -> None:
    answer = PERSONALITIES["mozilla"].accept(Taken("https://x/m/1", "1", 7, "t", 0.0))
    assert (answer.status, dict(answer.headers)) == (201, {"location": "https://x/m/1", "ttl": "7"})
    assert parse_request([("TTL", dict(answer.headers)["ttl"])], b"").ttl == 7
