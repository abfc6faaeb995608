import pytest

from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.token_cache import TOKEN_LIFETIME_SECONDS, TokenCache
from pushkeep.protocol.vapid import verify

A, B = "https://a.example.net", "https://b.example.net"
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
NOW = 1_800_000_000.0
HALF = TOKEN_LIFETIME_SECONDS / 2


def test_a_token_is_kept_for_half_its_life() -> None:
    cache = TokenCache()
    first = cache.header(KEY, origin=A, contact=None, now=NOW)
    assert cache.header(KEY, origin=A, contact=None, now=NOW + HALF - 1) == first
    renewed = cache.header(KEY, origin=A, contact=None, now=NOW + HALF)
    assert renewed != first
    assert verify(renewed, audience=A, now=NOW + HALF).expires_at == NOW + HALF + TOKEN_LIFETIME_SECONDS


def test_a_clock_set_back_gets_a_new_token() -> None:
    cache = TokenCache()
    cache.header(KEY, origin=A, contact=None, now=NOW)
    earlier = cache.header(KEY, origin=A, contact=None, now=NOW - 86_400)
    assert verify(earlier, audience=A, now=NOW - 86_400)


def test_key_origin_and_contact_each_have_their_own() -> None:
    cache = TokenCache()
    for key, origin, contact in [
        (KEY, A, None),
        (KEY, B, None),
        (OTHER, A, None),
        (KEY, A, "mailto:x@example.com"),
    ]:
        claims = verify(cache.header(key, origin=origin, contact=contact, now=NOW), audience=origin, now=NOW)
        assert (claims.public_bytes, claims.contact) == (key.public_bytes, contact)
    assert len(cache) == 4
    # Making a token for B must not have changed the one for A.
    assert verify(cache.header(KEY, origin=A, contact=None, now=NOW), audience=A, now=NOW)


def test_the_least_recently_used_goes_first() -> None:
    cache = TokenCache(entries_max=2)
    first = cache.header(KEY, origin=A, contact=None, now=NOW)
    cache.header(KEY, origin=B, contact=None, now=NOW)
    assert cache.header(KEY, origin=A, contact=None, now=NOW) == first
    cache.header(KEY, origin="https://c.example.net", contact=None, now=NOW)
    assert len(cache) == 2
    assert cache.header(KEY, origin=A, contact=None, now=NOW) == first


@pytest.mark.parametrize("seconds", [0, 86_401])
def test_a_life_over_24_hours_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="86400"):
        TokenCache(lifetime_seconds=seconds)
