"""Sealing: only the right key, in the right place, unchanged."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.adapters.store.sealing import KeyRing, LookupKey, SealBroken, Sealer
from pushkeep.domain.project import Project
from pushkeep.protocol.subscription import Subscription
from tests.store.doubles import MASTER_KEY, SeededEntropy, vault
from tests.store.samples import OTHER_BROWSER_KEY, subscription

PROJECT = Project(1, "00000000-0000-7000-8000-000000000001", "x", "https://example.com", "pk_x", "mailto:a@example.com")
OTHER = dataclasses.replace(PROJECT, id=2, public_id="00000000-0000-7000-8000-000000000002")


def sealer(key: bytes = MASTER_KEY, seed: int = 1) -> Sealer:
    return Sealer(key, SeededEntropy(seed).token_bytes)


@given(st.binary(max_size=200), st.binary(max_size=40), st.integers(0, 10))
def test_what_was_sealed_opens_in_its_place(secret: bytes, place: bytes, seed: int) -> None:
    assert sealer().open(sealer(seed=seed).seal(secret, place), place) == secret


@given(st.data())
def test_any_changed_bit_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(sealer().seal(b"secret", b"here"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        sealer().open(bytes(sealed), b"here")


@given(st.integers(0, 60))
def test_a_cut_blob_does_not_open(length: int) -> None:
    sealed = sealer().seal(b"secret", b"here")
    if length < len(sealed):
        with pytest.raises(SealBroken):
            sealer().open(sealed[:length], b"here")


def test_another_place_or_key_does_not_open_it() -> None:
    sealed = sealer().seal(b"secret", b"here")
    with pytest.raises(SealBroken, match="moved"):
        sealer().open(sealed, b"there")
    with pytest.raises(SealBroken, match="another key"):
        sealer(b"k" * 32).open(sealed, b"here")


def test_equal_secrets_look_different() -> None:
    one = sealer()
    assert one.seal(b"secret", b"here") != one.seal(b"secret", b"here")


def test_a_subscription_comes_back_whole() -> None:
    full = Subscription(subscription().endpoint, OTHER_BROWSER_KEY, b"x" * 16, 1_234, ("aes128gcm", "aesgcm"))
    for given_ in (subscription(), full):
        digest = vault().endpoint_hash(given_.endpoint)
        assert (
            vault().open_subscription(PROJECT.public_id, digest, vault().seal_subscription(PROJECT, digest, given_))
            == given_
        )


def test_a_blob_belongs_to_its_project_and_endpoint() -> None:
    digest = vault().endpoint_hash(subscription().endpoint)
    sealed = vault().seal_subscription(PROJECT, digest, subscription())
    with pytest.raises(SealBroken):
        vault().open_subscription(OTHER.public_id, digest, sealed)
    with pytest.raises(SealBroken):
        vault().open_subscription(PROJECT.public_id, bytes(16), sealed)


def test_a_secret_belongs_to_its_project_and_name() -> None:
    sealed = vault().seal_secret(PROJECT.public_id, "identity", b"secret")
    assert vault().open_secret(PROJECT.public_id, "identity", sealed) == b"secret"
    for project, name in ((OTHER, "identity"), (PROJECT, "sync")):
        with pytest.raises(SealBroken):
            vault().open_secret(project.public_id, name, sealed)


def test_hashes_are_short_keyed_and_apart() -> None:
    other = vault(lookup_key=b"m" * 32)
    assert len(vault().endpoint_hash(subscription().endpoint)) == 16
    assert vault().endpoint_hash(subscription().endpoint) != other.endpoint_hash(subscription().endpoint)
    assert vault().endpoint_hash(subscription("a").endpoint) != vault().endpoint_hash(subscription("b").endpoint)
    assert vault().keys_hash(subscription()) != vault().keys_hash(subscription(auth=b"b" * 16))
    assert vault().keys_hash(subscription()) != vault().keys_hash(subscription(p256dh=OTHER_BROWSER_KEY))


def test_a_consent_belongs_to_its_project_and_number() -> None:
    one = vault()
    sealed = one.seal_consent(PROJECT.public_id, 7, b"content")
    assert one.open_consent(PROJECT.public_id, 7, sealed) == b"content"
    for project, number in ((OTHER, 7), (PROJECT, 8)):
        with pytest.raises(SealBroken):
            one.open_consent(project.public_id, number, sealed)


def later(version: int, data: bytes, *, lookups: tuple[LookupKey, ...]) -> KeyRing:
    """A ring that has one data key only."""
    only = sealer(data)
    return KeyRing(version, only, {only.key_id: only}, lookups, b"e" * 32)


def test_a_ring_gains_keys_and_loses_none() -> None:
    one = vault()
    digest, sealed = one.endpoint_hash(subscription().endpoint), one.seal_secret(PROJECT.public_id, "sync", b"secret")
    one.gain(later(1, b"n" * 32, lookups=(LookupKey(5, b"m" * 32),)))
    assert one.open_secret(PROJECT.public_id, "sync", sealed) == b"secret"
    assert one.endpoint_hashes(subscription().endpoint) == [one.endpoint_hash(subscription().endpoint), digest]
    anew = one.seal_secret(PROJECT.public_id, "sync", b"secret")
    assert vault(b"n" * 32).open_secret(PROJECT.public_id, "sync", anew) == b"secret"


def test_a_ring_never_goes_back() -> None:
    one = vault()
    one.gain(later(2, b"n" * 32, lookups=(LookupKey(5, b"m" * 32),)))
    one.gain(later(1, b"o" * 32, lookups=(LookupKey(1, b"l" * 32),)))
    assert (one.ring.version, one.ring.sealing.key_id) == (2, sealer(b"n" * 32).key_id)


def test_a_row_is_compared_with_the_key_that_made_its_hashes() -> None:
    one = vault()
    before = one.keys_hash(subscription())
    one.gain(later(1, b"n" * 32, lookups=(LookupKey(5, b"m" * 32), LookupKey(1, b"l" * 32))))
    assert one.lookup_key_id == 5
    assert one.keys_hash(subscription(), 1) == before != one.keys_hash(subscription(), 5)
    assert one.keys_hash(subscription(), 5) == one.keys_hash(subscription())
    with pytest.raises(SealBroken):
        one.keys_hash(subscription(), 9)
