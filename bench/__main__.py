"""``python -m bench``: measure everything in one interleaved run, keep the results and draw them.

In each round every contender sends its share at every distance, one after the other, so that whatever the machine
does meanwhile happens to all of them; the numbers are medians over the rounds. Counted is the processor time, user
and system, of the sender's process alone; the servers are other processes.
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
from collections.abc import Iterator
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import engine, engine_page, floor, life, memory, moving, ours, page, peers, receipts, report, sealing
from bench.engine_results import EngineResults
from bench.report import Line, Results
from bench.servers import Servers, Site, running
from bench.world import Contender, World

RESULTS = Path(__file__).parent / "results"
LATENCIES_MS = (0, 30, 100)
WARM_UP_SHARE = 0.2
"""The first round, which opens the connections, is smaller and not counted."""


def spent() -> float:
    """Processor seconds this process has used, all threads included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Bench:
    """One run."""

    def __init__(self, world: World, servers: Servers, *, messages: int, rounds: int) -> None:
        self._world = world
        self._servers = servers
        self._messages = messages
        self._rounds = rounds
        self._lines: dict[tuple[str, int], Line] = {}
        self._busiest = dict.fromkeys(servers.processes, 0.0)

    def run(self, progress: Progress) -> tuple[list[Line], dict[str, float]]:
        """Measure every contender, round by round; the lines, and how busy each server was at most."""
        with self._entered() as contenders:
            task = progress.add_task("", total=(self._rounds + 1) * len(contenders))
            for number in range(self._rounds + 1):
                for site, contender in contenders:
                    progress.update(task, description=f"{site.latency_ms:>3} ms  {contender.title}"[:60])
                    self._slice(site, contender, warm_up=number == 0)
                    progress.advance(task)
        return list(self._lines.values()), self._busiest

    @contextlib.contextmanager
    def _entered(self) -> Iterator[list[tuple[Site, Contender]]]:
        fast, plain = uvloop.new_event_loop(), asyncio.new_event_loop()
        stacks = {loop: contextlib.AsyncExitStack() for loop in (fast, plain)}
        with contextlib.ExitStack() as stack:
            for loop, entered in stacks.items():
                stack.callback(loop.close)
                stack.callback(_leave, loop, entered)
            found = []
            for site in self._servers.sites:
                near = site.latency_ms == 0
                made = fast.run_until_complete(self._asynchronous(site, fast, stacks[fast]))
                if near:
                    made.insert(0, floor.curve(self._world))
                    made.append(floor.libcurl_select(self._world, site))
                    on_asyncio = plain.run_until_complete(ours.send(self._world, site, plain, stacks[plain]))
                    made.append(Contender("send_asyncio", "PushClient.send, asyncio loop", on_asyncio.run))
                made.append(ours.sync_send_many(self._world, site, stack))
                made.append(peers.web_push(self._world, site, stack))
                made.append(peers.pywebpush_documented(self._world, site))
                found += [(site, contender) for contender in sorted(made, key=lambda one: _ORDER.index(one.name))]
            yield found

    async def _asynchronous(
        self, site: Site, loop: asyncio.AbstractEventLoop, stack: contextlib.AsyncExitStack
    ) -> list[Contender]:
        world = self._world
        made = [
            await floor.libcurl(world, site, loop, stack),
            await ours.send_many(world, site, loop, stack),
            await ours.send(world, site, loop, stack),
            await peers.pywebpush_async(world, site, loop, stack),
        ]
        if site.latency_ms == 0:
            made.append(await ours.send(world, site, loop, stack, from_json=True))
            made += await floor.Steps(world, site).contenders(loop, stack)
        return made

    def _slice(self, site: Site, contender: Contender, *, warm_up: bool) -> None:
        count = max(2, round(self._messages * contender.share * (WARM_UP_SHARE if warm_up else 1)))
        index = (contender.name, site.latency_ms)
        line = self._lines.setdefault(index, Line(contender.name, contender.title, site.latency_ms))
        gc.collect()
        others, started, cpu = self._servers.seconds(), time.perf_counter(), spent()
        elsewhere = contender.run(count)
        cpu, wall = spent() - cpu, time.perf_counter() - started
        if warm_up:
            return
        line.messages = count
        line.cpu_us.append((cpu if elsewhere is None else elsewhere) / count * 1e6)
        line.wall_us.append(wall / count * 1e6)
        for name, seconds in self._servers.seconds().items():
            self._busiest[name] = max(self._busiest[name], (seconds - others[name]) / wall)


def _leave(loop: asyncio.AbstractEventLoop, entered: contextlib.AsyncExitStack) -> None:
    loop.run_until_complete(entered.aclose())


