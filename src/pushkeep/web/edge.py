"""The outermost layer: what holds for every request, also one that no route answers.

Request id, caller, rate limit and cross-origin rules of the browser routes, HEAD as GET without a body, headers that
every answer carries, one log line. Litestar's own middleware runs behind its router and would miss unknown addresses.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from litestar.utils import normalize_path

from pushkeep.errors import Forbidden, PushkeepError
from pushkeep.ports import Clock, Entropy
from pushkeep.web.asgi import ASGIApp, Message, Receive, Scope, Send
from pushkeep.web.client_address import identify
from pushkeep.web.cors import CLIENT_PREFIX, answer_headers, preflight_headers, site_origins
from pushkeep.web.exchange import Application, Exchange
from pushkeep.web.logs import LogAddresses, get_logger, places
from pushkeep.web.problems import MalformedRequest, Problem, allow_header, describe
from pushkeep.web.rate_limit import RateLimiter, network_of
from pushkeep.web.security_headers import common_headers

REQUEST_ID_BYTES = 8
"""64 random bits: no two of a day's log lines share one."""

REQUEST_IDS_DRAWN = 64
"""At once: each call of the operating system lets other threads in, and has to wait for its turn after it."""

_log = get_logger("pushkeep.web")
_info_is_logged = partial(logging.getLogger("pushkeep.web").isEnabledFor, logging.INFO)


