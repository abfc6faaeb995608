"""The application and the server around it."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

import uvicorn

from pushkeep.adapters.children import Children
from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.app.context import Services
from pushkeep.app.worker import Worker
from pushkeep.compose.chores import chores_done, sweep_plan
from pushkeep.compose.listening import listen
from pushkeep.compose.observing import observe
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.compose.workers import Stopping, kept_running, open_worker, worker_children
from pushkeep.config import Settings, default_public_url
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Priority
from pushkeep.web.app import PushkeepApp, Running
from pushkeep.web.connections import BoundedConnection
from pushkeep.web.demo_page import DemoPage
from pushkeep.web.logs import configure_logging, get_logger
from pushkeep.web.options import WebOptions

REQUEST_STOP_SECONDS_MAX = 10
"""How long a stop waits for requests under way. They take milliseconds, but for those whose caller chose to wait for
something; these ask again."""

_log = get_logger("pushkeep.server")


def create_app(settings: Settings, *, demo: DemoPage | None = None) -> PushkeepApp:
    """Pushkeep as an ASGI application that also delivers; nothing is opened before its lifespan begins.

    Args:
        settings: where everything is and what is allowed; ``workers`` is for :func:`serve` and ignored.
        demo: what the demo page says; None serves no demo page.
    """
    return _app(settings, demo=demo, alone=True, stopping=Stopping())


def _app(
    settings: Settings,
    *,
    demo: DemoPage | None,
    alone: bool,
    stopping: Stopping,
    on_failure: Callable[[], None] | None = None,
) -> PushkeepApp:
    """The application; with workers beside it (not ``alone``) it delivers only what somebody waits for.

    That is what it has accepted itself and is small and due, and everything transactional: to be answered in
    milliseconds, these must not wait until another process hears of them.
    """

    @asynccontextmanager
    async def opener() -> AsyncIterator[Running]:
        async with open_services(settings) as services:
            project = await ensure_project(services, settings)
            metrics = observe(services, shared=True)
            async with open_worker(
                settings,
                services,
                kind="web",
                priorities=frozenset(Priority) if alone else frozenset({Priority.TRANSACTIONAL}),
                plans=alone,
                stopping=stopping,
                on_failure=on_failure,
            ) as worker:
                metrics.watch_lanes(worker.lane_figures)
                async with chores_done(settings, services, project, owner=worker.owner):
                    yield Running(services, project, worker=worker, metrics=metrics)

    return PushkeepApp(
        opener,
        WebOptions(
            public_url=settings.public_url,
            trusted_proxies=settings.trusted_proxies,
            client_requests_per_minute=settings.client_requests_per_minute,
            client_requests_burst=settings.client_requests_burst,
            site_requests_per_minute=settings.site_requests_per_minute,
            contact_requests_per_minute=settings.contact_requests_per_minute,
            renewal_grace_seconds=settings.renewal_grace_seconds,
            failed_keys_per_minute=settings.failed_keys_per_minute,
            require_purpose=settings.require_purpose,
            backlog_recipients_max=settings.backlog_recipients_max,
            receipts=settings.receipts,
            sweeps=sweep_plan(settings),
            log_addresses=settings.log_addresses,
        ),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        demo=demo,
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers.

    Attributes:
        settings: as they are in effect, with the real port.
        services: the ports.
        project: the installation's project.
        worker: the one in this process.
        workers: process ids of the others at this moment, by their numbers.
        stop: ends the server once what is under way is done; called again, without waiting for it.
    """

    settings: Settings
    services: Services
    project: Project
    worker: Worker
    workers: Callable[[], Mapping[int, int]]
    stop: Callable[[], None]


async def serve(
    settings: Settings,
    *,
    demo: DemoPage | Callable[[Settings], DemoPage] | None = None,
    on_ready: Callable[[Serving], None] | None = None,
    handle_signals: bool = True,
) -> None:
    """Run the server and its workers in the running event loop until ``Serving.stop``, SIGINT or SIGTERM.

    Requests and messages under way are finished, then everything is closed; it returns normally after that. A second
    signal does not wait for them.

    Args:
        settings: port 0 takes any free port.
        demo: what the demo page says, or a function that makes it from the settings in effect.
        on_ready: called once the server answers.
        handle_signals: stop on SIGINT and SIGTERM; only possible in the main thread.

    Raises:
        ConfigurationError: the port is taken, or as for :func:`open_services` and :func:`ensure_project`.
    """
    sockets = listen(settings.host, settings.port)
    stopping = Stopping()
    try:
        settings = _with_port(settings, sockets[0].getsockname()[1])
        app = _app(
            settings,
            demo=demo(settings) if callable(demo) else demo,
            alone=settings.workers == 0,
            stopping=stopping,
            on_failure=stopping.ask,
        )
        with stopping.on_signals() if handle_signals else nullcontext():
            async with app.lifespan() as running:
                server, children = _Server(app), worker_children(settings)
                worker = running.worker
                assert isinstance(worker, Worker)
                serving = Serving(
                    settings, running.services, running.project, worker, lambda: children.pids, stopping.ask
                )
                server.on_started = lambda: _announce(serving, on_ready)
                async with _heeding(stopping, app, server, children), kept_running(children):
                    await server.serve(sockets)
                    worker.stop()  # already, while the others finish what they have
        _log.info("stopped")
    finally:
        for listener in sockets:
            listener.close()


@asynccontextmanager
async def _heeding(stopping: Stopping, app: PushkeepApp, server: _Server, children: Children) -> AsyncIterator[None]:
    """Server and children do what they are asked, until the context is left."""

    async def heed() -> None:
        await stopping.asked.wait()
        children.stop()
        app.end_streams()
        server.stop()
        await stopping.at_once.wait()
        children.stop_at_once()
        server.stop()

    task = asyncio.create_task(heed(), name="pushkeep stop")
    try:
        yield
    finally:
        task.cancel()


def run_server(
    settings: Settings,
    *,
    demo: DemoPage | Callable[[Settings], DemoPage] | None = None,
    on_ready: Callable[[Serving], None] | None = None,
) -> None:
    """Be the server: :func:`serve` in an event loop of its own, with the log set up. Blocks until stopped.

    Raises:
        ConfigurationError: as for :func:`serve`.
    """
    import uvloop  # here, so that the rest of the module can be imported where there is no uvloop

    configure_logging(settings.log_format, settings.log_level)
    uvloop.run(serve(settings, demo=demo, on_ready=on_ready))


def _announce(serving: Serving, on_ready: Callable[[Serving], None] | None) -> None:
    settings = serving.settings
    _log.info("serving", url=settings.public_url.url, host=settings.host, port=settings.port)
    if on_ready is not None:
        on_ready(serving)


class _Server(uvicorn.Server):
    """Uvicorn without its habit of raising caught signals once more after a clean stop."""

    def __init__(self, app: PushkeepApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=REQUEST_STOP_SECONDS_MAX,
            )
        )
        self.on_started: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_started is not None:
            self.on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Finish what is under way and return; asked twice, do not wait for it."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _with_port(settings: Settings, port: int) -> Settings:
    """The settings with the port that port 0 came to, also in the URLs that default to it."""
    if settings.port != 0:
        return settings
    assumed = default_public_url(0)
    actual = default_public_url(port)
    return dataclasses.replace(
        settings,
        port=port,
        public_url=actual if settings.public_url == assumed else settings.public_url,
        site_url=actual if settings.site_url == assumed else settings.site_url,
    )
