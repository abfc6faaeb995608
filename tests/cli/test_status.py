"""``pushkeep status``: once, for programs, and live."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from pushkeep.app.accept import Asked, accept
from pushkeep.app.overview import OpenCircuit, Overview
from pushkeep.app.progress import Progress, Status
from pushkeep.cli.status_view import Pace, span, status_view
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.circuit import CircuitState
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.sending import Account, NotificationRecord, NotificationState, Priority
from pushkeep.domain.shard import Kind
from pushkeep.ports.lanes import Backlog, WorkerReport
from pushkeep.protocol.request import PushOptions
from tests.cli.conftest import COMMAND_SECONDS_MAX, PUSHKEEP, Cli, Stored

NOW = 1_800_000_000.0


async def scheduled(stored: Stored) -> str:
    """A notification that waits for its time; its id."""
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    async with open_project(settings) as (services, project):
        await services.store.rest_origin("https://wns2.notify.windows.com", services.clock.now() + 600)
        content, options = Content.of(title="Hello"), PushOptions.of()
        asked = Asked.of(Target.everyone(), content, options, send_at=services.clock.now() + 3600)
        return (await accept(services, project, asked, worker=None)).record.public_id


async def test_one_look_for_people(cli: Cli, stored: Stored) -> None:
    public_id = await scheduled(stored)
    ran = await cli("status", "--once", *stored.at, COLUMNS="160")
    assert ran.status == 0
    assert public_id in ran.out
    assert "scheduled" in ran.out
    assert "starts in" in ran.out
    assert "No worker has reported" in ran.out
    assert "https://wns2.notify.windows.com" in ran.out
    without_terminal = await cli("status", *stored.at)
    assert (without_terminal.status, public_id in without_terminal.out) == (0, True)


async def test_one_look_for_programs(cli: Cli, stored: Stored) -> None:
    public_id = await scheduled(stored)
    ran = await cli("status", "--json", *stored.at)
    report = json.loads(ran.out)
    (notification,) = report["notifications"]
    assert (notification["id"], notification["status"]) == (public_id, "scheduled")
    assert report["workers"] == []
    (resting,) = report["resting"]
    assert resting["origin"] == "https://wns2.notify.windows.com"
    assert 0 < resting["seconds"] <= 600
    assert set(report["backlog"]) == {"transactional", "normal", "bulk"}
    assert set(report) == {
        "at", "messages_per_second", "notifications", "more_notifications", "backlog", "workers", "resting", "circuits"
    }  # fmt: skip


async def test_looking_writes_nothing(cli: Cli, stored: Stored) -> None:
    await scheduled(stored)

    def dump() -> list[str]:
        with closing(sqlite3.connect(f"file:{stored.data_dir / 'pushkeep.db'}?mode=ro", uri=True)) as database:
            return list(database.iterdump())

    before = dump()
    await cli("status", "--json", *stored.at)
    assert dump() == before


async def test_without_a_server_it_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    ran = await cli("status", "--once", "--data-dir", tmp_path / "nowhere")
    assert (ran.status, "Start `pushkeep serve`" in ran.err) == (2, True)


async def test_it_goes_on_in_a_terminal_until_ctrl_c(stored: Stored, environment: dict[str, str]) -> None:
    public_id = await scheduled(stored)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        PUSHKEEP,
        "status",
        *map(str, stored.at),
        env=environment | {"TERM": "xterm", "COLUMNS": "160", "LINES": "50"},
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    seen = b""
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            while seen.count(public_id.encode()) < 3:  # three looks
                seen += await asyncio.to_thread(os.read, ours, 65_536)
            process.send_signal(signal.SIGINT)
            status = await process.wait()
            assert process.stderr is not None
            said = await process.stderr.read()
        assert (status, said) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


def record(number: int, *, send_at: float = NOW - 60, deadline: float = NOW + 3600) -> NotificationRecord:
    return NotificationRecord(
        id=number,
        public_id=f"0198c5d2-7c1a-7e2b-9c54-00000000000{number}",
        project_id=1,
        state=NotificationState.SENDING,
        paused_at=None,
        priority=Priority.BULK,
        options=PushOptions.of(),
        target_kind="all",
        accepted_at=NOW - 60,
        send_at=send_at,
        deadline=deadline,
        finished_at=None,
        keeps_outcomes=False,
        retry_of=None,
    )


def broadcast(accepted: int, *, targeted: int = 100_000, gone: int = 0, status: Status = Status.SENDING) -> Progress:
    undone = targeted - accepted - gone
    account = Account(targeted, {Kind.ACCEPTED: accepted, Kind.GONE: gone}, 0, 0, undone)
    part = Account(targeted // 2, {Kind.ACCEPTED: accepted // 2}, 0, 0, targeted // 2 - accepted // 2)
    return Progress(record(1), status, account, {"fcm": part, "mozilla": part}, {})


def overview(*notifications: Progress, at: float = NOW, **more: object) -> Overview:
    values: dict[str, object] = {
        "more": False,
        "backlog": dict.fromkeys(Priority, Backlog()),
        "workers": (),
        "rests": {},
        "circuits": (),
    } | more
    return Overview(at=at, notifications=notifications, **values)  # type: ignore[arg-type]


def shown(found: Overview, pace: Pace | None = None, *, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(status_view(found, pace or Pace(), width=console.width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rate_and_time_left_come_from_one_look_to_the_next() -> None:
    pace = Pace()
    first, second = overview(broadcast(10_000)), overview(broadcast(20_000, gone=200), at=NOW + 5)
    pace.note(first)
    assert pace.rate(1) is None
    assert "expires in 1 h 00 min" in shown(first, pace)
    pace.note(second)
    assert pace.rate(1) == 2040
    text = shown(second, pace)
    assert "2,040" in text
    assert "20,200/100,000" in text
    assert "40 s" in text, "79,800 at 2,040 a second"
    assert "Google (FCM)" in text
    assert "Mozilla (autopush)" in text


@pytest.mark.parametrize("width", [80, 90, 144, 145, 200])
def test_an_id_is_whole_however_narrow_the_terminal(width: int) -> None:
    text = shown(overview(broadcast(20_000, gone=200)), width=width)
    assert record(1).public_id in text
    assert "20,200/100,000" in text
    assert "…" not in text


def test_a_rate_forgets_what_was_long_ago() -> None:
    pace = Pace()
    for second in range(60):
        pace.note(overview(broadcast(min(second, 30) * 1000), at=NOW + second))
    assert pace.rate(1) == 0
    assert "expires in" in shown(overview(broadcast(30_000), at=NOW + 60), pace), "it stands still"


def test_time_left_never_passes_the_deadline() -> None:
    pace = Pace()
    pace.note(overview(broadcast(0)))
    pace.note(overview(broadcast(10), at=NOW + 10))
    assert "59 min 50 s" in shown(overview(broadcast(10), at=NOW + 10), pace)


@pytest.mark.parametrize(("status", "said"), [(Status.PAUSED, "paused"), (Status.PLANNING, "planning")])
def test_where_it_stands_is_said(status: Status, said: str) -> None:
    assert said in shown(overview(broadcast(0, status=status)))


def test_trouble_is_named_with_what_to_do() -> None:
    account = Account(1000, {Kind.ACCEPTED: 400}, 0, 0, 600, set_aside=600)
    text = shown(
        overview(
            Progress(record(1), Status.SENDING, account, {}, {}),
            rests={"https://wns2.notify.windows.com": 90.0},
            circuits=(
                OpenCircuit("k1", "https://fcm.googleapis.com", CircuitState.OPEN, 2, 110.0),
                OpenCircuit("k1", "https://web.push.apple.com", CircuitState.HALF_OPEN, 1, 50.0),
            ),
        )
    )
    assert "600 set aside" in text
    assert "1 min 30 s" in text
    assert "pushkeep doctor" in text
    assert "2 times" in text
    assert "in 1 min 50 s" in text
    assert "under way" in text


def test_workers_and_backlog_have_their_lines() -> None:
    figures = {"in_flight": 128.0, "waiting": 900.0, "rate": 1234.5, "sent": 5e6}
    workers = (
        WorkerReport("a", "worker", "box", 17, NOW - 7500, NOW - 1, False, figures),
        WorkerReport("b", "worker", "box", 18, NOW - 7500, NOW - 30, False, {}),
        WorkerReport("c", "web", "box", 19, NOW - 7500, NOW, True, {}),
    )
    backlog = {
        Priority.TRANSACTIONAL: Backlog(),
        Priority.NORMAL: Backlog(recipients=7, shards=1),
        Priority.BULK: Backlog(recipients=90_000, shards=90, plans=2, oldest_seconds=75.0),
    }
    text = shown(overview(workers=workers, backlog=backlog))
    assert "1,234 messages a second; 90,007 recipients wait (7 normal, 90,000 bulk for 1 min 15 s)" in text
    assert "2 audiences still to be looked up" in text
    assert "silent for 30 s" in text
    assert "stopping" in text
    assert "2 h 05 min" in text
    assert "5,000,000" in text
    assert "No notification is under way." in text


def test_more_than_fits_is_said() -> None:
    assert "and more" in shown(overview(broadcast(1), more=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.2, "1 s"), (59, "59 s"), (59.5, "1 min 00 s"), (3600, "1 h 00 min"), (86_400 * 3, "3 days")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
