"""The ASGI application: routes behind the edge, and a lifespan that opens and closes what they need.

Served by itself, the server runs the lifespan. Mounted in another ASGI application it does not: hosts such as Starlette
run only their own. The host then enters :meth:`PushkeepApp.lifespan` in its lifespan; until it has, every route that
needs the database answers 503 and says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from litestar import Litestar, Response
from litestar.exceptions import HTTPException

from pushkeep.app.context import Services
from pushkeep.app.messages import FetchedMessages
from pushkeep.app.receipts import ReceiptBuffer, ReceiptProjects
from pushkeep.app.worker import Worker
from pushkeep.domain.project import Project
from pushkeep.errors import PushkeepError
from pushkeep.ports import Clock, Entropy
from pushkeep.ports.metrics import MetricsPage
from pushkeep.web.asgi import ASGIApp, Receive, Scope, Send
from pushkeep.web.client_api import CLIENT_HANDLERS
from pushkeep.web.consent_api import CONSENT_HANDLERS
from pushkeep.web.contact_api import CONTACT_HANDLERS
from pushkeep.web.demo_page import DemoPage, demo_handlers
from pushkeep.web.direct import Direct
from pushkeep.web.edge import Edge
from pushkeep.web.exchange import Application, HttpRequest
from pushkeep.web.health_api import HEALTH_HANDLERS
from pushkeep.web.key_api import KEY_HANDLERS
from pushkeep.web.message_fetch import MessageFetch
from pushkeep.web.notification_api import NOTIFICATION_HANDLERS
from pushkeep.web.operation_api import OPERATION_HANDLERS
from pushkeep.web.options import WebOptions
from pushkeep.web.privacy_api import PRIVACY_HANDLERS
from pushkeep.web.rate_limit import RateLimiter
from pushkeep.web.receipt_beacon import ReceiptBeacon
from pushkeep.web.sdk_files import SDK_HANDLERS
from pushkeep.web.server_api import SERVER_HANDLERS

FAILED_KEYS_BURST = 10
"""Somebody who mistypes a key tries a few times."""


@dataclass(frozen=True, slots=True)
class Running:
    """What an open application has.

    Attributes:
        services: the ports.
        project: the installation's project.
        worker: delivers in this process what is small and due; None where others do.
        metrics: what is counted; None where nothing is.
    """

    services: Services
    project: Project
    worker: Worker | None = None
    metrics: MetricsPage | None = None


class PushkeepApp:
    """Pushkeep as an ASGI application.

    Args:
        opener: opens services and project, and closes them on leaving.
        options: the operator's choices.
        clock: tells the time.
        entropy: draws request ids.
        demo: what the demo page says; None serves no demo page.
    """

    def __init__(
        self,
        opener: Callable[[], AbstractAsyncContextManager[Running]],
        options: WebOptions,
        *,
        clock: Clock,
        entropy: Entropy,
        demo: DemoPage | None = None,
    ) -> None:
        self._opener = opener
        self._application = Application(
            options,
            failed_keys=RateLimiter(
                per_minute=options.failed_keys_per_minute, burst=FAILED_KEYS_BURST, monotonic=clock.monotonic
            ),
            contact_requests=RateLimiter(
                per_minute=options.contact_requests_per_minute,
                burst=options.contact_requests_per_minute,
                monotonic=clock.monotonic,
                whose="that name this contact",
                key=str,
            ),
        )
        self.routes = Litestar(
            [
                *CLIENT_HANDLERS,
                *NOTIFICATION_HANDLERS,
                *CONTACT_HANDLERS,
                *PRIVACY_HANDLERS,
                *CONSENT_HANDLERS,
                *SERVER_HANDLERS,
                *KEY_HANDLERS,
                *HEALTH_HANDLERS,
                *OPERATION_HANDLERS,
                *SDK_HANDLERS,
                *(demo_handlers(demo) if demo else []),
            ],
            state=self._application.state(),
            openapi_config=None,
            logging_config=None,
            # Every error goes out to the edge, which is the one place that answers errors.
            exception_handlers={Exception: _raise, HTTPException: _raise},
        )
        methods = {route.path_format: frozenset(map(str, route.methods)) for route in self.routes.routes}
        edge = Edge(
            cast("ASGIApp", self.routes), application=self._application, methods=methods, clock=clock, entropy=entropy
        )
        self.direct = Direct(edge, body_seconds_max=options.body_seconds_max)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Running]:
        """Open what the routes need, for as long as the context lasts, in the event loop that serves them.

        Entered again while open (by a host that also passes ASGI lifespan events on), it gives what is there.

        Raises:
            PushkeepError: something could not be opened; the message says what to do.
        """
        application = self._application
        if application.services is not None and application.project is not None:
            yield Running(application.services, application.project, application.worker, application.metrics)
            return
        async with self._opener() as running:
            application.services, application.project = running.services, running.project
            application.worker, application.metrics = running.worker, running.metrics
            application.streams.open()
            projects, buffer = ReceiptProjects(running.services), ReceiptBuffer(running.services)
            self.direct.handlers = {
                "receipts": ReceiptBeacon(projects, buffer),
                "messages": MessageFetch(projects, FetchedMessages(running.services)),
            }
            try:
                yield running
            finally:
                self.direct.handlers = {}
                await buffer.aclose()
                application.streams.close()
                application.services = application.project = application.worker = application.metrics = None

    def end_streams(self) -> None:
        """End what lasts (progress streams, requests that wait), because the server is about to stop.

        For whoever runs the server: it waits for requests under way, and these would keep it waiting.
        """
        self._application.streams.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve (ASGI)."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
        else:
            await self.direct(scope, receive, send)

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan protocol."""
        async with AsyncExitStack() as stack:
            await receive()
            try:
                await stack.enter_async_context(self.lifespan())
            except PushkeepError as error:
                await send({"type": "lifespan.startup.failed", "message": error.message})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _raise(_request: HttpRequest, error: Exception) -> Response[bytes]:
    raise error
