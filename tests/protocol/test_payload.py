import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import (
    APP_BADGE_MAX,
    DeclarativeAction,
    DeclarativeMessage,
    Direction,
    build_declarative,
    parse_declarative,
)

LEAST = DeclarativeMessage("Hi", "https://example.org/", mutable=False)
MOST = DeclarativeMessage(
    "Hi",
    "https://example.org/cart?x=1#pay",
    body="Two\nlines, ä",
    tag="cart",
    icon="https://example.org/i.png",
    image="https://example.org/p.png",
    badge="http://localhost:8200/b.png",
    lang="de-CH",
    dir="rtl",
    silent=True,
    require_interaction=True,
    renotify=True,
    data={"order": [1, 2.5, None, True, {"deep": "ä"}]},
    actions=(
        DeclarativeAction("pay", "Pay", "https://example.org/pay"),
        DeclarativeAction("later", "Later", "https://example.org/", "https://example.org/l.png"),
    ),
    app_badge=0,
)


def test_the_least_there_can_be() -> None:
    assert json.loads(build_declarative(LEAST)) == {
        "web_push": 8030,
        "notification": {"title": "Hi", "navigate": "https://example.org/"},
    }


def test_everything_there_can_be() -> None:
    made = build_declarative(MOST, extra={"ours": 7})
    assert json.loads(made) == {
        "web_push": 8030,
        "notification": {
            "title": "Hi",
            "navigate": "https://example.org/cart?x=1#pay",
            "body": "Two\nlines, ä",
            "tag": "cart",
            "icon": "https://example.org/i.png",
            "image": "https://example.org/p.png",
            "badge": "http://localhost:8200/b.png",
            "lang": "de-CH",
            "dir": "rtl",
            "silent": True,
            "requireInteraction": True,
            "renotify": True,
            "data": {"order": [1, 2.5, None, True, {"deep": "ä"}]},
            "actions": [
                {"action": "pay", "title": "Pay", "navigate": "https://example.org/pay"},
                {
                    "action": "later",
                    "title": "Later",
                    "navigate": "https://example.org/",
                    "icon": "https://example.org/l.png",
                },
            ],
            "app_badge": 0,
            "mutable": True,
        },
        "app_badge": 0,
        "mutable": True,
        "ours": 7,
    }
    assert b" :" not in made
    assert "ä".encode() in made


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
URLS = st.from_regex(r"https://[a-z]{1,9}\.example/[a-z0-9/?=&%#.-]{0,20}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.builds(
    DeclarativeMessage,
    title=WORDS.filter(str.strip),
    navigate=URLS,
    body=WORDS,
    tag=WORDS.filter(bool),
    icon=st.just("") | URLS,
    image=st.just("") | URLS,
    badge=st.just("") | URLS,
    lang=WORDS,
    dir=st.sampled_from(get_args(Direction)),
    silent=st.booleans(),
    require_interaction=st.booleans(),
    renotify=st.booleans(),
    data=JSON,
    actions=st.lists(
        st.builds(
            DeclarativeAction,
            action=WORDS.filter(bool),
            title=WORDS.filter(str.strip),
            navigate=URLS,
            icon=st.just("") | URLS,
        ),
        max_size=3,
    ).map(tuple),
    app_badge=st.none() | st.integers(0, APP_BADGE_MAX),
    mutable=st.booleans(),
)


@given(MESSAGES)
def test_building_then_parsing_gives_everything_back(message: DeclarativeMessage) -> None:
    assert parse_declarative(build_declarative(message)) == message


