"""Contacts and their tags, as the site's own server sees them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import cast
from urllib.parse import unquote_to_bytes

from litestar import Response, delete, get, put
from litestar.types import ControllerRouterHandler

from pushkeep.app.contacts import count_tags, find_contact, put_contact
from pushkeep.app.erase import erase_contact
from pushkeep.app.export_contact import export_contact
from pushkeep.errors import InvalidInput, NotFound
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, services_of
from pushkeep.web.privacy_schemas import contact_export_report, erasure_report
from pushkeep.web.queries import read_query
from pushkeep.web.reports import contact_report, tag_list
from pushkeep.web.schemas import ContactTags

_PREFIX = b"/v1/contacts/"
_EXPORT = b"/export"


@put("/v1/contacts/{external_id:path}", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def store_contact(request: HttpRequest) -> Response[bytes]:
    """Store a contact, new or not, with its tags."""
    project = await api_project(request)
    read_query(request)
    external_id = _external_id(request)
    body = await read_body(request, ContactTags, json_only=False)
    return json_response(contact_report(await put_contact(services_of(request), project, external_id, body.tags)))


@get("/v1/contacts/{external_id:path}")
async def show_contact(request: HttpRequest) -> Response[bytes]:
    """One contact, or with ``/export`` behind it everything that is kept of it."""
    project = await api_project(request)
    read_query(request)
    last = _last(request)
    if last.endswith(_EXPORT):  # the router has no parameter with slashes before the end of an address
        external_id = _decoded(last.removesuffix(_EXPORT))
        return json_response(contact_export_report(await export_contact(services_of(request), project, external_id)))
    return json_response(contact_report(await find_contact(services_of(request), project, _decoded(last))))


@delete("/v1/contacts/{external_id:path}", status_code=200)
async def erase(request: HttpRequest) -> Response[bytes]:
    """Erase a contact with everything that is known of them."""
    project = await api_project(request)
    read_query(request)
    return json_response(erasure_report(await erase_contact(services_of(request), project, _external_id(request))))


@get("/v1/tags")
async def list_tags(request: HttpRequest) -> Response[bytes]:
    """Every tag with its number of contacts."""
    project = await api_project(request)
    read_query(request)
    return json_response(tag_list(await count_tags(services_of(request), project)))


def _external_id(request: HttpRequest) -> str:
    """The id in the address.

    Raises:
        NotFound, InvalidInput: as :func:`_decoded` does.
    """
    return _decoded(_last(request))


def _last(request: HttpRequest) -> bytes:
    """What stands behind the prefix, from the octets as they were sent: a slash that belongs to an id comes as
    ``%2F``, and in the path as servers hand it on nobody could tell that one from another."""
    scope = cast("MutableMapping[str, object]", request.scope)
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0] if isinstance(raw, bytes) else str(scope["path"]).encode()
    return path.partition(_PREFIX)[2]


def _decoded(last: bytes) -> str:
    """The id that octets of an address stand for.

    Raises:
        NotFound: there is a further slash.
        InvalidInput: the octets are no UTF-8.
    """
    if b"/" in last:
        raise NotFound("There is nothing at this address; write a slash in an external_id as %2F.")
    try:
        return unquote_to_bytes(last).decode()
    except UnicodeDecodeError:
        raise InvalidInput("external_id must be percent-encoded UTF-8.", field="external_id") from None


CONTACT_HANDLERS: list[ControllerRouterHandler] = [store_contact, show_contact, erase, list_tags]
