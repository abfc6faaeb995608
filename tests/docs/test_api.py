"""The page on the API: its requests are understood as they stand, and nothing is missing from its tables."""

import re
from pathlib import Path

import msgspec

from pushkeep.domain.shard import FINAL_KINDS, KIND_WORDS
from pushkeep.web.notification_schemas import AcceptedNotification, NotificationOptions, NotificationRequest
from pushkeep.web.openapi_contacts import CONTACT_OPERATIONS
from pushkeep.web.openapi_notifications import NOTIFICATION_OPERATIONS
from pushkeep.web.schemas import ContactTags, ServerRegistration

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_the_requests_and_answers_shown_have_their_shapes() -> None:
    shapes = {
        "POST /v1/notifications": NotificationRequest,
        "202 Accepted": AcceptedNotification,
        "POST /v1/subscriptions": ServerRegistration,
        "PUT": ContactTags,
    }
    blocks = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == len(shapes)
    for block, (beginning, shape) in zip(blocks, shapes.items(), strict=True):
        assert block.startswith(beginning)
        msgspec.json.decode(block[block.index("{", block.index("\n{")) :], type=shape)


def test_every_kind_has_its_row() -> None:
    for kind in FINAL_KINDS:
        assert f"| `{kind}` | {KIND_WORDS[kind]} |" in PAGE


def test_every_route_and_field_is_there() -> None:
    for operation in (*NOTIFICATION_OPERATIONS, *CONTACT_OPERATIONS):
        path = operation.path.replace("{notification_id}", "{id}").replace("{external_id}", "{id}")
        found = [path, path.replace("{id}", "user-17")]
        assert any(f"{operation.method} {one}" in PAGE for one in found), operation.path
    for name in (*NotificationRequest.__struct_fields__, *NotificationOptions.__struct_fields__):
        assert f"`{name}`" in PAGE, name
