"""The state of an installation for people: bars, rates and what is left, a table for each thing there is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pushkeep.app.overview import Overview
from pushkeep.app.progress import Progress, Status
from pushkeep.domain.circuit import CircuitState
from pushkeep.domain.sending import Account
from pushkeep.domain.shard import Kind
from pushkeep.protocol.vendors import VENDORS

PACE_SECONDS = 10.0
"""A rate is measured over so long: workers write down once a second, so shorter looks would jump."""

SILENT_SECONDS = 10.0
"""A worker that has not reported for so long is marked; it reports every two."""

BAR_CHARACTERS = 24
COLUMNS_FROM_WIDTH = ((145, 7), (90, 4), (0, 3))
"""How much is said of a notification on a terminal that wide: where there is little room, its id is whole all the
same, since it is what the other commands ask for."""


class Pace:
    """How quickly notifications come on, from one look to the next."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[int, int]]] = deque()

    def note(self, found: Overview) -> None:
        """Remember a look."""
        settled = {one.record.id: one.account.settled for one in found.notifications}
        self._looks.append((found.at, settled))
        while len(self._looks) > 2 and found.at - self._looks[1][0] >= PACE_SECONDS:
            self._looks.popleft()

    def rate(self, notification_id: int) -> float | None:
        """Recipients a second that got their final state; None before the second look."""
        seen = [(at, settled[notification_id]) for at, settled in self._looks if notification_id in settled]
        if len(seen) < 2 or seen[-1][0] <= seen[0][0]:
            return None
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def status_view(found: Overview, pace: Pace, *, width: int) -> RenderableType:
    """Everything, one below the other, on a terminal of so many characters; what there is none of is left out."""
    parts: list[RenderableType] = [_headline(found)]
    if found.notifications:
        parts += [_heading("Notifications under way"), _notifications(found, pace, width)]
        if found.more:
            parts.append(Text("… and more; `pushkeep notifications list` shows them.", style="dim"))
    else:
        parts.append(Text("No notification is under way.", style="dim"))
    if found.workers:
        parts += [_heading("Workers"), _workers(found)]
    else:
        parts.append(Text("No worker has reported within the last minute: nothing is sent.", style="yellow"))
    if found.rests:
        parts += [_heading("Resting at their own wish"), _rests(found)]
    if found.circuits:
        parts += [_heading("Refusing our token: run `pushkeep doctor`"), _circuits(found)]
    return Group(*parts)


def _headline(found: Overview) -> Text:
    waiting = sum(one.recipients for one in found.backlog.values())
    line = Text(f"{found.rate:,.0f} messages a second; {waiting:,} recipients wait")
    parts = [
        f"{one.recipients:,} {priority.name.lower()}"
        + (f" for {span(one.oldest_seconds)}" if one.oldest_seconds >= 1 else "")
        for priority, one in found.backlog.items()
        if one.recipients
    ]
    if parts:
        line.append(f" ({', '.join(parts)})", style="dim")
    plans = sum(one.plans for one in found.backlog.values())
    if plans:
        line.append(f"; {plans} audience{'s' if plans > 1 else ''} still to be looked up")
    return line


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column != "push service")
    return table


def _notifications(found: Overview, pace: Pace, width: int) -> Table:
    names = ("notification", "done", "left", "status", "not accepted", "per second", "")
    shown = next(columns for least, columns in COLUMNS_FROM_WIDTH if width >= least)
    table = _table(*names[:shown], right=("done", "not accepted", "per second", "left"))
    for one in found.notifications:
        rate = pace.rate(one.record.id)
        row = (
            one.record.public_id,
            f"{one.account.settled:,}/{one.account.targeted:,}",
            _left(one, rate, found.at),
            Text(one.status.value, style="yellow" if one.status is Status.PAUSED else ""),
            _not_accepted(one.account),
            "" if rate is None else f"{rate:,.0f}",
            _bar(one.account),
        )
        table.add_row(*row[:shown])
        if len(one.by_vendor) > 1:
            for vendor, account in sorted(one.by_vendor.items(), key=lambda item: -item[1].targeted):
                title = Text(f"  {VENDORS[vendor].title if vendor in VENDORS else vendor}", style="dim")
                done = f"{account.settled:,}/{account.targeted:,}"
                table.add_row(*(title, done, "", "", _not_accepted(account), "", _bar(account))[:shown])
        if one.account.set_aside:
            why = f"  {one.account.set_aside:,} set aside: worker after worker lost them"
            table.add_row(Text(why, style="red"))
    return table


def _not_accepted(account: Account) -> str:
    return f"{account.settled - account.counts.get(Kind.ACCEPTED, 0):,}"


def _bar(account: Account) -> ProgressBar:
    return ProgressBar(total=max(account.targeted, 1), completed=account.settled, width=BAR_CHARACTERS)


def _left(one: Progress, rate: float | None, now: float) -> str:
    """For how long it still goes on at this rate, or until when nothing happens."""
    if one.status is Status.SCHEDULED:
        return f"starts in {span(one.record.send_at - now)}"
    if one.status is Status.PAUSED:
        return "paused"
    if not one.account.undone:
        return ""
    until_deadline = one.record.deadline - now
    if not rate or one.status is Status.PLANNING:
        return f"expires in {span(until_deadline)}" if until_deadline > 0 else "expires"
    return span(min(one.account.undone / rate, max(until_deadline, 0.0)))


def _workers(found: Overview) -> Table:
    numbers = ("pid", "in flight", "waiting", "per second", "sent", "up")
    table = _table("worker", "kind", "pid", "state", "in flight", "waiting", "per second", "sent", "up", right=numbers)
    for worker in found.workers:
        silent = found.at - worker.seen_at
        state, style = ("stopping", "yellow") if worker.stopping else ("working", "")
        if silent >= SILENT_SECONDS:
            state, style = f"silent for {span(silent)}", "red"
        figures = worker.figures
        table.add_row(
            worker.host or worker.owner,
            worker.kind,
            str(worker.pid),
            Text(state, style=style),
            *(f"{figures.get(name, 0.0):,.0f}" for name in ("in_flight", "waiting", "rate", "sent")),
            span(found.at - worker.started_at),
        )
    return table


def _rests(found: Overview) -> Table:
    table = _table("push service", "for")
    for origin, seconds in found.rests.items():
        table.add_row(origin, span(seconds))
    return table


def _circuits(found: Overview) -> Table:
    table = _table("push service", "signing key", "refused", "next probe")
    for circuit in found.circuits:
        probing = circuit.state is CircuitState.HALF_OPEN
        table.add_row(
            circuit.origin,
            circuit.signing_key,
            f"{circuit.refusals} time{'s' if circuit.refusals != 1 else ''}",
            "under way" if probing else f"in {span(circuit.probe_seconds)}",
        )
    return table


def span(seconds: float) -> str:
    """A span of time for people: two units at most, rounded up so that nothing is shown as over before it is."""
    whole = max(math.ceil(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days"
