"""The results, as a table for people and as JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pycurl

FLOOR = ("curve", "libcurl")
"""What cannot be avoided: the ratio of a sender is its cost to the sum of these two."""

OURS = "pushkeep"
TARGET_RATIO = 2.0
PACKAGES = ("pushkeep", "cryptography", "pycurl", "uvloop", "pywebpush", "aiohttp")


@dataclass
class Line:
    """One contender's measurements, one number for each round.

    Attributes:
        cpu_us: processor time of this process for a message, user and system, in microseconds.
        wall_us: time on the clock for a message, in microseconds.
        messages: sent in each round.
    """

    name: str
    title: str
    messages: int = 0
    cpu_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)


def floors(lines: list[Line]) -> list[float]:
    """The floor of each round."""
    return [sum(pair) for pair in zip(*(line.cpu_us for line in lines if line.name in FLOOR), strict=True)]


def ratio(line: Line, lines: list[Line]) -> float:
    """The median over the rounds of cost to floor: both sides are from the same seconds of the same machine."""
    return statistics.median(cost / floor for cost, floor in zip(line.cpu_us, floors(lines), strict=True))


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
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "cpu": f"{model}, {os.cpu_count()} cores",
        "load": f"{os.getloadavg()[1]:.1f}",  # over five minutes; above the number of cores, others were at work
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "libcurl": pycurl.version,
        **versions,
    }


def as_json(lines: list[Line], date: datetime.datetime) -> str:
    """Everything, raw numbers included."""
    content = {
        "date": date.isoformat(timespec="seconds"),
        "machine": machine(),
        "floor_cpu_us": round(statistics.median(floors(lines)), 1),
        "lines": [
            {
                **asdict(line),
                "cpu_us_median": round(statistics.median(line.cpu_us), 1),
                "ratio_to_floor": round(ratio(line, lines), 3),
            }
            for line in lines
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def rows(lines: list[Line]) -> list[tuple[str, str, str, str, str]]:
    """Title, processor time, its spread, ratio to the floor, messages a second."""
    found = []
    for line in lines:
        cpu = statistics.median(line.cpu_us)
        per_second = 1e6 / statistics.median(line.wall_us)
        spread = f"{min(line.cpu_us):,.0f} to {max(line.cpu_us):,.0f}"
        found.append((line.title, f"{cpu:,.0f}", spread, f"{ratio(line, lines):.2f}", f"{per_second:,.0f}"))
    return found


HEADINGS = ("", "CPU µs/message", "spread", "of the floor", "messages/s")


def as_markdown(lines: list[Line], date: datetime.datetime, notes: list[str]) -> str:
    """A page for the repository."""
    facts = machine()
    table = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---|---|---|"]
    table += ["| " + " | ".join(row) + " |" for row in rows(lines)]
    return "\n".join(
        [
            f"# Benchmark of {date.date()}",
            "",
            f"{facts['cpu']}, load average {facts['load']}; {facts['system']}; Python {facts['python']}; "
            + ", ".join(f"{name} {facts[name]}" for name in PACKAGES)
            + ".",
            "",
            f"`{facts['libcurl']}`",
            "",
            *table,
            "",
            *notes,
            "",
        ]
    )
