"""The subscriptions, as the site's own server sees them: it hands them over, lists, looks at and ends them."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.erase import erase_subscription
from pushkeep.app.subscribe import (
    PAGE_RECORDS_MAX,
    RegistrationRequest,
    find_subscription,
    list_subscriptions,
    register,
    remove_subscription,
)
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By
from pushkeep.domain.subscription import State
from pushkeep.errors import InvalidInput
from pushkeep.protocol.subscription import Subscription
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response, token_list
from pushkeep.web.exchange import HttpRequest, api_project, application_of, services_of
from pushkeep.web.privacy_schemas import erasure_report
from pushkeep.web.queries import read_flag, read_query, read_whole
from pushkeep.web.reports import registration_receipt, subscription_page, subscription_report
from pushkeep.web.schemas import ServerRegistration

PAGE_RECORDS_DEFAULT = 100
"""A screenful or two."""


@post("/v1/subscriptions", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def hand_over_subscription(request: HttpRequest) -> Response[bytes]:
    """Store a subscription on behalf of its browser, and say whose it is."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, ServerRegistration, json_only=False)
    registered = await register(
        services_of(request),
        project,
        RegistrationRequest(
            subscription=Subscription.from_dict(body.subscription),
            application_server_key=body.application_server_key,
            replaces=token_list(body.replaces),
            owner=body.contact,
            by=By.OPERATOR,
        ),
    )
    receipt = registration_receipt(registered, application_of(request).options.renewal_grace_seconds)
    return json_response(receipt, status=201 if registered.created else 200)


@get("/v1/subscriptions")
async def list_stored_subscriptions(request: HttpRequest) -> Response[bytes]:
    """A page of the project's subscriptions, oldest first."""
    project = await api_project(request)
    given = read_query(request, "state", "limit", "after")
    limit = read_whole(given, "limit", default=PAGE_RECORDS_DEFAULT, low=1, high=PAGE_RECORDS_MAX)
    page = await list_subscriptions(
        services_of(request), project, state=_state(given.get("state")), limit=limit, after=given.get("after")
    )
    return json_response(subscription_page(page))


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise InvalidInput(f"state must be one of {', '.join(State)}.", field="state") from None


@get("/v1/subscriptions/{subscription_id:str}")
async def show_subscription(request: HttpRequest, subscription_id: FromPath[str]) -> Response[bytes]:
    """One subscription, an ended one too."""
    project = await api_project(request)
    return json_response(subscription_report(await find_subscription(services_of(request), project, subscription_id)))


@delete("/v1/subscriptions/{subscription_id:str}", status_code=200)
async def delete_subscription(request: HttpRequest, subscription_id: FromPath[str]) -> Response[bytes]:
    """End a subscription by the operator's word, or erase it."""
    project = await api_project(request)
    if read_flag(read_query(request, "erase"), "erase"):
        counts = await erase_subscription(services_of(request), project, AnyId.parse(subscription_id))
        return json_response(erasure_report(counts))
    await remove_subscription(services_of(request), project, subscription_id, "removed through the API")
    return Response(b"", status_code=204)


SERVER_HANDLERS: list[ControllerRouterHandler] = [
    hand_over_subscription,
    list_stored_subscriptions,
    show_subscription,
    delete_subscription,
]
