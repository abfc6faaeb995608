"""Notifications: accepted, listed, looked at, watched, held, stopped and repeated by the site's own server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from pushkeep.app.accept import AcceptRules, accept, preview
from pushkeep.app.context import Services
from pushkeep.app.control import cancel, pause, resume, retry_failed
from pushkeep.app.health import audience_health
from pushkeep.app.progress import (
    PAGE_NOTIFICATIONS_MAX,
    PAGE_OUTCOMES_MAX,
    WAIT_SECONDS_MAX,
    Progress,
    list_outcomes,
    list_progress,
    parse_kinds,
    progress,
    wait_done,
    watch,
)
from pushkeep.domain.project import Project
from pushkeep.errors import PushkeepError
from pushkeep.ports.notifications import Accepted
from pushkeep.web.bodies import API_BODY_BYTES_MAX, read_body
from pushkeep.web.client_api import json_response
from pushkeep.web.exchange import HttpRequest, api_project, application_of, exchange_of, services_of
from pushkeep.web.logs import get_logger
from pushkeep.web.notification_reports import (
    accepted_report,
    dry_run_report,
    notification_page,
    notification_report,
    outcome_page,
)
from pushkeep.web.notification_requests import asked_by, idempotency_key_of
from pushkeep.web.notification_schemas import NotificationRequest
from pushkeep.web.queries import read_query, read_whole
from pushkeep.web.streams import Streams

PAGE_NOTIFICATIONS_DEFAULT = 20
PAGE_OUTCOMES_DEFAULT = 100
"""A screenful or two."""

_STREAM_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}

_log = get_logger("pushkeep.web")


@post("/v1/notifications", request_max_body_size=API_BODY_BYTES_MAX)
async def send_notification(request: HttpRequest) -> Response[bytes]:
    """Take on a notification: what is answered with 202 is stored durably and will be sent."""
    project = await api_project(request)
    read_query(request)
    body = await read_body(request, NotificationRequest, json_only=False)
    asked = asked_by(body, idempotency_key_of(request))
    services, rules = services_of(request), _rules(request)
    if body.dry_run:
        count = await preview(services, project, asked, rules=rules)
        return json_response(dry_run_report(count, await audience_health(services, project, asked.target)))
    accepted = await accept(services, project, asked, worker=application_of(request).worker, rules=rules)
    return _accepted(request, services, accepted)


@get("/v1/notifications")
async def list_notifications(request: HttpRequest) -> Response[bytes]:
    """A page of the project's notifications, the latest first."""
    project = await api_project(request)
    given = read_query(request, "limit", "before")
    limit = read_whole(given, "limit", default=PAGE_NOTIFICATIONS_DEFAULT, low=1, high=PAGE_NOTIFICATIONS_MAX)
    return json_response(
        notification_page(await list_progress(services_of(request), project, limit=limit, before=given.get("before")))
    )


@get("/v1/notifications/{notification_id:str}")
async def show_notification(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes]:
    """One notification and how far it is; with ``wait``, once it has ended."""
    project = await api_project(request)
    given = read_query(request, "wait")
    found = await _waited(request, project, notification_id, _wait_seconds(given))
    return json_response(notification_report(found))


@get("/v1/notifications/{notification_id:str}/outcomes")
async def show_outcomes(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes]:
    """What became of it for each recipient; with ``wait``, once it has ended."""
    project = await api_project(request)
    given = read_query(request, "kind", "limit", "after", "wait")
    kinds = parse_kinds(given["kind"]) if "kind" in given else None
    limit = read_whole(given, "limit", default=PAGE_OUTCOMES_DEFAULT, low=1, high=PAGE_OUTCOMES_MAX)
    wait = _wait_seconds(given)
    if wait:
        await _waited(request, project, notification_id, wait)
    page = await list_outcomes(
        services_of(request), project, notification_id, kinds=kinds, limit=limit, after=given.get("after")
    )
    return json_response(outcome_page(page))


@get("/v1/notifications/{notification_id:str}/progress")
async def stream_progress(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes] | Stream:
    """How far it is, as server-sent events, until it has ended."""
    project = await api_project(request)
    read_query(request)
    services, streams = services_of(request), application_of(request).streams
    await progress(services, project, notification_id)  # an unknown one is refused before the stream begins
    if exchange_of(request).head:
        return Response(b"", media_type="text/event-stream", headers=_STREAM_HEADERS)
    events = _events(services, project, notification_id, streams)
    first = await anext(events, b"")  # by then it has its place, or is refused while that can still be said
    return Stream(_with_first(first, events), media_type="text/event-stream", headers=_STREAM_HEADERS)


