"""Every error as ``application/problem+json`` (RFC 9457), and the one place where errors get an HTTP status.

A problem has the standard members ``type``, ``title``, ``status`` and ``detail``, and of ours ``code`` (the stable
word to program against), ``request_id`` (to find the log line), ``field`` where one input is at fault, and facts that
help to put it right, such as ``application_server_key`` or ``retry_after``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from litestar.exceptions import HTTPException

from pushkeep.errors import Conflict, InvalidToken, PayloadTooLarge, PushkeepError, RateLimited, Unavailable

PROBLEM_MEDIA_TYPE = "application/problem+json"
DETAIL_CHARACTERS_MAX = 600
"""A sentence or two; a value from the request that slipped into a message cannot make the answer large."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A row of the table of problems.

    Attributes:
        status: the HTTP status.
        title: the same for every occurrence.
        meaning: what it means and what to do, for the documentation.
    """

    status: int
    title: str
    meaning: str


PROBLEMS: Mapping[str, ProblemType] = MappingProxyType(
    {
        "malformed_request": ProblemType(
            400, "Malformed request", "The request is not proper HTTP or its body not proper JSON. Correct it."
        ),
        "unauthorized": ProblemType(
            401, "Credential missing or wrong", "Send `Authorization: Bearer` with a key or token that holds."
        ),
        "invalid_token": ProblemType(
            401,
            "Token does not hold",
            "An identity token, a sync token in `replaces` (status 403) or one that is the credential (401) is "
            "malformed, expired, out of date or not of this project; `reason` says which. Nothing has changed.",
        ),
        "forbidden": ProblemType(
            403,
            "Not allowed",
            "The operator does not allow this push service, or pages of this origin; `detail` names the setting that "
            "would.",
        ),
        "not_found": ProblemType(404, "Not found", "There is no such route or project, or no such record in it."),
        "method_not_allowed": ProblemType(
            405,
            "Method not allowed",
            "The route exists, but not with this method; the `Allow` header has those it has.",
        ),
        "request_timeout": ProblemType(408, "Request not complete in time", "The body took too long. Send it again."),
        "conflict": ProblemType(
            409,
            "Conflict with what is stored",
            "The request contradicts the stored state, and nothing has changed. On browser routes `reason` says how: "
            "`foreign_key`, subscribe again with the `application_server_key` given; `other_secrets`, the endpoint is "
            "stored with other keys, and `replaces` does not show its sync token; `replaced`, this browser has another "
            "subscription since; `stale`, it has said something later (`sequence`); `owner_full`, the contact has too "
            "many subscriptions.",
        ),
        "request_too_large": ProblemType(
            413, "Request too large", "The body is over the route's limit. Send less, or in several requests."
        ),
        "payload_too_large": ProblemType(
            413,
            "Message too large",
            "The message does not fit into one push; `excess_bytes` says by how much. Shorten it or send a reference.",
        ),
        "unsupported_media_type": ProblemType(
            415, "Unsupported media type", "Browser routes take `Content-Type: application/json` only."
        ),
        "invalid_input": ProblemType(422, "Invalid input", "`field` names it, `detail` the limit and the remedy."),
        "undecryptable": ProblemType(422, "Undecryptable message", "The message cannot be opened with these keys."),
        "rate_limited": ProblemType(
            429, "Too many requests", "Wait `retry_after` seconds; the `Retry-After` header has them too."
        ),
        "internal": ProblemType(
            500, "Internal error", "A defect, logged under `request_id`. Report it if it happens again."
        ),
        "configuration": ProblemType(
            500, "Server misconfigured", "The server's settings or stored keys do not fit; its operator has to act."
        ),
        "unavailable": ProblemType(
            503,
            "Temporarily unavailable",
            "Something that is needed does not answer, or more waits than the server takes on. Try later, where "
            "`retry_after` is given after so many seconds; the `Retry-After` header has them too.",
        ),
    }
)
"""All problems by code. An error of the package whose code is missing here is answered as ``internal``."""

_CODE_BY_STATUS = {
    400: "malformed_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}
_DETAIL_BY_CODE = {
    "malformed_request": "The request could not be read.",
    "not_found": "There is nothing at this address; /v1/openapi.json lists the routes.",
    "method_not_allowed": "This address exists, but not with this method.",
    "request_too_large": "The request's body is over this route's limit.",
    "internal": "Something went wrong in the server; its log has the cause under this request_id.",
    "configuration": "The server is not set up correctly; its log has the cause under this request_id.",
}


class MalformedRequest(PushkeepError):
    """A body is not JSON, or not the kind of JSON object asked for."""

    code = "malformed_request"


class RequestTimeout(PushkeepError):
    """A body did not arrive in time."""

    code = "request_timeout"
    permanent = False


class UnsupportedMediaType(PushkeepError):
    """A body is of another media type than the route takes."""

    code = "unsupported_media_type"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem ready to be sent.

    Attributes:
        status: the HTTP status.
        code: our stable word.
        headers: headers that belong to it.
        body: the JSON document.
    """

    status: int
    code: str
    headers: Mapping[str, str]
    body: bytes


