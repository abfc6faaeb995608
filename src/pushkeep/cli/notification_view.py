"""What people see of notifications on the command line: accepted, on their way, ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pushkeep.cli.common import EXIT_BY_VERDICT, Exit, complain, err, out, print_report, say
from pushkeep.domain.shard import KIND_OF_VERDICT, KIND_WORDS, Kind

if TYPE_CHECKING:
    from pushkeep.app.context import Services
    from pushkeep.app.progress import Progress as Found
    from pushkeep.domain.project import Project
    from pushkeep.domain.sending import Account
    from pushkeep.ports.notifications import Accepted, AudienceCount
    from pushkeep.ports.sweeps import AudienceHealth

EXIT_BY_KIND: Mapping[Kind, Exit] = {
    **{kind: EXIT_BY_VERDICT[verdict] for verdict, kind in KIND_OF_VERDICT.items()},
    Kind.SKIPPED_ENDED: Exit.GONE,
    Kind.SKIPPED_REPLACED: Exit.DONE,
    Kind.SKIPPED_OWNER: Exit.NOT_ACCEPTED,
    Kind.SKIPPED_KEY: Exit.KEY_OR_TOKEN,
    Kind.SKIPPED_UNREADABLE: Exit.NOT_ACCEPTED,
    Kind.SKIPPED_QUARANTINED: Exit.NOT_ACCEPTED,
    Kind.SKIPPED_RENEWAL: Exit.KEY_OR_TOKEN,
    Kind.SKIPPED_CONSENT: Exit.NOT_ACCEPTED,
    Kind.EXPIRED: Exit.TRY_LATER,
    Kind.CANCELLED: Exit.FAILED,
}
"""What each final state means for the exit status of a command that waited for it. Who was replaced by another
recipient has missed nothing."""


WIDE_CHARACTERS = 130
"""A line of everything about a notification has about so many."""


def exit_of(account: Account) -> Exit:
    """0 if everybody was reached, the failures' own status if it is one, else 6."""
    failed = {EXIT_BY_KIND[kind] for kind, count in account.counts.items() if count} - {Exit.DONE}
    return Exit.DONE if not failed else failed.pop() if len(failed) == 1 else Exit.NOT_ACCEPTED


def summary(account: Account) -> str:
    """One line for people."""
    parts = [
        f"{count:,} {kind.value.replace('_', ' ')}"
        for kind, count in sorted(account.counts.items(), key=lambda item: -item[1])
        if count and kind is not Kind.ACCEPTED
    ]
    if account.undone:
        parts.append(f"{account.undone:,} waiting")
    accepted = f"Accepted {account.counts.get(Kind.ACCEPTED, 0):,} of {account.targeted:,}"
    return accepted + (f"; {', '.join(parts)}." if parts else ".")


async def tell(services: Services, project: Project, accepted: Accepted, *, wait: bool, json: bool) -> Exit:
    """Say what was accepted and, if that is wanted, what became of it; the exit status."""
    if not json:
        await _tell_accepted(services, accepted)
    elif not wait:
        from pushkeep.web.notification_reports import accepted_report

        print_report(accepted_report(accepted, now=services.clock.now()))
    if not wait:
        return Exit.DONE
    found = await wait_visibly(services, project, accepted.record.public_id)
    if json:
        print_progress(found, json=True)
    else:
        say(summary(found.account))
    return exit_of(found.account)


async def _tell_accepted(services: Services, accepted: Accepted) -> None:
    record = accepted.record
    whom = "an audience that is being looked up" if accepted.targeted is None else _recipients(accepted.targeted)
    again = " It had been accepted before, under the same idempotency key." if accepted.replayed else ""
    say(f"Accepted {record.public_id} for {whom}.{again}", "green")
    for name in accepted.unknown:
        complain(f"No active subscription: {name}", None)
    if not await services.store.workers():
        complain("Nobody delivers at the moment: start `pushkeep serve` or `pushkeep worker`.", "yellow")


