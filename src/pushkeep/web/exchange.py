"""What a request handler can ask about its request and the application around it."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from litestar import Request
from litestar.datastructures import State

from pushkeep.app.context import Services
from pushkeep.app.projects import authenticate
from pushkeep.app.worker import Worker
from pushkeep.domain.project import Project
from pushkeep.errors import RateLimited, Unauthorized, Unavailable
from pushkeep.ports.metrics import MetricsPage
from pushkeep.web.client_address import Caller
from pushkeep.web.options import WebOptions
from pushkeep.web.rate_limit import RateLimiter
from pushkeep.web.streams import Streams

BEARER_CHARACTERS_MAX = 512
"""Keys and tokens of ours have about 60 to 90 characters."""

_EXCHANGE = "pushkeep.exchange"
_APPLICATION = "application"

HttpRequest: TypeAlias = Request[object, object, State]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, as the edge saw it.

    Attributes:
        request_id: in the answer's ``X-Request-ID``, in problems and in the log.
        caller: who asks.
        head: only the headers are wanted.
    """

    request_id: str
    caller: Caller
    head: bool = False

    def put_into(self, scope: MutableMapping[str, object]) -> None:
        """Attach to an ASGI scope."""
        scope[_EXCHANGE] = self


class Application:
    """What is there as long as the application runs.

    Attributes:
        options: the operator's choices.
        services: the ports; None before the lifespan began and after it ended.
        project: the installation's project, as long as there are services.
        worker: delivers in this process what is small and due; None where others do.
        metrics: what is counted; None where nothing is.
        failed_keys: counts wrong API keys by address.
        contact_requests: counts registrations by the contact that they name.
        streams: answers that last.
    """

    def __init__(self, options: WebOptions, *, failed_keys: RateLimiter, contact_requests: RateLimiter) -> None:
        self.options = options
        self.services: Services | None = None
        self.project: Project | None = None
        self.worker: Worker | None = None
        self.metrics: MetricsPage | None = None
        self.failed_keys = failed_keys
        self.contact_requests = contact_requests
        self.streams = Streams()

    def running(self) -> Services:
        """The services.

        Raises:
            Unavailable: the lifespan has not been entered: a mounted application's is not run by its host.
        """
        if self.services is None:
            raise Unavailable(
                "Pushkeep is not running: the host application has to enter its lifespan() first, in its own lifespan."
            )
        return self.services

    def default_project(self) -> Project:
        """The installation's project.

        Raises:
            Unavailable: the lifespan has not been entered.
        """
        self.running()
        assert self.project is not None, "services and project come together"
        return self.project

    def state(self) -> State:
        """A Litestar state that carries this."""
        return State({_APPLICATION: self}, deep_copy=False)


def exchange_of(request: HttpRequest) -> Exchange:
    """The request's facts."""
    found = cast("MutableMapping[str, object]", request.scope).get(_EXCHANGE)
    assert isinstance(found, Exchange), "requests come through the edge"
    return found


def application_of(request: HttpRequest) -> Application:
    """The application that handles this request."""
    found: object = request.app.state[_APPLICATION]
    assert isinstance(found, Application)
    return found


def services_of(request: HttpRequest) -> Services:
    """The ports.

    Raises:
        Unavailable: the application is not running.
    """
    return application_of(request).running()


def bearer_token(request: HttpRequest, *, what: str) -> str:
    """The token in ``Authorization: Bearer …`` (RFC 6750 section 2.1).

    Raises:
        Unauthorized: no such header, another scheme, several, or one that is too long.
    """
    values = request.headers.getall("authorization", [])
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or len(token) > BEARER_CHARACTERS_MAX or not token.isascii():
        raise Unauthorized(f"Send {what} in the header Authorization: Bearer …, once.")
    return token


async def api_project(request: HttpRequest) -> Project:
    """The project that the request's API key opens.

    A good key is answered whatever others at the same address do: a flood of wrong keys from behind a shared proxy must
    not lock the site's own server out, and with 256 random bits in a key there is nothing to be searched for.

    Raises:
        Unauthorized: no key or a wrong one.
        RateLimited: too many wrong ones from this address.
    """
    application = application_of(request)
    services = application.running()
    try:
        return await authenticate(services, bearer_token(request, what="an API key (sk_…)"))
    except Unauthorized:
        try:
            application.failed_keys.take(exchange_of(request).caller.address)
        except RateLimited as limited:
            raise RateLimited(
                "Too many requests without a valid API key from this address.",
                retry_after_seconds=limited.retry_after_seconds,
            ) from None
        raise
