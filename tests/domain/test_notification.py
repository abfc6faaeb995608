import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.compiled import compile_payload
from pushkeep.domain.notification import TARGETS_MAX, Content, Target
from pushkeep.errors import InvalidInput

ID = "01a20069-9469-7f10-87df-063c7022572e"
SITE = "https://shop.example.com/blog"


def compiled(site: str = SITE, /, **fields: object) -> Any:
    content = Content.of(**fields)
    return json.loads(compile_payload(content, notification_id=ID, site_url=site, receipts=False).payload)


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


def test_actions_lead_to_their_own_pages_or_to_the_notifications() -> None:
    actions = [
        {"action": "pay", "title": "Pay", "url": "/pay?x=1", "icon": "pay.png"},
        {"action": "later", "title": "Später", "url": None},
    ]
    made = compiled(title="Hi", url="/cart", actions=actions)["notification"]
    assert made["actions"] == [
        {
            "action": "pay",
            "title": "Pay",
            "navigate": "https://shop.example.com/pay?x=1",
            "icon": "https://shop.example.com/blog/pay.png",
        },
        {"action": "later", "title": "Später", "navigate": "https://shop.example.com/cart"},
    ]
    bare = compiled(title="Hi", actions=[{"action": "a", "title": "A"}])["notification"]
    assert bare["actions"] == [{"action": "a", "title": "A", "navigate": "https://shop.example.com/blog/"}]


@pytest.mark.parametrize("actions", [None, [], ()])
def test_no_actions_are_left_out(actions: object) -> None:
    assert "actions" not in compiled(title="Hi", actions=actions)["notification"]


@pytest.mark.parametrize("number", [0, 1, 2**53 - 1])
def test_a_number_at_the_icon_stands_where_any_browser_looks_for_it(number: int) -> None:
    made = compiled(title="Hi", app_badge=number)
    assert made["app_badge"] == made["notification"]["app_badge"] == number


def test_the_longest_action_passes() -> None:
    action = {"action": "x" * 64, "title": "x" * 80, "url": "/" + "x" * 1023}
    assert compiled(title="Hi", actions=[action])["notification"]["actions"][0]["title"] == "x" * 80


A = {"action": "a", "title": "A"}
B = {"action": "b", "title": "B"}


@pytest.mark.parametrize(
    ("actions", "field", "said"),
    [
        ("pay", "actions", "list"),
        ({"action": "a", "title": "A"}, "actions", "list"),
        (7, "actions", "list"),
        ([A, B, {"action": "c", "title": "C"}], "actions", "3 entries; browsers show 2"),
        ([None], "actions[0]", "object"),
        (["pay"], "actions[0]", "object"),
        ([A, {"title": "B"}], "actions[1].action", "missing"),
        ([A, {"action": "b"}], "actions[1].title", "missing"),
        ([A, {"action": "b", "title": None}], "actions[1].title", "missing"),
        ([A, {"action": "b", "title": ""}], "actions[1].title", "empty"),
        ([A, {"action": "b", "title": " "}], "actions[1].title", "empty"),
        ([A, {"action": "b", "title": 7}], "actions[1].title", "string"),
        ([A, {"action": "b", "title": "x" * 81}], "actions[1].title", "81 characters; the limit is 80"),
        ([A, {"action": "b", "title": "a\0b"}], "actions[1].title", "displayed"),
        ([A, {"action": "b", "title": "two\nlines"}], "actions[1].title", "one line"),
        ([A, {"action": "b", "title": "\ud800"}], "actions[1].title", "displayed"),
        ([{"action": "", "title": "A"}], "actions[0].action", "empty"),
        ([{"action": "a\tb", "title": "A"}], "actions[0].action", "one line"),
        ([{"action": "x" * 65, "title": "A"}], "actions[0].action", "64"),
        ([A, {"action": "a", "title": "B"}], "actions[1].action", "same as actions[0].action"),
        ([A, B | {"url": ""}], "actions[1].url", "URL"),
        ([A, B | {"url": "javascript:alert(1)"}], "actions[1].url", "https"),
        ([A, B | {"url": "http://example.com/"}], "actions[1].url", "https"),
        ([A, B | {"url": "https://[::1"}], "actions[1].url", "URL"),
        ([A, B | {"url": "/" + "x" * 1024}], "actions[1].url", "1024"),
        ([A, B | {"icon": "data:,x"}], "actions[1].icon", "https"),
        ([A, B | {"icon": 7}], "actions[1].icon", "URL"),
        ([A, B | {"navigate": "/x"}], "actions[1]", "remove"),
        ([A, B | {7: "x"}], "actions[1]", "remove"),
    ],
)
def test_a_wrong_action_is_refused_in_a_sentence_with_its_place(actions: object, field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compiled(title="Hi", actions=actions)
    assert refused.value.field == field
    assert refused.value.message.startswith(field)
    assert said in refused.value.message


@pytest.mark.parametrize("number", [-1, 2**53, 1.0, True, "3", [], float("nan")])
def test_a_number_that_no_icon_can_show_is_refused(number: object) -> None:
    with pytest.raises(InvalidInput, match="9007199254740991") as refused:
        compiled(title="Hi", app_badge=number)
    assert refused.value.field == "app_badge"


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


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour\u00a0!",
        "30\u202f%",
        "می\u200cخواهم",
        "\u200fשלום",
        "東京\u3000駅",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u2764\ufe0f",
        "Hi \u2068Anna\u2069",
        "\U0001fae9",  # of Unicode 16, which Python 3.11 does not know
    ],
)
def test_what_languages_and_emoji_need_is_shown(text: str) -> None:
    made = compiled(title=text, body=text, actions=[{"action": "a", "title": text}])["notification"]
    assert made["title"] == made["body"] == made["actions"][0]["title"] == text


@pytest.mark.parametrize("title", ["\u200d", "\u00a0\u3000", "\n\t", "\u2060 \u200b"])
def test_a_title_of_which_nothing_is_seen_is_empty(title: str) -> None:
    with pytest.raises(InvalidInput, match="title must not be empty"):
        Content.of(title=title)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("a\r\nb", "U+000D"),
        ("\x7f", "U+007F"),
        ("\x85", "U+0085"),
        ("a\u2028b", "U+2028"),
        ("\u202dx", "U+202D"),
        ("\udfff", "U+DFFF"),
        ("\ue000", "U+E000"),
        ("\ufeffx", "U+FEFF"),
        ("\uffff", "U+FFFF"),
        ("\U0010ffff", "U+10FFFF"),
    ],
)
def test_a_character_that_is_never_shown_is_named(text: str, point: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(point)):
        Content.of(title="Hi", body=text)


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
        ({"title": "x", "data": [[]] * 10_000}, "data"),
        ({"title": "x", "data": {str(number): None for number in range(10_000)}}, "data"),
    ],
)
def test_what_cannot_be_shown_names_its_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        compiled(**fields)
    assert caught.value.field == field


def test_data_may_have_ten_thousand_values() -> None:
    assert Content.of(title="x", data=[[]] * 9_999).data == [[]] * 9_999
    with pytest.raises(InvalidInput, match="10000 values"):
        Content.of(title="x", data=[[]] * 10_000)


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
