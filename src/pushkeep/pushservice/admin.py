"""The admin interface over HTTP: JSON under ``/admin/``, with ``Authorization: Bearer <admin token>``.

========  =====================================  ==============================================================
GET       /admin/                                addresses and the origin map
GET       /admin/clients                         list; likewise subscriptions, messages, acks, faults
GET       /admin/events?after=N&wait=SECONDS     events after serial N; waits up to 60 s for the first
POST      /admin/clients/{id}/forget             forget it and its subscriptions
POST      /admin/clients/{id}/drop               end its connection; body ``{"code": 4774, "refuse": true}``
POST      /admin/clients/{id}/admit              let it connect again
POST      /admin/subscriptions/{id}/expire       end it
POST      /admin/registration/close              make no new subscriptions; body ``{"hold": true}``
POST      /admin/registration/open               make them again
POST      /admin/faults                          add one; body ``{"fault": "apple status=429 times=3"}``
POST      /admin/faults/{id}/remove              end it; ``/admin/faults/clear`` ends all
========  =====================================  ==============================================================

Answers: 200 with the list under its name, 201 with the ``id`` of what was added, 204 for a verb, or
``{"error": …, "message": …}``.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping

from pushkeep.errors import InvalidInput, NotFound
from pushkeep.pushservice.control import Control, as_json
from pushkeep.pushservice.events import Event
from pushkeep.pushservice.http.message import Request, Response, json_response

ADMIN_PREFIX = "/admin/"

_WAIT_SECONDS_MAX = 60.0
_CLIENT_VERB = re.compile(r"/admin/clients/([A-Za-z0-9]{1,64})/(forget|drop|admit)")
_FAULT_VERB = re.compile(r"/admin/faults/(?:clear|(f[0-9]{1,12})/remove)")
_REGISTRATION_VERB = re.compile(r"/admin/registration/(close|open)")
_SUBSCRIPTION_VERB = re.compile(r"/admin/subscriptions/([A-Za-z0-9]{1,64})/expire")


class Admin:
    """Answers admin requests."""

    def __init__(self, control: Control, token: str, overview: Callable[[], Mapping[str, object]]) -> None:
        self._control = control
        self._token = token
        self._overview = overview

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        scheme, _, given = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return json_response(
                401,
                _problem("unauthorized", "The admin token is missing or wrong."),
                {"www-authenticate": "Bearer"},
            )
        try:
            if request.method == "GET":
                return await self._get(request)
            if request.method == "POST":
                added = await self._post(request)
                return Response(204) if added is None else json_response(201, {"id": added})
        except NotFound as error:
            return json_response(404, _problem(error.code, error.message))
        except InvalidInput as error:
            return json_response(400, _problem(error.code, error.message))
        return json_response(405, _problem("method", "Use GET or POST."), {"allow": "GET, POST"})

    async def _get(self, request: Request) -> Response:
        name = request.path.removeprefix(ADMIN_PREFIX)
        control = self._control
        match name:
            case "":
                return json_response(200, dict(self._overview()))
            case "clients":
                items = [as_json(item) for item in control.clients()]
            case "subscriptions":
                items = [as_json(item) for item in control.subscriptions()]
            case "messages":
                items = [as_json(item) for item in control.messages()]
            case "acks":
                items = [as_json(item) for item in control.acks()]
            case "faults":
                items = [as_json(item) for item in control.faults.list()]
            case "events":
                items = await self._events(request)
            case _:
                raise NotFound("There is no such admin resource.")
        return json_response(200, {name: items})

    async def _events(self, request: Request) -> list[dict[str, object]]:
        after = int(_number(request, "after", 0, 2**53))
        wait = _number(request, "wait", 0, _WAIT_SECONDS_MAX)
        if wait and not self._control.events(after):
            with contextlib.suppress(TimeoutError):
                await self._control.wait_for(Event, wait, after=after)
        return [event.to_dict() for event in self._control.events(after)]

    async def _post(self, request: Request) -> str | None:
        """Do it; the id of what was added, if anything was."""
        if request.path == ADMIN_PREFIX + "faults":
            return self._control.faults.add(_fault(request.body))
        await self._do(request)
        return None

    async def _do(self, request: Request) -> None:
        on_fault = _FAULT_VERB.fullmatch(request.path)
        if on_fault is not None:
            if on_fault.group(1) is None:
                self._control.faults.clear()
            else:
                self._control.faults.remove(on_fault.group(1))
            return
        on_subscription = _SUBSCRIPTION_VERB.fullmatch(request.path)
        if on_subscription is not None:
            self._control.expire(on_subscription.group(1))
            return
        on_registration = _REGISTRATION_VERB.fullmatch(request.path)
        if on_registration is not None:
            if on_registration.group(1) == "open":
                self._control.open_registration()
            else:
                self._control.close_registration(hold=_flag(_options(request.body), "hold"))
            return
        on_client = _CLIENT_VERB.fullmatch(request.path)
        if on_client is None:
            raise NotFound("There is no such admin verb.")
        client_id, verb = on_client.groups()
        if verb == "forget":
            await self._control.forget_client(client_id)
        elif verb == "admit":
            self._control.admit_client(client_id)
        else:
            code, refuse = _drop_options(request.body)
            await self._control.drop_connection(client_id, code=code, refuse=refuse)


def _options(body: bytes) -> dict[str, object]:
    try:
        options: object = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise InvalidInput("The body must be a JSON object.", field="body")
    return options


def _fault(body: bytes) -> str:
    fault = _options(body).get("fault")
    if not isinstance(fault, str):
        raise InvalidInput("fault must be the fault's line, as text.", field="fault")
    return fault


def _drop_options(body: bytes) -> tuple[int | None, bool]:
    options = _options(body)
    code, refuse = options.get("code"), _flag(options, "refuse")
    # 1000 to 4999 without the codes RFC 6455 section 7.4 reserves: those must not be sent.
    sendable = isinstance(code, int) and (code in (1000, 1001, 1011, 1012, 1013) or 3000 <= code <= 4999)
    if isinstance(code, bool) or not (code is None or (isinstance(code, int) and sendable)):
        raise InvalidInput("code must be 1000, 1001, 1011 to 1013, or 3000 to 4999.", field="code")
    return code, refuse


def _flag(options: dict[str, object], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false.", field=name)
    return value


def _number(request: Request, name: str, default: float, maximum: float) -> float:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= maximum:
        raise InvalidInput(f"{name} must be a number from 0 to {maximum:g}.", field=name)
    return number


def _problem(code: str, message: str) -> dict[str, str]:
    return {"error": code, "message": message}
