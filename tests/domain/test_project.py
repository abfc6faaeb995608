import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.project import (
    ApiKey,
    NewProject,
    ProjectSettings,
    check_label,
    is_publishable_key,
    publishable_key,
)
from pushkeep.errors import InvalidInput
from pushkeep.protocol.signing_key import SigningKey


@given(st.binary(min_size=41, max_size=41))
def test_an_api_key_is_taken_apart_as_it_was_made(random: bytes) -> None:
    key = ApiKey.make(random)
    parsed = ApiKey.parse(key.text)
    assert parsed is not None
    assert re.fullmatch(r"sk_[A-Za-z0-9_-]{55}", key.text)
    assert (parsed.key_id, parsed.text) == (key.key_id, key.text)
    assert parsed.matches(key.digest)
    assert not ApiKey.make(bytes(41)).matches(key.digest) or random == bytes(41)


def test_secrets_are_not_shown() -> None:
    key = ApiKey.make(bytes(range(41)))
    assert key.text not in repr(key)
    new = NewProject("", "", "", "", "", SigningKey.generate(), b"identity", b"sync", 0.0)
    assert "identity" not in repr(new)


@pytest.mark.parametrize(
    "text", ["", "sk_", "pk_" + "a" * 55, "sk_" + "a" * 54, "sk_" + "a" * 56, "sk_" + "ä" * 55, None, 7]
)
def test_what_is_no_api_key(text: object) -> None:
    assert ApiKey.parse(text) is None


def test_publishable_keys() -> None:
    key = publishable_key(bytes(range(18)))
    assert is_publishable_key(key)
    for other in ("", "pk_", key + "x", key[:-1], "sk" + key[2:], None, key + "\n"):
        assert not is_publishable_key(other)


@pytest.mark.parametrize("make", [lambda: ApiKey.make(b"x"), lambda: publishable_key(b"x")])
def test_too_little_chance_is_a_mistake_of_ours(make: object) -> None:
    with pytest.raises(ValueError, match="random octets"):
        make()  # type: ignore[operator]


def test_settings_are_checked() -> None:
    made = ProjectSettings.of(name=" Shop ", site_url="https://shop.example.com/", contact="mailto:a@example.com")
    assert made == ProjectSettings("Shop", "https://shop.example.com", "mailto:a@example.com")
    ProjectSettings.of(name="x", site_url="http://localhost:8200", contact="https://example.com/contact")


@pytest.mark.parametrize(
    ("name", "site_url", "contact", "field"),
    [
        ("", "https://example.com", "mailto:a@example.com", "name"),
        ("x" * 121, "https://example.com", "mailto:a@example.com", "name"),
        (None, "https://example.com", "mailto:a@example.com", "name"),
        ("x", "http://example.com", "mailto:a@example.com", "site_url"),
        ("x", "ftp://example.com", "mailto:a@example.com", "site_url"),
        ("x", "https://example.com", "a@example.com", "contact"),
        ("x", "https://example.com", "mailto:a@localhost", "contact"),
    ],
)
def test_settings_that_cannot_work(name: object, site_url: object, contact: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ProjectSettings.of(name=name, site_url=site_url, contact=contact)
    assert caught.value.field == field


def test_labels() -> None:
    assert check_label(" CI ") == "CI"
    for label in ("", "  ", "x" * 121, "a\x1bb", "\udcff", None):
        with pytest.raises(InvalidInput, match="label"):
            check_label(label)
