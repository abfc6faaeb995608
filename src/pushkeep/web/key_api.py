"""The signing keys, as their operator's programs see them."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.key_progress import key_progress
from pushkeep.app.rotate import mark_leaked, prepare_key, retire_key, rotate_keys
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, services_of
from pushkeep.web.key_schemas import (
    KeyRetirement,
    KeyRotation,
    key_list,
    key_report,
    retirement_report,
    rotation_report,
)
from pushkeep.web.queries import read_query


@get("/v1/signing-keys")
async def list_signing_keys(request: HttpRequest) -> Response[bytes]:
    """Every key, with how far its rotation has come."""
    project = await api_project(request)
    read_query(request)
    services = services_of(request)
    return json_response(key_list(await key_progress(services.store, project, now=services.clock.now())))


@post("/v1/signing-keys")
async def prepare_signing_key(request: HttpRequest) -> Response[bytes]:
    """Make the next rotation's key."""
    project = await api_project(request)
    read_query(request)
    return json_response(key_report(await prepare_key(services_of(request), project)), status=201)


@post("/v1/signing-keys/rotate", request_max_body_size=BROWSER_BODY_BYTES_MAX, status_code=200)
async def rotate_signing_keys(request: HttpRequest) -> Response[bytes]:
    """Activate the next key, or a fresh one."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, KeyRotation, json_only=False)
    rotated = await rotate_keys(services_of(request), project, leaked=body.leaked, active=body.active)
    return json_response(rotation_report(rotated))


@post("/v1/signing-keys/{key_id:str}/leaked", status_code=200)
async def mark_signing_key_leaked(request: HttpRequest, key_id: FromPath[str]) -> Response[bytes]:
    """Note that a key which is not the active one is in other hands."""
    project = await api_project(request)
    read_query(request)
    return json_response(key_report(await mark_leaked(services_of(request), project, key_id)))


@post("/v1/signing-keys/{key_id:str}/retire", request_max_body_size=BROWSER_BODY_BYTES_MAX, status_code=200)
async def retire_signing_key(request: HttpRequest, key_id: FromPath[str]) -> Response[bytes]:
    """Put a key out of use for good."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, KeyRetirement, json_only=False)
    return json_response(retirement_report(await retire_key(services_of(request), project, key_id, force=body.force)))


KEY_HANDLERS: list[ControllerRouterHandler] = [
    list_signing_keys,
    prepare_signing_key,
    rotate_signing_keys,
    mark_signing_key_leaked,
    retire_signing_key,
]