def changed(**fields: object) -> DeclarativeMessage:
    return DeclarativeMessage(**({"title": "Hi", "navigate": "https://example.org/"} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \n"}, "title"),
        ({"title": None}, "title"),
        ({"navigate": ""}, "navigate"),
        ({"navigate": None}, "navigate"),
        ({"navigate": "/cart"}, "navigate"),
        ({"navigate": "http://example.org/"}, "navigate"),
        ({"navigate": "http://localhost./"}, "navigate"),
        ({"navigate": "javascript:alert(1)"}, "navigate"),
        ({"navigate": "https:///x"}, "navigate"),
        ({"navigate": "https://[::1/"}, "navigate"),
        ({"navigate": "https://example.org/a b"}, "navigate"),
        ({"navigate": "http://example.org\\@localhost/"}, "navigate"),
        ({"navigate": "https://example.org\\@localhost/"}, "navigate"),
        ({"navigate": "https://example.org:65536/"}, "navigate"),
        ({"navigate": "https://example.org:x/"}, "navigate"),
        ({"navigate": "https://exa<mple.org/"}, "navigate"),
        ({"navigate": "https://[::1]x/"}, "navigate"),
        ({"body": 7}, "body"),
        ({"silent": "no"}, "silent"),
        ({"require_interaction": 1}, "require_interaction"),
        ({"renotify": None}, "renotify"),
        ({"mutable": 0}, "mutable"),
        ({"icon": "i.png"}, "icon"),
        ({"image": "data:image/png;base64,"}, "image"),
        ({"badge": "ftp://example.org/"}, "badge"),
        ({"dir": "up"}, "dir"),
        ({"renotify": True}, "renotify"),
        ({"app_badge": -1}, "app_badge"),
        ({"app_badge": True}, "app_badge"),
        ({"app_badge": "3"}, "app_badge"),
        ({"app_badge": 2**53}, "app_badge"),
        ({"actions": (DeclarativeAction("", "Pay", "https://example.org/"),)}, "actions"),
        ({"actions": (DeclarativeAction("pay", " ", "https://example.org/"),)}, "actions"),
        ({"actions": (DeclarativeAction("pay", "Pay", "pay"),)}, "actions"),
        ({"actions": (DeclarativeAction("pay", "Pay", "https://example.org/", "i.png"),)}, "actions"),
        ({"actions": (DeclarativeAction("pay", 7, "https://example.org/"),)}, "actions"),  # type: ignore[arg-type]
        ({"actions": (DeclarativeAction("pay", "Pay", None),)}, "actions"),  # type: ignore[arg-type]
        ({"data": float("nan")}, "payload"),
        ({"data": object()}, "payload"),
        ({"body": "\ud800"}, "payload"),
    ],
)
def test_what_browsers_would_not_show_is_refused(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_declarative(changed(**fields))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "url",
    [
        "https://münchen.example/ü",
        "https://example.org",
        "https://example.org:8443/x?y#z",
        "https://ann@example.org/",
        "https://[2001:db8::1]:8443/",
        "http://[::1]/",
        "http://127.0.0.1:8200/",
        "http://app.localhost/",
    ],
)
def test_what_browsers_open_is_let_through(url: str) -> None:
    message = changed(navigate=url)
    assert parse_declarative(build_declarative(message)) == message


def test_further_members_must_not_change_the_message() -> None:
    with pytest.raises(InvalidInput, match="app_badge, web_push"):
        build_declarative(LEAST, extra={"web_push": 1, "app_badge": 2, "ours": 3})


def parsed(notification: object, base: str = "", **outer: object) -> DeclarativeMessage | None:
    return parse_declarative(json.dumps({"web_push": 8030, "notification": notification} | outer).encode(), base=base)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"Hello",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"8030",
        b"{}",
        b"[" * 5000,
        b'{"title": "Hi", "url": "/"}',
        b'{"web_push": "8030", "notification": {"title": "Hi", "navigate": "https://x/"}}',
        b'{"web_push": 8030.0, "notification": {"title": "Hi", "navigate": "https://x/"}}',
        b'{"web_push": true, "notification": {"title": "Hi", "navigate": "https://x/"}}',
        b'{"web_push": 8030, "notification": {"title": "Hi", "navigate": "https://x/", "data": NaN}}',
        b'{"web_push": 8030, "notification": []}',
        b'{"web_push": 8030}',
    ],
)
def test_an_ordinary_payload_is_none_of_these(payload: bytes) -> None:
    assert parse_declarative(payload) is None


