import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.ids import SHORT_ID_ALPHABET, AnyId, short_id, uuid7
from pushkeep.errors import InvalidInput


@given(st.floats(0, 2**47 / 1000), st.binary(min_size=10, max_size=10))
def test_a_uuid7_has_version_variant_and_time(now: float, random: bytes) -> None:
    made = uuid7(now, random)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(now * 1000)


def test_uuid7_matches_the_example_of_the_rfc() -> None:
    # RFC 9562 appendix A.6
    random = bytes.fromhex("7CC318C4DC0C0C07398F")
    assert str(uuid7(0x017F22E279B0 / 1000, random)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=5, unique=True), st.binary(min_size=10, max_size=10))
def test_later_ids_sort_later(times: list[int], random: bytes) -> None:
    ids = [str(uuid7(time / 1000, random)) for time in sorted(times)]
    assert ids == sorted(ids)


@given(st.binary(min_size=16, max_size=16))
def test_short_ids_have_no_look_alikes(random: bytes) -> None:
    made = short_id(random)
    assert re.fullmatch(r"[1-9A-HJ-NP-Za-km-np-z]{8}", made)
    assert AnyId.parse(made) == AnyId(None, made)


def test_every_character_is_used() -> None:
    seen = {character for number in range(200) for character in short_id(number.to_bytes(16, "little"))}
    assert seen == set(SHORT_ID_ALPHABET)
    assert len(SHORT_ID_ALPHABET) == len(set(SHORT_ID_ALPHABET)) == 57


@pytest.mark.parametrize("make", [lambda: short_id(b"x"), lambda: uuid7(0, b"x")])
def test_too_little_chance_is_a_mistake_of_ours(make: object) -> None:
    with pytest.raises(ValueError, match="random octets"):
        make()  # type: ignore[operator]


@given(st.uuids())
def test_a_uuid_is_read_in_either_case(value: uuid.UUID) -> None:
    assert AnyId.parse(str(value).upper()) == AnyId(str(value), None)
    assert str(AnyId.parse(str(value))) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HMV192a",
        "HMV192avx",
        "HMV1O2av",
        "HMV192av\n",
        "HMV192ав",
        None,
        7,
        uuid.uuid4().hex,
        f"{{{uuid.uuid4()}}}",
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        AnyId.parse(text, field="after")
    assert caught.value.field == "after"
