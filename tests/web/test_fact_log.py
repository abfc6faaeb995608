"""The lines of the log: one for each fact worth reading, and nothing in them that must not be read."""

from __future__ import annotations

import io
import json
import typing

import pytest

from pushkeep.domain import event as facts
from pushkeep.domain.sending import NotificationState, Priority
from pushkeep.domain.shard import Kind
from pushkeep.domain.signing_keys import KeyEvent
from pushkeep.protocol.verdict import Verdict
from pushkeep.web.fact_log import log_fact
from pushkeep.web.logs import configure_logging
from tests.web.test_logs import untouched_logging
from tests.web.test_metrics import EVENTS

__all__ = ["untouched_logging"]


@pytest.fixture
def lines(untouched_logging: None) -> io.StringIO:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    return stream


def read(stream: io.StringIO) -> list[dict[str, object]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in found:
        assert line.pop("timestamp").endswith("Z")
        assert line.pop("logger") == "pushkeep.delivery"
    return found


def test_a_notification_that_ended_is_one_line_with_its_counts(lines: io.StringIO) -> None:
    counts = {Kind.ACCEPTED: 99_000, Kind.GONE: 1000}
    log_fact(facts.NotificationFinished("0193-id", NotificationState.DONE, 31.23456, counts))
    assert read(lines) == [
        {
            "event": "notification_finished",
            "level": "info",
            "notification": "0193-id",
            "state": "done",
            "seconds": 31.235,
            "accepted": 99_000,
            "gone": 1000,
        }
    ]


@pytest.mark.parametrize(
    ("fact", "event", "level"),
    [
        (facts.ShardsSetAside(2), "shards_set_aside", "error"),
        (facts.LaneRested("https://wns2.notify.windows.com", "wns", 30.0), "push_service_rests", "info"),
        (facts.CircuitOpened(1, "https://fcm.googleapis.com", 2, 120.0), "circuit_opened", "warning"),
        (facts.CircuitClosed(1, "https://fcm.googleapis.com"), "circuit_closed", "info"),
        (facts.LeaseWasLost(7, "fcm", 40), "lease_lost", "warning"),
        (facts.SweepEnded("all", 2.5, 1000, 3, 2, 7, 40), "sweep_ended", "info"),
        (facts.SweepEnded("all", 2.5, 1000, 0, 0, 0, 40, ("https://push.example",)), "sweep_held_back", "error"),
        (facts.SigningKeyMoved("K7dpQ2vXs0aB", KeyEvent.ACTIVATED), "signing_key_activated", "info"),
        (facts.SigningKeyMoved("K7dpQ2vXs0aB", KeyEvent.LEAKED), "signing_key_leaked", "warning"),
        (facts.SigningKeyMoved("K7dpQ2vXs0aB", KeyEvent.RETIRED), "signing_key_retired", "info"),
        (facts.SigningKeyMoved("K7dpQ2vXs0aB", KeyEvent.RETIRED, 3), "signing_key_retired", "warning"),
        (facts.WorkerStarted("box:1:ab", "worker"), "worker_started", "info"),
        (facts.WorkerStopped("box:1:ab", "worker"), "worker_stopped", "info"),
    ],
)
def test_facts_of_note_have_a_line(lines: io.StringIO, fact: facts.Event, event: str, level: str) -> None:
    log_fact(fact)
    (line,) = read(lines)
    assert (line["event"], line["level"]) == (event, level)


def test_what_happens_for_every_message_has_none(lines: io.StringIO) -> None:
    log_fact(facts.AttemptEnded("fcm", Verdict.ACCEPTED, 0.1))
    log_fact(facts.CheckpointWritten("fcm", Priority.NORMAL, {Kind.ACCEPTED: 100}, 0.01))
    log_fact(facts.ShardLeased("fcm", Priority.NORMAL, 1000, False))
    assert lines.getvalue() == ""


def test_every_fact_is_either_logged_or_counted() -> None:
    assert {type(event) for event in EVENTS} == set(typing.get_args(facts.Event))