@pytest.mark.parametrize(
    "notification",
    [
        {"navigate": "https://x/"},
        {"title": "", "navigate": "https://x/"},
        {"title": 7, "navigate": "https://x/"},
        {"title": "Hi"},
        {"title": "Hi", "navigate": 7},
        {"title": "Hi", "navigate": " "},
        {"title": "Hi", "navigate": "/cart"},
        {"title": "Hi", "navigate": "https://"},
        {"title": "Hi", "navigate": "https://[::1/"},
        {"title": "Hi", "navigate": "1a:b"},
    ],
)
def test_without_title_or_url_it_is_an_ordinary_payload(notification: object) -> None:
    assert parsed(notification) is None


def test_optional_members_of_a_wrong_type_count_as_absent() -> None:
    wrong = dict.fromkeys(("body", "tag", "lang", "dir", "icon", "image", "badge", "actions"), 7)
    wrong |= dict.fromkeys(("silent", "requireInteraction", "renotify", "mutable"), 1)
    assert parsed({"title": "Hi", "navigate": "https://example.org/", "app_badge": -1, **wrong}) == LEAST


def test_a_byte_order_mark_is_taken_off() -> None:
    assert parse_declarative(b"\xef\xbb\xbf" + build_declarative(MOST)) == MOST


def test_relative_urls_are_resolved_against_the_scope() -> None:
    message = parsed({"title": "Hi", "navigate": "cart", "icon": "/i.png"}, base="https://example.org/shop/")
    assert message is not None
    assert (message.navigate, message.icon) == ("https://example.org/shop/cart", "https://example.org/i.png")
    mail = parsed({"title": "Hi", "navigate": "mailto:a@example.org"})
    assert mail is not None
    assert mail.navigate == "mailto:a@example.org"


def test_only_whole_actions_count() -> None:
    whole = {"action": "a", "title": "A", "navigate": "https://x/"}
    broken: list[object] = [7, {}, whole | {"title": 7}, whole | {"action": None}, whole | {"navigate": "a"}]
    message = parsed({"title": "Hi", "navigate": "https://x/", "actions": [*broken, whole]})
    assert message is not None
    assert message.actions == (DeclarativeAction("a", "A", "https://x/"),)


@pytest.mark.parametrize(
    ("outer", "inner", "badge"),
    [
        ({"app_badge": 3}, {}, 3),
        ({}, {"app_badge": 3}, 3),
        ({}, {"app_badge": "3"}, 3),
        ({"app_badge": 4}, {"app_badge": 3}, 4),
        ({"app_badge": "x"}, {"app_badge": 3}, 3),
        ({"app_badge": 1.5}, {"app_badge": True}, None),
        ({"app_badge": 0}, {"app_badge": 3}, 0),
        ({}, {"app_badge": "9" * 16}, None),
    ],
)
def test_the_badge_is_read_in_both_places(
    outer: dict[str, object], inner: dict[str, object], badge: int | None
) -> None:
    message = parsed({"title": "Hi", "navigate": "https://x/"} | inner, **outer)
    assert message is not None
    assert message.app_badge == badge


@pytest.mark.parametrize(("outer", "inner"), [(True, None), (None, True), (True, True)])
def test_mutable_is_read_in_both_places(outer: object, inner: object) -> None:
    message = parsed({"title": "Hi", "navigate": "https://x/", "mutable": inner}, mutable=outer)
    assert message is not None
    assert message.mutable


@given(JSON, JSON)
def test_any_json_is_read_or_none(outer: object, notification: object) -> None:
    for value in (outer, {"web_push": 8030, "notification": notification}):
        parse_declarative(json.dumps(value).encode())
