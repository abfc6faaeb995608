"""What must hold for every route there is: who is let in, what an answer carries, what a page may do."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import httpx
import pytest

from pushkeep.web.cors import CLIENT_PREFIX
from pushkeep.web.openapi_operations import OPERATIONS
from pushkeep.web.openapi_types import Operation
from tests.redaction.child.watched_secrets import PAYLOAD_MARK
from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}

OPEN = frozenset(
    {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/openapi.json",
        "/v1/problems/{code}",
        "/pushkeep/{name}",
        "/pushkeep/sdk.js",
    }
)
"""Beside the browser routes, what anybody may ask for."""


BY_TOKEN_ALONE = {"reportReceipt": 204, "fetchMessage": 404}
"""Asked by workers, whose messages came from us: what counts is the token in the message, whoever brings it. They do
not pass through the edge; a receipt is taken or left without a word."""


def address(operation: Operation, site: Site) -> str:
    """Its path, with something in place of every parameter."""
    path = operation.path.replace("{project_key}", site.project.publishable_key)
    return re.sub(r"{\w*id\w*}", str(uuid.UUID(int=7)), path).replace("{token}", "x" * 27)


def server_operations() -> Iterator[Operation]:
    yield from (operation for operation in OPERATIONS if operation.security == "api_key")


async def ask(site: Site, operation: Operation, **headers: str) -> httpx.Response:
    body = {"json": {}} if operation.body is not None else {}
    return await site.client.request(operation.method, address(operation, site), headers=headers, **body)


async def test_every_route_of_the_server_s_api_wants_an_api_key_and_no_other_credential(site: Site) -> None:
    registered = (await site.register(subscription_json())).json()
    sync_token = registered["sync_token"]
    wrong = ("", f"Bearer {site.api_key[:-1]}x", f"Bearer {sync_token}", f"Basic {site.api_key}", site.api_key)
    for operation in server_operations():
        for credential in wrong:
            answer = await ask(site, operation, **({"Authorization": credential} if credential else {}))
            # 429 is what 401 becomes for who has had many of them.
            assert answer.status_code in (401, 429), (operation.id, credential[:12])


async def test_what_needs_no_key_is_the_browser_s_or_stands_in_this_list() -> None:
    public = {
        operation.path
        for operation in OPERATIONS
        if operation.security != "api_key" and not operation.path.startswith(CLIENT_PREFIX)
    }
    assert public <= OPEN, public - OPEN


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "authorization", "sync_token"])
async def test_no_credential_is_read_from_an_address_or_a_cookie(site: Site, name: str) -> None:
    answer = await site.client.get("/v1/notifications", params={name: site.api_key})
    assert answer.status_code in (400, 401)
    assert site.api_key not in answer.text
    answer = await site.client.get("/v1/notifications", headers={"Cookie": f"{name}={site.api_key}"})
    assert answer.status_code == 401


async def test_every_answer_carries_the_headers_and_no_cookie(site: Site) -> None:
    for operation in OPERATIONS:
        answer = await ask(site, operation, **site.auth, Cookie="session=1", Origin="https://elsewhere.example")
        assert answer.status_code < 500, operation.id
        if operation.id in BY_TOKEN_ALONE:
            assert (answer.content, answer.headers.get("set-cookie")) == (b"", None)
            continue
        for name, value in EVERYWHERE.items():
            assert answer.headers[name] == value, operation.id
        assert "'unsafe-" not in answer.headers["content-security-policy"], operation.id
        assert not {"set-cookie", "server", "x-powered-by", "access-control-allow-credentials"} & {*answer.headers}
        assert answer.headers.get("access-control-allow-origin") in (None, "*") or not operation.path.startswith(
            CLIENT_PREFIX
        )
        if operation.security is not None:
            assert answer.headers["cache-control"] == "no-store", operation.id


async def test_a_refusal_does_not_say_what_was_said(site: Site) -> None:
    """Values of a body, that is: a field that is not known is named."""
    for operation in server_operations():
        if operation.body is not None:
            body = {"to": PAYLOAD_MARK, "content": PAYLOAD_MARK, "external_id": PAYLOAD_MARK, "purpose": PAYLOAD_MARK}
            answer = await site.client.request(operation.method, address(operation, site), headers=site.auth, json=body)
            assert answer.status_code >= 400, operation.id
            assert PAYLOAD_MARK not in answer.text, operation.id


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://localhost:8200.evil.example"])
async def test_pages_of_other_sites_get_nothing(site: Site, origin: str) -> None:
    for operation in OPERATIONS:
        if operation.path.startswith(CLIENT_PREFIX):
            answer = await ask(site, operation, Origin=origin)
            assert answer.status_code == BY_TOKEN_ALONE.get(operation.id, 403), operation.id
            assert "access-control-allow-origin" not in answer.headers


async def test_our_pages_have_nothing_inline(site: Site) -> None:
    """So a policy without ``unsafe-inline`` breaks nothing of ours, and whatever is injected does nothing."""
    page = await site.client.get("/")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page.text)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
