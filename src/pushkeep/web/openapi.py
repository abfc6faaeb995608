"""The API's OpenAPI 3.1 document, made from the bodies' types and the table of operations."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import msgspec

from pushkeep.web.openapi_operations import OPERATIONS
from pushkeep.web.openapi_types import Operation, Parameter
from pushkeep.web.problems import PROBLEM_MEDIA_TYPE, PROBLEMS
from pushkeep.web.schemas import ProblemDocument

_REFERENCES = "#/components/schemas/{name}"

_SECURITY_SCHEMES: Mapping[str, object] = {
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`sk_…`) of the site's own server. Never in a page, never in an address.",
    },
    "sync_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The sync token (`st_…`) that registering a subscription returned to its browser.",
    },
}


def openapi_document(public_url: str) -> dict[str, object]:
    """The document.

    Args:
        public_url: where this server is, for ``servers``.
    """
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pushkeep",
            "version": version("pushkeep"),
            "summary": "Keeps Web Push subscriptions alive and delivers to them.",
            "description": "Every error is `application/problem+json` (RFC 9457) with a stable `code`. A message "
            "that a push service took is *accepted*; nobody but the browser knows whether it arrived.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url}],
        "tags": [
            {"name": "browser", "description": "Called by the SDK in a visitor's page or worker."},
            {"name": "server", "description": "Called by the site's own server, with an API key."},
            {"name": "operation", "description": "For whoever runs the server, and for programs that explore it."},
        ],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY_SCHEMES, "responses": _problems()},
    }


def _operation(operation: Operation) -> dict[str, object]:
    described: dict[str, object] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "security": [{operation.security: []}] if operation.security else [],
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        media: dict[str, object] = {"schema": _reference(operation.body)}
        if operation.examples:
            media["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        described["requestBody"] = {"required": True, "content": {"application/json": media}}
    if operation.text is not None:
        described["requestBody"] = {"required": True, "content": {"text/plain": {"schema": dict(operation.text)}}}
    responses: dict[str, object] = {}
    for status, answer in operation.answers.items():
        response: dict[str, object] = {"description": answer.description}
        if answer.body is not None:
            content: dict[str, object] = {"schema": _reference(answer.body)}
            if answer.example is not None:
                content["example"] = answer.example
            response["content"] = {answer.media_type: content}
        elif answer.media_type != "application/json":
            response["content"] = {answer.media_type: {"schema": {"type": "string"}}}
        responses[str(status)] = response
    for status in sorted({PROBLEMS[code].status for code in operation.problems}):
        responses[str(status)] = {"$ref": f"#/components/responses/problem_{status}"}
    described["responses"] = responses
    return described


def _parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFERENCES.format(name=kind.__name__)}


def _schemas() -> dict[str, object]:
    kinds: dict[type[msgspec.Struct], None] = {ProblemDocument: None}
    for operation in OPERATIONS:
        kinds.update(dict.fromkeys(kind for kind in (operation.body,) if kind is not None))
        kinds.update(dict.fromkeys(answer.body for answer in operation.answers.values() if answer.body is not None))
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCES)
    return dict(sorted(components.items()))


def _problems() -> dict[str, object]:
    """One response for each status, with what may be behind it."""
    found: dict[str, object] = {}
    for status in sorted({row.status for row in PROBLEMS.values()}):
        rows = {code: row for code, row in PROBLEMS.items() if row.status == status}
        found[f"problem_{status}"] = {
            "description": " ".join(f"`{code}`: {row.meaning}" for code, row in rows.items()),
            "content": {PROBLEM_MEDIA_TYPE: {"schema": _reference(ProblemDocument)}},
        }
    return found
