import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.sync_token import TOKEN_CHARACTERS_MAX, make_sync_token, read_sync_token
from pushkeep.errors import InvalidToken

PROJECT = "00000000-0000-7000-8000-000000000001"
OTHER = "00000000-0000-7000-8000-000000000002"
SUBSCRIPTION = "01a20069-9469-7f10-87df-063c7022572e"


def test_it_is_the_same_every_time_and_names_its_subscription() -> None:
    token = make_sync_token(b"s" * 32, project_public_id=PROJECT, public_id=SUBSCRIPTION)
    assert token == make_sync_token(b"s" * 32, project_public_id=PROJECT, public_id=SUBSCRIPTION)
    assert token.startswith(f"st_{SUBSCRIPTION}.")
    assert len(token) == TOKEN_CHARACTERS_MAX
    assert read_sync_token(b"s" * 32, token, project_public_id=PROJECT, field="replaces") == SUBSCRIPTION


@pytest.mark.parametrize(("secret", "project"), [(b"t" * 32, PROJECT), (b"s" * 32, OTHER)])
def test_it_belongs_to_its_project(secret: bytes, project: str) -> None:
    token = make_sync_token(secret, project_public_id=project, public_id=SUBSCRIPTION)
    with pytest.raises(InvalidToken) as caught:
        read_sync_token(b"s" * 32, token, project_public_id=PROJECT, field="replaces")
    assert (caught.value.reason, caught.value.field) == ("bad_signature", "replaces")


@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    token = make_sync_token(b"s" * 32, project_public_id=PROJECT, public_id=SUBSCRIPTION)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[at]))
    with pytest.raises(InvalidToken) as caught:
        read_sync_token(b"s" * 32, token[:at] + other + token[at + 1 :], project_public_id=PROJECT, field="replaces")
    assert SUBSCRIPTION not in caught.value.message


@pytest.mark.parametrize("token", [None, 7, "", "st_", SUBSCRIPTION, b"st_"])
def test_what_is_no_token(token: object) -> None:
    with pytest.raises(InvalidToken) as caught:
        read_sync_token(b"s" * 32, token, project_public_id=PROJECT, field="sync_token")
    assert caught.value.reason == "malformed"
