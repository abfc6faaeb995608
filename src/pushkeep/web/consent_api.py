"""Purposes, wordings and consent, as the site's own server sees them."""

from __future__ import annotations

from litestar import Response, get, post, put
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.consents import (
    PAGE_CONSENTS_MAX,
    declare_purpose,
    declare_wording,
    list_consents,
    list_wordings,
    say,
    seal_waiting,
    speaker_of,
)
from pushkeep.domain.consent import Method
from pushkeep.domain.consent_words import make_word
from pushkeep.domain.moment import parse_moment
from pushkeep.errors import InvalidInput
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response
from pushkeep.web.consent_schemas import (
    ConsentAnswer,
    ConsentWordRequest,
    PurposeDeclaration,
    PurposeList,
    WordingDeclaration,
    WordingList,
    chain_report,
    consent_list,
    purpose_report,
    sealed_report,
    wording_report,
)
from pushkeep.web.exchange import HttpRequest, api_project, services_of
from pushkeep.web.queries import read_query, read_whole

PAGE_CONSENTS_DEFAULT = 100
"""A screenful or two."""

_NUMBER_MAX = 2**53 - 1


@get("/v1/purposes")
async def list_purposes(request: HttpRequest) -> Response[bytes]:
    """Every purpose of the project."""
    project = await api_project(request)
    read_query(request)
    found = await services_of(request).store.purposes(project)
    return json_response(PurposeList([purpose_report(purpose) for purpose in found]))


@put("/v1/purposes/{name:str}", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def put_purpose(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
    """Declare a purpose, or change one."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, PurposeDeclaration, json_only=False)
    purpose, new = await declare_purpose(
        services_of(request), project, name, description=body.description, basis=body.basis
    )
    return json_response(purpose_report(purpose), status=201 if new else 200)


@get("/v1/purposes/{name:str}/wordings")
async def show_wordings(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
    """Every wording of a purpose, in the order in which they were declared."""
    project = await api_project(request)
    read_query(request)
    found = await list_wordings(services_of(request), project, name)
    return json_response(WordingList([wording_report(wording) for wording in found]))


@post("/v1/purposes/{name:str}/wordings", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def add_wording(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
    """Declare what visitors are asked, word for word."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, WordingDeclaration, json_only=False)
    wording, new = await declare_wording(
        services_of(request),
        project,
        name,
        locale=body.locale,
        version=body.version,
        text=body.text,
        policy_version=body.policy_version,
    )
    return json_response(wording_report(wording), status=201 if new else 200)


@get("/v1/consents")
async def list_records(request: HttpRequest) -> Response[bytes]:
    """A page of consent records, opened."""
    project = await api_project(request)
    given = read_query(request, "contact", "subscription", "purpose", "limit", "after")
    page = await list_consents(
        services_of(request),
        project,
        speaker=speaker_of(contact=given.get("contact"), subscription=given.get("subscription")),
        purpose=given.get("purpose"),
        limit=read_whole(given, "limit", default=PAGE_CONSENTS_DEFAULT, low=1, high=PAGE_CONSENTS_MAX),
        after=read_whole(given, "after", default=0, low=0, high=_NUMBER_MAX),
    )
    return json_response(consent_list(page))


@post("/v1/consents", status_code=200, request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def record_consent(request: HttpRequest) -> Response[bytes]:
    """Record what the site's own server knows that somebody said."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, ConsentWordRequest, json_only=False)
    speaker = speaker_of(contact=body.contact, subscription=body.subscription)
    if speaker is None:
        raise InvalidInput("Say whose word it is: give contact or subscription.", field="contact")
    services = services_of(request)
    word = make_word(
        purpose=body.purpose,
        given=body.given,
        method=Method.API.value,
        wording=body.wording,
        page=body.page,
        at=None if body.at is None else parse_moment(body.at, field="at"),
        now=services.clock.now(),
        allowed=frozenset({Method.API}),
    )
    return json_response(ConsentAnswer(dict(await say(services, project, speaker, [word]))))


@get("/v1/consents/head")
async def show_head(request: HttpRequest) -> Response[bytes]:
    """How far the chain over the records is, and its last head."""
    project = await api_project(request)
    read_query(request)
    return json_response(chain_report(await services_of(request).store.chain_standing(project)))


@post("/v1/consents/seal", status_code=200)
async def seal_records(request: HttpRequest) -> Response[bytes]:
    """Seal the records that wait, now."""
    project = await api_project(request)
    read_query(request)
    return json_response(sealed_report(await seal_waiting(services_of(request), project)))


CONSENT_HANDLERS: list[ControllerRouterHandler] = [
    list_purposes,
    put_purpose,
    show_wordings,
    add_wording,
    list_records,
    record_consent,
    show_head,
    seal_records,
]
