"""``pushkeep restore``: a backup in the database's place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from pushkeep.cli.backup import facts_lines, facts_report
from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, complain, example, load, print_json, run, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "pushkeep restore /backups/pushkeep-2026-11-22.db",
            "pushkeep restore /backups/pushkeep-2026-01-01.db --master-key-file /backups/master.key.2026",
        )
    )(restore)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)],
    master_key_file: Annotated[
        Path | None,
        typer.Option(
            "--master-key-file",
            metavar="FILE",
            help="The master key that the backup was made with, if it is another one than now.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Put a backup into the database's place. Stop the server and its workers first.

    The backup is copied, brought to this version, and looked at; who was erased since it was made is erased in it. Only
    then it takes the place of the present database, at once, which is kept beside it under another name. Whatever goes
    wrong before, nothing is changed. Remove what was kept when you do not need it any more: it has what it had.
    """
    from pushkeep.compose.backup import restore_backup

    with bar() as show:
        done = run(restore_backup(load(data_dir), file, show, old_key_file=master_key_file))
    if json:
        aside = None if done.aside is None else str(done.aside)
        erased = dataclasses.asdict(done.erased)
        print_json({"database": str(done.database), "kept": aside, "erased": erased, **facts_report(done.facts)})
        return
    say(f"Restored: {done.database} ({done.facts.size_bytes:,} octets, {done.seconds:.1f} s).", "green")
    for line in facts_lines(done.facts):
        say(line)
    if any(dataclasses.astuple(done.erased)):
        say(f"Erased again: {done.erased.contacts:,} contacts, {done.erased.subscriptions:,} subscriptions.")
    if done.list_is_short:
        complain(
            "The list of who was erased is missing, or an old copy: people may be back who were erased. Put the right "
            "one there (setting erasure_list), and start the server.",
            "yellow",
        )
    if done.aside is not None:
        say(f"What was there before is kept in {done.aside}; remove it when you do not need it any more.")
