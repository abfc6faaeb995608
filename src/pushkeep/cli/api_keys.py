"""``pushkeep api-keys``: secrets with which a site's backend calls the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, run, say
from pushkeep.cli.keys import private_file

app = typer.Typer(help="Make API keys for backends.", no_args_is_help=True, rich_markup_mode="rich")


@app.command(epilog=example("pushkeep api-keys create shop-backend --out api-key"))
def create(
    label: Annotated[str, typer.Argument(help="What it is for, in a word or two.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to this new file instead of the terminal.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make an API key. It is shown this once: the server keeps only its hash."""
    if out is None:
        text = run(_create(data_dir, label))
    else:
        with private_file(out) as file:  # first: a key that could not be written down would be valid and lost
            text = run(_create(data_dir, label))
            file.write(text + "\n")
    if json:
        print_json({"label": label, "api_key": None if out else text, "file": str(out) if out else None})
    elif out is not None:
        say(f"API key written to {out}.")
    else:
        say(text)


async def _create(data_dir: Path | None, label: str) -> str:
    settings = load(data_dir)
    from pushkeep.app.projects import create_api_key
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await create_api_key(services, project, label)
