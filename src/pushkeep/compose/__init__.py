"""Where the parts are put together: the only package that knows both the settings and every technology.

Four ways to run Pushkeep, each wired here: :func:`open_services` for programs that use the functions of
:mod:`pushkeep.app` directly, :func:`create_app` for an ASGI server or a host application, :func:`serve` for a process
of its own with as many worker processes as wanted, :func:`work` for a worker that somebody else keeps running.

In a host application, which runs only its own lifespan, enter the application's::

    pushkeep = create_app(load_settings())

    @contextlib.asynccontextmanager
    async def lifespan(app):
        async with pushkeep.lifespan():
            yield

    app = Starlette(routes=[Mount("/push", app=pushkeep)], lifespan=lifespan)
"""

from pushkeep.compose.listening import listen
from pushkeep.compose.server import Serving, create_app, run_server, serve
from pushkeep.compose.services import ensure_project, open_project, open_project_to_read, open_services
from pushkeep.compose.workers import new_owner, open_worker, run_worker, work

__all__ = [
    "Serving",
    "create_app",
    "ensure_project",
    "listen",
    "new_owner",
    "open_project",
    "open_project_to_read",
    "open_services",
    "open_worker",
    "run_server",
    "run_worker",
    "serve",
    "work",
]
