"""``pushkeep subscriptions``: what the server has stored."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pushkeep.cli.common import AsJson, DataDir, example, load, out, print_json, run, say
from pushkeep.errors import InvalidInput

if TYPE_CHECKING:
    from pushkeep.domain.subscription import SubscriptionRecord

app = typer.Typer(help="List and remove stored subscriptions.", no_args_is_help=True, rich_markup_mode="rich")


@app.command("list", epilog=example("pushkeep subscriptions list --state gone"))
def list_(
    state: Annotated[str | None, typer.Option(help="Only this state: active, gone, unsubscribed, superseded.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this one.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List subscriptions, newest last."""
    items, next_after = run(_list(data_dir, state, limit, after))
    if json:
        print_json({"subscriptions": [_as_dict(item) for item in items], "next_after": next_after})
        return
    if not items:
        say("No subscriptions.")
        return
    table = Table("id", "state", "contact", "push service", "created", "last accepted", "failures", "reason", box=None)
    for item in items:
        reason = item.end_reason.text if item.end_reason and item.end_reason.text else ""
        table.add_row(
            item.short_id,
            item.state.value,
            item.contact_external_id or "",
            item.origin,
            _when(item.created_at),
            _when(item.last_accepted_at),
            str(item.consecutive_failures),
            reason,
        )
    out.print(table)
    if next_after:
        say(f"More: pushkeep subscriptions list --after {next_after}")


@app.command(epilog=example("pushkeep subscriptions remove HMV192av"))
def remove(
    subscription: Annotated[str, typer.Argument(metavar="ID", help="Short or long id.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Stop sending to one subscription. The record stays, with the reason; the browser is not asked."""
    removed = run(_remove(data_dir, subscription))
    if json:
        print_json(_as_dict(removed))
        return
    say(f"Removed {removed.short_id}.")


async def _list(
    data_dir: Path | None, state: str | None, limit: int, after: str | None
) -> tuple[tuple[SubscriptionRecord, ...], str | None]:
    settings = load(data_dir)
    from pushkeep.app.subscribe import list_subscriptions
    from pushkeep.cli.opened import opened_project
    from pushkeep.domain.subscription import State

    if state is not None and state not in {known.value for known in State}:
        raise InvalidInput(f"state must be one of {', '.join(State)}.", field="state")
    async with opened_project(settings) as (services, project):
        page = await list_subscriptions(
            services, project, state=State(state) if state else None, limit=limit, after=after
        )
        return page.items, page.next_after


async def _remove(data_dir: Path | None, any_id: str) -> SubscriptionRecord:
    settings = load(data_dir)
    from pushkeep.app.subscribe import find_subscription, remove_subscription
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        await remove_subscription(services, project, any_id, "removed on the command line")
        return await find_subscription(services, project, any_id)


def _as_dict(item: SubscriptionRecord) -> dict[str, object]:
    reason = item.end_reason
    return {
        "id": item.public_id,
        "short_id": item.short_id,
        "state": item.state.value,
        "contact": item.contact_external_id,
        "push_service": {"vendor": item.vendor, "origin": item.origin},
        "created_at": _stamp(item.created_at),
        "last_seen_at": _stamp(item.last_seen_at),
        "last_accepted_at": _stamp(item.last_accepted_at),
        "consecutive_failures": item.consecutive_failures,
        "end_reason": None
        if reason is None
        else {
            "cause": reason.cause.value,
            "at": _stamp(reason.at),
            "text": reason.text,
            "status": reason.status,
            "code": reason.code,
            "errno": reason.errno,
            "more_info": reason.more_info,
        },
    }


def _stamp(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _when(at: float | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
