"""The operations on contacts and tags."""

from __future__ import annotations

from pushkeep.web.openapi_types import BODY_PROBLEMS, KEY_PROBLEMS, Answer, Operation, Parameter
from pushkeep.web.schemas import ContactReport, ContactTags, TagList

EXTERNAL_ID = Parameter(
    "external_id",
    "path",
    "The site's own id of the contact, percent-encoded, a slash as `%2F`.",
    {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["user-17"]},
)
CONTACT_EXAMPLE = {
    "external_id": "user-17",
    "tags": ["city:graz", "customer"],
    "active_subscriptions": 2,
    "created_at": "2026-11-02T09:30:00Z",
}

CONTACT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "PUT",
        "/v1/contacts/{external_id}",
        "putContact",
        "server",
        "Store a contact and its tags",
        "New or not. A tag has 1 to 64 characters of `a-z 0-9 _ . : -` and begins with a letter or digit; it exists as "
        "soon as somebody has it. Notifications to a tag reach every browser of every contact that has it.",
        {200: Answer("As it is stored now.", ContactReport, CONTACT_EXAMPLE)},
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "not_found"),
        security="api_key",
        parameters=(EXTERNAL_ID,),
        body=ContactTags,
        examples={"exactly these tags": {"tags": ["customer", "city:graz"]}, "tags as they are": {}},
    ),
    Operation(
        "GET",
        "/v1/contacts/{external_id}",
        "showContact",
        "server",
        "Show a contact",
        "With its tags, and on how many browsers it is reached.",
        {200: Answer("The contact.", ContactReport, CONTACT_EXAMPLE)},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(EXTERNAL_ID,),
    ),
    Operation(
        "GET",
        "/v1/tags",
        "listTags",
        "server",
        "List the tags",
        "Every tag, each with its number of contacts.",
        {
            200: Answer(
                "All of them.",
                TagList,
                {"items": [{"tag": "city:graz", "contacts": 120}, {"tag": "customer", "contacts": 4711}]},
            )
        },
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
    ),
)
