"""Faults applied: around the handler that answers requests to push resources."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from email.utils import formatdate

from pushkeep.pushservice.events import Faulted, Followed
from pushkeep.pushservice.faults.control import Faults
from pushkeep.pushservice.faults.decision import Hit
from pushkeep.pushservice.faults.grammar import Fault, Kind
from pushkeep.pushservice.http.message import Handler, Manner, Request, Response, text_response
from pushkeep.pushservice.hub import FATE, Fate, Hub
from pushkeep.pushservice.personalities import Personality, Refusal
from pushkeep.pushservice.personalities.routes import Route

FOLLOWED_PATH = "/followed"
"""Where a 3xx fault points to; it answers 201, so that a sender that follows believes to have succeeded."""

_NOBODY = "(nobody)"
"""Requests to targets that were never issued here are counted together, because anybody can think of new ones; no
fault can name it."""

_MANNERS = {
    (Kind.HANG, None): Manner.HANG,
    (Kind.RESET, "before"): Manner.RESET,
    (Kind.RESET, "middle"): Manner.RESET_MIDDLE,
    (Kind.RESET, "stream"): Manner.RESET_STREAM,
    (Kind.CLOSE, None): Manner.CLOSE,
    (Kind.GOAWAY, "graceful"): Manner.GOAWAY,
    (Kind.GOAWAY, "abrupt"): Manner.GOAWAY_ABRUPT,
    (Kind.REFUSE_STREAM, None): Manner.REFUSE_STREAM,
    (Kind.ENDLESS_BODY, None): Manner.ENDLESS_BODY,
    (Kind.HUGE_HEADERS, None): Manner.HUGE_HEADERS,
    (Kind.GARBAGE, None): Manner.GARBAGE,
}
_ANSWERED = frozenset({Manner.RESET_MIDDLE, Manner.GOAWAY, Manner.ENDLESS_BODY, Manner.HUGE_HEADERS})
"""Manners in which the service's own answer is given."""

_NOTHING = Response(500)


class FaultLayer:
    """Stands between the HTTP connections and the resources.

    Args:
        faults: in force at the moment.
        hub: knows the subscriptions, and is told of every hit.
        handler: answers what no fault ends.
        route: where a request leads.
        personalities: by vendor name; who words an answer.
    """

    def __init__(
        self,
        faults: Faults,
        hub: Hub,
        handler: Handler,
        route: Callable[[Request], Route | None],
        personalities: Mapping[str, Personality],
    ) -> None:
        self._faults = faults
        self._hub = hub
        self._handler = handler
        self._route = route
        self._personalities = personalities

    async def handle(self, request: Request) -> Response:
        """Answer one request, well or badly."""
        if request.path == FOLLOWED_PATH and self._faults.has_redirected:
            self._hub.events.announce(Followed(method=request.method))
            return Response(201)
        if not self._faults or request.method != "POST":
            return self._dated(await self._handler(request), 0.0)
        hits = self._hits(request)
        passing = {hit.fault.kind: hit.fault for hit in hits}
        skew = _number(passing.get(Kind.SKEW))
        await asyncio.sleep(sum(_number(hit.fault) for hit in hits if hit.fault.kind is Kind.SLOW))
        fate = Fate(
            lost=Kind.LOSE in passing,
            copies=int(_number(passing.get(Kind.DUPLICATE))) or 1,
            skew_seconds=skew,
        )
        token = FATE.set(fate)
        try:
            response = await self._answer(request, hits)
        finally:
            FATE.reset(token)
        if Kind.DRIP in passing and response.manner is None:
            response = replace(response, manner=Manner.DRIP, seconds=_number(passing[Kind.DRIP]))
        return self._dated(response, skew)

    def _hits(self, request: Request) -> list[Hit]:
        vendor, subscription_id, key = self._whose(request)
        hits = self._faults.next(vendor=vendor, subscription_id=key)
        for hit in hits:
            self._hub.events.announce(
                Faulted(
                    fault_id=hit.active.id,
                    fault=str(hit.fault),
                    vendor=vendor,
                    subscription_id=subscription_id,
                    number=hit.number,
                )
            )
        return hits

    def _whose(self, request: Request) -> tuple[str | None, str | None, str]:
        """Vendor and subscription of a request, and under what its requests are counted."""
        route = self._route(request)
        if route is None or route.token is None:
            return None, None, _NOBODY
        found = self._hub.core.find(route.token)
        if found is not None:
            return found.vendor, found.id, found.id
        is_ours = self._hub.core.tokens.open_endpoint_token(route.vendor, route.token) is not None
        # One that has ended goes on being counted by itself: nobody can make up tokens that are ours.
        return (route.vendor, None, _hashed(route.token)) if is_ours else (None, None, _NOBODY)

    async def _answer(self, request: Request, hits: Iterable[Hit]) -> Response:
        fault = next((hit.fault for hit in hits if _is_final(hit.fault)), None)
        if fault is None:
            return await self._handler(request)
        if fault.kind in (Kind.STATUS, Kind.ANSWER):
            return self._refuse(request, fault)
        word = fault.value if isinstance(fault.value, str) else None
        manner = _MANNERS[fault.kind, word]
        if manner is Manner.GOAWAY_ABRUPT and fault.taken:
            manner = Manner.GOAWAY_TAKEN
        response = _NOTHING
        if fault.taken or manner in _ANSWERED:
            response = await self._handler(request)
        return replace(response, manner=manner, seconds=_number(fault))

    def _refuse(self, request: Request, fault: Fault) -> Response:
        response = self._worded(self._whose(request)[0], fault)
        headers = response.headers
        if 300 <= response.status < 400:
            headers = (*headers, ("location", f"https://{request.authority}{FOLLOWED_PATH}"))
        if fault.retry_after_seconds is not None:
            headers = (*(pair for pair in headers if pair[0] != "retry-after"), ("retry-after", self._later(fault)))
        return replace(response, headers=headers)

    def _worded(self, vendor: str | None, fault: Fault) -> Response:
        personality = self._personalities.get(vendor or "")
        if isinstance(fault.value, str):
            # Of an endpoint that is nobody's, Mozilla speaks: it is this service's own personality.
            return (personality or self._personalities["mozilla"]).refuse(Refusal(fault.value))
        status = int(_number(fault))
        if status < 400:
            return Response(status)
        return personality.fail(status) if personality else text_response(status, "A fault on purpose.\n")

    def _later(self, fault: Fault) -> str:
        seconds = fault.retry_after_seconds or 0.0
        if fault.retry_after_as_date:
            return formatdate(self._hub.now() + seconds, usegmt=True)
        return str(int(seconds))

    def _dated(self, response: Response, skew: float) -> Response:
        """With a Date header, as RFC 9110 section 6.6.1 asks of every server with a clock."""
        date = formatdate(self._hub.now() + skew, usegmt=True)
        return replace(response, headers=(*response.headers, ("date", date)))


def _is_final(fault: Fault) -> bool:
    return fault.kind in (Kind.STATUS, Kind.ANSWER) or any(kind is fault.kind for kind, _ in _MANNERS)


def _number(fault: Fault | None) -> float:
    return float(fault.value) if fault is not None and isinstance(fault.value, int | float) else 0.0


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
