"""Privacy, as the site's own server sees it; what concerns one contact is with the contacts."""

from __future__ import annotations

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from pushkeep.app.erase import erasure_standing
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, services_of
from pushkeep.web.privacy_schemas import erasure_list_report
from pushkeep.web.queries import read_query


@get("/v1/erasures")
async def show_erasures(request: HttpRequest) -> Response[bytes]:
    """How the list of who was erased is."""
    await api_project(request)
    read_query(request)
    return json_response(erasure_list_report(*await erasure_standing(services_of(request))))


PRIVACY_HANDLERS: list[ControllerRouterHandler] = [show_erasures]
"""The operations on the erasure list."""
