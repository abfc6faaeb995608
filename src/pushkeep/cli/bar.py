"""A bar for what takes long, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pushkeep.cli.common import err


@contextmanager
def bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar on standard error while the context lasts; nothing where that is no terminal.

    What is given is told what is under way, how much of it is done, and of how much; None where nobody knows.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}{task.fields[of]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as shown:
        task = shown.add_task("counting", total=None, of="")

        def show(phase: str, done: int, total: int | None) -> None:
            of = "" if total is None else f" of {total:,}"
            shown.update(task, description=phase, completed=done, total=total, of=of)

        yield show
