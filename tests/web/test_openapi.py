"""The API's description is complete and true."""

from __future__ import annotations

import re

import msgspec
import pytest
from litestar.routes import HTTPRoute

from pushkeep.web import notification_schemas, schemas
from pushkeep.web.openapi import openapi_document
from pushkeep.web.openapi_operations import OPERATIONS
from pushkeep.web.openapi_types import Operation
from pushkeep.web.problems import PROBLEMS, problems_reference
from tests.web.conftest import Site

UNDOCUMENTED = {"/", "/demo/info", "/demo/identity/{person}", "/demo/{name}"}
"""The demo page is not part of the API."""


def routes_of(site: Site) -> set[tuple[str, str]]:
    return {
        (method, path)
        for route in site.app.routes.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS" and (path := re.sub(r":\w+}", "}", route.path)) not in UNDOCUMENTED
    }


async def test_every_route_is_described_and_nothing_else(site: Site) -> None:
    direct = {("POST", f"/v1/client/{{project_key}}/{name}") for name in site.app.direct.handlers}
    assert len(direct) == 2
    # A part of a route whose parameter takes the rest of the address.
    part = {("GET", "/v1/contacts/{external_id}/export")}
    assert routes_of(site) | direct | part == {(operation.method, operation.path) for operation in OPERATIONS}


async def test_the_document_is_served(site: Site) -> None:
    answer = await site.client.get("/v1/openapi.json")
    document = answer.json()
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "http://localhost:8200"}]
    assert document == msgspec.to_builtins(openapi_document("http://localhost:8200"), str_keys=True)


def test_every_operation_has_words_answers_and_problems() -> None:
    document = msgspec.json.decode(msgspec.json.encode(openapi_document("")))
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    for operation in OPERATIONS:
        described = document["paths"][operation.path][operation.method.lower()]
        assert described["summary"]
        assert described["description"].endswith(".")
        assert set(operation.problems) <= set(PROBLEMS)
        in_path = set(re.findall(r"{(\w+)}", operation.path))
        assert in_path == {parameter.name for parameter in operation.parameters if parameter.place == "path"}


def test_every_reference_leads_somewhere() -> None:
    document = msgspec.json.decode(msgspec.json.encode(openapi_document("")))
    for reference in re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(document).decode()):
        target = document
        for part in reference.split("/"):
            target = target[part]
        assert target


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_examples_have_the_shape_they_show(operation: Operation) -> None:
    for example in operation.examples.values():
        assert operation.body is not None
        msgspec.convert(example, operation.body)
    for answer in operation.answers.values():
        if answer.body is not None:
            assert set(answer.example) == set(answer.body.__struct_fields__)  # type: ignore[call-overload]
            msgspec.convert(answer.example, answer.body)


def test_every_field_of_a_request_is_described() -> None:
    for kind in (
        schemas.Registration,
        schemas.SpokenWord,
        schemas.ServerRegistration,
        schemas.ContactTags,
        notification_schemas.NotificationAction,
        notification_schemas.NotificationContent,
        notification_schemas.NotificationOptions,
        notification_schemas.Recipients,
    ):
        for name, schema in msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"].items():
            assert schema.get("description"), f"{kind.__name__}.{name}"


def test_the_reference_of_problems_has_them_all() -> None:
    reference = problems_reference()
    assert all(f"| `{code}` | {row.status} |" in reference for code, row in PROBLEMS.items())
