"""What the proof stands on: time that costs nothing, and processes that die like processes."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.virtual_time import Process, Stuck, VirtualLoop, virtual_loop


def test_hours_pass_at_once_and_in_order() -> None:
    with virtual_loop() as loop:
        seen: list[tuple[str, float]] = []

        async def note(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, loop.time()))

        async def both() -> None:
            await asyncio.gather(note("late", 7200.25), note("early", 0.1))

        loop.run(both())
        assert seen == [("early", 0.1), ("late", 7200.25)]


def test_waiting_for_what_cannot_come_is_an_error_and_no_hang() -> None:
    loop = VirtualLoop()
    try:
        with pytest.raises(Stuck):
            loop.run(loop.create_future())  # type: ignore[arg-type]
    finally:
        loop.close()


async def _count(into: list[float], loop: VirtualLoop) -> None:
    try:
        while True:
            await asyncio.sleep(1)
            into.append(loop.time())
    finally:
        into.append(-1.0)


def test_nothing_of_a_killed_process_ever_runs_again() -> None:
    with virtual_loop() as loop:
        ticks: list[float] = []
        process = Process("one", loop)
        process.spawn(_count(ticks, loop))
        loop.advance(2.5)
        process.kill()
        loop.advance(10)
        assert ticks == [1, 2], "not even a finally"
        assert not process.disturbed_between(0, 2.4)
        assert process.disturbed_between(2.5, 2.5)


def test_tasks_of_tasks_belong_to_the_process() -> None:
    with virtual_loop() as loop:
        ticks: list[float] = []

        async def parent() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(_count(ticks, loop))
                loop.call_later(2.2, ticks.append, 100.0)

        process = Process("one", loop)
        process.spawn(parent())
        loop.advance(1.5)
        process.kill()
        loop.advance(10)
        assert ticks == [1]


def test_a_stopped_process_goes_on_where_it_was() -> None:
    with virtual_loop() as loop:
        ticks: list[float] = []
        process = Process("one", loop)
        process.spawn(_count(ticks, loop))
        loop.advance(1.5)
        process.stop()
        loop.advance(10)
        assert ticks == [1]
        process.go_on()
        loop.advance(1.2)
        assert ticks == [1, 11.5, 12.5], "the second tick was due while it stood still"


def test_what_arrives_at_a_stopped_process_waits_and_at_a_dead_one_is_lost() -> None:
    with virtual_loop() as loop:
        seen: list[str] = []
        stopped, dead = Process("stopped", loop), Process("dead", loop)
        stopped.stop()
        dead.kill()
        stopped.call_soon(seen.append, "stopped")
        dead.call_soon(seen.append, "dead")
        loop.advance(1)
        assert seen == []
        stopped.go_on()
        loop.advance(1)
        assert seen == ["stopped"]


def test_a_stopped_process_can_be_killed() -> None:
    with virtual_loop() as loop:
        ticks: list[float] = []
        process = Process("one", loop)
        process.spawn(_count(ticks, loop))
        process.stop()
        loop.advance(5)
        process.kill()
        process.go_on()
        loop.advance(5)
        assert ticks == []


def test_an_error_that_nobody_caught_is_kept() -> None:
    with virtual_loop() as loop:

        def fail() -> None:
            raise ValueError("nobody catches this")

        loop.call_soon(fail)
        loop.advance(1)
        assert [type(context["exception"]) for context in loop.errors] == [ValueError]
