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

The names below are loaded when first used: a worker, and a command that opens the database for a moment, need not wait
for a web framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "Serving": "pushkeep.compose.server",
    "create_app": "pushkeep.compose.server",
    "ensure_project": "pushkeep.compose.services",
    "listen": "pushkeep.compose.listening",
    "new_owner": "pushkeep.compose.workers",
    "open_project": "pushkeep.compose.services",
    "open_project_to_read": "pushkeep.compose.services",
    "open_services": "pushkeep.compose.services",
    "open_worker": "pushkeep.compose.workers",
    "run_server": "pushkeep.compose.server",
    "run_worker": "pushkeep.compose.workers",
    "serve": "pushkeep.compose.server",
    "work": "pushkeep.compose.workers",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return list(__all__)
