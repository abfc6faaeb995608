"""The operations on signing keys."""

from __future__ import annotations

from pushkeep.web.key_schemas import (
    KeyRetirement,
    KeyRotation,
    RetirementReport,
    RotationReport,
    SigningKeyList,
    SigningKeyReport,
)
from pushkeep.web.openapi_types import BODY_PROBLEMS, KEY_PROBLEMS, Answer, Operation, Parameter

_KEY_ID = Parameter(
    "key_id",
    "path",
    "The key's id, or its public half.",
    {"type": "string", "maxLength": 87, "examples": ["NpwRXX3pMabc"]},
)
_ACTIVE = {
    "id": "NpwRXX3pMabc",
    "application_server_key": "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs",
    "state": "active",
    "created_at": "2026-11-02T09:30:00Z",
    "activated_at": "2026-11-02T09:30:00Z",
    "retiring_at": None,
    "retired_at": None,
    "leaked_at": None,
}
_RETIRING = {
    **_ACTIVE,
    "id": "Y1hQZ0b2Qdef",
    "state": "retiring",
    "created_at": "2025-03-01T08:00:00Z",
    "activated_at": "2025-03-01T08:00:00Z",
    "retiring_at": "2026-11-02T09:30:00Z",
}
_NEXT = {**_ACTIVE, "state": "next", "activated_at": None}
_RETIRED = {**_RETIRING, "state": "retired", "retired_at": "2027-02-01T08:00:00Z"}
_STATUS = {
    "key": _RETIRING,
    "bound": 1200,
    "needs_renewal": 3,
    "seen": {"7": 100, "30": 300, "90": 500, "365": 200, "older": 100},
    "moved": 8700,
    "ended": 100,
    "share": 0.88,
    "days": [{"day": "2026-11-22", "moved": 40, "ended": 1}],
    "forecast": {"per_day": 41.5, "expected": 900, "left_over": 300, "settled_at": "2027-01-20T00:00:00Z"},
}

KEY_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/signing-keys",
        "listSigningKeys",
        "server",
        "List the signing keys",
        "Oldest first, each with the subscriptions that are bound to it and how far its rotation has come.",
        {200: Answer("All of them.", SigningKeyList, {"items": [_STATUS]})},
        (*KEY_PROBLEMS, "invalid_input"),
        security="api_key",
    ),
    Operation(
        "POST",
        "/v1/signing-keys",
        "prepareSigningKey",
        "server",
        "Make the next signing key",
        "It signs nothing before a rotation activates it; there is one at a time. The request has no body.",
        {201: Answer("The key.", SigningKeyReport, _NEXT)},
        (*KEY_PROBLEMS, "invalid_input", "conflict"),
        security="api_key",
    ),
    Operation(
        "POST",
        "/v1/signing-keys/rotate",
        "rotateSigningKeys",
        "server",
        "Rotate the signing keys",
        "The next key, or a fresh one, becomes active, and browsers subscribe with it from now on. The old one signs "
        "on for those made with it, which move at their browsers' next visit: nobody is lost. With `leaked`, a "
        "prepared key is thrown away, and every message to a subscription of the old key tells its browser to renew at "
        "once.",
        {200: Answer("Both keys.", RotationReport, {"active": _ACTIVE, "retiring": _RETIRING})},
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "not_found", "conflict"),
        security="api_key",
        body=KeyRotation,
        examples={
            "whatever is active": {},
            "once, however often it is sent": {"active": "Y1hQZ0b2Qdef"},
            "in an emergency": {"active": "Y1hQZ0b2Qdef", "leaked": True},
        },
    ),
    Operation(
        "POST",
        "/v1/signing-keys/{key_id}/leaked",
        "markSigningKeyLeaked",
        "server",
        "Note that a signing key leaked",
        "One that is retiring; a next one is thrown away. The active one is rotated instead. The request has no body.",
        {200: Answer("The key.", SigningKeyReport, {**_RETIRING, "leaked_at": "2026-11-22T08:00:00Z"})},
        (*KEY_PROBLEMS, "invalid_input", "not_found", "conflict"),
        security="api_key",
        parameters=(_KEY_ID,),
    ),
    Operation(
        "POST",
        "/v1/signing-keys/{key_id}/retire",
        "retireSigningKey",
        "server",
        "Retire a signing key",
        "For good: its private half is erased. Refused while living subscriptions are bound to it (`reason` `living`), "
        "unless with `force`: these need renewal then, and get nothing until their browsers visit the site. What was "
        "interrupted is finished by the same request again.",
        {200: Answer("The key.", RetirementReport, {"key": _RETIRED, "given_up": 0})},
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "not_found", "conflict"),
        security="api_key",
        parameters=(_KEY_ID,),
        body=KeyRetirement,
        examples={"when nobody is left": {}, "giving up who is left": {"force": True}},
    ),
)
