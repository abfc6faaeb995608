import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.notification import TARGETS_MAX, Content, Target, compile_payload
from pushkeep.errors import InvalidInput

ID = "01a20069-9469-7f10-87df-063c7022572e"
SITE = "https://shop.example.com/blog"


def compiled(site: str = SITE, /, **fields: object) -> Any:
    content = Content.of(**fields)
    return json.loads(compile_payload(content, notification_id=ID, site_url=site))


def test_the_least_there_can_be() -> None:
    assert compiled(title="Hi") == {
        "web_push": 8030,
        "notification": {
            "title": "Hi",
            "navigate": "https://shop.example.com/blog/",
            "tag": ID,
            "mutable": True,
        },
        "mutable": True,
        "pushkeep": {"id": ID},
    }


def test_everything_there_can_be() -> None:
    made = compiled(
        title="Hi",
        body="Two\nlines",
        url="/cart?x=1#pay",
        icon="icon.png",
        image="https://cdn.example.com/i.png",
        badge="/b.png",
        tag="cart",
        data={"order": [1, 2.5, None, True, {"deep": "ä"}]},
        lang="de-CH",
        dir="rtl",
        silent=True,
        require_interaction=True,
        renotify=True,
    )
    assert made["notification"] == {
        "title": "Hi",
        "navigate": "https://shop.example.com/cart?x=1#pay",
        "body": "Two\nlines",
        "tag": "cart",
        "icon": "https://shop.example.com/blog/icon.png",
        "image": "https://cdn.example.com/i.png",
        "badge": "https://shop.example.com/b.png",
        "lang": "de-CH",
        "dir": "rtl",
        "silent": True,
        "requireInteraction": True,
        "renotify": True,
        "data": {"order": [1, 2.5, None, True, {"deep": "ä"}]},
        "mutable": True,
    }


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(json_values)
def test_data_arrives_as_it_was_given(value: object) -> None:
    made = compiled(title="Hi", data=value)["notification"]
    assert made.get("data") == value


def title_or_field(title: str) -> str:
    try:
        return str(compiled(title=title)["notification"]["title"])
    except InvalidInput as error:
        return f"refused: {error.field}"


@given(st.text(max_size=250))
def test_any_title_is_shown_whole_or_refused(title: str) -> None:
    assert title_or_field(title) in (title, "refused: title")


@given(st.text(max_size=100))
def test_any_url_leads_somewhere_safe_or_is_refused(url: str) -> None:
    try:
        navigate = compiled(title="Hi", url=url)["notification"]["navigate"]
    except InvalidInput as error:
        navigate = f"refused: {error.field}"
    assert navigate.startswith(("https://", "http://localhost", "http://127.", "refused: url"))


def test_a_site_on_this_machine_may_be_plain() -> None:
    made = compiled("http://localhost:8200", title="Hi", url="/x")
    assert made["notification"]["navigate"] == "http://localhost:8200/x"


DEEP: list[object] = []
for _ in range(20):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "  "}, "title"),
        ({"title": None}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"title": "x", "body": "x" * 2001}, "body"),
        ({"title": "x", "body": 7}, "body"),
        ({"title": "x", "body": "\u202etxt.exe"}, "body"),
        ({"title": "x", "url": "javascript:alert(1)"}, "url"),
        ({"title": "x", "url": "http://example.com/"}, "url"),
        ({"title": "x", "url": "data:text/html,x"}, "url"),
        ({"title": "x", "url": "https://[::1"}, "url"),
        ({"title": "x", "url": "https://a b/"}, "url"),
        ({"title": "x", "url": "\\\\evil.example\\x"}, "url"),
        ({"title": "x", "url": ""}, "url"),
        ({"title": "x", "url": "/" + "x" * 1024}, "url"),
        ({"title": "x", "icon": "file:///etc/passwd"}, "icon"),
        ({"title": "x", "image": 7}, "image"),
        ({"title": "x", "badge": "ftp://x.example/"}, "badge"),
        ({"title": "x", "tag": ""}, "tag"),
        ({"title": "x", "tag": "x" * 129}, "tag"),
        ({"title": "x", "lang": "x" * 36}, "lang"),
        ({"title": "x", "dir": "up"}, "dir"),
        ({"title": "x", "silent": 1}, "silent"),
        ({"title": "x", "require_interaction": "no"}, "require_interaction"),
        ({"title": "x", "renotify": True}, "renotify"),
        ({"title": "x", "data": float("nan")}, "data"),
        ({"title": "x", "data": {"a": float("inf")}}, "data"),
        ({"title": "x", "data": {1: 2}}, "data"),
        ({"title": "x", "data": b"octets"}, "data"),
        ({"title": "x", "data": {"a": "\ud800"}}, "data"),
        ({"title": "x", "data": {"\ud800": 1}}, "data"),
        ({"title": "x", "data": DEEP}, "data"),
    ],
)
def test_what_cannot_be_shown_names_its_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        compiled(**fields)
    assert caught.value.field == field


def test_targets_are_checked_and_named_once() -> None:
    assert Target.everyone().kind == "all"
    assert Target.to_contacts(["ann", "bob", "ann"]).contacts == ("ann", "bob")
    target = Target.to_subscriptions(["HMV192av", ID.upper(), "HMV192av", ID])
    assert [str(item) for item in target.subscriptions] == ["HMV192av", ID]


@pytest.mark.parametrize("values", [[], None, "ann", {"ann": 1}, ["x"] * (TARGETS_MAX + 1), [""], [7], [None]])
def test_targets_that_are_none(values: object) -> None:
    with pytest.raises(InvalidInput, match="contacts"):
        Target.to_contacts(values)
    with pytest.raises(InvalidInput, match="subscriptions"):
        Target.to_subscriptions(values)
