"""The operations on privacy."""

from __future__ import annotations

from pushkeep.web.openapi_contacts import CONTACT_EXAMPLE, EXTERNAL_ID
from pushkeep.web.openapi_types import KEY_PROBLEMS, Answer, Operation
from pushkeep.web.privacy_schemas import ContactExportReport, ErasureListReport, ErasureReport

ERASED = {
    "contacts": 1,
    "subscriptions": 2,
    "consents": 3,
    "notifications": 1,
    "outcomes": 12,
    "receipts": 7,
    "tags": 0,
}
_EXPORT = {
    "exported_at": "2026-11-21T08:00:00Z",
    "contact": CONTACT_EXAMPLE,
    "subscriptions": [],
    "consents": [],
    "wordings": [],
    "messages": [],
}

PRIVACY_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/contacts/{external_id}/export",
        "exportContact",
        "server",
        "Export what is kept of a contact",
        "Everything, for them to be given: browsers with their story, what they agreed to and in which words, and what "
        "they were told as far as it is kept for each recipient. Endpoints and keys are left out: whoever has them can "
        "send.",
        {200: Answer("All of it.", ContactExportReport, _EXPORT)},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(EXTERNAL_ID,),
    ),
    Operation(
        "DELETE",
        "/v1/contacts/{external_id}",
        "eraseContact",
        "server",
        "Erase a contact",
        "With everything that is known of them, for good: who is erased stands in a list outside of the database, as a "
        "keyed hash, and is erased again whenever a backup brings them back. Nothing is sent to them any more, also "
        "not what is on its way. Again is no error.",
        {200: Answer("What was erased; all zero where nothing was stored.", ErasureReport, ERASED)},
        (*KEY_PROBLEMS, "invalid_input", "not_found", "conflict"),
        security="api_key",
        parameters=(EXTERNAL_ID,),
    ),
    Operation(
        "GET",
        "/v1/erasures",
        "showErasures",
        "server",
        "Show how the list of who was erased is",
        "It names nobody.",
        {
            200: Answer(
                "How it is.",
                ErasureListReport,
                {
                    "entries_until": 12,
                    "last_at": "2026-11-20T09:30:00Z",
                    "applied_until": 12,
                    "missing": 0,
                    "damaged_lines": 0,
                },
            )
        },
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
    ),
)
