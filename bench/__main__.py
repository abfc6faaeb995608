"""``python -m bench``: measure everything in one interleaved run and keep the results.

In each round every contender sends its share, one after the other, so that whatever the machine does meanwhile
happens to all of them; the numbers are medians over the rounds. Counted is the processor time, user and system,
of this process alone; the servers are other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import gc
import os
import resource
import tempfile
import time
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import contenders, report
from bench.contenders import Contender, World
from bench.report import Line
from bench.sinks import running

RESULTS = Path(__file__).parent / "results"
NOTES = [
    f"The floor is the sum of the first two lines, {contenders.CONCURRENCY} requests at a time. Every message has "
    f"{len(contenders.PAYLOAD)} octets of payload and one of {contenders.RECIPIENTS} recipients' keys. Medians over "
    "interleaved rounds; processor time is user and system time of the sending process.",
    "",
    "The HTTP/2 senders post to `nghttpd` (which answers 200), pywebpush, which speaks HTTP/1.1 only, to a small "
    "server of the benchmark (201); both are processes of their own on the same machine, so the messages a second "
    "are those of sender and server sharing it.",
    "",
    "*From JSON* reads and checks each subscription anew, as an application without our store does. *As documented* is "
    "one blocking call after the other, each with a connection and a key file of its own; *async session* is pywebpush "
    "at its best, key loaded once and connections kept.",
]


def spent() -> float:
    """Processor seconds this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Bench:
    """One run."""

    def __init__(self, world: World, *, messages: int, rounds: int) -> None:
        self._world = world
        self._messages = messages
        self._rounds = rounds
        self.lines: dict[str, Line] = {}

    def run(self, progress: Progress) -> list[Line]:
        """Measure every contender, round by round."""
        with contextlib.closing(uvloop.new_event_loop()) as fast, contextlib.closing(asyncio.new_event_loop()) as plain:
            loops = {"uvloop": fast, "asyncio": plain}
            stacks = {name: contextlib.AsyncExitStack() for name in loops}
            entered = [(loop, loop.run_until_complete(self._enter(name, stacks[name]))) for name, loop in loops.items()]
            order = [(loop, contender) for loop, members in entered for contender in members]
            order.sort(key=lambda pair: _ORDER.index(pair[1].name))
            task = progress.add_task("", total=(self._rounds + 1) * len(order))
            for number in range(self._rounds + 1):
                for loop, contender in order:
                    progress.update(task, description=f"{contender.title}"[:50])
                    loop.run_until_complete(self._slice(contender, warm_up=number == 0))
                    progress.advance(task)
            for name, loop in loops.items():
                loop.run_until_complete(stacks[name].aclose())
        return list(self.lines.values())

    async def _enter(self, loop: str, stack: contextlib.AsyncExitStack) -> list[Contender]:
        world = self._world
        if loop == "asyncio":
            return [await stack.enter_async_context(contenders.pushkeep(world, loop=loop))]
        return [
            contenders.curve(world),
            await stack.enter_async_context(contenders.libcurl(world)),
            await stack.enter_async_context(contenders.pushkeep(world)),
            await stack.enter_async_context(contenders.pushkeep(world, as_json=True)),
            await stack.enter_async_context(contenders.pywebpush_async(world)),
            contenders.pywebpush_documented(world),
        ]

    async def _slice(self, contender: Contender, *, warm_up: bool) -> None:
        count = max(1, int(self._messages * contender.weight * (0.2 if warm_up else 1)))
        line = self.lines.setdefault(contender.name, Line(contender.name, contender.title))
        gc.collect()
        started, cpu = time.perf_counter(), spent()
        await contender.run(count)
        cpu, wall = spent() - cpu, time.perf_counter() - started
        if not warm_up:
            line.messages = count
            line.cpu_us.append(cpu / count * 1e6)
            line.wall_us.append(wall / count * 1e6)


_ORDER = ("curve", "libcurl", "pushkeep", "pushkeep_json", "pushkeep_asyncio", "pywebpush_async", "pywebpush")


def main() -> None:
    """Read the command line, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=5000, help="in each round; slow contenders send fewer")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULTS, help="directory for the results")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = 110  # a log has room
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as sinks:
        os.environ["REQUESTS_CA_BUNDLE"] = str(sinks.ca_file)  # pywebpush has no other way to be told
        columns = (TextColumn("{task.description:<50}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            bench = Bench(World(sinks, Path(folder)), messages=arguments.messages, rounds=arguments.rounds)
            lines = bench.run(progress)
    table = Table(*report.HEADINGS, title="Cost of one message")
    for row in report.rows(lines):
        table.add_row(*row)
    console.print(table)
    ours = next(line for line in lines if line.name == report.OURS)
    reached = report.ratio(ours, lines)
    console.print(f"PushClient costs {reached:.2f} times the floor; the aim is at most {report.TARGET_RATIO:.1f}.")
    date = datetime.datetime.now(datetime.UTC)
    arguments.output.mkdir(parents=True, exist_ok=True)
    target = arguments.output / f"{date:%Y-%m-%d}"
    target.with_suffix(".json").write_text(report.as_json(lines, date))
    target.with_suffix(".md").write_text(report.as_markdown(lines, date, NOTES))
    console.print(f"Written to {target}.md and {target}.json.")


if __name__ == "__main__":
    main()
