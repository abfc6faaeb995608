"""``pushkeep subscriptions show``, ``likely-dead`` and ``release``: how stored subscriptions are doing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pushkeep.cli.common import AsJson, DataDir, example, load, more, out, print_json, print_report, run, say
from pushkeep.errors import InvalidInput

if TYPE_CHECKING:
    from pushkeep.app.health import Life, SuspectedPage
    from pushkeep.domain.subscription import SubscriptionRecord

SubscriptionId = Annotated[str, typer.Argument(metavar="ID", help="Short or long id.", show_default=False)]

BY_COMMAND = "on the command line"
"""What the log says of who wanted it."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=example("pushkeep subscriptions show HMV192av"))(show)
    app.command("likely-dead", epilog=example("pushkeep subscriptions likely-dead --limit 20"))(likely_dead)
    app.command(
        epilog=example(
            "pushkeep subscriptions release HMV192av", "pushkeep subscriptions release --origin https://push.example"
        )
    )(release)


def show(subscription: SubscriptionId, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Tell a subscription's whole story: what happened to it, when and why, and how it stands now."""
    found = run(_life(data_dir, subscription))
    if json:
        from pushkeep.web.health_schemas import life_report

        print_report(life_report(found))
        return
    record = found.record
    whose = f"belongs to {record.contact_external_id}" if record.contact_external_id else "belongs to nobody known"
    say(f"Subscription {record.short_id} ({record.public_id})", "bold")
    say(f"At {record.origin}; {whose}.")
    for line in found.standing:
        say(line)
    say("")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for told in found.story:
        table.add_row(_when(told.at), _plain(told.words))
    out.print(table)


def likely_dead(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on behind this one.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List living subscriptions that show a sign of death, with the reasons. Nothing is done about them.

    Nothing is sent to find out: browsers punish pushes that show nothing.
    """
    page = run(_likely_dead(data_dir, limit, after))
    if json:
        from pushkeep.web.health_schemas import suspected_list

        print_report(suspected_list(page))
        return
    if not page.items:
        say("None shows a sign of death.")
        return
    table = Table("id", "state", "health", "last seen", "reasons", box=None)
    for one in page.items:
        table.add_row(
            one.record.short_id,
            one.record.state.value,
            str(one.health.score),
            _when(one.record.last_seen_at),
            _plain(" ".join(one.health.reasons)),
        )
    out.print(table)
    if page.next_after:
        again = {"--limit": limit, "--after": page.next_after, "--data-dir": data_dir}
        more("pushkeep subscriptions likely-dead", again)


def release(
    subscription: Annotated[
        str | None, typer.Argument(metavar="ID", help="Short or long id.", show_default=False)
    ] = None,
    origin: Annotated[
        str | None, typer.Option(metavar="ORIGIN", help="All quarantined ones of this push service.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Lift a quarantine: send again, as if nothing had been. Also for one that needs renewal."""
    if (subscription is None) == (origin is None):
        raise InvalidInput("Name one subscription, or a push service with --origin.", field="id")
    if subscription is not None:
        record = run(_release(data_dir, subscription))
        if json:
            from pushkeep.web.reports import subscription_report

            print_report(subscription_report(record))
            return
        say(f"{record.short_id} is {record.state.value.replace('_', ' ')}.")
        return
    released = run(_release_origin(data_dir, origin or ""))
    if json:
        print_json({"released": released})
        return
    say(f"Released {released:,}.")


async def _life(data_dir: Path | None, any_id: str) -> Life:
    settings = load(data_dir)
    from pushkeep.app.health import life
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await life(services, project, any_id)


async def _likely_dead(data_dir: Path | None, limit: int, after: str | None) -> SuspectedPage:
    settings = load(data_dir)
    from pushkeep.app.health import likely_dead as suspected
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await suspected(services, project, limit=limit, after=after)


async def _release(data_dir: Path | None, any_id: str) -> SubscriptionRecord:
    settings = load(data_dir)
    from pushkeep.app.health import release as lift
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await lift(services, project, any_id, BY_COMMAND)


async def _release_origin(data_dir: Path | None, origin: str) -> int:
    settings = load(data_dir)
    from pushkeep.app.health import release_origin
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await release_origin(services, project, origin, BY_COMMAND)


def _plain(text: str) -> str:
    """Words of strangers, of which nothing is taken for markup."""
    from rich.markup import escape

    return escape(text)


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
