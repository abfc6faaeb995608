"""``pushkeep export``: everything a project has, in a file that another installation can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, complain, example, load, print_json, run, say

if TYPE_CHECKING:
    from pushkeep.compose.export import Exported


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep export everything.jsonl", "pushkeep export report.jsonl --without-secrets"))(
        export
    )


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not exist.", show_default=False)],
    without_secrets: Annotated[
        bool,
        typer.Option(
            "--without-secrets",
            help="Leave out private keys, secrets and endpoints: to look at, not to be imported.",
        ),
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Write everything the project has to a file of JSON Lines, as it is at one moment, beside a running server.

    `pushkeep import` reads it into a new installation: pages, tokens and keys go on working there. The file has private
    keys and everything about your contacts in the clear, and belongs to this user alone; remove it when it has been
    read. Notifications stay behind.
    """
    done = run(_export(data_dir, file, secrets=not without_secrets))
    if json:
        print_json({"file": str(done.path), "size_bytes": done.size_bytes, "records": dict(done.counts)})
        return
    say(f"Exported: {done.path} ({done.size_bytes:,} octets, {done.seconds:.1f} s).", "green")
    say(", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in done.counts.items()) + ".")
    if not without_secrets:
        complain("It has private keys and personal data in the clear: remove it when it has been read.", "yellow")


async def _export(data_dir: Path | None, file: Path, *, secrets: bool) -> Exported:
    from pushkeep import __version__
    from pushkeep.cli.opened import opened_to_read
    from pushkeep.compose.export import export_project

    async with opened_to_read(load(data_dir)) as (store, project):
        with bar() as show:
            return await export_project(store, project, file, made_by=__version__, secrets=secrets, told=show)
