"""The results, as a table for people and as JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import pycurl
from cryptography.hazmat.backends.openssl import backend

from bench.engine_results import EngineResults, engine_from

FLOOR = ("curve", "libcurl")
"""What cannot be avoided: the ratio of a sender is its cost to the sum of these two."""

OURS = "send_many"
PACKAGES = ("pushkeep", "cryptography", "pycurl", "uvloop", "pywebpush", "aiohttp")


@dataclass
class Line:
    """One contender's measurements at one distance, one number for each round.

    Attributes:
        latency_ms: round trip to the server.
        cpu_us: processor time for a message, user and system, in microseconds.
        wall_us: time on the clock for a message, in microseconds.
        messages: sent in each round.
    """

    name: str
    title: str
    latency_ms: int
    messages: int = 0
    cpu_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """Median processor time for a message, in microseconds."""
        return statistics.median(self.cpu_us)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles."""
        if len(self.cpu_us) < 2:
            return self.cpu, self.cpu
        low, _, high = statistics.quantiles(self.cpu_us, n=4, method="inclusive")
        return low, high

    @property
    def per_second(self) -> float:
        """Messages a second, by the median round."""
        return 1e6 / statistics.median(self.wall_us)


@dataclass
class Memory:
    """How much a ``send_many`` holds, whatever the number of its messages.

    Attributes:
        messages: sent so far.
        peak_mb: the process's largest resident set until then, in megabytes.
    """

    messages: list[int] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


@dataclass
class Results:
    """One run.

    Attributes:
        lines: every contender at every distance, in the order of the table.
        memory: of a long ``send_many``.
        servers: by name, the largest share of one core that a server used while a contender ran.
        rounds: how often each was measured.
        machine: what they were measured on.
        engine: the engine's own measurements; None where they were left out.
    """

    lines: list[Line]
    memory: Memory
    servers: dict[str, float]
    rounds: int
    date: datetime.datetime
    machine: dict[str, str]
    engine: EngineResults | None = None

    def line(self, name: str, latency_ms: int = 0) -> Line | None:
        """The line of that name at that distance."""
        return next((line for line in self.lines if (line.name, line.latency_ms) == (name, latency_ms)), None)

    def at(self, latency_ms: int) -> list[Line]:
        """The lines of one distance."""
        return [line for line in self.lines if line.latency_ms == latency_ms]

    def floor(self, latency_ms: int) -> list[float]:
        """The floor at that distance, round by round. The curve work knows no distance."""
        parts = [self.line("curve", 0), self.line("libcurl", latency_ms)]
        return [sum(costs) for costs in zip(*(part.cpu_us for part in parts if part), strict=True)]

    def of_floor(self, line: Line) -> float:
        """The median over the rounds of cost to floor: both are from the same minute of the same machine."""
        return _median_ratio(line.cpu_us, self.floor(line.latency_ms))

    def of_ours(self, line: Line) -> float:
        """The median over the rounds of cost to our own ``send_many`` at the same distance."""
        ours = self.line(OURS, line.latency_ms)
        return _median_ratio(line.cpu_us, ours.cpu_us) if ours else float("nan")


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpu": f"{model}, {os.cpu_count()} cores",
        "load": f"{os.getloadavg()[1]:.1f}",  # over five minutes; above the number of cores, others were at work
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "node": node.removeprefix("v"),
        "openssl": backend.openssl_version_text(),
        "libcurl": pycurl.version,
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def as_json(results: Results) -> str:
    """Everything, raw numbers included."""
    content = {
        "date": results.date.isoformat(timespec="seconds"),
        "machine": results.machine,
        "rounds": results.rounds,
        "servers_busiest": {name: round(share, 3) for name, share in results.servers.items()},
        "memory": asdict(results.memory),
        "lines": [
            {
                **asdict(line),
                "cpu_us_median": round(line.cpu, 1),
                "messages_per_second": round(line.per_second, 1),
                "of_floor": round(results.of_floor(line), 3),
                "of_ours": round(results.of_ours(line), 3),
            }
            for line in results.lines
        ],
        "engine": None if results.engine is None else asdict(results.engine),
    }
    return json.dumps(content, indent=1) + "\n"


def read(text: str) -> Results:
    """The results that :func:`as_json` wrote."""
    content = json.loads(text)
    names = {one.name for one in fields(Line)}
    return Results(
        [Line(**{name: value for name, value in line.items() if name in names}) for line in content["lines"]],
        Memory(**content["memory"]),
        content["servers_busiest"],
        content["rounds"],
        datetime.datetime.fromisoformat(content["date"]),
        content["machine"],
        engine_from(content["engine"]) if content.get("engine") else None,
    )


HEADINGS = ("", "CPU µs/message", "middle half", "of the floor", "times ours", "messages/s")


def rows(results: Results, latency_ms: int) -> list[tuple[str, ...]]:
    """The table of one distance; the steps of a message are not contenders and have a table of their own."""
    found: list[tuple[str, ...]] = []
    for line in results.at(latency_ms):
        if line.name.startswith("step_"):
            continue
        low, high = line.spread
        floor = latency_ms == 0 or line.name != "curve"
        found.append(
            (
                line.title,
                f"{line.cpu:,.0f}",
                f"{low:,.0f} to {high:,.0f}",
                f"{results.of_floor(line):.2f}" if floor else "",
                "" if line.name in FLOOR or line.name == "libcurl_select" else f"{results.of_ours(line):.1f}",
                f"{line.per_second:,.0f}",
            )
        )
    return found
