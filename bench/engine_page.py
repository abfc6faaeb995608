"""What a run has found about the engine, in words, tables and pictures."""

from __future__ import annotations

import statistics

from bench import moving_page, plot
from bench.engine_results import EngineLine, EngineResults, Waits, percentile
from bench.report import Results
from bench.tables import table

AIM_OF_SENDER = 1.25
AIM_MEMORY_MB = 200.0
AIM_RECEIPTS = 5000.0
FLAT_SHARE = 1.15
"""Memory is called flat if the largest audience takes at most so many times what the smallest does."""

NOTES = """\
A broadcast goes to every subscriber of a server that was started by `pushkeep serve`, with everything as it comes; its
SQLite database is a file on disk, and every commit waits for the disk (`synchronous=FULL`). Processor time is what the
kernel says of the worker processes, all threads, planning and database included, and beside it of the web process,
which accepts. Ratios are medians of each round's own ratio; floor, sender and broadcasts follow one another in each
round. Every message carries a receipt token of its own, and every one is written into its subscriber's row, as with one
broadcast a day (within an hour of the last one it is not). Messages a second are from acceptance to the last
recipient's being written down, with workers, push service and distance's relay sharing the machine.

Subscribers' rows are made by the store's own code, each with an endpoint of its own; their keys come from a pool of 500
pairs. Nothing remembers what was computed for a key.
"""


def findings(results: Results) -> list[str]:
    """Each aim beside what was reached, one sentence each."""
    engine = results.engine
    if engine is None:
        return []
    near = [_cost(engine, line) for line in engine.lines if line.latency_ms == 0]
    others = (_of_sizes, _of_waits, _of_receipts, _of_lives, moving_page.findings)
    return [*near, *(sentence for about in others for sentence in about(engine))]


def _cost(engine: EngineResults, line: EngineLine) -> str:
    reached = engine.of_sender(line)
    return (
        f"A broadcast costs its {line.title} {_middle(line.worker_us):,.0f} µs of processor time a message, "
        f"{reached:.2f} times `send_many` and {engine.of_floor(line):.2f} times the floor (aim: at most "
        f"{AIM_OF_SENDER} times `send_many`: {_held(reached <= AIM_OF_SENDER)}), and the process that accepts it "
        f"{_middle(line.web_us):,.1f} µs."
    )


def _of_sizes(engine: EngineResults) -> list[str]:
    sizes = engine.sizes
    if not sizes.recipients:
        return []
    largest, smallest = sizes.worker_mb[-1], sizes.worker_mb[0]
    most = max(*sizes.worker_mb, *sizes.web_mb)
    flat = _held(largest <= smallest * FLAT_SHARE)
    return [
        f"A worker process comes to {largest:.0f} MB of resident memory with {sizes.recipients[-1]:,} recipients and "
        f"to {smallest:.0f} MB with {sizes.recipients[0]:,}; the web process to {sizes.web_mb[-1]:.0f} MB and "
        f"{sizes.web_mb[0]:.0f} MB (aims: flat, {flat}; under {AIM_MEMORY_MB:.0f} MB for each process, "
        f"{_held(most < AIM_MEMORY_MB)}).",
        f"The first of {sizes.recipients[-1]:,} messages arrives {sizes.first_send_ms[-1]:,.0f} ms after the broadcast "
        f"was accepted; they go out at {sizes.per_second[-1]:,.0f} a second by one worker process.",
    ]


def _of_waits(engine: EngineResults) -> list[str]:
    alone, beside = engine.alone.arrived_ms, engine.beside.arrived_ms
    if not alone or not beside:
        return []
    middle, far = _middle(beside) / _middle(alone), percentile(beside, 0.99) / percentile(alone, 0.99)
    return [
        f"A transactional message arrives at the push service {_middle(alone):,.1f} ms after the request began (p99 "
        f"{percentile(alone, 0.99):,.1f} ms), and beside a broadcast after {_middle(beside):,.1f} ms (p99 "
        f"{percentile(beside, 0.99):,.1f} ms): {middle:.1f} times, p99 {far:.1f} times."
    ]


def _of_receipts(engine: EngineResults) -> list[str]:
    found = engine.receipts
    if found is None:
        return []
    held = _held(found.per_core_second >= AIM_RECEIPTS)
    return [
        f"The server takes in {found.per_core_second:,.0f} receipts for each second of its processor time (aim: at "
        f"least {AIM_RECEIPTS:,.0f}: {held}), and {found.per_second:,.0f} a second by the clock, beside the browsers "
        f"that send them; of {found.count:,}, {found.kept:,} were in the database."
    ]


