"""Compiled payloads: the token has one place, what is fetched later is left out, what was asked can be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.compiled import (
    FALLBACK_BODY_CHARACTERS_MAX,
    FETCHED_BYTES_MAX,
    Compiled,
    compile_fetched,
    compile_payload,
)
from pushkeep.domain.notification import Content
from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS
from pushkeep.errors import InvalidInput

ID = "01a20069-9469-7f10-87df-063c7022572e"
SITE = "https://shop.example.com/"
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=["Cc", "Cf", "Zl", "Zp"]))


def compiled(*, installation_receipts: bool = True, **fields: object) -> Compiled:
    content = Content.of(**{"title": "Hi", **fields})
    return compile_payload(content, notification_id=ID, site_url=SITE, receipts=installation_receipts)


def filled(made: Compiled, token: bytes = b"T" * RECEIPT_TOKEN_CHARACTERS) -> dict[str, object]:
    assert made.token_offset is not None
    end = made.token_offset + RECEIPT_TOKEN_CHARACTERS
    read: dict[str, object] = json.loads(made.payload[: made.token_offset] + token + made.payload[end:])
    return read


@given(body=texts.filter(lambda text: len(text) <= 500), fetch=st.booleans())
def test_the_tokens_place_is_known_whatever_is_said(body: str, fetch: bool) -> None:
    made = compiled(body=body, fetch=fetch)
    known = filled(made)["pushkeep"]
    assert known == {"id": ID, **({"fetch": True} if fetch else {}), "token": "T" * 27}


def test_a_payload_whose_token_is_not_filled_in_has_none_that_could_be_taken_for_one() -> None:
    assert b'"token":"..........................."}}' in compiled().payload


@pytest.mark.parametrize("fields", [{"receipts": False}, {"installation_receipts": False}], ids=str)
def test_without_receipts_there_is_no_token(fields: dict[str, bool]) -> None:
    made = compiled(**fields)
    assert made.token_offset is None
    assert json.loads(made.payload)["pushkeep"] == {"id": ID}


@pytest.mark.parametrize("fields", [{"receipts": False}, {"installation_receipts": False}], ids=str)
def test_what_is_fetched_needs_a_token_and_says_that_it_is_for_nothing_else(fields: dict[str, bool]) -> None:
    known = filled(compiled(fetch=True, **fields))["pushkeep"]
    assert known == {"id": ID, "fetch": True, "receipts": False, "token": "T" * 27}


def test_what_is_fetched_later_leaves_a_message_that_is_complete_in_itself() -> None:
    fields: dict[str, Any] = {
        "body": "word " * 200,
        "url": "/cart",
        "icon": "/i.png",
        "image": "/p.png",
        "data": {"order": "x" * 5000},
        "actions": [{"action": "a", "title": "A"}],
        "require_interaction": True,
        "app_badge": 3,
    }
    made = filled(compiled(fetch=True, **fields))
    shown = made["notification"]
    assert isinstance(shown, dict)
    body = shown.pop("body")
    assert len(body) <= FALLBACK_BODY_CHARACTERS_MAX
    assert body.endswith("word\N{HORIZONTAL ELLIPSIS}")
    assert shown == {
        "title": "Hi",
        "navigate": "https://shop.example.com/cart",
        "tag": ID,
        "requireInteraction": True,
        "mutable": True,
    }
    whole = json.loads(compile_fetched(Content.of(title="Hi", **fields), notification_id=ID, site_url=SITE))
    assert whole["notification"]["data"] == {"order": "x" * 5000}
    assert whole["notification"]["body"] == "word " * 200
    assert whole["pushkeep"] == {"id": ID}


def test_a_short_body_is_in_the_message_as_it_is() -> None:
    made = filled(compiled(fetch=True, body="b" * FALLBACK_BODY_CHARACTERS_MAX))
    assert isinstance(made["notification"], dict)
    assert made["notification"]["body"] == "b" * FALLBACK_BODY_CHARACTERS_MAX


def test_what_is_fetched_has_a_limit_that_is_checked_at_once() -> None:
    least = len(compile_fetched(Content.of(title="Hi", data=""), notification_id=ID, site_url=SITE))
    compiled(fetch=True, data="x" * (FETCHED_BYTES_MAX - least))
    with pytest.raises(InvalidInput, match=r"has 65537 octets and the limit .* is 65536; shorten data") as caught:
        compiled(fetch=True, data="x" * (FETCHED_BYTES_MAX - least + 1))
    assert caught.value.field == "data"


@pytest.mark.parametrize("field", ["url", "icon", "image", "badge"])
def test_a_url_with_a_user_name_is_refused_since_workers_do_not_open_it(field: str) -> None:
    with pytest.raises(InvalidInput, match="user name") as refused:
        compiled(**dict[str, Any]({field: "https://user:secret@shop.example/"}))
    assert refused.value.field == field
    assert "secret" not in str(refused.value)


def test_a_url_that_leads_nowhere_safe_is_refused_also_where_only_the_fetched_part_has_it() -> None:
    with pytest.raises(InvalidInput, match="image must lead to https"):
        compiled(fetch=True, image="ftp://example.com/i.png")


def test_what_was_asked_can_be_stored_and_read_again() -> None:
    content = Content.of(
        title="Grüße",
        body="Two\nlines",
        url="/cart",
        data={"order": [1, 2.5, None, True]},
        dir="rtl",
        actions=[{"action": "a", "title": "A", "url": "/a"}],
        app_badge=0,
        receipts=False,
        compress=True,
        fetch=True,
    )
    assert Content.from_json(content.to_json()) == content


@pytest.mark.parametrize("stored", [b"", b"[]", b"{}", b'{"title":"Hi","colour":"red"}', b'{"title":""}', b"\xff"])
def test_what_is_no_content_is_refused_in_words(stored: bytes) -> None:
    with pytest.raises(InvalidInput):
        Content.from_json(stored)


@pytest.mark.parametrize("name", ["receipts", "compress", "fetch"])
def test_each_wish_is_true_or_false(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be true or false"):
        Content.of(**{"title": "Hi", name: "yes"})
