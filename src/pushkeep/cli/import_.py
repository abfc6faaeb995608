"""``pushkeep import``: bring in what another product, or another Pushkeep, had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, Exit, complain, example, load, print_json, read_file, run, say, stop
from pushkeep.domain.moving import FAULTS_SHOWN_MAX, ConsentBrought, Format
from pushkeep.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from pushkeep.compose.moving import ImportReport, ImportWishes, Wishes
    from pushkeep.config import Settings

_COLUMNS_MAX = 4  # a model and an id are two

_COUNTED = {
    "subscriptions": "new",
    "known": "known here already, and left as they are",
    "owned": "known here already, and given their owner",
    "ended": "ended here since, and not brought back",
    "erased": "of contacts who were erased here, and not brought back",
    "contacts": "contacts made",
    "consents": "consent records made",
}
"""What becomes of records, for people; kinds of our own format have their own names."""

_LEFT = {
    "wrong": "wrong, see above",
    "repeated": "repeated in the file",
    "filtered": "left out by --where",
    "inactive": "switched off in the other product",
    "other_rows": "rows of other tables",
}
_Vapid = Annotated[
    Path | None,
    typer.Option(
        "--vapid",
        metavar="FILE",
        help="The private VAPID key the subscriptions were made with: PEM, DER, JWK, base64url, .env, or - for "
        "input. Needed for every format but our own.",
        show_default=False,
    ),
]
_OwnerColumn = Annotated[
    str | None,
    typer.Option(
        "--owner-column",
        metavar="COLUMN[,COLUMN]",
        help="Whose a subscription is: your own id of the contact; several are joined by colons. "
        "[default: as the format has it]",
        show_default=False,
    ),
]
_Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Only records with this value; may be repeated.",
        show_default=False,
    ),
]
_Purpose = Annotated[
    str | None,
    typer.Option(
        "--purpose",
        metavar="PURPOSE",
        help="Record that everybody in the file has agreed to this purpose, elsewhere.",
        show_default=False,
    ),
]
_Wording = Annotated[
    str | None,
    typer.Option("--wording", metavar="DIGEST", help="The declared wording they were shown then.", show_default=False),
]

_PHASES = {"check": "Checking", "write": "Importing"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "import",
        epilog=example(
            "pushkeep import subscriptions.csv --vapid .env --dry-run",
            "pushkeep import subscriptions.json --vapid vapid.json --owner-column user_id",
            "pushkeep import export.jsonl",
        ),
    )(import_)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, JSON Lines or a JSON list.")],
    format: Annotated[
        Format | None, typer.Option("--format", help="Of the file. [default: what it looks like]", show_default=False)
    ] = None,
    vapid: _Vapid = None,
    owner_column: _OwnerColumn = None,
    where: _Where = None,
    purpose: _Purpose = None,
    wording: _Wording = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Import the rest where some records are wrong.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and only say what would be done.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Bring in subscriptions from web-push, pywebpush, web-push-php, Laravel or Django, or an export of Pushkeep.

    Everything is checked first; where anything is wrong each error is shown with its line, and nothing is imported. An
    import that was interrupted goes on where it stopped when the same command is run again; one that is done is not
    done again.
    """
    report = run(
        _import(
            load(data_dir),
            file,
            format,
            _wishes(owner_column, where or []),
            _import_wishes(vapid, purpose, wording, skip_bad=skip_bad, dry_run=dry_run),
        )
    )
    refused = report.faults_count > 0 and not skip_bad
    if json:
        print_json(_as_json(report))
    else:
        _tell(report, dry_run=dry_run, refused=refused)
    if refused:
        stop(Exit.USAGE)


async def _import(
    settings: Settings, file: Path, format: Format | None, wishes: Wishes, import_wishes: ImportWishes
) -> ImportReport:
    from pushkeep.cli.opened import opened_project
    from pushkeep.compose.moving import bring_in, open_empty, opened_source

    with opened_source(file, format, wishes) as source:
        fills = source.format is Format.PUSHKEEP and not settings.database.exists()
        if fills and import_wishes.only_check:
            raise ConfigurationError(
                f"There is nothing in {settings.data_dir} yet to hold a dry run against; without --dry-run the import "
                "makes a new installation there, or changes nothing where the file is wrong.",
                field="data_dir",
            )
        async with open_empty(settings, source) if fills else opened_project(settings) as (services, project):
            with bar() as show:
                return await bring_in(
                    services,
                    project,
                    source,
                    import_wishes,
                    told=lambda phase, done: show(f"{_PHASES[phase]} (octets)", done, source.size_bytes),
                )