def _of_lives(engine: EngineResults) -> list[str]:
    if not engine.lives:
        return []
    first, last = engine.lives[0], engine.lives[-1]
    return [
        f"Beside {last.living:,} subscriptions the server takes in {last.register.per_second:,.0f} registrations, "
        f"{last.sync.per_second:,.0f} re-syncs or {last.beat.per_second:,.0f} heartbeats a second "
        f"({first.register.per_second:,.0f}, {first.sync.per_second:,.0f} and {first.beat.per_second:,.0f} beside "
        f"{first.living:,}), for {last.register.cpu_us:,.0f}, {last.sync.cpu_us:,.0f} and {last.beat.cpu_us:,.0f} µs "
        f"of its processor time each.",
        f"A sweep of {last.living:,} subscriptions takes {last.sweep_seconds:.1f} s and {last.sweep_mb:.0f} MB, of "
        f"{first.living:,} {first.sweep_seconds:.1f} s and {first.sweep_mb:.0f} MB.",
    ]


def _lives_table(engine: EngineResults) -> str:
    headings = (
        "living subscriptions",
        "registrations/s",
        "CPU µs",
        "re-syncs/s",
        "CPU µs",
        "heartbeats/s",
        "CPU µs",
        "sweep: count s",
        "all s",
        "CPU s",
        "MB",
        "quarantined",
        "forgotten",
    )
    body = []
    for life in engine.lives:
        asked = [
            f"{number:,.0f}" for one in (life.register, life.sync, life.beat) for number in (one.per_second, one.cpu_us)
        ]
        swept = (f"{seconds:.1f}" for seconds in (life.survey_seconds, life.sweep_seconds, life.sweep_cpu_seconds))
        did = (f"{life.sweep_mb:.0f}", f"{life.quarantined:,}", f"{life.purged:,}")
        body.append((f"{life.living:,}", *asked, *swept, *did))
    return table(headings, body)


def broadcasts(engine: EngineResults) -> str:
    """The table of broadcasts by distance and worker processes."""
    headings = (
        "",
        "CPU µs/message",
        "event loop",
        "database",
        "web",
        "times `send_many`",
        "of the floor",
        "messages/s",
    )
    body: list[tuple[str, ...]] = []
    for latency in sorted({line.latency_ms for line in engine.lines}):
        floor, sender = engine.floor(latency), engine.sender(latency)
        body.append((f"{latency} ms: floor", f"{_middle(floor):,.0f}", "", "", "", "", "", ""))
        body.append((f"{latency} ms: `send_many`", f"{_middle(sender):,.0f}", "", "", "", "1.00", "", ""))
        body += [_row(engine, line) for line in engine.lines if line.latency_ms == latency]
    return table(headings, body)


def _row(engine: EngineResults, line: EngineLine) -> tuple[str, ...]:
    return (
        f"{line.latency_ms} ms: {line.title}",
        f"{_middle(line.worker_us):,.0f}",
        f"{_middle(line.loop_us):,.0f}",
        f"{_middle(line.database_us):,.0f}",
        f"{_middle(line.web_us):,.1f}",
        f"{engine.of_sender(line):.2f}",
        f"{engine.of_floor(line):.2f}",
        f"{_middle(line.per_second):,.0f}",
    )


def shares(results: Results) -> list[tuple[str, float]]:
    """Where a broadcast's processor time goes, in microseconds for a message; near, one worker process.

    Encryption and HTTP are what they cost the sender, step by step, in the same run; the database is the threads that
    read and write; Python is what is left of the event loop's thread.
    """
    engine = results.engine
    if engine is None:
        return []
    line = next((line for line in engine.lines if (line.latency_ms, line.workers) == (0, 1)), None)
    steps = {name: results.line(f"step_{name}") for name in ("aes", "request", "transport")}
    aes, request, transport = steps["aes"], steps["request"], steps["transport"]
    if line is None or aes is None or request is None or transport is None:
        return []
    http = transport.cpu - request.cpu
    return [
        ("encryption", aes.cpu),
        ("HTTP: libcurl, TLS, sockets, reading the answer", http),
        ("database: reading, unsealing, planning, writing", _middle(line.database_us)),
        ("Python: whose turn it is, tokens, verdicts, accounts", max(_middle(line.loop_us) - aes.cpu - http, 0.0)),
    ]


