"""Where the parts are put together: the only module that knows both the settings and every technology.

Three ways to run Pushkeep, each wired here: :func:`open_services` for programs that use the functions of
:mod:`pushkeep.app` directly, :func:`create_app` for an ASGI server or a host application, :func:`serve` for a process
of its own.

In a host application, which runs only its own lifespan, enter the application's::

    pushkeep = create_app(load_settings())

    @contextlib.asynccontextmanager
    async def lifespan(app):
        async with pushkeep.lifespan():
            yield

    app = Starlette(routes=[Mount("/push", app=pushkeep)], lifespan=lifespan)
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

import uvicorn

from pushkeep.adapters.clock import SystemClock, SystemEntropy, SystemSleeper
from pushkeep.adapters.http2 import CurlTransport, TransportLimits
from pushkeep.adapters.master_key import open_master_key, read_master_key
from pushkeep.adapters.store.sqlite import open_store, open_store_to_read
from pushkeep.app.context import Services
from pushkeep.app.projects import ensure_default_project
from pushkeep.config import Settings, default_public_url
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.project import Project
from pushkeep.errors import ConfigurationError
from pushkeep.ports import Store
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.web.app import PushkeepApp, Running
from pushkeep.web.connections import BoundedConnection
from pushkeep.web.demo_page import DemoPage
from pushkeep.web.logs import configure_logging, get_logger
from pushkeep.web.options import WebOptions

STOP_SECONDS_MAX = 60
"""How long a stop waits for requests under way: a notification takes up to 20 s and one message's 30 s."""

BACKLOG = 1024
"""Connections that may wait to be taken: a push to everybody brings many back at once."""

MASTER_KEY_FILE_NAME = "master.key"

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = get_logger("pushkeep.server")


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything the use cases need, in the running event loop, and close it on leaving.

    Raises:
        ConfigurationError: the master key or the database cannot be opened.
        Unavailable: another process holds the database.
    """
    clock, entropy = SystemClock(), SystemEntropy()
    async with AsyncExitStack() as stack:
        master_key = await asyncio.to_thread(_master_key, settings, entropy.token_bytes)
        store = await open_store(settings.database, master_key, clock=clock, entropy=entropy)
        stack.push_async_callback(store.aclose)
        transport = await stack.enter_async_context(
            CurlTransport(
                origin_map=settings.origin_map,
                limits=TransportLimits(
                    connect_seconds_max=settings.push_connect_seconds_max,
                    total_seconds_max=settings.push_answer_seconds_max,
                ),
                proxy=settings.push_proxy,
            )
        )
        yield Services(
            store=store,
            transport=transport,
            clock=clock,
            entropy=entropy,
            sleeper=SystemSleeper(),
            tokens=TokenCache(),
            policy=EndpointPolicy(settings.origin_map, settings.allowed_origins),
        )


async def ensure_project(services: Services, settings: Settings) -> Project:
    """The installation's project, as the settings want it; a contact that is not set stays as it was.

    Raises:
        ConfigurationError: there is no contact, neither set nor stored.
    """
    stored = await services.store.default_project() if settings.contact is None else None
    contact = stored.contact if stored else settings.contact
    if contact is None:
        raise ConfigurationError(
            "contact is not set. Push services want to know whom to write to: set PUSHKEEP_CONTACT to "
            "mailto:you@your-domain.org or https://your-domain.org/contact.",
            field="contact",
        )
    return await ensure_default_project(
        services, name=settings.project_name, site_url=settings.site_url.url, contact=contact
    )


@asynccontextmanager
async def open_project(settings: Settings) -> AsyncIterator[tuple[Services, Project]]:
    """Services and project together, for a command that needs them for a moment.

    The project is taken as it is stored: a command beside a running server must not change what that server was told
    on its own command line. Only before the first start it is created, as :func:`ensure_project` does.

    Raises:
        ConfigurationError: as for :func:`open_services` and :func:`ensure_project`.
    """
    async with open_services(settings) as services:
        yield services, await services.store.default_project() or await ensure_project(services, settings)


@asynccontextmanager
async def open_project_to_read(settings: Settings) -> AsyncIterator[tuple[Store, Project]]:
    """What is stored, to look at it: nothing is created, migrated or written.

    Raises:
        MigrationPending: the database has an older schema.
        ConfigurationError: the master key or the database cannot be opened, or no server has run with it yet.
        Unavailable: it cannot be read at the moment.
    """
    master_key = settings.master_key
    if master_key is None:
        path = settings.master_key_file or settings.data_dir / MASTER_KEY_FILE_NAME
        master_key = await asyncio.to_thread(read_master_key, path)
    store = await open_store_to_read(settings.database, master_key, clock=SystemClock(), entropy=SystemEntropy())
    try:
        project = await store.default_project()
        if project is None:
            raise ConfigurationError("Nothing is stored yet: start `pushkeep serve` once.", field="database_path")
        yield store, project
    finally:
        await store.aclose()


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
            recipients_max=settings.recipients_max,
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


def listen(host: str, port: int) -> list[socket.socket]:
    """Open listening sockets on every address of a host, so that ``localhost`` answers as 127.0.0.1 and as ::1.

    Args:
        host: address or name.
        port: 0 for any free one, the same on every address.

    Raises:
        ConfigurationError: the port is taken or not allowed, or the host is not this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise ConfigurationError(f"host {host} is no address of this machine; give one.", field="host") from None
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            actual = sockets[0].getsockname()[1] if sockets else port
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], actual))
            listener.listen(BACKLOG)
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ConfigurationError(_why_not(host, port, error), field="port") from None
    return sockets


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use by another program; stop it, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has; choose one above 1023 and put a proxy before it."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Set host to an address of this machine."


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


def _master_key(settings: Settings, random_bytes: Callable[[int], bytes]) -> bytes:
    if settings.master_key is not None:
        return settings.master_key
    if settings.master_key_file is not None:
        return read_master_key(settings.master_key_file)
    return open_master_key(
        settings.data_dir / MASTER_KEY_FILE_NAME, database=settings.database, random_bytes=random_bytes
    )
