"""``pushkeep serve``: the server."""

from __future__ import annotations

from typing import Annotated

import typer

from pushkeep.cli.common import DataDir, MapOrigin, example, load, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "pushkeep serve --public-url https://push.your-domain.org --site-url https://your-domain.org "
            "--contact mailto:you@your-domain.org"
        )
    )(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen. [default: 127.0.0.1]", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free port. [default: 8200]", show_default=False)] = None,
    public_url: Annotated[str | None, typer.Option(help="How browsers reach this server.", show_default=False)] = None,
    site_url: Annotated[str | None, typer.Option(help="The site whose visitors subscribe.", show_default=False)] = None,
    contact: Annotated[str | None, typer.Option(help="mailto: or https: contact.", show_default=False)] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that deliver; with 0 this one does. [default: 1]", show_default=False),
    ] = None,
    map_origin: MapOrigin = None,
    data_dir: DataDir = None,
) -> None:
    """Run the server: API, browser routes, browser SDK, and workers that deliver. Ends cleanly on Ctrl-C and SIGTERM.

    Every setting can also stand in pushkeep.toml or in the environment; docs/configuration.md lists them.
    """
    settings = load(
        data_dir,
        host=host,
        port=port,
        public_url=public_url,
        site_url=site_url,
        contact=contact,
        workers=workers,
        origin_map=map_origin or None,
    )
    from pushkeep.compose import run_server

    run_server(settings, on_ready=lambda serving: say(f"Pushkeep listens at {serving.settings.public_url.url}"))
