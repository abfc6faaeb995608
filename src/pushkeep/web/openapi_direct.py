"""The operations that browsers ask for by the thousand: see :mod:`pushkeep.web.direct`."""

from __future__ import annotations

from pushkeep.web.openapi_types import PROJECT_KEY, Answer, Operation
from pushkeep.web.receipt_beacon import RECEIPT_LINE, TOKEN_LINE

_TOO_LARGE = Answer("The body has more than 1,024 octets.")
_TOO_SLOW = Answer("The body did not arrive in time.")
_TOKEN = "n3q0Zr1sT4uVwXyZaBcDeFgHiJk"  # noqa: S105 - an example
_LINE = f"01939f6b-4a10-7c02-9f11-0a6d5b7c2e13 {_TOKEN}"

DIRECT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        "/v1/client/{project_key}/receipts",
        "reportReceipt",
        "browser",
        "Say what became of a notification",
        "What the visitor's worker sends when it has displayed a notification, and when it is clicked or closed: the "
        "word, the notification's id and the receipt token that stood in the message. Every one is answered alike.",
        {204: Answer("Taken, or dropped because the token does not hold."), 408: _TOO_SLOW, 413: _TOO_LARGE},
        parameters=(PROJECT_KEY,),
        text={"type": "string", "pattern": f"^{RECEIPT_LINE.pattern.decode()}$", "examples": [f"displayed {_LINE}"]},
    ),
    Operation(
        "POST",
        "/v1/client/{project_key}/messages",
        "fetchMessage",
        "browser",
        "The whole of a notification",
        "For the holder of a receipt token of it: what the visitor's worker asks for when a message had only the "
        "beginning (`fetch` in the options of a notification).",
        {
            200: Answer("The notification in the form of a message: JSON with `notification` and `pushkeep`."),
            404: Answer("There is no such notification, or the token is not of it."),
            408: _TOO_SLOW,
            413: _TOO_LARGE,
            503: Answer("The database does not answer; come again."),
        },
        parameters=(PROJECT_KEY,),
        text={"type": "string", "pattern": f"^{TOKEN_LINE.pattern.decode()}$", "examples": [_LINE]},
    ),
)
