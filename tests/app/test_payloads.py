"""Each recipient's payload: its own token, one length for all, compressed where it may be and where it helps."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.app.payloads import COMPRESSED_MARKER, RENEW_MEMBER, PayloadMaker
from pushkeep.domain.ability import DEFLATE
from pushkeep.domain.compiled import Compiled, compile_payload
from pushkeep.domain.notification import Content
from pushkeep.domain.receipt import ReceiptTokens, receipt_key
from pushkeep.domain.sending import NotificationJob, Priority
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.sizes import FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX

ID = "01a20069-9469-7f10-87df-063c7022572e"
KEY = receipt_key(b"s" * 32)
LONG = "The parcel is on its way to you, and it will be with you tomorrow. " * 20
CAN = frozenset({DEFLATE})


def job(compiled: Compiled | None, *, compress: bool = False) -> NotificationJob:
    return NotificationJob(
        id=1,
        project_id=1,
        public_id=ID,
        payload=compiled.payload if compiled else None,
        token_offset=compiled.token_offset if compiled else None,
        options=PushOptions(ttl=60),
        priority=Priority.NORMAL,
        deadline=0.0,
        compress=compress,
        keeps_outcomes=True,
    )


def content(**fields: object) -> Compiled:
    return compile_payload(Content.of(**{"title": "Hi", **fields}), notification_id=ID, site_url="https://a.example/")


def unpacked(payload: bytes) -> tuple[str, object]:
    """Token and JSON of a compressed payload, read as the worker reads it."""
    text = payload.decode()
    assert text.startswith(COMPRESSED_MARKER.decode())
    token, packed = text[1:].split(".")
    reader = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = reader.decompress(b64_decode(packed, field="packed"))
    assert reader.eof
    assert not reader.unused_data
    return token, json.loads(plain)


@given(st.integers(min_value=1, max_value=2**62), st.booleans())
def test_every_recipient_gets_a_token_of_its_own_in_a_payload_as_long_as_any(number: int, compress: bool) -> None:
    compiled = content(body=LONG)
    maker = PayloadMaker(job(compiled, compress=compress), KEY)
    plain = maker.plaintext(number, frozenset(), "mozilla")
    assert plain is not None
    assert len(plain) == len(compiled.payload)
    token = json.loads(plain)["pushkeep"]["token"]
    assert ReceiptTokens(KEY, ID).check(token.encode()) == number
    packed = maker.plaintext(number, CAN, "mozilla")
    other = maker.plaintext(1, CAN, "mozilla")
    assert packed is not None
    assert other is not None
    assert len(packed) == len(other)
    if compress:
        whole = json.loads(plain)
        del whole["pushkeep"]["token"]
        assert unpacked(packed) == (token, whole)
    else:
        assert packed == plain


def test_compressed_only_for_those_who_can_read_it_and_never_for_apple() -> None:
    maker = PayloadMaker(job(content(body=LONG), compress=True), KEY)
    lengths = {
        (can, vendor): len(maker.plaintext(1, frozenset(can.split()), vendor) or b"")
        for can in ("", "deflate", "other")
        for vendor in ("mozilla", "fcm", "wns", "apple", "unknown")
    }
    short = {place for place, length in lengths.items() if length < 700}
    assert short == {("deflate", vendor) for vendor in ("mozilla", "fcm", "wns", "unknown")}
    assert {length for place, length in lengths.items() if place not in short} == {len(content(body=LONG).payload)}


def test_what_would_grow_stays_plain() -> None:
    short = Compiled(b'{"title":"Hi"}', None)
    assert PayloadMaker(job(short, compress=True), None).plaintext(1, CAN, "mozilla") == short.payload
    short = Compiled(b'{"token":"..........................."}', 10)
    plain = PayloadMaker(job(short, compress=True), KEY).plaintext(1, CAN, "mozilla")
    assert plain is not None
    assert plain.startswith(b'{"token":"')


@pytest.mark.parametrize("compress", [False, True])
def test_without_a_token_no_key_is_needed(compress: bool) -> None:
    compiled = content(body=LONG, receipts=False)
    maker = PayloadMaker(job(compiled, compress=compress), None)
    plain = compiled.payload
    assert maker.plaintext(1, frozenset(), "mozilla") == plain
    packed = maker.plaintext(1, CAN, "mozilla")
    assert packed is not None
    assert (unpacked(packed) if compress else packed) == (("", json.loads(plain)) if compress else plain)


def test_a_payload_with_a_token_needs_the_key() -> None:
    with pytest.raises(ValueError, match="needs the project's receipt key"):
        PayloadMaker(job(content()), None)


@pytest.mark.parametrize("compress", [False, True])
def test_no_payload_stays_none_and_an_empty_one_empty(compress: bool) -> None:
    assert PayloadMaker(job(None, compress=compress), KEY).plaintext(1, CAN, "fcm") is None
    assert PayloadMaker(job(Compiled(b"", None), compress=compress), None).plaintext(1, CAN, "fcm") == b""


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("receipts", [False, True])
@pytest.mark.parametrize("fetch", [False, True])
def test_whose_key_leaked_is_told_to_renew_and_nothing_else_is_different(
    compress: bool, receipts: bool, fetch: bool
) -> None:
    compiled = content(body=LONG, receipts=receipts, fetch=fetch, data={"pushkeep": {"id": ID}})
    maker = PayloadMaker(job(compiled, compress=compress), KEY)

    def read(payload: bytes | None) -> tuple[str, dict[str, Any]]:
        assert payload is not None
        if not payload.startswith(COMPRESSED_MARKER):
            return "", json.loads(payload)
        token, whole = unpacked(payload)
        assert isinstance(whole, dict)
        return token, whole

    for abilities in (frozenset[str](), CAN):
        token, plain = read(maker.plaintext(7, abilities, "mozilla"))
        hinted = maker.plaintext(7, abilities, "mozilla", renew=True)
        token_hinted, told = read(hinted)
        assert token_hinted == token
        assert told["pushkeep"].pop("renew") is True
        assert told == plain
        other = maker.plaintext(8, abilities, "mozilla", renew=True)
        assert len(other or b"") == len(hinted or b"")


@pytest.mark.parametrize("payload", [b"", b"Hello", b'{"title":"Hi","pushkeep":{"id":"mine"}}'])
def test_a_payload_that_is_not_ours_is_sent_as_it_is(payload: bytes) -> None:
    maker = PayloadMaker(job(Compiled(payload, None)), None)
    assert maker.plaintext(1, frozenset(), "fcm", renew=True) == payload
    assert PayloadMaker(job(None), None).plaintext(1, frozenset(), "fcm", renew=True) is None


def test_the_hint_keeps_nothing_from_firefox_on_android() -> None:
    empty = len(content(receipts=False, data={"more": "x"}).payload) - 1
    for length in range(FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX - 15, FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX + 2):
        compiled = content(receipts=False, data={"more": "x" * (length - empty)})
        assert len(compiled.payload) == length
        hinted = PayloadMaker(job(compiled), None).plaintext(1, frozenset(), "mozilla", renew=True)
        assert hinted is not None
        lifted = length <= FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX < length + len(RENEW_MEMBER)
        assert len(hinted) == length + (0 if lifted else len(RENEW_MEMBER))
