"""``pushkeep subscriptions``: what the server has stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pushkeep.cli import subscription_health
from pushkeep.cli.common import AsJson, DataDir, example, load, more, out, print_report, run, say
from pushkeep.cli.erased import show_erased
from pushkeep.errors import InvalidInput

if TYPE_CHECKING:
    from pushkeep.app.subscribe import Page
    from pushkeep.domain.subscription import SubscriptionRecord
    from pushkeep.ports.privacy import ErasedCounts

app = typer.Typer(
    help="List, look at, release, remove and erase stored subscriptions.", no_args_is_help=True, rich_markup_mode="rich"
)
subscription_health.register(app)


@app.command("list", epilog=example("pushkeep subscriptions list --state gone"))
def list_(
    state: Annotated[str | None, typer.Option(help="Only this state, such as active or quarantined.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this one.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List subscriptions, newest last."""
    page = run(_list(data_dir, state, limit, after))
    if json:
        from pushkeep.web.reports import subscription_page

        print_report(subscription_page(page))
        return
    if not page.items:
        say("No subscriptions.")
        return
    table = Table(box=None)
    for name in ("id", "state", "created", "accepted"):
        table.add_column(name, no_wrap=True)
    for name in ("contact", "push service", "failures", "reason"):
        table.add_column(name)
    for item in page.items:
        reason = item.state_reason.text if item.state_reason and item.state_reason.text else ""
        table.add_row(
            item.short_id,
            item.state.value,
            _date(item.created_at),
            _date(item.last_accepted_at),
            escape(item.contact_external_id or ""),
            item.origin.removeprefix("https://"),
            str(item.consecutive_failures),
            escape(reason),
        )
    out.print(table)
    if page.next_after:
        again = {"--state": state, "--limit": limit, "--after": page.next_after, "--data-dir": data_dir}
        more("pushkeep subscriptions list", again)


@app.command(epilog=example("pushkeep subscriptions remove HMV192av"))
def remove(
    subscription: Annotated[str, typer.Argument(metavar="ID", help="Short or long id.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Stop sending to one subscription. The record stays, with the reason; the browser is not asked."""
    removed = run(_remove(data_dir, subscription))
    if json:
        from pushkeep.web.reports import subscription_report

        print_report(subscription_report(removed))
        return
    say(f"Removed {removed.short_id}.")


@app.command(epilog=example("pushkeep subscriptions erase HMV192av"))
def erase(
    subscription: Annotated[str, typer.Argument(metavar="ID", help="Short or long id.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Erase a subscription with its story and those which it replaced, for good; a backup does not bring them back."""
    show_erased(run(_erase(data_dir, subscription)), json=json)


async def _erase(data_dir: Path | None, any_id: str) -> ErasedCounts:
    from pushkeep.app.erase import erase_subscription
    from pushkeep.cli.opened import opened_project
    from pushkeep.domain.ids import AnyId

    wanted = AnyId.parse(any_id)
    async with opened_project(load(data_dir)) as (services, project):
        return await erase_subscription(services, project, wanted)


async def _list(data_dir: Path | None, state: str | None, limit: int, after: str | None) -> Page:
    settings = load(data_dir)
    from pushkeep.app.subscribe import list_subscriptions
    from pushkeep.cli.opened import opened_project
    from pushkeep.domain.subscription import State

    if state is not None and state not in {known.value for known in State}:
        raise InvalidInput(f"state must be one of {', '.join(State)}.", field="state")
    async with opened_project(settings) as (services, project):
        return await list_subscriptions(
            services, project, state=State(state) if state else None, limit=limit, after=after
        )


async def _remove(data_dir: Path | None, any_id: str) -> SubscriptionRecord:
    settings = load(data_dir)
    from pushkeep.app.subscribe import find_subscription, remove_subscription
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        await remove_subscription(services, project, any_id, "removed on the command line")
        return await find_subscription(services, project, any_id)


def _date(at: float | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))