def _wishes(owner_column: str | None, where: list[str]) -> Wishes:
    from pushkeep.compose.moving import Wishes

    columns = None if owner_column is None else tuple(name.strip() for name in owner_column.split(","))
    if columns is not None and (len(columns) > _COLUMNS_MAX or "" in columns):
        raise InvalidInput(f"owner-column must be 1 to {_COLUMNS_MAX} names of columns.", field="owner-column")
    pairs = []
    for text in where:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidInput("where must be COLUMN=VALUE.", field="where")
        pairs.append((name, value))
    return Wishes(columns, tuple(pairs))


def _import_wishes(
    vapid: Path | None, purpose: str | None, wording: str | None, *, skip_bad: bool, dry_run: bool
) -> ImportWishes:
    from pushkeep.cli.keys import read_key_file
    from pushkeep.compose.moving import ImportWishes, read_vapid
    from pushkeep.domain.consent_words import check_digest, check_purpose_name

    if wording is not None and purpose is None:
        raise InvalidInput("wording needs a purpose; name it with --purpose.", field="wording")
    consent = None
    if purpose is not None:
        consent = ConsentBrought(check_purpose_name(purpose), None if wording is None else check_digest(wording))
    key = None
    if vapid is not None:
        key = read_vapid(read_key_file(vapid) if str(vapid) == "-" else read_file(vapid, field="vapid"))
    return ImportWishes(key, consent, skip_wrong=skip_bad, only_check=dry_run)


def _tell(report: ImportReport, *, dry_run: bool, refused: bool) -> None:
    if report.done_at is not None:
        from pushkeep.domain.moment import write_moment

        say(f"This import was done at {write_moment(report.done_at)} and is not done again; nothing has changed.")
        return
    for fault in report.faults:
        complain(str(fault))
    if report.faults_count > len(report.faults):
        complain(f"and {report.faults_count - len(report.faults):,} more; the first {FAULTS_SHOWN_MAX} are shown.")
    if refused:
        complain(
            f"Nothing was imported: {report.faults_count:,} of {report.records:,} records cannot be taken. Correct "
            "them, or import the others with --skip-bad."
        )
        return
    if report.went_on_from:
        say(f"Went on behind record {report.went_on_from:,}, where an earlier run was interrupted.")
    would = "would be imported" if dry_run else "imported"
    say(f"{report.records:,} records of format {report.format.value}; {would}:")
    for word, count in report.counts.items():
        if count:
            say(f"  {count:,} {_COUNTED.get(word, word.replace('_', ' '))}")
    for word, count in report.left_out.items():
        say(f"  {count:,} left out: {_LEFT.get(word, word.replace('_', ' '))}")
    if report.key is not None:
        _tell_key(report, dry_run=dry_run)
    if report.unused:
        say(f"Columns that were not used: {', '.join(report.unused)}")
    if dry_run:
        say("Nothing has changed: this was a dry run.")


def _tell_key(report: ImportReport, *, dry_run: bool) -> None:
    assert report.key is not None
    key = report.key
    if key.known:
        say(f"Signing key {key.key_id} is in this project already, as {key.becomes}.")
        return
    verb = "would be" if dry_run else "is"
    then = (
        "new subscriptions are made with it"
        if key.becomes == "active"
        else "it signs for these subscriptions, whose browsers move to the active key at their next visit"
    )
    say(f"Signing key {key.key_id} {verb} {key.becomes}: {then}.")


def _as_json(report: ImportReport) -> dict[str, object]:
    key = report.key
    return {
        "format": report.format.value,
        "records": report.records,
        "counts": dict(report.counts),
        "left_out": dict(report.left_out),
        "errors": [
            {"line": fault.line, "record": fault.number, "field": fault.field, "message": fault.message}
            for fault in report.faults
        ],
        "errors_count": report.faults_count,
        "signing_key": None if key is None else {"id": key.key_id, "known": key.known, "state": key.becomes},
        "unused_columns": list(report.unused),
        "imported": report.written,
        "went_on_from": report.went_on_from,
        "done_before_at": report.done_at,
    }
