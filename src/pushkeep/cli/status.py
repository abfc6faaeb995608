"""``pushkeep status``: what the server and its workers are doing, live."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live

from pushkeep.cli.common import AsJson, DataDir, example, load, out, print_json, run

if TYPE_CHECKING:
    from pushkeep.app.overview import Overview
    from pushkeep.config import Settings

LOOK_SECONDS = 1.0
"""Between two looks: workers write down what they did once a second."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep status", "pushkeep status --once --data-dir /var/lib/pushkeep"))(status)


def status(
    once: Annotated[bool, typer.Option("--once", help="Look once and end; so it is without a terminal, too.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Show what is under way: notifications with rate and time left, workers, push services that rest or refuse.

    Looks once a second until Ctrl-C, or once with --once or --json. It only reads the database, beside a running server
    or without one.
    """
    settings = load(data_dir)
    if once or json or not out.is_terminal:
        found = run(_look(settings))
        if json:
            from pushkeep.cli.status_report import status_report

            print_json(status_report(found))
        else:
            _show(found)
        return
    with contextlib.suppress(KeyboardInterrupt):
        run(_watch(settings, out))


def _show(found: Overview) -> None:
    from pushkeep.cli.status_view import Pace, status_view

    out.print(status_view(found, Pace(), width=out.width))


async def _look(settings: Settings) -> Overview:
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.app.overview import overview
    from pushkeep.cli.opened import opened_to_read

    async with opened_to_read(settings) as (store, project):
        return await overview(store, project, SystemClock().now())


async def _watch(settings: Settings, console: Console) -> None:
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.app.overview import overview
    from pushkeep.cli.opened import opened_to_read
    from pushkeep.cli.status_view import Pace, status_view

    clock, pace = SystemClock(), Pace()
    async with opened_to_read(settings) as (store, project):
        with Live(console=console, screen=False, auto_refresh=False, transient=False) as live:
            while True:
                found = await overview(store, project, clock.now())
                pace.note(found)
                live.update(status_view(found, pace, width=console.width), refresh=True)
                await asyncio.sleep(LOOK_SECONDS)