class Edge:
    """Wraps the routed application.

    Args:
        inner: answers by route.
        application: what requests share.
        methods: those that ``inner`` has, by the pattern of the route's path.
        clock: tells the time.
        entropy: draws request ids.
    """

    def __init__(
        self,
        inner: ASGIApp,
        *,
        application: Application,
        methods: Mapping[str, Collection[str]],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        options = application.options
        self._inner = inner
        self._methods = methods
        self._application = application
        self._clock = clock
        self._entropy = entropy
        self._base_url = options.public_url.url
        self._request_ids: list[str] = []
        self._common = _raw(common_headers(options.public_url).items())
        self._client_requests = RateLimiter(
            per_minute=options.client_requests_per_minute,
            burst=options.client_requests_burst,
            monotonic=clock.monotonic,
        )
        self._site_requests = RateLimiter(
            per_minute=options.site_requests_per_minute,
            burst=options.site_requests_per_minute,
            monotonic=clock.monotonic,
            whose="from pages of this site",
            key=str,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI, HTTP only)."""
        if scope["type"] != "http":
            await _refuse_websocket(receive, send)
            return
        began = self._clock.monotonic()
        peer = scope["client"]
        caller = identify(
            peer=peer[0] if peer else None,
            scheme=str(scope["scheme"]),
            headers=list(scope["headers"]),
            trusted=self._application.options.trusted_proxies,
        )
        method: str = scope["method"]
        exchange = Exchange(self._request_id(), caller, method == "HEAD")
        inner_scope = {**scope, "method": "GET" if method == "HEAD" else method}
        exchange.put_into(inner_scope)
        answer = _Answer(
            send, head=method == "HEAD", common=[(b"x-request-id", exchange.request_id.encode()), *self._common]
        )
        try:
            await self._handle(inner_scope, receive, answer, exchange)
        except Exception as error:
            if answer.status is not None:
                raise  # the answer is on its way: all that is left is to cut the connection, which the server does
            problem = describe(error, request_id=exchange.request_id, base_url=self._base_url)
            await answer.problem(problem)
            if problem.status >= 500:
                _log_failure(error, exchange)
        finally:
            self._write_log(inner_scope, method, answer, exchange, began)

    def _request_id(self) -> str:
        if not self._request_ids:
            drawn = self._entropy.token_bytes(REQUEST_IDS_DRAWN * REQUEST_ID_BYTES).hex()
            digits = 2 * REQUEST_ID_BYTES
            self._request_ids = [drawn[at : at + digits] for at in range(0, len(drawn), digits)]
        return self._request_ids.pop()

    async def _handle(self, scope: Scope, receive: Receive, answer: _Answer, exchange: Exchange) -> None:
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            # RFC 9112 section 3.2; proxies and we might believe different ones.
            raise MalformedRequest("The request has more than one Host header.")
        path = _path_within(scope)
        if path.startswith(CLIENT_PREFIX):
            origin = await self._allowed_origin(scope, path, exchange, answer)
            if scope["method"] == "OPTIONS":
                await answer.empty(204, preflight_headers(origin))
                return
        await self._inner(
            scope, receive, self._naming_methods(scope, answer) if scope["method"] == "OPTIONS" else answer
        )

    def _naming_methods(self, scope: Scope, answer: _Answer) -> Send:
        """Put all methods of the route into ``Allow`` (RFC 9110 section 9.3.7): where several handlers share an address
        the router names those of the first, and it knows nothing of HEAD."""

        async def send(message: Message) -> None:
            methods = self._methods.get(scope.get("path_template", ""))
            if methods is not None and message["type"] == "http.response.start":
                others = [(name, value) for name, value in message.get("headers", []) if name.lower() != b"allow"]
                message["headers"] = [*others, (b"allow", allow_header(methods).encode())]
            await answer(message)

        return send

    async def _allowed_origin(self, scope: Scope, path: str, exchange: Exchange, answer: _Answer) -> str | None:
        """Decide about the asking page and count the request; also that it asks too often its own page may read.

        Raises:
            Forbidden: it is a page of another site. A preflight is answered all the same, without any permission.
            RateLimited: too many requests from this address, or from pages of this origin.
        """
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        answer.add(answer_headers(None))
        limited: PushkeepError | None = None
        try:
            self._client_requests.take(exchange.caller.address)
        except PushkeepError as error:
            limited = error
        services = self._application.running()
        origins = await site_origins(services, path, look_up=limited is None)
        known = origins is not None
        origin = values[0] if len(values) == 1 and known and self._admits(values[0], origins, exchange) else None
        if origin is not None:
            answer.add(answer_headers(origin))
        if limited is not None:
            raise limited
        if known and (origin is not None or not values):
            self._site_requests.take(f"{path.removeprefix(CLIENT_PREFIX).partition('/')[0]} {origin}")
        elif known and scope["method"] != "OPTIONS":
            raise Forbidden(
                "Pages of this origin may not subscribe here; the operator can add it to site_origins.", field="Origin"
            )
        return origin

    def _admits(self, origin: str, origins: Collection[str] | None, exchange: Exchange) -> bool:
        """Whether a page of an origin may use a project with these origins, or is served by this very server.

        The latter is believed only where a browser could have checked who the server is: by its certificate, or because
        it is its own machine. Otherwise a page could pass off its own name as ours (DNS rebinding).
        """
        caller = exchange.caller
        own = origin == caller.origin and caller.is_secure(self._application.options.public_url)
        return own or origin == self._application.options.public_url.origin or origin in (origins or ())

    def _write_log(self, scope: Scope, method: str, answer: _Answer, exchange: Exchange, began: float) -> None:
        """One line: the route's pattern instead of the address, which a careless client may have put a secret into."""
        if not _info_is_logged():
            return
        template = scope.get("path_template")
        _log.info(
            "request",
            request_id=exchange.request_id,
            method=method if method.isascii() and len(method) <= 16 else "?",
            route=str(template) if template else "-",
            status=answer.status,
            code=answer.code,
            **_address_fact(self._application.options.log_addresses, exchange.caller.address),
            duration_ms=round((self._clock.monotonic() - began) * 1000, 1),
        )


def _address_fact(wanted: LogAddresses, address: str) -> Mapping[str, str]:
    """Where a request came from, as far as the operator wants to read it."""
    if wanted == "off":
        return {}
    return {"address": address} if wanted == "full" else {"network": network_of(address)}


def _path_within(scope: Scope) -> str:
    """The path below the mount point, found exactly as the router finds it: a request must not be one route there and
    another one here, where it is counted."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    return normalize_path(path.split(root_path, maxsplit=1)[-1] if root_path else path)


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _log_failure(error: Exception, exchange: Exchange) -> None:
    """Say where it happened but not what was said: messages of libraries quote statements, parameters and bodies."""
    own = error.message if isinstance(error, PushkeepError) else None
    _log.error(
        "failure",
        request_id=exchange.request_id,
        error=type(error).__qualname__,
        reason=own,
        at=places(error.__traceback__),
    )


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    """There are no WebSockets here: close before accepting, which the server turns into 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": ""})


class _Answer:
    """The way out: adds headers, drops the body of an answer to HEAD, remembers the status."""

    def __init__(self, send: Send, *, head: bool, common: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._head = head
        self._common = common
        self._extra: dict[str, str] = {}
        self.status: int | None = None
        self.code: str | None = None

    def add(self, headers: list[tuple[str, str]]) -> None:
        """Add headers to whatever is answered."""
        self._extra.update(headers)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            present = {name.lower() for name, _ in headers}
            headers += [
                (name, value) for name, value in (*_raw(self._extra.items()), *self._common) if name not in present
            ]
            message["headers"] = headers
        elif message["type"] == "http.response.body" and self._head:
            message["body"] = b""
        await self._send(message)

    async def empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Answer without a body."""
        self.add(headers)
        await self._respond(status, [], b"")

    async def problem(self, problem: Problem) -> None:
        """Answer with a problem."""
        self.code = problem.code
        headers = _raw(problem.headers.items())
        headers.append((b"content-length", str(len(problem.body)).encode()))
        await self._respond(problem.status, headers, problem.body)

    async def _respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body, "more_body": False})
