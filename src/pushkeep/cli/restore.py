"""``pushkeep restore``: a backup in the database's place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pushkeep.cli.backup import facts_lines, facts_report
from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, run, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep restore /backups/pushkeep-2026-11-22.db"))(restore)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)],
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
        done = run(restore_backup(load(data_dir), file, show))
    if json:
        aside = None if done.aside is None else str(done.aside)
        print_json({"database": str(done.database), "kept": aside, **facts_report(done.facts)})
        return
    say(f"Restored: {done.database} ({done.facts.size_bytes:,} octets, {done.seconds:.1f} s).", "green")
    for line in facts_lines(done.facts):
        say(line)
    if done.aside is not None:
        say(f"What was there before is kept in {done.aside}; remove it when you do not need it any more.")
