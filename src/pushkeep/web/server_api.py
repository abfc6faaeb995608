"""The routes of the site's own server: everything here needs an API key (``sk_…``) in the Authorization header."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from msgspec import UNSET
from msgspec.structs import asdict

from pushkeep.app.notify import notify
from pushkeep.app.subscribe import (
    PAGE_RECORDS_MAX,
    find_subscription,
    list_subscriptions,
    register,
    remove_subscription,
)
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.subscription import State
from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.subscription import Subscription
from pushkeep.web.bodies import API_BODY_BYTES_MAX, BROWSER_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, application_of, exchange_of, services_of
from pushkeep.web.logs import get_logger
from pushkeep.web.reports import notification_report, subscription_page, subscription_report
from pushkeep.web.schemas import NotificationRequest, Recipients, RegistrationReceipt, ServerRegistration

PAGE_RECORDS_DEFAULT = 100
"""A screenful or two."""

_log = get_logger("pushkeep.web")

_LIST_PARAMETERS = frozenset({"state", "limit", "after"})


@post("/v1/notifications", request_max_body_size=API_BODY_BYTES_MAX)
async def send_notification(request: HttpRequest) -> Response[bytes]:
    """Tell somebody something, and wait until every push service has answered."""
    project = await api_project(request)
    _refuse_query(request)
    body = await read_body(request, NotificationRequest, json_only=False)
    result = await notify(
        services_of(request),
        project,
        _target(body.to),
        _message(body),
        _push_options(body),
        recipients_max=application_of(request).options.recipients_max,
    )
    report = notification_report(result)
    _log.info(
        "notification",
        request_id=exchange_of(request).request_id,
        id=report.id,
        targeted=report.targeted,
        counts=report.counts,
        skipped=sum(report.skipped.values()),
    )
    return json_response(report)


def _target(to: Recipients) -> Target:
    given = [name for name in ("all", "contacts", "subscriptions") if getattr(to, name) is not UNSET]
    if len(given) != 1:
        raise InvalidInput('to must have exactly one of "all", "contacts" and "subscriptions".', field="to")
    if to.contacts is not UNSET:
        return Target.to_contacts(to.contacts)
    if to.subscriptions is not UNSET:
        return Target.to_subscriptions(to.subscriptions)
    return Target.everyone()


def _message(body: NotificationRequest) -> Content | bytes | None:
    given = [name for name in ("content", "payload", "payload_base64") if getattr(body, name) is not None]
    if len(given) != 1:
        raise InvalidInput('Give exactly one of "content", "payload" and "payload_base64".', field="content")
    if body.payload is not None:
        return body.payload.encode() or None
    if body.payload_base64 is not None:
        return b64_decode(body.payload_base64, field="payload_base64") or None
    content, options = body.content, body.options
    assert content is not None
    return Content.of(
        title=content.title,
        body=content.body,
        url=content.url,
        icon=content.icon,
        image=content.image,
        badge=content.badge,
        tag=options.tag,
        data=content.data,
        lang=content.lang,
        dir=content.dir,
        silent=options.silent,
        require_interaction=options.require_interaction,
        renotify=options.renotify,
        actions=[asdict(action) for action in content.actions],
        app_badge=content.app_badge,
    )


def _push_options(body: NotificationRequest) -> PushOptions:
    options = body.options
    shown = options.tag is not None or options.silent or options.require_interaction or options.renotify
    if body.content is None and shown:
        raise InvalidInput(
            "tag, renotify, silent and require_interaction go with content only; put them into your own payload.",
            field="options",
        )
    if options.ttl is UNSET:
        return PushOptions.of(urgency=options.urgency, topic=options.topic)
    return PushOptions.of(ttl=options.ttl, urgency=options.urgency, topic=options.topic)


@post("/v1/subscriptions", request_max_body_size=BROWSER_BODY_BYTES_MAX)
async def hand_over_subscription(request: HttpRequest) -> Response[bytes]:
    """Store a subscription on behalf of its browser, and say whose it is."""
    project = await api_project(request)
    _refuse_query(request)
    body = await read_body(request, ServerRegistration, json_only=False)
    registered = await register(
        services_of(request),
        project,
        subscription=Subscription.from_dict(body.subscription),
        application_server_key=body.application_server_key,
        replaces=body.replaces,
        identity=None,
        owner=body.contact,
    )
    receipt = RegistrationReceipt(registered.public_id, registered.short_id, registered.sync_token)
    return json_response(receipt, status=201 if registered.created else 200)


@get("/v1/subscriptions")
async def list_stored_subscriptions(request: HttpRequest) -> Response[bytes]:
    """A page of the project's subscriptions, oldest first."""
    project = await api_project(request)
    given = _query(request)
    limit = given.get("limit", str(PAGE_RECORDS_DEFAULT))
    if not limit.isascii() or not limit.isdigit() or len(limit) > 6:
        raise InvalidInput(f"limit must be a whole number from 1 to {PAGE_RECORDS_MAX}.", field="limit")
    page = await list_subscriptions(
        services_of(request), project, state=_state(given.get("state")), limit=int(limit), after=given.get("after")
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


@delete("/v1/subscriptions/{subscription_id:str}")
async def delete_subscription(request: HttpRequest, subscription_id: FromPath[str]) -> None:
    """End a subscription by the operator's word."""
    project = await api_project(request)
    await remove_subscription(services_of(request), project, subscription_id, "removed through the API")


def _query(request: HttpRequest) -> dict[str, str]:
    """The query's parameters, each known and given once."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in _LIST_PARAMETERS or name in found:
            raise InvalidInput(
                f"The query may have {', '.join(sorted(_LIST_PARAMETERS))}, each once; an API key belongs in the "
                "Authorization header.",
                field="query",
            )
        found[name] = value
    return found


def _refuse_query(request: HttpRequest) -> None:
    if request.query_params:
        raise InvalidInput("This route takes no query; an API key belongs in the Authorization header.", field="query")


SERVER_HANDLERS: list[ControllerRouterHandler] = [
    send_notification,
    hand_over_subscription,
    list_stored_subscriptions,
    show_subscription,
    delete_subscription,
]
