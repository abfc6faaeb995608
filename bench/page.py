"""What a run has found, in words, tables and pictures: the results' own page and the blocks of docs/performance.md.

``python -m bench.page bench/results/DATE.json`` writes them again without measuring.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from bench import engine_page, plot
from bench.floor import STEPS
from bench.report import HEADINGS, OURS, PACKAGES, Line, Results, read, rows
from bench.tables import table
from bench.world import IN_FLIGHT, PAYLOAD, RECIPIENTS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

AIM_OF_FLOOR = 2.0
AIMS_OF_PEERS = {"pywebpush_async": 5.0, "web_push": 8.0}

NOTES = f"""\
The floor is the sum of the first two lines. Every message has {len(PAYLOAD)} octets of payload and one of
{RECIPIENTS:,} recipients' keys; {IN_FLIGHT} are under way at once, where a sender can. Medians over interleaved rounds,
with the middle half of the rounds beside them; ratios are medians of each round's own ratio. Processor time is the
user and system time of the sending process, npm web-push's as its own process counts it.

All post to one nginx on the same machine, which answers 201: Pushkeep and libcurl over HTTP/2, the others over
HTTP/1.1, which is all they speak. Distance is made by a relay that delays every octet by half the round trip; the
messages a second are those of sender, relay and server sharing the machine, and far away at most {IN_FLIGHT} for each
round trip.

*From JSON* reads and checks each subscription anew, as an application without our store does. *pywebpush as documented*
is one blocking call after the other, each with a connection of its own and the key read from its file; *async session*
is pywebpush at its best, key loaded once and connections kept; npm web-push has a keep-alive agent.
"""


def findings(results: Results) -> list[str]:
    """Each aim beside what was reached, one sentence each."""
    ours = results.line(OURS)
    if ours is None:
        return []
    floor = statistics.median(results.floor(0))
    reached = results.of_floor(ours)
    found = [
        f"`send_many` costs {ours.cpu:,.0f} µs of processor time a message, {reached:.2f} times the floor of "
        f"{floor:,.0f} µs (aim: at most {AIM_OF_FLOOR:.1f})."
    ]
    for name, aim in AIMS_OF_PEERS.items():
        peer = results.line(name)
        if peer is None:
            continue
        reached, wanted = results.of_ours(peer), peer.cpu / aim
        sentence = f"{peer.title}: {reached:.1f} times ours (aim: at least {aim:.0f})"
        if reached < aim:
            sentence += f". That would take {wanted:,.0f} µs a message, {wanted / floor:.2f} times the floor"
            if wanted < floor:
                sentence += ": less than curve and libcurl alone, whatever is built on them"
        found.append(sentence + ".")
    if results.memory.messages:
        first, last = results.memory.messages[0], results.memory.messages[-1]
        found.append(
            f"A `send_many` of {last:,} messages made on the way peaks at {results.memory.peak_mb[-1]:.0f} MB of "
            f"resident memory; after the first {first:,} it was {results.memory.peak_mb[0]:.0f} MB."
        )
    busy = ", ".join(f"{name} {share:.0%}" for name, share in results.servers.items())
    found.append(f"The busiest moment of each server, in shares of one core: {busy}.")
    return found


def steps(results: Results) -> list[tuple[str, str, float]]:
    """Each step's name, its words, and what it adds to the one before: a median over the rounds, in microseconds."""
    reached: list[tuple[str, Line]] = []
    for name in STEPS:
        line = results.line(OURS if name == "step_client" else name)
        if line is not None:
            reached.append((name, line))
    before = [0.0] * results.rounds
    found = []
    for name, line in reached:
        added = statistics.median(now - then for now, then in zip(line.cpu_us, before, strict=True))
        found.append((name, STEPS[name], added))
        before = line.cpu_us
    return found


def _steps_table(results: Results) -> str:
    found = steps(results)
    total = sum(added for _, _, added in found)
    body = [(words, f"{added:,.1f}", f"{added / total:.0%}") for _, words, added in found]
    return table(("step", "µs/message", "share"), [*body, ("**all of it**", f"**{total:,.0f}**", "")])


