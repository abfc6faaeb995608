"""Each product's own schema is read as that product wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pushkeep.adapters.formats.files import KINDS
from pushkeep.domain.moving import BrokenFile, Fault, Format, Numbered
from pushkeep.errors import InvalidInput
from pushkeep.protocol.subscription import Subscription
from tests.formats.samples import (
    AUTH,
    P256DH,
    as_csv,
    as_lines,
    browser_json,
    device_row,
    laravel_row,
    only,
    opened,
    records,
    url,
)

PLAIN = Subscription.from_dict(browser_json())
PARTS: dict[str, object] = {"endpoint": url(), "p256dh": P256DH, "auth": AUTH}
PHP: dict[str, object] = {"endpoint": url(), "publicKey": P256DH, "authToken": AUTH, "contentEncoding": "aes128gcm"}
AT = 1714557600.0  # 2024-05-01 10:00:00 UTC


@pytest.mark.parametrize(
    ("content", "format", "owner", "at"),
    [
        (as_lines([browser_json()]), Format.WEB_PUSH, None, None),
        (json.dumps(browser_json(), indent=2), Format.WEB_PUSH, None, None),
        (as_csv([PARTS]), Format.WEB_PUSH, None, None),
        (as_csv([{"subscription": json.dumps(browser_json()), "createdAt": AT * 1000}]), Format.WEB_PUSH, None, AT),
        (as_lines([{"subscription": browser_json(), "created_at": AT}]), Format.WEB_PUSH, None, AT),
        (as_lines([{"subscription_info": browser_json()}]), Format.PYWEBPUSH, None, None),
        (as_csv([{"subscription_info": json.dumps(browser_json())}], separator=";"), Format.PYWEBPUSH, None, None),
        (as_lines([PHP]), Format.WEB_PUSH_PHP, None, None),
        (as_csv([PHP]), Format.WEB_PUSH_PHP, None, None),
        (json.dumps([{**browser_json(), "contentEncoding": "aes128gcm"}]), Format.WEB_PUSH_PHP, None, None),
        (as_csv([laravel_row()]), Format.LARAVEL, "17", AT),
        (json.dumps([laravel_row(created_at="2024-05-01T10:00:00.000000Z")]), Format.LARAVEL, "17", AT),
        (as_csv([laravel_row(subscribable_id="0190-uuid")]), Format.LARAVEL, "0190-uuid", AT),
        (as_csv([{**PARTS, "browser": "chrome", "user_agent": "x", "user_id": "5"}]), Format.DJANGO_WEBPUSH, "5", None),
        (as_csv([device_row()]), Format.DJANGO_PUSH_NOTIFICATIONS, "17", AT + 0.123456),
    ],
)
def test_a_file_is_recognised_and_read(
    file: Path, content: str, format: Format, owner: str | None, at: float | None
) -> None:
    with opened(file, content) as source:
        assert source.format is format
    found = only(records(file, content))
    assert (found.subscription, found.owner, found.created_at) == (PLAIN, owner, at)
    assert found == only(records(file, content, format))


def test_every_format_but_ours_is_among_those() -> None:
    assert set(KINDS) == set(Format) - {Format.PUSHKEEP}


def test_what_php_and_laravel_say_of_the_encoding_is_kept_and_their_default_is_not(file: Path) -> None:
    old = only(records(file, as_csv([laravel_row(content_encoding="aesgcm")])))
    assert old.subscription.encodings == ("aesgcm",)
    unsaid = only(records(file, as_csv([laravel_row(content_encoding="NULL")])))
    assert unsaid.subscription.encodings == ("aes128gcm",)


def test_laravel_before_version_6_has_a_user(file: Path) -> None:
    row = laravel_row()
    old = {name: value for name, value in row.items() if not name.startswith(("subscribable", "content"))}
    assert only(records(file, as_csv([{**old, "user_id": "9"}]))).owner == "9"


def test_two_models_of_laravel_may_have_the_same_ids(file: Path) -> None:
    content = as_csv([laravel_row(), laravel_row("two", subscribable_type="App\\Models\\Admin")])
    _, second = records(file, content)
    assert isinstance(second, Fault)
    assert second.line == 3
    assert "--where" in second.message
    _, left = records(file, content, where=(("subscribable_type", "App\\Models\\User"),))
    assert isinstance(left, Numbered)
    assert (left.record, left.why) == (None, "filtered")
    both = records(file, content, owner_columns=("subscribable_type", "subscribable_id"))
    owners = [one.record.owner for one in both if isinstance(one, Numbered) and one.record]  # type: ignore[attr-defined]
    assert owners == ["App\\Models\\User:17", "App\\Models\\Admin:17"]


def test_a_device_that_is_switched_off_is_left_out(file: Path) -> None:
    (off,) = records(file, as_csv([device_row(active="f")]))
    assert isinstance(off, Numbered)
    assert (off.record, off.why) == (None, "inactive")


@pytest.mark.parametrize(
    ("browser", "endpoint"),
    [
        ("CHROME", "https://fcm.googleapis.com/fcm/send/abc"),
        ("OPERA", "https://fcm.googleapis.com/fcm/send/abc"),
        ("FIREFOX", "https://updates.push.services.mozilla.com/wpush/v2/abc"),
    ],
)
def test_an_old_registration_id_is_the_end_of_an_endpoint(file: Path, browser: str, endpoint: str) -> None:
    found = only(records(file, as_csv([device_row(registration_id="abc", browser=browser)])))
    assert found.subscription.endpoint.url == endpoint


def test_an_old_registration_id_of_edge_is_not_guessed(file: Path) -> None:
    (fault,) = records(file, as_csv([device_row(registration_id="abc", browser="EDGE")]))
    assert isinstance(fault, Fault)
    assert fault.field == "registration_id"
    assert "abc" not in fault.message


def test_two_applications_have_two_keys(file: Path) -> None:
    content = as_csv([device_row(application_id="a"), device_row("two", application_id="b")])
    _, second = records(file, content)
    assert isinstance(second, Fault)
    assert "--where application_id" in second.message
    _, third = records(file, content, where=(("application_id", "a"),))
    assert isinstance(third, Numbered)


def dump(model: str, pk: int, **fields: object) -> dict[str, object]:
    return {"model": model, "pk": pk, "fields": fields}


def test_a_dump_of_devices(file: Path) -> None:
    row = device_row(user=17)
    del row["id"], row["user_id"]
    content = json.dumps(
        [dump("auth.group", 1, name="x"), dump("push_notifications.webpushdevice", 4, **row)], indent=1
    )
    other, device = records(file, content)
    assert isinstance(other, Numbered)
    assert other.why == "other_rows"
    assert only([device]).owner == "17"


def test_a_dump_of_django_webpush_is_put_together(file: Path) -> None:
    def info(pk: int, name: str) -> dict[str, object]:
        return dump(
            "webpush.subscriptioninfo", pk, **{**PARTS, "endpoint": url(name)}, browser="firefox", user_agent=""
        )

    def push(pk: int, of: int, user: int | None, group: int | None) -> dict[str, object]:
        return dump("webpush.pushinformation", pk, user=user, subscription=of, group=group)

    rows = [
        dump("webpush.group", 1, name="Big News"),
        dump("webpush.group", 2, name="sale"),
        info(10, "one"),
        info(11, "two"),
        info(12, "three"),
        push(20, 10, 5, None),
        push(21, 10, 6, 1),
        push(22, 10, None, 2),
        push(23, 11, None, 1),
    ]
    for content in (json.dumps(rows), as_lines(rows)):
        found = [only([one]) for one in records(file, content) if isinstance(one, Numbered) and one.record]
        assert [(one.owner, one.tags) for one in found] == [("6", ("big-news", "sale")), (None, ()), (None, ())]
        assert [one.subscription.endpoint.url for one in found] == [url("one"), url("two"), url("three")]


def test_groups_of_a_table_become_tags(file: Path) -> None:
    content = as_csv([{**PARTS, "user_id": 5, "groups": "Big News,sale,sale"}])
    assert only(records(file, content)).tags == ("big-news", "sale")
    (fault,) = records(file, as_csv([{**PARTS, "user_id": 5, "groups": "a/b"}]))
    assert isinstance(fault, Fault)
    assert fault.field == "groups"


def test_the_owner_is_in_the_column_that_the_operator_names(file: Path) -> None:
    content = as_lines([{"subscription": browser_json(), "member": 7, "shop": "a"}])
    assert only(records(file, content)).owner is None
    with opened(file, content) as source:
        list(source.read())
        assert source.unused == ("member", "shop")
    with opened(file, content, owner_columns=("member",)) as source:
        assert only(list(source.read())).owner == "7"
        assert source.unused == ("shop",)
    with pytest.raises(BrokenFile, match="no record has the column membr; there are subscription, member, shop"):
        records(file, content, owner_columns=("membr",))
    with pytest.raises(BrokenFile, match="--where: no record has the column x"):
        records(file, content, where=(("x", "1"),))


def test_how_a_file_is_read_is_part_of_what_it_is(file: Path) -> None:
    content = as_lines([{"subscription": browser_json(), "member": 7}])
    digests = set()
    for wishes in ({}, {"owner_columns": ("member",)}, {"where": (("member", "7"),)}):
        with opened(file, content, **wishes) as source:
            digests.add(source.digest())
            assert source.digest() in digests
    assert len(digests) == 3


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": ""}, "endpoint is empty"),
    ({"endpoint": "http://updates.push.services.mozilla.com/x"}, "endpoint must begin with https://"),
    ({"endpoint": "https://user@updates.push.services.mozilla.com/x"}, "endpoint must not have user information"),
    ({"public_key": "NULL"}, "public_key is empty; what has no public_key cannot be sent to."),
    ({"public_key": AUTH}, "public_key must be 65 octets, got 16."),
    ({"public_key": P256DH[:-4] + "AAAA"}, "public_key"),
    ({"auth_token": "????"}, "auth_token has a character that is not base64."),
    ({"auth_token": P256DH}, "auth_token must be 16 octets, got 65."),
    ({"subscribable_id": " 17"}, "subscribable_id must not have control characters or surrounding spaces."),
    ({"subscribable_id": "x" * 201}, "subscribable_id must be a string of 1 to 200 characters."),
    ({"created_at": "yesterday"}, "created_at must be a time such as"),
    ({"created_at": "2024-02-31 10:00:00"}, "created_at must be a time such as"),
    ({"created_at": "9" * 400}, "created_at must be a time such as"),
    ({"content_encoding": "x" * 100}, "content_encoding"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_what_is_wrong_is_named_as_the_file_names_it(file: Path, changes: dict[str, Any], words: str) -> None:
    (fault,) = records(file, as_csv([laravel_row(**changes)]))
    assert isinstance(fault, Fault)
    assert fault.message.startswith(words)
    assert (fault.number, fault.line) == (1, 2)
    assert fault.field == next(iter(changes))
    for secret in (P256DH, AUTH, url()):
        assert secret not in str(fault)


@pytest.mark.parametrize("at", ["2024-05-01T12:00:00+02:00", "2024-05-01 10:00:00 UTC", "1714557600", "1714557600000"])
def test_times_are_read_as_databases_write_them(file: Path, at: str) -> None:
    assert only(records(file, as_csv([laravel_row(created_at=at)]))).created_at == AT


def test_a_file_that_is_not_what_it_is_said_to_be(file: Path) -> None:
    with pytest.raises(InvalidInput, match="does not look like laravel: its columns are endpoint, p256dh, auth"):
        records(file, as_csv([PARTS]), Format.LARAVEL)
