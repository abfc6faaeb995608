"""No trap is forgotten."""

from __future__ import annotations

from pathlib import Path

TRAPS = 37
"""Mistakes that were found in other senders, numbered; each test of one says in its name what holds here instead."""


def test_every_trap_has_a_test_that_is_named_after_it() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parents[1].glob("*/test_*.py"))
    missing = [number for number in range(1, TRAPS + 1) if f"def test_trap_{number:02}_" not in text]
    assert not missing
