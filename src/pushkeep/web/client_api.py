"""The browser routes: what a visitor's page and worker ask. The key in the path names the project, it opens nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.consents import what_to_ask
from pushkeep.app.projects import current_signing_key, project_by_publishable_key
from pushkeep.app.subscribe import RegistrationRequest, register
from pushkeep.app.visitor import confirm, describe, holds, say, unregister
from pushkeep.domain.consent import ConsentWord
from pushkeep.domain.consent_words import check_words, make_word
from pushkeep.domain.subscription import Event
from pushkeep.errors import InvalidInput
from pushkeep.protocol.subscription import Subscription
from pushkeep.web.bodies import BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.exchange import (
    HttpRequest,
    application_of,
    bearer_token,
    exchange_of,
    services_of,
)
from pushkeep.web.queries import read_flag, read_query, read_whole
from pushkeep.web.reports import browser_receipt, own_report, shown_purposes, standing_report, words_heard
from pushkeep.web.schemas import (
    SEQUENCE_MAX,
    ClientConfig,
    Heartbeat,
    Registration,
    SpokenWord,
    Words,
)

_WHAT = "the sync token (st_…) of the registration"
_END_EVENTS = {"left": Event.LEFT, "lost": Event.LOST}


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
    services, application = services_of(request), application_of(request)
    read_query(request)
    body = await read_body(request, Registration, json_only=True)
    project = await project_by_publishable_key(services, project_key)
    asked = RegistrationRequest(
        subscription=Subscription.from_dict(body.subscription),
        application_server_key=body.application_server_key,
        replaces=token_list(body.replaces),
        identity=body.identity,
        detach=body.detach,
        abilities=body.abilities,
        sequence=body.sequence,
        consents=spoken_words(body.consents or (), now=services.clock.now()),
    )
    with within_consents():
        registered = await register(
            services,
            project,
            asked,
            admit=lambda contact: application.contact_requests.take(f"{project.id} {contact}"),
        )
    known = None if body.consents is None else await holds(services, project, registered.public_id)
    receipt = browser_receipt(registered, application.options.renewal_grace_seconds, known)
    return json_response(receipt, status=201 if registered.created else 200)


@get("/v1/client/{project_key:str}/purposes")
async def shown_to_visitors(request: HttpRequest, project_key: FromPath[str]) -> Response[bytes]:
    """What a page may ask its visitors, and in which words."""
    services = services_of(request)
    given = read_query(request, "locale")
    project = await project_by_publishable_key(services, project_key)
    return json_response(shown_purposes(await what_to_ask(services, project, given.get("locale"))))


@post("/v1/client/{project_key:str}/consents", status_code=200, request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def hear_words(request: HttpRequest, project_key: FromPath[str]) -> Response[bytes]:
    """Record what a visitor agrees to, or takes back."""
    services = services_of(request)
    read_query(request)
    token = bearer_token(request, what=_WHAT)
    body = await read_body(request, Words, json_only=True)
    project = await project_by_publishable_key(services, project_key)
    words = spoken_words(body.consents, now=services.clock.now())
    with within_consents():
        after = await say(services, project, token, words, sequence=body.sequence)
    return json_response(words_heard(after))


@post("/v1/client/{project_key:str}/heartbeat", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def confirm_subscription(request: HttpRequest, project_key: FromPath[str]) -> Response[bytes]:
    """Note that the browser has the subscription of the sync token, and say how it stands."""
    services = services_of(request)
    read_query(request)
    token = bearer_token(request, what=_WHAT)
    body = await read_body(request, Heartbeat, json_only=True)
    project = await project_by_publishable_key(services, project_key)
    standing = await confirm(services, project, token, sequence=body.sequence)
    return json_response(standing_report(standing, application_of(request).options.renewal_grace_seconds))


@get("/v1/client/{project_key:str}/subscriptions")
async def describe_subscription(request: HttpRequest, project_key: FromPath[str]) -> Response[bytes]:
    """Tell a visitor about the subscription of the sync token: how it stands, and its story."""
    services = services_of(request)
    read_query(request)
    token = bearer_token(request, what=_WHAT)
    project = await project_by_publishable_key(services, project_key)
    return json_response(own_report(await describe(services, project, token)))


@delete("/v1/client/{project_key:str}/subscriptions", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def unregister_subscription(request: HttpRequest, project_key: FromPath[str]) -> None:
    """End the subscription of the sync token; erase it where that is asked for."""
    services = services_of(request)
    token = bearer_token(request, what=_WHAT)
    given = read_query(request, "reason", "sequence", "erase")
    event = _END_EVENTS.get(given.get("reason", "left"))
    if event is None:
        raise InvalidInput(f"reason must be one of {', '.join(_END_EVENTS)}.", field="reason")
    sequence = None
    if "sequence" in given:
        sequence = read_whole(given, "sequence", default=0, low=0, high=SEQUENCE_MAX)
    project = await project_by_publishable_key(services, project_key)
    await unregister(services, project, token, event=event, sequence=sequence, erase=read_flag(given, "erase"))


def spoken_words(given: Sequence[SpokenWord], *, now: float) -> tuple[ConsentWord, ...]:
    """What a visitor says, checked.

    Raises:
        InvalidInput: ``field`` says which of it is malformed.
    """
    words = [
        make_word(
            purpose=word.purpose,
            given=word.given,
            method=word.method,
            wording=word.wording,
            page=word.page,
            now=now,
            place=f"consents[{at}].",
        )
        for at, word in enumerate(given)
    ]
    return check_words(words)


@contextlib.contextmanager
def within_consents() -> Iterator[None]:
    """What is found out about a purpose or wording only where the words are stored names its place in the body."""
    try:
        yield
    except InvalidInput as error:
        if error.field not in ("purpose", "wording"):
            raise
        raise InvalidInput(error.message, field=f"consents.{error.field}") from None


def token_list(given: str | list[str] | None) -> tuple[str, ...]:
    """The tokens of ``replaces``, which may be one or a list of them."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def json_response(value: msgspec.Struct, *, status: int = 200) -> Response[bytes]:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def insecure_explanation(public_url: str) -> str:
    """What to tell somebody whose browser will not offer push here."""
    return (
        "Browsers offer push only in a secure context, and this page came over plain http from another machine. "
        f"Open {public_url} instead, or put the server behind https."
    )


CLIENT_HANDLERS: list[ControllerRouterHandler] = [
    client_config,
    shown_to_visitors,
    register_subscription,
    hear_words,
    confirm_subscription,
    describe_subscription,
    unregister_subscription,
]
