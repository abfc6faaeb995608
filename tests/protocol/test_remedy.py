import pytest

from pushkeep.protocol.answer import PushResponse, TransportFailure
from pushkeep.protocol.outcome import read_answer
from pushkeep.protocol.remedy import Remedy, apply_remedy, is_of_use, remedy_for
from pushkeep.protocol.request import PushOptions, Urgency
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import Verdict

TOPIC = b'{"reason":"BadWebPushTopic"}'
CONFLICT = {"x-wns-error-description": "Ttl value conflicts with X-WNS-Cache-Policy."}


@pytest.mark.parametrize(
    ("vendor", "answer", "remedy"),
    [
        ("apple", PushResponse(400, {}, TOPIC), Remedy.DROP_TOPIC),
        ("apple", PushResponse(400, {}, b'{"reason":"BadTtl"}'), None),
        ("apple", PushResponse(403, {}, TOPIC), None),
        ("mozilla", PushResponse(400, {}, TOPIC), None),
        ("wns", PushResponse(400, CONFLICT), Remedy.FIX_CACHE_POLICY),
        ("wns", PushResponse(400, {}, b"Ttl value conflicts with X-WNS-Cache-Policy."), Remedy.FIX_CACHE_POLICY),
        ("wns", PushResponse(400, {"x-wns-error-description": "Bad request"}), None),
        ("wns", PushResponse(201, CONFLICT), None),
        ("fcm", PushResponse(400, CONFLICT), None),
        ("apple", TransportFailure("timeout", "BadWebPushTopic"), None),
    ],
)
def test_only_the_two_known_refusals_have_a_remedy(
    vendor: str, answer: PushResponse | TransportFailure, remedy: Remedy | None
) -> None:
    assert remedy_for(VENDORS[vendor], answer) is remedy
    outcome = read_answer(VENDORS[vendor], answer, now=0, duration_ms=1)
    assert outcome.remedy is remedy
    if remedy:
        assert outcome.verdict is Verdict.BAD_REQUEST
        assert outcome.to_dict()["remedy"] == remedy.value


def test_a_remedy_changes_one_option() -> None:
    options = PushOptions(0, Urgency.HIGH, "inbox")
    assert apply_remedy(options, Remedy.DROP_TOPIC) == PushOptions(0, Urgency.HIGH, None)
    assert apply_remedy(options, Remedy.FIX_CACHE_POLICY) == PushOptions(1, Urgency.HIGH, "inbox")
    assert apply_remedy(PushOptions(60), Remedy.FIX_CACHE_POLICY) == PushOptions(60)


@pytest.mark.parametrize(
    ("options", "remedy", "of_use"),
    [
        (PushOptions(0, None, "inbox"), Remedy.DROP_TOPIC, True),
        (PushOptions(0), Remedy.DROP_TOPIC, False),
        (PushOptions(0), Remedy.FIX_CACHE_POLICY, True),
        (PushOptions(1), Remedy.FIX_CACHE_POLICY, False),
    ],
)
def test_a_remedy_that_changes_nothing_is_of_no_use(options: PushOptions, remedy: Remedy, of_use: bool) -> None:
    assert is_of_use(options, remedy) is of_use
