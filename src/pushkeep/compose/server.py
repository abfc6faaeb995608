"""The application and the server around it."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

import uvicorn

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.app.context import Services
from pushkeep.compose.listening import listen
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.config import Settings, default_public_url
from pushkeep.domain.project import Project
from pushkeep.web.app import PushkeepApp, Running
from pushkeep.web.connections import BoundedConnection
from pushkeep.web.demo_page import DemoPage
from pushkeep.web.logs import configure_logging, get_logger
from pushkeep.web.options import WebOptions

STOP_SECONDS_MAX = 60
"""How long a stop waits for requests under way: a notification takes up to 20 s and one message's 30 s."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = get_logger("pushkeep.server")


def create_app(settings: Settings, *, demo: DemoPage | None = None) -> PushkeepApp:
    """Pushkeep as an ASGI application; nothing is opened before its lifespan begins.

    Args:
        settings: where everything is and what is allowed.
        demo: what the demo page says; None serves no demo page.
    """

    @asynccontextmanager
    async def opener() -> AsyncIterator[Running]:
        async with open_services(settings) as services:
            yield Running(services, await ensure_project(services, settings))

    return PushkeepApp(
        opener,
        WebOptions(
            public_url=settings.public_url,
            trusted_proxies=settings.trusted_proxies,
            client_requests_per_minute=settings.client_requests_per_minute,
            client_requests_burst=settings.client_requests_burst,
            failed_keys_per_minute=settings.failed_keys_per_minute,
            backlog_recipients_max=settings.backlog_recipients_max,
            receipts=settings.receipts,
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
        stop: ends the server once what is under way is done; called again, without waiting for it.
    """

    settings: Settings
    services: Services
    project: Project
    stop: Callable[[], None]


async def serve(
    settings: Settings,
    *,
    demo: DemoPage | Callable[[Settings], DemoPage] | None = None,
    on_ready: Callable[[Serving], None] | None = None,
    handle_signals: bool = True,
) -> None:
    """Run the server in the running event loop until ``Serving.stop``, SIGINT or SIGTERM.

    Requests under way are finished, then everything is closed; it returns normally after that.

    Args:
        settings: port 0 takes any free port.
        demo: what the demo page says, or a function that makes it from the settings in effect.
        on_ready: called once the server answers.
        handle_signals: stop on SIGINT and SIGTERM; only possible in the main thread.

    Raises:
        ConfigurationError: the port is taken, or as for :func:`open_services` and :func:`ensure_project`.
    """
    sockets = listen(settings.host, settings.port)
    try:
        settings = _with_port(settings, sockets[0].getsockname()[1])
        app = create_app(settings, demo=demo(settings) if callable(demo) else demo)
        async with app.lifespan() as running:
            server = _Server(app)
            serving = Serving(settings, running.services, running.project, server.stop)
            server.on_started = lambda: _announce(serving, on_ready)
            with _signals(server.stop) if handle_signals else nullcontext():
                await server.serve(sockets)
        _log.info("stopped")
    finally:
        for listener in sockets:
            listener.close()


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
                timeout_graceful_shutdown=STOP_SECONDS_MAX,
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


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)


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