_ORDER = (
    "curve",
    "libcurl",
    "libcurl_select",
    *floor.STEPS,
    "send_many",
    "sync_send_many",
    "send",
    "send_json",
    "send_asyncio",
    "web_push",
    "pywebpush_async",
    "pywebpush",
)


def main() -> None:
    """Read the command line, run, print, write."""
    arguments = _arguments()
    console = Console()
    if not console.is_terminal:
        console.width = 120  # a log has room
    # Databases belong on a disk, which /var/tmp is where /tmp is memory.
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        running(Path(folder), LATENCIES_MS) as servers,
    ):
        os.environ["REQUESTS_CA_BUNDLE"] = str(servers.ca_file)  # pywebpush has no other way to be told
        columns = (TextColumn("{task.description:<60}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        world = World(servers.ca_file, Path(folder))
        with Progress(*columns, console=console) as progress:
            bench = Bench(world, servers, messages=arguments.messages, rounds=arguments.rounds)
            lines, busiest = bench.run(progress)
        with console.status(f"send_many of {arguments.long:,} messages, watching memory"):
            held = memory.measure(servers, arguments.long)
        found = None if arguments.no_engine else _engine(console, world, servers, Path(folder), arguments)
    date = datetime.datetime.now(datetime.UTC)
    results = Results(lines, held, busiest, arguments.rounds, date, report.machine(), found)
    _print(console, results)
    arguments.output.mkdir(parents=True, exist_ok=True)
    target = arguments.output / f"{date:%Y-%m-%d}"
    target.with_suffix(".json").write_text(report.as_json(results))
    target.with_suffix(".md").write_text(page.results_page(results))
    console.print(f"Written to {target}.md and {target}.json.")
    if not arguments.no_page:
        page.update(results)
        console.print("Drawn and written into docs/performance.md.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=2000, help="in each round; slow contenders send fewer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long", type=int, default=100_000, help="messages of the run that watches memory")
    parser.add_argument("--audience", type=int, default=10_000, help="recipients of a broadcast in each engine round")
    parser.add_argument("--engine-rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=_sizes(), help="audiences for memory and speed")
    parser.add_argument("--waits", type=int, default=200, help="transactional messages timed alone and beside one")
    parser.add_argument("--receipts", type=int, default=receipts.RECEIPTS)
    parser.add_argument("--living", type=int, nargs="+", default=_living(), help="subscriptions that are kept")
    parser.add_argument("--moved", type=int, nargs="+", default=_moved(), help="subscriptions brought in and out")
    parser.add_argument("--no-engine", action="store_true", help="measure the sender alone")
    parser.add_argument("--output", type=Path, default=RESULTS, help="directory for the results")
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md and its pictures alone")
    return parser.parse_args()


def _sizes() -> list[int]:
    return [10_000, 100_000, 1_000_000] if os.environ.get("BENCH_FULL") == "1" else [10_000, 100_000]


def _living() -> list[int]:
    return [*life.SIZES, 1_000_000] if os.environ.get("BENCH_FULL") == "1" else list(life.SIZES)


def _moved() -> list[int]:
    return [*moving.SIZES, 1_000_000] if os.environ.get("BENCH_FULL") == "1" else list(moving.SIZES)


def _engine(
    console: Console, world: World, servers: Servers, folder: Path, arguments: argparse.Namespace
) -> EngineResults:
    """The engine's own measurements, told of line by line: they take minutes."""
    began = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"{time.monotonic() - began:>5.0f} s  {what}")

    extent = engine.Extent(
        audience=arguments.audience,
        base=2 * arguments.messages,
        rounds=arguments.engine_rounds,
        sizes=tuple(sorted(arguments.sizes)),
        waits=arguments.waits,
    )
    found = engine.measure(world, servers, folder, extent, tell)
    tell(f"{arguments.receipts:,} receipts")
    flooded = folder / "receipts"
    flooded.mkdir(mode=0o700)
    found.receipts = receipts.measure(flooded, arguments.receipts)
    for living in arguments.living:
        tell(f"registrations, re-syncs, heartbeats and a sweep, beside {living:,} subscriptions")
        found.lives.append(life.measure(folder / f"life{living}", living))
    tell("what sealing costs")
    found.sealing = sealing.measure()
    for count in arguments.moved:
        tell(f"export, backup, import and new keys, of {count:,} subscriptions")
        found.moves.append(moving.measure(folder / f"move{count}", count))
    tell("done")
    return found


def _print(console: Console, results: Results) -> None:
    for latency in LATENCIES_MS:
        table = Table(*report.HEADINGS, title=f"One message, {latency} ms round trip")
        for row in report.rows(results, latency):
            table.add_row(*row)
        console.print(table)
    for sentence in [*page.findings(results), *engine_page.findings(results)]:
        console.print(f"- {sentence}")


if __name__ == "__main__":
    main()
