"""Signing keys for people: a table of all of them, and how far a rotation has come."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pushkeep.app.key_progress import KeyProgress, MovedDay
from pushkeep.domain.key_forecast import SILENT_DAYS, Forecast
from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import SEEN_DAYS
from pushkeep.domain.situation import DAY_SECONDS

BAR_CHARACTERS = 40
DAYS_SHOWN = 14
"""Two weeks of days, as many as fit beside a screen's other lines."""

_BLOCKS = " ▁▂▃▄▅▆▇█"


def keys_table(found: Sequence[KeyProgress]) -> RenderableType:
    """Every key in a line."""
    table = Table(box=None)
    for name in ("id", "state", "since", "bound", "need renewal"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("id", "state", "since") else "right")
    for one in found:
        key = one.key
        since = key.retired_at or key.retiring_at or key.activated_at or key.created_at
        state = f"{key.state.value}, leaked" if key.leaked_at is not None else key.state.value
        table.add_row(key.key_id, state, _date(since), f"{one.usage.bound:,}", f"{one.usage.waiting:,}")
    return table


def status_view(found: Sequence[KeyProgress], *, now: float) -> RenderableType:
    """The active key, and each retiring one with its progress."""
    parts: list[RenderableType] = []
    for one in found:
        if one.key.state is KeyState.ACTIVE:
            parts.append(Text(f"Active: {one.key.key_id}, {_many(one.usage.bound)} bound to it"))
        elif one.key.state is KeyState.NEXT:
            parts.append(Text(f"Next: {one.key.key_id}, ready for a rotation"))
    retiring = [one for one in found if one.key.state is KeyState.RETIRING]
    for one in retiring:
        parts += [Text(""), *_rotation(one, now)]
    waiting = sum(one.usage.waiting for one in found)
    if waiting:
        whose = "waits for its browser" if waiting == 1 else "wait for their browsers"
        parts.append(Text(f"\n{_many(waiting)} {whose} to renew; nothing is sent there until then."))
    if not retiring:
        parts.append(Text("No key is retiring."))
    return Group(*parts)


def _rotation(one: KeyProgress, now: float) -> list[RenderableType]:
    key, usage = one.key, one.usage
    leaked = Text(" It has leaked: messages tell browsers to renew at once.", style="red")
    head = Text(f"Retiring: {key.key_id}, replaced on {_date(key.retiring_at)}.", style="bold")
    away = one.moved + one.ended
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(away + usage.bound, 1), completed=away, width=BAR_CHARACTERS)
        if usage.bound
        else ProgressBar(total=1, completed=1, width=BAR_CHARACTERS),
        Text("100%" if not usage.bound else f"{away / (away + usage.bound):.1%}"),
    )
    parts: list[RenderableType] = [
        head.append_text(leaked) if key.leaked_at is not None else head,
        bar,
        Text(f"moved {one.moved:,}, ended {one.ended:,}, left {usage.bound:,}"),
    ]
    if one.days:
        parts.append(_days(one.days[-DAYS_SHOWN:]))
    if usage.bound:
        first, *others = SEEN_DAYS
        seen = [f"{usage.seen.get(first, 0):,} in the last {first} days"]
        seen += [f"{usage.seen.get(days, 0):,} more in {days}" for days in others]
        parts.append(Text(f"last seen: {', '.join(seen)}, {usage.seen.get(None, 0):,} before"))
        parts.append(_outlook(one.forecast, now))
    else:
        parts.append(Text(f"Nobody is left. Retire it with: pushkeep keys retire {key.key_id}", style="green"))
    return parts


def _days(days: Sequence[MovedDay]) -> Text:
    counts = [day.moved + day.ended for day in days]
    if len(days) == 1:
        return Text(f"today: {counts[0]:,}")
    most = max(counts) or 1
    blocks = "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // most)] for count in counts)
    return Text(f"a day, the last {len(days)}: {blocks} {counts[-1]:,} today")


def _outlook(found: Forecast | None, now: float) -> Text:
    if found is None:
        return Text("forecast: too early; it takes four full days.", style="dim")
    if not found.expected:
        return Text(
            f"forecast: {found.left_over:,} will not move by themselves: send them a message, or give them up.",
            style="yellow",
        )
    if found.settled_at is None:
        when = "in more than ten years at this pace"
    else:
        days = max(round((found.settled_at - now) / DAY_SECONDS), 0)
        when = f"by {_date(found.settled_at)} ({days} day{'' if days == 1 else 's'})"
    rest = f"; {found.left_over:,} will not (mostly not seen for {SILENT_DAYS} days)" if found.left_over else ""
    return Text(f"forecast: {found.per_day:,.1f} a day of late; {found.expected:,} more will have left {when}{rest}.")


def _many(count: int) -> str:
    return "1 living subscription" if count == 1 else f"{count:,} living subscriptions"


def _date(at: float | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))
