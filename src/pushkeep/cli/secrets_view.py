"""The keys that everything is sealed with, for people and for programs: never the keys themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.ports.secrets import Remaking, SealingKey, SecretKind, SecretsStatus

BAR_CHARACTERS = 40

_SOURCES = {
    "own_file": "a file that Pushkeep made itself",
    "environment": "the environment",
    "file": "a file of yours",
    "command": "a command",
}


def secrets_report(source: str, found: SecretsStatus) -> Mapping[str, object]:
    """For programs; times are epoch seconds."""
    keys = [{**asdict(key), "kind": key.kind.value, "active": key.retiring_at is None} for key in found.keys]
    return {
        "master_key": {
            "id": found.master_key_id,
            "source": source,
            "since": found.master_since,
            "next_id": found.next_master_key_id,
        },
        "keys": keys,
    }


def secrets_table(source: str, found: SecretsStatus, *, now: float) -> RenderableType:
    """Every key in a line, and behind them what is under way."""
    table = Table(box=None)
    for name in ("key", "id", "state", "since", "days"):
        table.add_column(name, no_wrap=True, justify="right" if name == "days" else "left")
    table.add_row("master", found.master_key_id, "in use", _date(found.master_since), _days(found.master_since, now))
    for key in found.keys:
        state = "active" if key.retiring_at is None else "retiring"
        since = key.created_at if key.retiring_at is None else key.retiring_at
        table.add_row(key.kind.value, key.key_id, state, _date(since), _days(since, now))
    parts: list[RenderableType] = [table, Text(f"The master key comes from {_SOURCES[source]}.")]
    if found.next_master_key_id == found.master_key_id:
        parts.append(_line("The old master key still opens the database: pushkeep secrets rotate-master --finish"))
    elif found.next_master_key_id is not None:
        parts.append(_line(f"Master key {found.next_master_key_id} opens the database as well, and is to be the next."))
    for key in found.retiring:
        assert key.remaking is not None
        parts += _retiring(key, key.remaking)
    return Group(*parts)


def _retiring(key: SealingKey, remaking: Remaking) -> list[RenderableType]:
    grid = Table.grid(padding=(0, 1))
    share = 1.0 if remaking.over else remaking.looked / max(remaking.total, 1)
    grid.add_row(ProgressBar(total=1.0, completed=share, width=BAR_CHARACTERS), Text(f"{share:.1%}"))
    parts: list[RenderableType] = [
        Text(f"\n{key.kind.value} key {key.key_id}: {remaking.looked:,} of {remaking.total:,} rows looked at", "bold"),
        grid,
    ]
    if remaking.unreadable:
        examples = ", ".join(remaking.examples)
        parts.append(
            _line(
                f"{remaking.unreadable:,} of them do not open; they are damaged ({examples}) and keep the old key. End "
                "those subscriptions, or restore a backup."
            )
        )
    elif not remaking.over:
        parts.append(Text("The server goes on with it; or run: pushkeep secrets reseal"))
    elif key.kind is SecretKind.LOOKUP:
        parts.append(
            Text(
                "Only ended subscriptions keep it. It goes when they are purged, or now with: "
                "pushkeep secrets rotate-lookup --forget"
            )
        )
    return parts


def _line(text: str) -> Text:
    return Text(text, style="yellow")


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _days(since: float, now: float) -> str:
    return f"{max(int((now - since) // DAY_SECONDS), 0):,}"
