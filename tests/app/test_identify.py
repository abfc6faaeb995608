import jwt
import pytest

from pushkeep.app.identify import identify
from pushkeep.domain.identity import Identity, sign_identity
from pushkeep.domain.identity_keys import IdentityRules
from pushkeep.errors import InvalidToken

SECRET = b"s" * 32
NOW = 1_800_000_000.0
RULES = IdentityRules()


def test_either_kind_is_told_by_its_first_letters() -> None:
    own = sign_identity(SECRET, external_id="ann", expires_at=NOW + 60, issued_at=NOW)
    web = jwt.encode({"sub": "ann", "exp": NOW + 60, "iat": NOW}, SECRET, algorithm="HS256")
    for token in (own, web):
        assert identify(SECRET, token, RULES, now=NOW) == Identity("ann", NOW)


@pytest.mark.parametrize("token", ["", "v1", "v2.x.y", "ey", "eyJ.x.y", "e", "\x00", "é", "x" * 5000, "ey" * 4000])
def test_what_is_neither(token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        identify(SECRET, token, RULES, now=NOW)
    assert caught.value.field == "identity"
