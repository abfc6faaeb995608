import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX
from pushkeep.protocol.padding import PaddingPolicy, no_padding, pad_to_buckets, pad_to_multiple

CAPS = (2800, 2912, 3993)
LENGTHS = st.integers(1, PLAINTEXT_BYTES_MAX)
SIZES = st.lists(st.integers(1, PLAINTEXT_BYTES_MAX), max_size=10)


def padded(policy: PaddingPolicy, length: int, limit: int = PLAINTEXT_BYTES_MAX) -> int:
    return length + policy(length, limit - length)


def test_no_padding_adds_nothing() -> None:
    assert no_padding(5, 100) == 0


def test_multiples_are_filled_up() -> None:
    policy = pad_to_multiple(256)
    assert [padded(policy, length) for length in (1, 256, 257, 3990)] == [256, 256, 512, 3993]
    assert [padded(policy, length) for length in (2750, 2801, 2912, 2913)] == [2800, 2816, 2912, 3072]
    assert padded(policy, 4000, 4077) == 4000, "only aesgcm has room for it, and no service a reason to see it padded"
    for size in (0, 1.5, "256"):
        with pytest.raises(InvalidInput):
            pad_to_multiple(size)  # type: ignore[arg-type]


def test_buckets_hide_the_length() -> None:
    policy = pad_to_buckets()
    assert [padded(policy, length) for length in (1, 256, 257, 1000, 2048, 2049)] == [256, 256, 512, 1024, 2048, 2800]
    assert [padded(policy, length) for length in (2800, 2801, 2913, 3993)] == [2800, 2912, 3993, 3993]
    assert padded(policy, 4000, 4077) == 4077
    assert padded(policy, 300, 400) == 400, "where there is less room, that is filled"


@given(SIZES, LENGTHS)
def test_padding_never_lifts_a_payload_over_a_limit(sizes: list[int], length: int) -> None:
    for policy in (pad_to_buckets(*sizes), pad_to_multiple(sizes[0] if sizes else 100)):
        result = padded(policy, length)
        assert length <= result <= min(cap for cap in CAPS if length <= cap)


@given(SIZES, LENGTHS, LENGTHS)
def test_lengths_in_one_bucket_look_alike(sizes: list[int], one: int, other: int) -> None:
    policy = pad_to_buckets(*sizes)
    buckets = {*(sizes or (256, 512, 1024, 2048)), *CAPS}
    assert padded(policy, one) in buckets
    same = not any(min(one, other) <= bucket < max(one, other) for bucket in buckets)
    assert (padded(policy, one) == padded(policy, other)) == same


@pytest.mark.parametrize("sizes", [(0,), (-1,), (3994,), (1.5,), ("256",), tuple(range(1, 66))])
def test_impossible_buckets_are_refused(sizes: tuple[object, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        pad_to_buckets(*sizes)  # type: ignore[arg-type]
    assert caught.value.field == "padding"