def _distances(results: Results) -> str:
    parts = []
    for latency in sorted({line.latency_ms for line in results.lines}):
        if latency:
            parts.append(f"Round trip of {latency} ms:\n\n{table(HEADINGS, rows(results, latency))}")
    return "\n\n".join(parts)


def _machine(facts: dict[str, str]) -> str:
    return (
        f"{facts['cpu']}, load average {facts['load']}; {facts['system']}; Python {facts['python']}, Node "
        f"{facts['node']}; " + ", ".join(f"{name} {facts[name]}" for name in PACKAGES) + f". Curves by "
        f"{facts['openssl']}; `{facts['libcurl']}`"
    )


def results_page(results: Results) -> str:
    """The page kept in bench/results."""
    parts = [
        f"# Benchmark of {results.date.date()}",
        _machine(results.machine),
        "\n".join(f"- {sentence}" for sentence in findings(results)),
        "## Near\n\n" + table(HEADINGS, rows(results, 0)),
        "## Far\n\n" + _distances(results),
        "## Where a message's time goes\n\n" + _steps_table(results),
        NOTES.rstrip(),
        *_engine_parts(results),
    ]
    return "\n\n".join(parts) + "\n"


def _engine_parts(results: Results) -> list[str]:
    found = engine_page.blocks(results)
    if not found:
        return []
    return [
        "## The engine",
        found["engine-findings"],
        "### Broadcasts\n\n" + found["engine-broadcasts"],
        "### Where a broadcast's time goes\n\n" + found["engine-shares"],
        "### Audiences\n\n" + found["engine-sizes"],
        "### Transactional messages\n\n" + found["engine-waits"],
        found["engine-notes"],
    ]


def _around(block: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{found[1]}{block}\n{found[2]}"


def update(results: Results, page: Path = PAGE) -> None:
    """Write the numbers into the page's blocks, and draw its pictures."""
    blocks = {
        "findings": "\n".join(f"- {sentence}" for sentence in findings(results)),
        "near": table(HEADINGS, rows(results, 0)),
        "far": _distances(results),
        "steps": _steps_table(results),
        "machine": f"Measured on {results.date.date()}: {_machine(results.machine)}.",
        "notes": NOTES.rstrip(),
        **engine_page.blocks(results),
    }
    text = page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        mark = re.compile(rf"(<!-- measured: {name} -->\n)(?:(?!<!-- end).*\n)*(<!-- end -->)")
        text = mark.sub(_around(block), text)
    page.write_text(text, encoding="utf-8")
    draw(results)


def draw(results: Results) -> None:
    """The pictures."""
    engine_page.draw(results)
    added = steps(results)
    total = sum(cost for _, _, cost in added)
    given = ("step_curve", "step_libcurl")
    plot.bars(
        "cost",
        f"Where the {total:,.0f} µs of a message go (grey: the floor's kind of work)",
        [
            (
                words.partition(":")[0],
                max(cost, 0),
                f"{cost:,.1f} µs  {cost / total:.0%}",
                "given" if name in given else "ours",
            )
            for name, words, cost in added
        ],
    )
    shown = [
        ("curve", "given"),
        ("libcurl", "given"),
        ("send_many", "ours"),
        ("sync_send_many", "ours"),
        ("send", "ours"),
        ("pywebpush_async", "peer"),
        ("web_push", "peer"),
        ("pywebpush", "peer"),
    ]
    found = [(line, whose) for name, whose in shown if (line := results.line(name)) is not None]
    plot.bars(
        "peers",
        "Processor time of one message, in microseconds (grey: the floor)",
        [(line.title, line.cpu, f"{line.cpu:,.0f} µs", whose) for line, whose in found],
    )


if __name__ == "__main__":
    given = Path(sys.argv[1])
    found_before = read(given.read_text(encoding="utf-8"))
    given.with_suffix(".md").write_text(results_page(found_before), encoding="utf-8")
    update(found_before)
