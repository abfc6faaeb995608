import json
from dataclasses import replace

import pytest

from pushkeep.errors import PayloadTooLarge
from pushkeep.protocol.ece import OVERHEAD_BYTES
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.sizes import (
    FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX,
    SAFE_EVERYWHERE_BYTES,
    check_size,
    plaintext_bytes_max,
    size_warning,
)
from pushkeep.protocol.vendors import VENDORS


def test_every_known_service_takes_a_full_message() -> None:
    assert {plaintext_bytes_max(row) for row in VENDORS.values()} == {3993}
    assert {plaintext_bytes_max(row, legacy=True) for row in VENDORS.values()} == {4077}


@pytest.mark.parametrize(("length", "legacy", "excess"), [(3994, False, 1), (5000, False, 1007), (4078, True, 1)])
def test_a_payload_over_the_limit_says_by_how_much(length: int, legacy: bool, excess: int) -> None:
    with pytest.raises(PayloadTooLarge, match=f"{excess} octets too large") as caught:
        check_size(VENDORS["wns"], length, legacy=legacy)
    assert caught.value.excess_bytes == excess
    check_size(VENDORS["wns"], length - excess, legacy=legacy)


def test_a_service_with_a_smaller_limit_has_its_own() -> None:
    small = replace(VENDORS["unifiedpush"], body_bytes_max=4000)
    check_size(small, 3897)
    with pytest.raises(PayloadTooLarge, match="holds 3897"):
        check_size(small, 3898)


def test_only_mozilla_relays_to_android() -> None:
    for row in VENDORS.values():
        assert size_warning(row, FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX) is None
        assert (size_warning(row, FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX + 1) is not None) == (row.name == "mozilla")
    assert SAFE_EVERYWHERE_BYTES < FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX


def test_the_androids_limit_is_that_of_mozillas_json() -> None:
    def bridged(plaintext_bytes: int) -> int:
        body = b64url_encode(bytes(plaintext_bytes + OVERHEAD_BYTES))
        chid = "0" * 32  # a channel's UUID without dashes
        return len(json.dumps({"chid": chid, "body": body, "con": "aes128gcm"}, separators=(",", ":")))

    assert bridged(FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX) <= 4096
