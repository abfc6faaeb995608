"""``pushkeep notifications``: those that were accepted, and what can be done about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from pushkeep.cli.common import (
    AsJson,
    DataDir,
    Exit,
    IdempotencyKey,
    example,
    load,
    more,
    out,
    print_report,
    run,
    say,
    stop,
)

if TYPE_CHECKING:
    from pushkeep.app.context import Services
    from pushkeep.app.progress import OutcomePage, Progress
    from pushkeep.config import Settings
    from pushkeep.domain.project import Project

T = TypeVar("T")

app = typer.Typer(help="Watch notifications and act on them.", no_args_is_help=True, rich_markup_mode="rich")

_ID = "0198c5d2-7c1a-7e2b-9c54-0a1b2c3d4e5f"

NotificationId = Annotated[str, typer.Argument(metavar="ID", help="The notification's id.", show_default=False)]


@app.command("list", epilog=example("pushkeep notifications list --limit 5"))
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 20,
    before: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this one.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List notifications, the latest first."""
    from pushkeep.app.progress import list_progress
    from pushkeep.cli.notification_view import list_table

    page = _opened(data_dir, lambda services, project: list_progress(services, project, limit=limit, before=before))
    if json:
        from pushkeep.web.notification_reports import notification_page

        print_report(notification_page(page))
        return
    if not page.items:
        say("No notifications.")
        return
    out.print(list_table(page.items, width=out.width))
    if page.next_before:
        more("pushkeep notifications list", {"--limit": limit, "--before": page.next_before, "--data-dir": data_dir})


@app.command(epilog=example(f"pushkeep notifications show {_ID} --wait"))
def show(
    notification: NotificationId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and show how far it is.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Show how far a notification is.

    With --wait the exit status says whether everybody was reached, as that of `notify --wait` does.
    """
    from pushkeep.app.progress import progress
    from pushkeep.cli.notification_view import exit_of, print_progress, wait_visibly

    look: Callable[[Services, Project], Awaitable[Progress]] = (
        (lambda services, project: wait_visibly(services, project, notification))
        if wait
        else (lambda services, project: progress(services, project, notification))
    )
    found = _opened(data_dir, look)
    print_progress(found, json=json)
    stop(exit_of(found.account) if wait else Exit.DONE)


@app.command(epilog=example(f"pushkeep notifications pause {_ID}"))
def pause(notification: NotificationId, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Start nothing more for it until it is resumed. Its deadline comes all the same."""
    from pushkeep.app import control

    _show(_opened(data_dir, lambda services, project: control.pause(services, project, notification)), json)


@app.command(epilog=example(f"pushkeep notifications resume {_ID}"))
def resume(notification: NotificationId, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Go on after a pause, and with what was set aside because workers died over it."""
    from pushkeep.app import control

    _show(_opened(data_dir, lambda services, project: control.resume(services, project, notification)), json)


@app.command(epilog=example(f"pushkeep notifications cancel {_ID}"))
def cancel(notification: NotificationId, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Start nothing more for it, ever. What is under way is finished and counted."""
    from pushkeep.app import control

    _show(_opened(data_dir, lambda services, project: control.cancel(services, project, notification)), json)


@app.command("retry-failed", epilog=example(f"pushkeep notifications retry-failed {_ID} --wait"))
def retry_failed(
    notification: NotificationId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and show how far it is.")] = False,
    idempotency_key: IdempotencyKey = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Tell those whom it did not reach, but might yet, once more: with a new notification that says the same."""
    stop(run(_retry(load(data_dir), notification, idempotency_key, wait=wait, json=json)))


@app.command(epilog=example(f"pushkeep notifications outcomes {_ID} --kind gone,too_large"))
def outcomes(
    notification: NotificationId,
    kind: Annotated[str | None, typer.Option(help="Only these, with commas between. [default: all]")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this subscription.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List what became of it for each recipient: everybody of a small one, else who was not accepted."""
    from pushkeep.app.progress import list_outcomes, parse_kinds

    kinds = None if kind is None else parse_kinds(kind)
    page = _opened(
        data_dir,
        lambda services, project: list_outcomes(services, project, notification, kinds=kinds, limit=limit, after=after),
    )
    if json:
        from pushkeep.web.notification_reports import outcome_page

        print_report(outcome_page(page))
        return
    if not page.items:
        say("No outcomes.")
        return
    out.print(_outcome_table(page))
    if page.next_after:
        again = {"--kind": kind, "--limit": limit, "--after": page.next_after, "--data-dir": data_dir}
        more(f"pushkeep notifications outcomes {notification}", again)


async def _retry(settings: Settings, notification: str, idempotency_key: str | None, *, wait: bool, json: bool) -> Exit:
    from pushkeep.app import control
    from pushkeep.cli.notification_view import tell
    from pushkeep.cli.opened import accept_rules, opened_project

    async with opened_project(settings) as (services, project):
        accepted = await control.retry_failed(
            services,
            project,
            notification,
            worker=None,
            rules=accept_rules(settings),
            idempotency_key=idempotency_key,
        )
        return await tell(services, project, accepted, wait=wait, json=json)


def _opened(data_dir: Path | None, look: Callable[[Services, Project], Awaitable[T]]) -> T:
    """Do something with what is stored, beside a running server or without one."""
    from pushkeep.cli.opened import opened_project

    async def work() -> T:
        async with opened_project(load(data_dir)) as (services, project):
            return await look(services, project)

    return run(work())


def _show(found: Progress, json: bool) -> None:
    from pushkeep.cli.notification_view import print_progress

    print_progress(found, json=json)


def _outcome_table(page: OutcomePage) -> Table:
    from pushkeep.cli.notification_view import moment

    table = Table("id", "contact", "outcome", "attempts", "status", "push service says", "at", box=None)
    for item in page.items:
        table.add_row(
            item.short_id,
            item.contact or "",
            item.kind.value,
            str(item.attempts),
            "" if item.status is None else str(item.status),
            item.explanation.text if item.explanation else "",
            moment(item.at),
        )
    return table
