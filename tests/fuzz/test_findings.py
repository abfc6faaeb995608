"""What the fuzzer found, each as a test of its own."""

from __future__ import annotations

import pytest

from pushkeep import Explanation, RequestBuilder, SigningKey, parse_response
from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.outcome import explain
from tests.peers.browser import Browser


@pytest.mark.parametrize("hidden", ["\u00ad", "\u061c", "\u2060", "\u206a", "\ufff9", "\U000e0041"])
def test_an_explanation_holds_no_invisible_characters(hidden: str) -> None:
    said = explain(PushResponse(400, {}, f"permission{hidden}denied".encode()))
    assert said.text == "permission denied"


def test_an_answer_of_another_client_may_hold_text_that_utf_8_has_no_form_for() -> None:
    """As Python reads octets that are not UTF-8 with ``surrogateescape``."""
    request = RequestBuilder(key=SigningKey.generate(), contact="mailto:ops@example.org").build(
        Browser().to_dict(), "x"
    )
    assert parse_response(request, status=400, body="no\udc80").explanation == Explanation("no?")