def describe(error: Exception, *, request_id: str, base_url: str) -> Problem:
    """Turn an exception into a problem; nothing of an unexpected exception shows.

    Args:
        error: what was raised.
        request_id: the request's id.
        base_url: where this server's own addresses begin, for ``type``.
    """
    code, detail, extra, headers = _facts(error)
    row = PROBLEMS[code]
    status = 403 if isinstance(error, InvalidToken) and error.field in ("identity", "replaces") else row.status
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="pushkeep"'  # RFC 9110 section 11.6.1 wants one with every 401
    document: dict[str, object] = {
        "type": f"{base_url}/v1/problems/{code}",
        "title": row.title,
        "status": status,
        "detail": detail[:DETAIL_CHARACTERS_MAX].encode(errors="replace").decode(),
        "code": code,
        "request_id": request_id,
        **extra,
    }
    headers["Content-Type"] = PROBLEM_MEDIA_TYPE
    headers["Cache-Control"] = "no-store"
    return Problem(status, code, headers, msgspec.json.encode(document))


def allow_header(methods: Iterable[str]) -> str:
    """The value of ``Allow`` (RFC 9110 section 10.2.1) for a route that has these methods."""
    found = set(methods)
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))  # HEAD is answered wherever there is GET


def _facts(error: Exception) -> tuple[str, str, dict[str, object], dict[str, str]]:
    if isinstance(error, PushkeepError):
        return _own(error)
    if isinstance(error, HTTPException):
        code = _CODE_BY_STATUS.get(error.status_code, "internal" if error.status_code >= 500 else "malformed_request")
        allow = next((value for name, value in (error.headers or {}).items() if name.lower() == "allow"), None)
        allow = allow_header(allow.split(", ")) if allow else None
        return code, _DETAIL_BY_CODE.get(code, PROBLEMS[code].meaning), {}, {"Allow": allow} if allow else {}
    return "internal", _DETAIL_BY_CODE["internal"], {}, {}


def _own(error: PushkeepError) -> tuple[str, str, dict[str, object], dict[str, str]]:
    code = error.code if error.code in PROBLEMS else "internal"
    if PROBLEMS[code].status >= 500 and code != "unavailable":
        return code, _DETAIL_BY_CODE[code], {}, {}
    extra: dict[str, object] = {}
    headers: dict[str, str] = {}
    if error.field is not None:
        extra["field"] = error.field
    if isinstance(error, Conflict):
        extra.update({name: value for name, value in error.details.items() if name not in extra})
        if error.reason is not None:
            extra["reason"] = error.reason
    elif isinstance(error, PayloadTooLarge):
        extra["excess_bytes"] = error.excess_bytes
    elif isinstance(error, InvalidToken):
        extra["reason"] = error.reason
    elif isinstance(error, RateLimited | Unavailable) and error.retry_after_seconds is not None:
        seconds = max(1, math.ceil(error.retry_after_seconds))
        extra["retry_after"] = seconds
        headers["Retry-After"] = str(seconds)
    return code, error.message, extra, headers


def problems_reference() -> str:
    """The table as Markdown, for the API's documentation."""
    lines = ["| code | status | title | meaning |", "|---|---|---|---|"]
    lines += [f"| `{code}` | {row.status} | {row.title} | {row.meaning} |" for code, row in PROBLEMS.items()]
    return "\n".join(lines) + "\n"
