"""The operations on purposes and consent."""

from __future__ import annotations

from pushkeep.domain.consent_words import PURPOSE_CHARACTERS_MAX
from pushkeep.web.consent_schemas import (
    ChainReport,
    ConsentAnswer,
    ConsentList,
    ConsentWordRequest,
    PurposeDeclaration,
    PurposeList,
    PurposeReport,
    WordingDeclaration,
    WordingList,
    WordingReport,
)
from pushkeep.web.openapi_types import BODY_PROBLEMS, KEY_PROBLEMS, LIMIT, Answer, Operation, Parameter

_NAME = Parameter(
    "name",
    "path",
    "The purpose's name.",
    {"type": "string", "minLength": 1, "maxLength": PURPOSE_CHARACTERS_MAX, "pattern": "^[a-z0-9][a-z0-9_-]*$"},
)
_PURPOSE = {
    "name": "offers",
    "description": "Offers, once a week",
    "basis": "consent",
    "created_at": "2026-11-02T09:30:00Z",
}
_DIGEST = "5a0b1ec0c4b1fba3f3b0dd5e5bb41b9ab1d1b2f1a9a8c7e6d5c4b3a291807f6e"
_WORDING = {
    "purpose": "offers",
    "locale": "en",
    "version": "2026-11",
    "policy_version": "7",
    "text": "Once a week, on Friday, we tell you what is cheaper. You can stop that at any time.",
    "digest": _DIGEST,
    "created_at": "2026-11-02T09:31:00Z",
}
_COMMITMENT = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
_RECORDS = {
    "items": [
        {
            "number": 1,
            "commitment": _COMMITMENT,
            "content": {
                "subscription": "01936d2e-7c1a-7b3e-9f4d-2a8b6c5d4e3f",
                "contact": "user-17",
                "purpose": "offers",
                "given": True,
                "method": "prompt",
                "wording": _DIGEST,
                "wording_version": "2026-11",
                "locale": "en",
                "policy_version": "7",
                "page": "https://example.com/basket",
                "at": "2026-11-02T09:40:00Z",
            },
            "erased_at": None,
        }
    ],
    "next": None,
}
_HEAD = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
_CHAIN = {
    "records": 1204,
    "waiting": 4,
    "seal": {
        "number": 2,
        "first": 1001,
        "last": 1200,
        "previous": _COMMITMENT,
        "head": _HEAD,
        "sealed_at": "2026-11-02T10:00:00Z",
    },
    "anchor": f"2:{_HEAD}",
}
_WORD_PROBLEMS = (*BODY_PROBLEMS, *KEY_PROBLEMS)

CONSENT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/purposes",
        "listPurposes",
        "server",
        "List the purposes",
        "What the project sends for, in the order in which they were declared.",
        {200: Answer("All of them.", PurposeList, {"items": [_PURPOSE]})},
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
    ),
    Operation(
        "PUT",
        "/v1/purposes/{name}",
        "putPurpose",
        "server",
        "Declare a purpose, or change one",
        "A notification that names a purpose whose basis is `consent` is sent to those who agreed to it. For every "
        "other basis it is sent to all but those who objected.",
        {
            201: Answer("It is new.", PurposeReport, _PURPOSE),
            200: Answer("As it is from now on.", PurposeReport, _PURPOSE),
        },
        (*_WORD_PROBLEMS, "conflict"),
        security="api_key",
        parameters=(_NAME,),
        body=PurposeDeclaration,
        examples={"needs consent": {"description": "Offers, once a week", "basis": "consent"}},
    ),
    Operation(
        "GET",
        "/v1/purposes/{name}/wordings",
        "listWordings",
        "server",
        "List the wordings of a purpose",
        "What visitors are and were asked, in the order in which the wordings were declared.",
        {200: Answer("All of them.", WordingList, {"items": [_WORDING]})},
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
        parameters=(_NAME,),
    ),
    Operation(
        "POST",
        "/v1/purposes/{name}/wordings",
        "addWording",
        "server",
        "Declare a wording",
        "Kept word for word and never changed: a page says which one it showed by its `digest`. The same again "
        "changes nothing; a new text needs a new version.",
        {
            201: Answer("It is new.", WordingReport, _WORDING),
            200: Answer("It was declared before.", WordingReport, _WORDING),
        },
        (*_WORD_PROBLEMS, "conflict"),
        security="api_key",
        parameters=(_NAME,),
        body=WordingDeclaration,
        examples={
            "in English": {
                "locale": "en",
                "version": "2026-11",
                "policy_version": "7",
                "text": _WORDING["text"],
            }
        },
    ),
    Operation(
        "GET",
        "/v1/consents",
        "listConsents",
        "server",
        "List consent records",
        "In the order in which they were written. With `contact`: what they said as such, and what was said in "
        "browsers that were theirs then.",
        {200: Answer("A page of them.", ConsentList, _RECORDS)},
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
        parameters=(
            Parameter("contact", "query", "Only this contact's, by your own id.", {"type": "string"}),
            Parameter("subscription", "query", "Only this subscription's: UUID or short id.", {"type": "string"}),
            Parameter("purpose", "query", "Only those about this purpose.", {"type": "string"}),
            LIMIT,
            Parameter(
                "after", "query", "Continue behind this number, as `next` gave it.", {"type": "integer", "minimum": 0}
            ),
        ),
    ),
    Operation(
        "POST",
        "/v1/consents",
        "recordConsent",
        "server",
        "Record what somebody said elsewhere",
        "On paper, on the telephone, in their account's settings: what your server knows. The latest word counts, "
        "whether it was said here or in a browser. The same word again, while it holds, writes nothing.",
        {200: Answer("What holds after it.", ConsentAnswer, {"consents": {"offers": True}})},
        (*_WORD_PROBLEMS, "not_found"),
        security="api_key",
        body=ConsentWordRequest,
        examples={
            "a withdrawal": {"contact": "user-17", "purpose": "offers", "given": False},
            "given earlier": {
                "contact": "user-17",
                "purpose": "offers",
                "given": True,
                "wording": _DIGEST,
                "at": "2026-11-02T09:40:00Z",
            },
        },
    ),
    Operation(
        "GET",
        "/v1/consents/head",
        "showConsentHead",
        "server",
        "Show the head of the chain",
        "Keep `anchor` outside: whoever has it can prove later that nothing before it was changed, taken out or put "
        "in.",
        {200: Answer("How far it is.", ChainReport, _CHAIN)},
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
    ),
    Operation(
        "POST",
        "/v1/consents/seal",
        "sealConsents",
        "server",
        "Seal the records that wait",
        "It is done by itself every hour, and as soon as 1,000 wait.",
        {200: Answer("How far the chain is after it.", ChainReport, {**_CHAIN, "records": 1200, "waiting": 0})},
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
    ),
)
