"""The routes about the server itself: health, the API's description, the meaning of problems."""

from __future__ import annotations

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.errors import NotFound
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, application_of, services_of
from pushkeep.web.openapi import openapi_document
from pushkeep.web.problems import PROBLEMS
from pushkeep.web.schemas import Health, ProblemDescription


@get("/healthz")
async def health(request: HttpRequest) -> Response[bytes]:
    """Whether the server and its database answer."""
    await services_of(request).store.check()
    return json_response(Health("ok"))


@get("/metrics")
async def metrics(request: HttpRequest) -> Response[bytes]:
    """What this process has counted and what all of them share, for Prometheus."""
    await api_project(request)
    found = application_of(request).metrics
    if found is None:
        raise NotFound("Nothing is counted in this process.")
    return Response(await found.page(), headers={"content-type": found.media_type, "cache-control": "no-store"})


@get("/v1/openapi.json")
async def openapi(request: HttpRequest) -> Response[bytes]:
    """The API's description."""
    document = openapi_document(application_of(request).options.public_url.url)
    return Response(msgspec.json.encode(document), media_type="application/vnd.oai.openapi+json")


@get("/v1/problems/{code:str}")
async def problem_type(request: HttpRequest, code: FromPath[str]) -> Response[bytes]:
    """What a problem means."""
    row = PROBLEMS.get(code)
    if row is None:
        raise NotFound("There is no problem of this code.")
    return json_response(ProblemDescription(code, row.status, row.title, row.meaning))


OPERATION_HANDLERS: list[ControllerRouterHandler] = [health, metrics, openapi, problem_type]
