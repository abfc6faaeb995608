"""``pushkeep worker``: a process that delivers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pushkeep.cli.common import DataDir, MapOrigin, example, load, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep worker --data-dir /var/lib/pushkeep"))(worker)


def worker(
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=1, max=65535, help="Serve Prometheus metrics here.", show_default=False),
    ] = None,
    map_origin: MapOrigin = None,
    data_dir: DataDir = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Stop when standard input ends, as the server's workers do.")
    ] = False,
) -> None:
    """Deliver what the server has accepted, beside it on the same machine; as many of these as wanted.

    `pushkeep serve` starts workers of its own; this is for those that systemd or a container runtime keeps running.
    Ends cleanly on Ctrl-C and SIGTERM: what is under way is finished and written down. A second one does not wait for
    that, and what it held is done by another worker.
    """
    settings = load(data_dir, origin_map=map_origin or None, worker_metrics_port=metrics_port)
    from pushkeep.compose import run_worker

    run_worker(
        settings,
        until_closed=sys.stdin.buffer if until_stdin_closes else None,
        on_ready=None if until_stdin_closes else (lambda working: say(f"Worker {working.owner} delivers.")),
    )
