"""``pushkeep contacts``: the people a site knows by its own ids, and the tags it gives them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_report, run, say
from pushkeep.cli.erased import show_erased
from pushkeep.cli.private_file import private_file
from pushkeep.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from pushkeep.app.export_contact import ContactExport
    from pushkeep.ports.audiences import ContactRecord
    from pushkeep.ports.privacy import ErasedCounts

app = typer.Typer(help="Look at contacts, tag, export and erase them.", no_args_is_help=True, rich_markup_mode="rich")

ExternalId = Annotated[str, typer.Argument(metavar="ID", help="The contact, by your own id.", show_default=False)]
Tags = Annotated[
    list[str] | None, typer.Argument(metavar="[TAG]...", help="The contact's tags from now on.", show_default=False)
]


@app.command(epilog=example("pushkeep contacts show user-17"))
def show(external_id: ExternalId, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show a contact."""
    _tell(run(_find(data_dir, external_id)), json)


@app.command(
    epilog=example(
        "pushkeep contacts tag user-17 news vip",
        "pushkeep contacts tag user-17 --add sale --remove vip",
        "pushkeep contacts tag user-17 --none",
    )
)
def tag(
    external_id: ExternalId,
    tags: Tags = None,
    add: Annotated[list[str] | None, typer.Option("--add", metavar="TAG", help="Give it this one, too.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="TAG", help="Take this one away.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all away.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Give a contact exactly these tags, or add and remove some. A contact that is new is made."""
    if [bool(tags), bool(add or remove), none].count(True) != 1:
        raise InvalidInput(
            "Name the contact's tags, or change some with --add and --remove, or take all away with --none.",
            field="tags",
        )
    _tell(run(_tag(data_dir, external_id, tags or [], add or [], remove or [], keep=bool(add or remove))), json)


@app.command(epilog=example("pushkeep contacts export user-17 --out user-17.json"))
def export(
    external_id: ExternalId,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it to this new file, which only you can read."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print everything that is kept of a contact, as JSON, for them to be given."""
    from pushkeep.web.privacy_schemas import contact_export_report

    with nullcontext() if out is None else private_file(out) as file:
        print_report(contact_export_report(run(_export(data_dir, external_id))), file)


@app.command(epilog=example("pushkeep contacts erase user-17"))
def erase(external_id: ExternalId, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Erase a contact with everything that is known of them, for good; a backup does not bring them back."""
    show_erased(run(_erase(data_dir, external_id)), json=json)


async def _export(data_dir: Path | None, external_id: str) -> ContactExport:
    from pushkeep.app.export_contact import export_contact
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        return await export_contact(services, project, external_id)


async def _erase(data_dir: Path | None, external_id: str) -> ErasedCounts:
    from pushkeep.app.erase import erase_contact
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        return await erase_contact(services, project, external_id)


async def _find(data_dir: Path | None, external_id: str) -> ContactRecord:
    from pushkeep.app.contacts import find_contact
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        return await find_contact(services, project, external_id)


async def _tag(
    data_dir: Path | None, external_id: str, tags: list[str], add: list[str], remove: list[str], *, keep: bool
) -> ContactRecord:
    from pushkeep.app.contacts import check_tags, find_contact, put_contact
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        wanted = tags
        if keep:
            check_tags([*add, *remove])
            try:
                wanted = list((await find_contact(services, project, external_id)).tags)
            except NotFound:
                wanted = []
            wanted = [name for name in wanted if name not in remove] + add
        return await put_contact(services, project, external_id, wanted)


def _tell(contact: ContactRecord, json: bool) -> None:
    if json:
        from pushkeep.web.reports import contact_report

        print_report(contact_report(contact))
        return
    count = contact.active_subscriptions
    say(f"{contact.external_id}: {count} active {'subscription' if count == 1 else 'subscriptions'}")
    say(f"tags: {', '.join(contact.tags) or 'none'}")