def _shares_table(results: Results) -> str:
    found = shares(results)
    total = sum(cost for _, cost in found)
    return table(("", "µs/message", "share"), [(words, f"{cost:,.0f}", f"{cost / total:.0%}") for words, cost in found])


def _sizes_table(engine: EngineResults) -> str:
    sizes = engine.sizes
    columns = zip(
        sizes.recipients,
        sizes.worker_mb,
        sizes.web_mb,
        sizes.first_send_ms,
        sizes.per_second,
        sizes.worker_us,
        sizes.web_us,
        strict=True,
    )
    return table(
        ("recipients", "worker MB", "web MB", "first send ms", "messages/s", "worker µs/message", "web µs/message"),
        [
            (
                f"{count:,}",
                f"{worker:.0f}",
                f"{web:.0f}",
                f"{first:,.0f}",
                f"{rate:,.0f}",
                f"{cpu:,.0f}",
                f"{other:,.1f}",
            )
            for count, worker, web, first, rate, cpu, other in columns
        ],
    )


def _waits_table(engine: EngineResults) -> str:
    rows = []
    for title, name in (("accepted (202)", "accepted_ms"), ("arrived", "arrived_ms"), ("known to be done", "done_ms")):
        alone, beside = getattr(engine.alone, name), getattr(engine.beside, name)
        if alone and beside:
            middle, far = [(_middle(values), percentile(values, 0.99)) for values in (alone, beside)]
            rows.append(
                (
                    title,
                    f"{middle[0]:,.1f}",
                    f"{middle[1]:,.1f}",
                    f"{far[0]:,.1f}",
                    f"{far[1]:,.1f}",
                    f"{far[0] / middle[0]:.1f}",
                    f"{far[1] / middle[1]:.1f}",
                )
            )
    return table(("ms until", "alone p50", "p99", "beside a broadcast p50", "p99", "p50 times", "p99 times"), rows)


def blocks(results: Results) -> dict[str, str]:
    """The parts of docs/performance.md that speak of the engine, by name."""
    engine = results.engine
    if engine is None:
        return {}
    return {
        "engine-findings": "\n".join(f"- {sentence}" for sentence in findings(results)),
        "engine-broadcasts": broadcasts(engine),
        "engine-shares": _shares_table(results),
        "engine-sizes": _sizes_table(engine),
        "engine-waits": _waits_table(engine),
        "engine-lives": _lives_table(engine),
        "engine-moves": moving_page.moves_table(engine),
        "engine-notes": NOTES.rstrip(),
    }


def draw(results: Results) -> None:
    """The pictures."""
    engine = results.engine
    if engine is None:
        return
    _draw_cost(results, engine)
    sizes = engine.sizes
    plot.bars(
        "memory",
        "Largest resident memory of a process, in megabytes, by recipients of the broadcast",
        [
            (f"{process}, {count:,}", held, f"{held:.0f} MB", whose)
            for process, whose, column in (("worker", "ours", sizes.worker_mb), ("web", "given", sizes.web_mb))
            for count, held in zip(sizes.recipients, column, strict=True)
        ],
    )
    plot.bars(
        "latency",
        "From the request to the push service, in milliseconds: one transactional message",
        [
            (f"{title}, {word}", found, f"{found:,.1f} ms", whose)
            for title, whose, waits in (("alone", "given", engine.alone), ("beside a broadcast", "ours", engine.beside))
            for word, found in _points(waits)
        ],
    )


def _draw_cost(results: Results, engine: EngineResults) -> None:
    rows: list[plot.Bar] = []
    for name, costs, whose in (
        ("curve", engine.base["curve"][0], "given"),
        ("libcurl", engine.base["libcurl"][0], "given"),
        ("floor: both", engine.floor(0), "given"),
        ("send_many", engine.sender(0), "ours"),
    ):
        rows.append((name, _middle(costs), f"{_middle(costs):,.0f} µs", whose))
    for line in engine.lines:
        if line.latency_ms == 0:
            cost = _middle(line.worker_us)
            rows.append((f"broadcast, {line.title}", cost, f"{cost:,.0f} µs", "ours"))
    rows += [(f"  {words.partition(':')[0]}", cost, f"{cost:,.0f} µs", "peer") for words, cost in shares(results)]
    plot.bars("engine", "Processor time of one message of a broadcast, in microseconds (grey: the floor)", rows)


def _points(waits: Waits) -> list[tuple[str, float]]:
    return [("p50", _middle(waits.arrived_ms)), ("p99", percentile(waits.arrived_ms, 0.99))]


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _held(holds: bool) -> str:
    return "held" if holds else "missed"
