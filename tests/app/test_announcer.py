"""Facts reach every listener, and no listener can stop the work."""

from __future__ import annotations

import dataclasses
import logging
import typing

import pytest

from pushkeep.app.announcer import Announcer
from pushkeep.domain.event import Event, LaneRested, WorkerStarted, WorkerStopped

STARTED = WorkerStarted("box:1", "worker")
STOPPED = WorkerStopped("box:1", "worker")


def test_every_listener_hears_every_fact_in_order() -> None:
    announcer, first, second = Announcer(), list[Event](), list[Event]()
    announcer.listen(first.append)
    announcer.announce(STARTED)
    announcer.listen(second.append)
    announcer.announce(STOPPED)
    assert first == [STARTED, STOPPED]
    assert second == [STOPPED]


def test_who_leaves_hears_no_more() -> None:
    announcer, heard = Announcer(), list[Event]()
    leave = announcer.listen(heard.append)
    announcer.announce(STARTED)
    leave()
    leave()
    announcer.announce(STOPPED)
    assert heard == [STARTED]


def test_a_listener_that_raises_is_logged_once_for_each_kind_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: Event) -> None:
        raise ValueError("https://push.example.org/secret")

    announcer, heard = Announcer(), list[Event]()
    announcer.listen(broken)
    announcer.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        for event in (STARTED, STARTED, STOPPED):
            announcer.announce(event)
    assert heard == [STARTED, STARTED, STOPPED]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "A listener failed at WorkerStarted: ValueError in " in lines[0]
    assert "WorkerStopped" in lines[1]
    assert "secret" not in caplog.text, "what an exception quotes stays out of the log"


def test_without_listeners_nothing_happens() -> None:
    Announcer().announce(LaneRested("https://fcm.googleapis.com", "fcm", 5.0))


def test_facts_are_values_without_endpoints_or_payloads() -> None:
    for kind in typing.get_args(Event):
        assert dataclasses.is_dataclass(kind)
        assert "Attributes:" in (kind.__doc__ or ""), kind
        names = {entry.name for entry in dataclasses.fields(kind)}
        assert not names & {"endpoint", "payload", "token", "contact", "subscription"}, kind
