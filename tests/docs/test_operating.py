"""The operating guide names metrics, log lines and settings that there are."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from pushkeep.adapters.metrics import METRICS, metrics_reference
from pushkeep.config.table import SETTINGS
from pushkeep.web.fact_log import log_fact
from pushkeep.web.logs import configure_logging
from tests.web.test_logs import untouched_logging
from tests.web.test_metrics import EVENTS

__all__ = ["untouched_logging"]

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "operating.md").read_text()


def samples() -> set[str]:
    """Every name that a page can have."""
    names: set[str] = set()
    for metric in METRICS:
        suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[metric.type]
        names |= {metric.name + suffix for suffix in suffixes}
    return names


def test_the_page_of_metrics_is_the_table_of_the_code() -> None:
    assert metrics_reference() in (DOCS / "metrics.md").read_text()


def test_alarms_ask_for_metrics_that_there_are() -> None:
    named = set(re.findall(r"\bpushkeep_[a-z_]+", GUIDE))
    assert named
    assert named <= samples()


def test_the_log_s_lines_are_the_documented_ones(untouched_logging: None) -> None:
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    for event in EVENTS:
        log_fact(event)
    written = {(line["event"], line["level"]) for line in map(json.loads, stream.getvalue().splitlines())}
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (\w+) \|", GUIDE.partition("## The log")[2], re.MULTILINE)
    documented = {(name, level) for names, level in rows for name in re.findall(r"\w+", names)}
    assert documented == written


def test_settings_of_the_guide_exist() -> None:
    named = {
        name
        for name in re.findall(r"`(\w+)(?: = [^`]+)?`", GUIDE)
        if re.fullmatch(r"\w+_(second|port|format)\w*", name)
    }
    assert {"worker_metrics_port", "log_format", "origin_messages_per_second"} <= named
    assert named <= set(SETTINGS)
