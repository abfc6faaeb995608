"""The browser routes: what a visitor's page and worker ask. The key in the path names the project, it opens nothing."""

from __future__ import annotations

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.projects import current_signing_key, project_by_publishable_key
from pushkeep.app.subscribe import register, unregister
from pushkeep.protocol.subscription import Subscription
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.exchange import (
    HttpRequest,
    application_of,
    bearer_token,
    exchange_of,
    services_of,
)
from pushkeep.web.schemas import ClientConfig, Registration, RegistrationReceipt


@get("/v1/client/{project_key:str}/config")
async def client_config(request: HttpRequest, project_key: FromPath[str]) -> Response[bytes]:
    """What the page needs before it can subscribe; never cached, so that a retired key is not used again."""
    services = services_of(request)
    project = await project_by_publishable_key(services, project_key)
    key = await current_signing_key(services, project)
    public_url = application_of(request).options.public_url
    secure = exchange_of(request).caller.is_secure(public_url)
    config = ClientConfig(
        application_server_key=key.public_b64,
        site_url=project.site_url,
        secure=secure,
        explanation=None if secure else insecure_explanation(public_url.url),
    )
    return json_response(config)


@post("/v1/client/{project_key:str}/subscriptions", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def register_subscription(request: HttpRequest, project_key: FromPath[str]) -> Response[bytes]:
    """Store or confirm the browser's subscription."""
    services = services_of(request)
    body = await read_body(request, Registration, json_only=True)
    project = await project_by_publishable_key(services, project_key)
    registered = await register(
        services,
        project,
        subscription=Subscription.from_dict(body.subscription),
        application_server_key=body.application_server_key,
        replaces=body.replaces,
        identity=body.identity,
        abilities=body.abilities,
    )
    receipt = RegistrationReceipt(registered.public_id, registered.short_id, registered.sync_token)
    return json_response(receipt, status=201 if registered.created else 200)


@delete("/v1/client/{project_key:str}/subscriptions", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def unregister_subscription(request: HttpRequest, project_key: FromPath[str]) -> None:
    """End the subscription of the sync token."""
    services = services_of(request)
    token = bearer_token(request, what="the sync token (st_…) of the registration")
    project = await project_by_publishable_key(services, project_key)
    await unregister(services, project, token)


def json_response(value: msgspec.Struct, *, status: int = 200) -> Response[bytes]:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def insecure_explanation(public_url: str) -> str:
    """What to tell somebody whose browser will not offer push here."""
    return (
        "Browsers offer push only in a secure context, and this page came over plain http from another machine. "
        f"Open {public_url} instead, or put the server behind https."
    )


CLIENT_HANDLERS: list[ControllerRouterHandler] = [client_config, register_subscription, unregister_subscription]
