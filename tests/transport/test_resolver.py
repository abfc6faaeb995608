"""Names are looked up in so many threads at once, each in its turn, and nobody waits for those that never end."""

from __future__ import annotations

import queue
import socket
import threading

import pytest

from pushkeep.adapters.http2_resolver import Resolver

SECONDS = 30
"""Bound on waits for what takes milliseconds."""


class Silence:
    """A system's resolver that knows one name and for all others says nothing until it is told to."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.over = threading.Event()

    def getaddrinfo(self, host: str, port: int, **_: object) -> list[object]:
        self.asked.put(host)
        if host != "known.example":
            self.over.wait(SECONDS)
            raise socket.gaierror(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))] * 2


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Silence:
    stand_in = Silence()
    monkeypatch.setattr(socket, "getaddrinfo", stand_in.getaddrinfo)
    return stand_in


def test_further_names_wait_their_turn_and_its_threads_end(silence: Silence) -> None:
    resolver = Resolver(threads_max=2)
    told: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
    before = threading.active_count()
    for name in ("one.example", "two.example", "known.example"):
        resolver.look_up(name, 443, told.put)
    assert {silence.asked.get(timeout=SECONDS) for _ in range(2)} == {"one.example", "two.example"}
    assert silence.asked.empty()
    assert threading.active_count() == before + 2
    silence.over.set()
    found = [told.get(timeout=SECONDS) for _ in range(3)]
    assert (found.count(None), found.count(["192.0.2.1"])) == (2, 1)
    for thread in threading.enumerate():
        if thread.name == "pushkeep-resolver":
            thread.join(SECONDS)
    assert threading.active_count() == before


def test_another_resolver_is_not_held_up_and_closing_forgets_what_waits(silence: Silence) -> None:
    strangers, known = Resolver(threads_max=1), Resolver(threads_max=1)
    told: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
    forgotten: list[object] = []
    strangers.look_up("one.example", 443, told.put)
    strangers.look_up("two.example", 443, forgotten.append)
    known.look_up("known.example", 443, told.put)
    assert told.get(timeout=SECONDS) == ["192.0.2.1"]
    strangers.close()
    silence.over.set()
    assert told.get(timeout=SECONDS) is None
    for thread in threading.enumerate():
        if thread.name == "pushkeep-resolver":
            thread.join(SECONDS)
    assert forgotten == []
