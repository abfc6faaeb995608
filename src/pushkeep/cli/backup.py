"""``pushkeep backup``: a copy of the database while everything runs, and a look at one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, run, say

if TYPE_CHECKING:
    from typer._click.core import Context  # typer brings click along, and calls it so

    from pushkeep.adapters.store.backup_check import DatabaseFacts
    from pushkeep.compose.backup import Backup


class _FileOrCommand(TyperGroup):
    """``pushkeep backup FILE`` is ``pushkeep backup make FILE``."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Put the command's name in front where there is none."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_FileOrCommand,
    help="Copy the database while everything runs, and look at copies. `pushkeep backup FILE` makes one.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)]


@app.command(epilog=example("pushkeep backup /backups/pushkeep-2026-11-22.db"))
def make(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not exist.", show_default=False)],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Copy the database as it is at one moment, beside a running server, and look at all of the copy.

    Every living subscription is opened, and it is made sure that its signing key still signs for it. The master key is
    not in the backup, which is worth nothing without it: keep that key, too, and somewhere else.
    """
    from pushkeep.compose.backup import make_backup

    with bar() as show:
        made = run(make_backup(load(data_dir), file, show))
    _tell(made, "Made", json)


@app.command(epilog=example("pushkeep backup verify /backups/pushkeep-2026-11-22.db"))
def verify(file: File, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Look at all of a backup; nothing is changed.

    The master key is the one of these settings. Of a backup by an older version of Pushkeep only the pages are looked
    at.
    """
    from pushkeep.compose.backup import verify_backup

    with bar() as show:
        found = run(verify_backup(load(data_dir), file, show))
    _tell(found, "Sound", json)


def _tell(backup: Backup, word: str, json: bool) -> None:
    facts = backup.facts
    if json:
        print_json({"file": str(backup.path), **({} if facts is None else facts_report(facts))})
        return
    size = "" if facts is None else f"{facts.size_bytes:,} octets, "
    say(f"{word}: {backup.path} ({size}{backup.seconds:.1f} s).", "green")
    if facts is None:
        say(
            "It has the schema of an older version: only its pages were looked at. `pushkeep restore` brings it up to "
            "date and looks at the rest before anything is exchanged."
        )
        return
    for line in facts_lines(facts):
        say(line)


def facts_report(facts: DatabaseFacts) -> dict[str, int]:
    """What is in a database, for programs."""
    import dataclasses

    return {name: int(value) for name, value in dataclasses.asdict(facts).items()}


def facts_lines(facts: DatabaseFacts) -> Iterator[str]:
    """What is in a database, for people."""
    waiting = f", {facts.awaiting_renewal:,} of them to be renewed" if facts.awaiting_renewal else ""
    yield f"Subscriptions: {facts.living:,} opened and signed for{waiting}; {facts.ended:,} tombstones."
    yield f"Signing keys: {facts.signing_keys:,}, each a pair."
    yield f"Notifications: {facts.notifications:,} opened. Consent records: {facts.consents:,} opened."
