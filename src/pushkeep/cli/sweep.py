"""``pushkeep sweep``: a look over everything stored, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, complain, example, load, print_report, run, say

if TYPE_CHECKING:
    from pushkeep.app.sweep import SweepReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep sweep --dry-run", "pushkeep sweep"))(sweep)


def sweep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Do it even where it is unusually much of a push service's at once.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Look over everything stored; the server does it by itself every week (setting `sweep_schedule`).

    Health is counted; what was refused on three different days is put into quarantine; what nobody heard of is ended
    where `expire_unseen_days` says so; tombstones older than `tombstone_days` are forgotten. Nothing is sent: browsers
    punish pushes that show nothing.
    """
    report = run(_sweep(data_dir, dry_run=dry_run, force=force))
    if json:
        from pushkeep.web.health_schemas import swept_report

        print_report(swept_report(report))
        return
    _tell(report)


async def _sweep(data_dir: Path | None, *, dry_run: bool, force: bool) -> SweepReport:
    settings = load(data_dir)
    from pushkeep.app.chores import sweep_now
    from pushkeep.cli.opened import opened_project
    from pushkeep.compose.chores import sweep_plan
    from pushkeep.compose.workers import new_owner

    async with opened_project(settings) as (services, project):
        with bar() as show:
            return await sweep_now(
                services,
                project,
                sweep_plan(settings),
                owner=new_owner(services.entropy),
                dry_run=dry_run,
                force=force,
                show=show,
            )


def _tell(report: SweepReport) -> None:
    would = "Would be" if report.dry_run else "Were"
    states = ", ".join(
        f"{count:,} {state.value.replace('_', ' ')}" for state, count in report.by_state.items() if count
    )
    say(f"Living subscriptions: {report.survey.living:,}{f' ({states})' if states else ''}.")
    say(f"Likely dead: {report.likely_dead:,}{_signs(report)}")
    say(f"{would} put into quarantine: {report.quarantined:,}.")
    say(f"{would} ended because nobody had heard of them: {report.expired:,}.")
    say(f"{would} forgotten (tombstones): {report.purged:,}.")
    for held in report.held:
        complain(
            f"Held back at {held.origin}: {held.removed:,} of {held.living:,} would no longer be sent to, which is "
            "unusually much at once. If that is right, use --force.",
            "yellow",
        )
    say("Nothing was changed." if report.dry_run else f"Done in {report.seconds:.1f} s.")


def _signs(report: SweepReport) -> str:
    if not report.likely_dead:
        return "."
    found = ", ".join(f"{count:,} {sign.value}" for sign, count in sorted(report.signs.items()) if count)
    return f" ({found}); `pushkeep subscriptions likely-dead` lists them."
