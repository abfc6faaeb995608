"""Sealing: only the right key, in the right place, unchanged."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.adapters.store.sealing import (
    SealBroken,
    Sealer,
    Vault,
    open_lookup_key,
    seal_lookup_key,
)
from pushkeep.domain.project import Project
from pushkeep.protocol.subscription import Subscription
from tests.store.doubles import MASTER_KEY, SeededEntropy
from tests.store.samples import OTHER_BROWSER_KEY, subscription

PROJECT = Project(1, "00000000-0000-7000-8000-000000000001", "x", "https://example.com", "pk_x", "mailto:a@example.com")
OTHER = dataclasses.replace(PROJECT, id=2, public_id="00000000-0000-7000-8000-000000000002")


def sealer(key: bytes = MASTER_KEY, seed: int = 1) -> Sealer:
    return Sealer(key, SeededEntropy(seed).token_bytes)


def vault() -> Vault:
    return Vault(sealer(), b"l" * 32)


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
    with pytest.raises(SealBroken, match="another master key"):
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
    other = Vault(sealer(), b"m" * 32)
    assert len(vault().endpoint_hash(subscription().endpoint)) == 16
    assert vault().endpoint_hash(subscription().endpoint) != other.endpoint_hash(subscription().endpoint)
    assert vault().endpoint_hash(subscription("a").endpoint) != vault().endpoint_hash(subscription("b").endpoint)
    assert vault().keys_hash(subscription()) != vault().keys_hash(subscription(auth=b"b" * 16))
    assert vault().keys_hash(subscription()) != vault().keys_hash(subscription(p256dh=OTHER_BROWSER_KEY))


def test_a_new_master_key_changes_no_hash() -> None:
    wrapped = seal_lookup_key(sealer(), b"l" * 32)
    again = seal_lookup_key(sealer(b"n" * 32), open_lookup_key(sealer(), wrapped))
    moved = Vault(sealer(b"n" * 32), open_lookup_key(sealer(b"n" * 32), again))
    assert moved.endpoint_hash(subscription().endpoint) == vault().endpoint_hash(subscription().endpoint)