def print_audience(count: AudienceCount) -> None:
    """Whom it would reach, by push service."""
    table = Table("push service", "vendor", "recipients", box=None)
    for (origin, vendor), recipients in sorted(count.by_origin.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(origin, vendor, f"{recipients:,}")
    if count.by_origin:
        out.print(table)
    say(f"It would reach {_recipients(sum(count.by_origin.values()))}. Nothing was sent or stored.")
    for kind, skipped in count.skipped.items():
        if skipped:
            say(f"Left out: {skipped:,} ({KIND_WORDS[kind]}).")
    for name in count.unknown:
        complain(f"No active subscription: {name}", None)


def print_audience_health(health: AudienceHealth) -> None:
    """What is known of them before anything is sent, and why no more."""
    from pushkeep.app.health import SILENT_PROBE
    from pushkeep.domain.subscription import State

    quarantined, waiting = health.by_state.get(State.QUARANTINED, 0), health.by_state.get(State.NEEDS_RENEWAL, 0)
    known = {
        "likely dead (`pushkeep subscriptions likely-dead` says why); they are sent to": health.likely_dead,
        "in quarantine, not sent to": quarantined - health.probes,
        "in quarantine, for whom this message is the probe": health.probes,
        "need renewal by their browsers, not sent to": waiting,
    }
    for what, count in known.items():
        if count:
            say(f"Known: {count:,} {what}.")
    if any(known.values()):
        say(SILENT_PROBE)


async def wait_visibly(services: Services, project: Project, public_id: str) -> Found:
    """Wait until it has ended, with a bar where somebody watches."""
    from pushkeep.app.progress import watch

    columns = TextColumn("{task.fields[status]}"), BarColumn(), TextColumn("{task.fields[summary]}")
    found: Found | None = None
    with Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None, status="", summary="")
        async for found in watch(services, project, public_id):
            account = found.account
            bar.update(
                task,
                total=account.targeted or None,
                completed=account.settled,
                status=found.status.value,
                summary=summary(account),
            )
    assert found is not None
    return found


def print_progress(found: Found, *, json: bool) -> None:
    """How far one notification is."""
    if json:
        from pushkeep.web.notification_reports import notification_report

        print_report(notification_report(found))
        return
    for line in _lines(found):
        say(line)
    if len(found.by_vendor) > 1:
        table = Table("push service", "targeted", "accepted", "not accepted", "waiting", box=None)
        for vendor, account in sorted(found.by_vendor.items()):
            table.add_row(vendor, *_figures(account))
        out.print(table)


def list_table(items: Iterable[Found], *, width: int) -> Table:
    """Several, a line each, with their whole ids: on a terminal of 80 characters the rest is what matters most."""
    wide = width >= WIDE_CHARACTERS
    names = ("id", "status", "targeted", "accepted", "not accepted", "waiting", "priority", "to", "accepted at")
    table = Table(box=None)
    for name in names if wide else names[:4]:
        table.add_column(name, no_wrap=True)
    for found in items:
        record = found.record
        figures = _figures(found.account)
        row = (
            record.public_id,
            found.status.value,
            *figures,
            record.priority.name.lower(),
            record.target_kind,
            moment(record.accepted_at),
        )
        table.add_row(*(row if wide else row[:4]))
    return table


def moment(at: float | None) -> str:
    """A time for people, in UTC as everywhere in the API."""
    from pushkeep.domain.moment import write_moment

    return "" if at is None else write_moment(at)


def _lines(found: Found) -> Iterable[str]:
    record, account = found.record, found.account
    yield f"{record.public_id}: {found.status.value}, {record.priority.name.lower()} priority"
    yield f"accepted {moment(record.accepted_at)}, to be sent {moment(record.send_at)}, until {moment(record.deadline)}"
    if record.finished_at is not None:
        yield f"ended {moment(record.finished_at)}"
    if record.retry_of is not None:
        yield f"repeats {record.retry_of} for those it did not reach"
    if account.targeted:
        yield summary(account)
    elif record.finished_at is None:
        yield "Its recipients are looked up when it begins."
    else:
        yield "It had no recipients."
    for kind, count in account.counts.items():
        if count and kind is not Kind.ACCEPTED:
            yield f"  {kind.value}: {count:,} ({KIND_WORDS[kind]})"
    if account.set_aside:
        yield f"  set aside: {account.set_aside:,} (workers died over them; `notifications resume` tries again)"
    shown = ", ".join(f"{name} {count:,}" for name, count in found.receipts.items() if count)
    if shown:
        yield f"browsers say: {shown}"


def _figures(account: Account) -> tuple[str, str, str, str]:
    accepted = account.counts.get(Kind.ACCEPTED, 0)
    return f"{account.targeted:,}", f"{accepted:,}", f"{account.settled - accepted:,}", f"{account.undone:,}"


def _recipients(count: int) -> str:
    return "1 recipient" if count == 1 else f"{count:,} recipients"
