"""``pushkeep purposes``: what the project sends for, and what visitors are asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_report, read_payload, run, say
from pushkeep.errors import InvalidInput

if TYPE_CHECKING:
    from pushkeep.domain.consent import Purpose, Wording

app = typer.Typer(
    help="Declare what you send for, and what visitors are asked.", no_args_is_help=True, rich_markup_mode="rich"
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The purpose.", show_default=False)]


@app.command(
    "set",
    epilog=example(
        "pushkeep purposes set offers --description 'Offers, once a week'",
        "pushkeep purposes set orders --description 'News of your orders' --basis contract",
    ),
)
def set_purpose(
    name: Name,
    description: Annotated[
        str, typer.Option("--description", help="In words for visitors: one line.", show_default=False)
    ],
    basis: Annotated[
        str,
        typer.Option(
            "--basis",
            help="consent, contract, legitimate_interest or legal_obligation; only for consent somebody must have "
            "agreed.",
        ),
    ] = "consent",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Declare a purpose, or change one."""
    purpose, new = run(_set(data_dir, name, description, basis))
    if json:
        from pushkeep.web.consent_schemas import purpose_report

        print_report(purpose_report(purpose))
        return
    say(f"{purpose.name}: {'declared' if new else 'changed'}; basis {purpose.basis.value}.")


@app.command("list", epilog=example("pushkeep purposes list"))
def list_purposes(data_dir: DataDir = None, json: AsJson = False) -> None:
    """List the purposes, each with the digests of what visitors are asked."""
    purposes, wordings = run(_list(data_dir))
    if json:
        from pushkeep.web.consent_schemas import PurposeList, purpose_report

        print_report(PurposeList([purpose_report(purpose) for purpose in purposes]))
        return
    if not purposes:
        say("No purpose is declared; declare one with pushkeep purposes set.")
    for purpose in purposes:
        say(f"{purpose.name}: {purpose.description} (basis {purpose.basis.value})", "bold")
        for wording in wordings:
            if wording.purpose == purpose.name:
                say(f"  {wording.locale}, version {wording.version}: {wording.digest.hex()}")


@app.command(
    epilog=example(
        "pushkeep purposes word offers --locale en --version 2026-11 --policy-version 7 --text 'Once a week we tell "
        "you what is cheaper.'",
        "pushkeep purposes word offers --locale de --version 2026-11 --text @frage.txt",
    ),
)
def word(
    name: Name,
    locale: Annotated[str, typer.Option("--locale", help="Language tag of the text.", show_default=False)],
    version: Annotated[
        str, typer.Option("--version", help="Your own name for this version of the text.", show_default=False)
    ],
    text: Annotated[
        str, typer.Option("--text", help="What visitors read: text, @FILE, or - for stdin.", show_default=False)
    ],
    policy_version: Annotated[
        str, typer.Option("--policy-version", help="Of the privacy policy that the text refers to.")
    ] = "",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Declare what visitors are asked, word for word; print its digest, by which a page says that it showed it.

    It is never changed: a new text needs a new version.
    """
    wording = run(_word(data_dir, name, locale, version, _text(text), policy_version))
    if json:
        from pushkeep.web.consent_schemas import wording_report

        print_report(wording_report(wording))
    else:
        say(wording.digest.hex())


@app.command(epilog=example("pushkeep purposes wordings offers"))
def wordings(name: Name, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show what visitors are and were asked for a purpose."""
    found = run(_wordings(data_dir, name))
    if json:
        from pushkeep.web.consent_schemas import WordingList, wording_report

        print_report(WordingList([wording_report(wording) for wording in found]))
        return
    if not found:
        say(f"No wording is declared for {name}; declare one with pushkeep purposes word.")
    for wording in found:
        policy = f", policy {wording.policy_version}" if wording.policy_version else ""
        say(f"{wording.locale}, version {wording.version}{policy}: {wording.digest.hex()}", "bold")
        say(wording.text)


def _text(given: str) -> str:
    try:
        return (read_payload(given, field="text") or b"").decode().rstrip("\n")
    except UnicodeDecodeError:
        raise InvalidInput("--text must be UTF-8.", field="text") from None


async def _set(data_dir: Path | None, name: str, description: str, basis: str) -> tuple[Purpose, bool]:
    from pushkeep.app.consents import declare_purpose
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        return await declare_purpose(services, project, name, description=description, basis=basis)


async def _list(data_dir: Path | None) -> tuple[tuple[Purpose, ...], tuple[Wording, ...]]:
    from pushkeep.cli.opened import opened_to_read

    async with opened_to_read(load(data_dir)) as (store, project):
        return await store.purposes(project), await store.wordings(project)


async def _word(data_dir: Path | None, name: str, locale: str, version: str, text: str, policy_version: str) -> Wording:
    from pushkeep.app.consents import declare_wording
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        wording, _ = await declare_wording(
            services, project, name, locale=locale, version=version, text=text, policy_version=policy_version
        )
        return wording


async def _wordings(data_dir: Path | None, name: str) -> tuple[Wording, ...]:
    from pushkeep.app.consents import list_wordings
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        return await list_wordings(services, project, name)
