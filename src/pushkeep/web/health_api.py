"""Health, as the operator's programs see it: a subscription's story, the likely dead, release, sweeps."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.chores import SWEEP, SWEEP_AFTER_SEND, sweep_now
from pushkeep.app.health import LIKELY_DEAD_MAX, life, likely_dead, release, release_origin
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, application_of, services_of
from pushkeep.web.health_schemas import (
    OriginRelease,
    Released,
    SweepWish,
    chore_list,
    life_report,
    suspected_list,
    swept_report,
)
from pushkeep.web.queries import read_query, read_whole
from pushkeep.web.reports import subscription_report

LIKELY_DEAD_DEFAULT = 100
"""A screenful or two."""

BY_API = "through the API"
"""What the log says of who wanted it."""

OWNER_RANDOM_BYTES = 6


@get("/v1/subscriptions/{subscription_id:str}/lifecycle")
async def show_life(request: HttpRequest, subscription_id: FromPath[str]) -> Response[bytes]:
    """A subscription's whole story."""
    project = await api_project(request)
    read_query(request)
    return json_response(life_report(await life(services_of(request), project, subscription_id)))


@get("/v1/likely-dead")
async def list_likely_dead(request: HttpRequest) -> Response[bytes]:
    """Subscriptions that show a sign of death."""
    project = await api_project(request)
    given = read_query(request, "limit", "after")
    limit = read_whole(given, "limit", default=LIKELY_DEAD_DEFAULT, low=1, high=LIKELY_DEAD_MAX)
    page = await likely_dead(services_of(request), project, limit=limit, after=given.get("after"))
    return json_response(suspected_list(page))


@post("/v1/subscriptions/{subscription_id:str}/release", status_code=200)
async def release_subscription(request: HttpRequest, subscription_id: FromPath[str]) -> Response[bytes]:
    """Send to a quarantined subscription again."""
    project = await api_project(request)
    read_query(request)
    return json_response(subscription_report(await release(services_of(request), project, subscription_id, BY_API)))


@post("/v1/subscriptions/release", request_max_body_size=BROWSER_BODY_BYTES_MAX, status_code=200)
async def release_push_service(request: HttpRequest) -> Response[bytes]:
    """Send to all quarantined subscriptions of a push service again."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, OriginRelease, json_only=False)
    count = await release_origin(services_of(request), project, body.push_service, BY_API, field="push_service")
    return json_response(Released(count))


@get("/v1/sweeps")
async def list_sweeps(request: HttpRequest) -> Response[bytes]:
    """When sweeps are due, and how the last ones went."""
    project = await api_project(request)
    read_query(request)
    services = services_of(request)
    # Other chores have results of other kinds.
    sweeps = [chore for chore in await services.store.chores(project) if chore.name in (SWEEP, SWEEP_AFTER_SEND)]
    return json_response(chore_list(sweeps, services.clock.now()))


@post("/v1/sweeps", request_max_body_size=BROWSER_BODY_BYTES_MAX, status_code=200)
async def sweep_stored(request: HttpRequest) -> Response[bytes]:
    """Sweep now, or say what a sweep would do."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, SweepWish, json_only=False)
    services = services_of(request)
    report = await sweep_now(
        services,
        project,
        application_of(request).options.sweeps,
        owner=f"api:{services.entropy.token_bytes(OWNER_RANDOM_BYTES).hex()}",
        dry_run=body.dry_run,
        force=body.force,
    )
    return json_response(swept_report(report))


HEALTH_HANDLERS: list[ControllerRouterHandler] = [
    show_life,
    list_likely_dead,
    release_subscription,
    release_push_service,
    list_sweeps,
    sweep_stored,
]
