"""``pushkeep api-keys``: secrets with which a site's backend calls the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, run, say
from pushkeep.cli.common import out as out_to
from pushkeep.cli.private_file import private_file
from pushkeep.domain.moment import write_moment
from pushkeep.domain.project import ApiKeyRecord

app = typer.Typer(help="Make, list and revoke API keys for backends.", no_args_is_help=True, rich_markup_mode="rich")


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


@app.command("list", epilog=example("pushkeep api-keys list"))
def list_(data_dir: DataDir = None, json: AsJson = False) -> None:
    """List the API keys by id, with what each is for. The keys themselves are not stored."""
    found = run(_list(data_dir))
    if json:
        print_json(
            [{"id": key.key_id, "label": key.label, "created_at": write_moment(key.created_at)} for key in found]
        )
        return
    for key in found:
        out_to.print(f"{key.key_id}  {write_moment(key.created_at)}  {key.label}", markup=False, highlight=False)
    if not found:
        say("There is none yet; make one with: pushkeep api-keys create NAME")


@app.command(epilog=example("pushkeep api-keys revoke Y1hQZ0b2Qdef"), context_settings={"ignore_unknown_options": True})
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `pushkeep api-keys list` shows it.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Take an API key's rights away, at once and for good."""
    key_id = run(_revoke(data_dir, key))
    if json:
        print_json({"revoked": key_id})
    else:
        say(f"API key {key_id} opens nothing any more.")


def _shown(key: ApiKeyRecord) -> tuple[str, str, str]:
    return key.key_id, write_moment(key.created_at), key.label


async def _list(data_dir: Path | None) -> tuple[ApiKeyRecord, ...]:
    settings = load(data_dir)
    from pushkeep.cli.opened import opened_to_read

    async with opened_to_read(settings) as (store, project):
        return await store.list_api_keys(project)


async def _revoke(data_dir: Path | None, key: str) -> str:
    settings = load(data_dir)
    from pushkeep.app.projects import revoke_api_key
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await revoke_api_key(services, project, key)


async def _create(data_dir: Path | None, label: str) -> str:
    settings = load(data_dir)
    from pushkeep.app.projects import create_api_key
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await create_api_key(services, project, label)
