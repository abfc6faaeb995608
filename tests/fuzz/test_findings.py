"""What the fuzzer found, each as a test of its own."""

from __future__ import annotations

import pytest

from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.outcome import explain


@pytest.mark.parametrize("hidden", ["\u00ad", "\u061c", "\u2060", "\u206a", "\ufff9", "\U000e0041"])
def test_an_explanation_holds_no_invisible_characters(hidden: str) -> None:
    said = explain(PushResponse(400, {}, f"permission{hidden}denied".encode()))
    assert said.text == "permission denied"