@post("/v1/notifications/{notification_id:str}/pause", status_code=200)
async def pause_notification(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes]:
    """Start nothing more for it until it is resumed."""
    return await _controlled(request, notification_id, pause)


@post("/v1/notifications/{notification_id:str}/resume", status_code=200)
async def resume_notification(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes]:
    """Go on with it."""
    return await _controlled(request, notification_id, resume)


@post("/v1/notifications/{notification_id:str}/cancel", status_code=200)
async def cancel_notification(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes]:
    """Start nothing more for it, ever."""
    return await _controlled(request, notification_id, cancel)


@post("/v1/notifications/{notification_id:str}/retry-failed")
async def retry_notification(request: HttpRequest, notification_id: FromPath[str]) -> Response[bytes]:
    """Tell those whom it did not reach once more, with a new notification."""
    project = await api_project(request)
    read_query(request)
    services = services_of(request)
    accepted = await retry_failed(
        services,
        project,
        notification_id,
        worker=application_of(request).worker,
        rules=_rules(request),
        idempotency_key=idempotency_key_of(request),
    )
    return _accepted(request, services, accepted)


def _rules(request: HttpRequest) -> AcceptRules:
    options = application_of(request).options
    return AcceptRules(
        backlog_max=options.backlog_recipients_max, receipts=options.receipts, purpose=options.require_purpose
    )


def _accepted(request: HttpRequest, services: Services, accepted: Accepted) -> Response[bytes]:
    report = accepted_report(accepted, now=services.clock.now())
    answer = json_response(report, status=202)
    base_url = application_of(request).options.public_url.url
    answer.headers["Location"] = f"{base_url}/v1/notifications/{report.id}"
    if accepted.replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    _log.info(
        "notification",
        request_id=exchange_of(request).request_id,
        id=report.id,
        targeted=report.targeted,
        unknown=len(report.unknown),
        replayed=accepted.replayed,
    )
    return answer


async def _controlled(
    request: HttpRequest,
    notification_id: str,
    control: Callable[[Services, Project, str], Awaitable[Progress]],
) -> Response[bytes]:
    project = await api_project(request)
    read_query(request)
    return json_response(notification_report(await control(services_of(request), project, notification_id)))


def _wait_seconds(given: dict[str, str]) -> int:
    return read_whole(given, "wait", default=0, low=0, high=int(WAIT_SECONDS_MAX))


async def _waited(request: HttpRequest, project: Project, notification_id: str, seconds: int) -> Progress:
    """How far it is once it has ended, or after ``seconds``; sooner if the server stops, who asked left, or too many
    wait."""
    services = services_of(request)
    if seconds:
        work = wait_done(services, project, notification_id, seconds_max=seconds)
        found = await application_of(request).streams.wait(work, until=_gone(request))
        if found is not None:
            return found
    return await progress(services, project, notification_id)


async def _gone(request: HttpRequest) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass  # a body, in which nobody is interested


async def _events(
    services: Services, project: Project, notification_id: str, streams: Streams
) -> AsyncGenerator[bytes, None]:
    """The octets of the stream (HTML standard, section 9.2)."""
    with streams.taken():
        async with (
            aclosing(watch(services, project, notification_id)) as watched,
            aclosing(streams.events(watched)) as events,
        ):
            try:
                async for found in events:
                    if found is None:
                        yield b": still there\n\n"
                    else:
                        yield b"event: progress\ndata: " + msgspec.json.encode(notification_report(found)) + b"\n\n"
            except PushkeepError as error:
                # The answer has begun: all that is left is to say why it ends.
                problem = {"code": error.code, "detail": error.message}
                yield b"event: problem\ndata: " + msgspec.json.encode(problem) + b"\n\n"


async def _with_first(first: bytes, others: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(others):
        yield first
        async for event in others:
            yield event


NOTIFICATION_HANDLERS: list[ControllerRouterHandler] = [
    send_notification,
    list_notifications,
    show_notification,
    show_outcomes,
    stream_progress,
    pause_notification,
    resume_notification,
    cancel_notification,
    retry_notification,
]
