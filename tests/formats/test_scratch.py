"""What a first reading remembers."""

from __future__ import annotations

from pushkeep.adapters.formats.scratch import Scratch


def test_the_first_of_a_kind_is_told_from_repeats_and_contradictions() -> None:
    seen = Scratch(bytes(32))
    assert seen.first(b"one", b"x", 2) is None
    assert seen.first(b"two", b"x", 3) is None
    assert seen.first(b"one", b"x", 4) == (2, True)
    assert seen.first(b"one", b"y", 5) == (2, False)
    assert [seen.count(b"a"), seen.count(b"b"), seen.count(b"a")] == [1, 1, 2]
    seen.close()


def test_many_are_remembered() -> None:
    seen = Scratch(bytes(32))
    for number in range(20_000):
        assert seen.first(b"%d" % number, b"", number) is None
    assert seen.first(b"19999", b"", 0) == (19_999, True)
    seen.close()
