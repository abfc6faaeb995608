import pytest

from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.outcome import read_answer
from pushkeep.protocol.quotation import without_endpoint
from pushkeep.protocol.vendors import VENDORS

ENDPOINT = Endpoint.parse("https://up.example.net/w/?token=BQYAAABk%2fhW0sD%2bKq9&x=1")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Nobody at /w/?token=BQYAAABk%2fhW0sD%2bKq9&x=1.", "Nobody at […]."),
        ("Nobody at /w/?token=BQYAAABk/hW0sD+Kq9&x=1.", "Nobody at […]."),
        ("token BQYAAABk%2fhW0sD%2bKq9 is unknown", "token […] is unknown"),
        ("The token is unknown; see /w/ and x=1.", "The token is unknown; see /w/ and x=1."),
    ],
)
def test_what_is_quoted_of_an_endpoint_is_cut_out(said: str, left: str) -> None:
    assert without_endpoint(said, ENDPOINT) == left


@pytest.mark.parametrize("more_info", [ENDPOINT.url, "https://docs.example.net/errors#410"])
def test_a_link_that_is_the_endpoint_is_no_link(more_info: str) -> None:
    body = b'{"message":"gone: BQYAAABk/hW0sD","more_info":"%s"}' % more_info.encode()
    answer = PushResponse(410, {"ms-cv": "BQYAAABk%2fhW0sD%2bKq9.1", "date": "now"}, body)
    outcome = read_answer(VENDORS["wns"], answer, now=0, duration_ms=1, endpoint=ENDPOINT)
    assert outcome.headers == {"ms-cv": "[…].1", "date": "now"}
    assert outcome.explanation is not None
    assert outcome.explanation.more_info == (None if more_info == ENDPOINT.url else more_info)


def test_an_endpoint_without_a_path_has_nothing_to_quote() -> None:
    assert without_endpoint("as it was", Endpoint.parse("https://up.example.net")) == "as it was"
