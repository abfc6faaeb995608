"""``pushkeep pushservice`` as a process of its own: faults, synthetic subscribers, events as JSON Lines, the sink."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from pushkeep import PushClient, SigningKey, Verdict

from .conftest import COMMAND_SECONDS_MAX, CONTACT, PUSHKEEP, Cli
from .test_commands import running


async def event_line(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout is not None
    async with asyncio.timeout(COMMAND_SECONDS_MAX):
        line = await process.stdout.readline()
    event: dict[str, object] = json.loads(line)
    return event


async def test_a_whole_test_run_from_another_language(environment: dict[str, str], tmp_path: Path) -> None:
    """Addresses, subscriptions in a file, a fault, then an event for everything that happens."""
    key = SigningKey.generate()
    (tmp_path / "vapid.pem").write_text(key.to_pem())
    file = tmp_path / "subscriptions.jsonl"
    options = ("--synthetic", "3", "--vendor", "fcm", "--key", tmp_path / "vapid.pem", "--subscriptions-out", file)
    reporting = ("--json-events", "--show-payloads", "--seed", "1", "--fault", "fcm status=503 times=1")
    async with running(environment, "pushservice", *options, *reporting) as (process, line):
        addresses = json.loads(line)
        subscriptions = file.read_text().splitlines()
        assert len(subscriptions) == 3
        async with PushClient(key=key, contact=CONTACT, origin_map=addresses["origin_map"]) as client:
            verdicts = [(await client.send(subscriptions[1], "Hello")).verdict for _ in range(2)]
        assert verdicts == [Verdict.TRANSIENT, Verdict.ACCEPTED]
        events = [await event_line(process) for _ in range(3)]
    assert [event["event"] for event in events] == ["faulted", "accepted", "delivered"]
    assert {event.get("subscription_id") for event in events[:2]} == {"c0n1"}
    assert events[2]["payload"] == "Hello"


async def test_payloads_are_not_shown_unasked(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "subscriptions.jsonl"
    key = SigningKey.generate()
    async with running(
        environment, "pushservice", "--synthetic", "1", "--subscriptions-out", file, "--json-events"
    ) as (process, line):
        async with PushClient(key=key, contact=CONTACT, origin_map=json.loads(line)["origin_map"]) as client:
            assert (await client.send(file.read_text(), "Hello")).accepted
        events = [await event_line(process) for _ in range(2)]
    assert [event["event"] for event in events] == ["accepted", "delivered"]
    assert "payload" not in events[1]


async def test_the_sink_counts(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "subscriptions.jsonl"
    key = SigningKey.generate()
    options = ("--sink", "--json-events", "--synthetic", "50", "--subscriptions-out", file)
    process = await asyncio.create_subprocess_exec(
        PUSHKEEP, "pushservice", *map(str, options), env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        addresses = await event_line(process)
        entries = addresses["origin_map"]
        assert isinstance(entries, list)
        async with PushClient(key=key, contact=CONTACT, origin_map=entries) as client:
            outcomes = await asyncio.gather(*(client.send(one, "x") for one in file.read_text().splitlines()))
        assert all(outcome.accepted for outcome in outcomes)
        process.terminate()
        assert await event_line(process) == {"event": "sink", "requests": 50}
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_events_that_nobody_reads_hold_up_neither_senders_nor_the_end(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A thousand pushes make more events than a pipe has room for."""
    file = tmp_path / "subscriptions.jsonl"
    options = ("--synthetic", "1", "--subscriptions-out", file, "--json-events")
    key = SigningKey.generate()
    async with running(environment, "pushservice", *options) as (_, line):
        subscription = file.read_text()
        async with PushClient(key=key, contact=CONTACT, origin_map=json.loads(line)["origin_map"]) as client:
            for _ in range(10):
                outcomes = await asyncio.gather(*(client.send(subscription, "x") for _ in range(100)))
                assert all(outcome.accepted for outcome in outcomes)


async def test_it_ends_when_the_reader_of_its_events_is_gone(environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        PUSHKEEP, "pushservice", "--json-events", env=environment, stdout=writer
    )
    os.close(writer)
    try:
        assert await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_can_be_ended_while_subscriptions_are_written(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "subscriptions.jsonl"
    options = ("--synthetic", "10000000", "--subscriptions-out", str(file))
    process = await asyncio.create_subprocess_exec(PUSHKEEP, "pushservice", *options, env=environment)
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            while not file.exists() or not file.stat().st_size:  # noqa: ASYNC110 - nothing tells of a file
                await asyncio.sleep(0.05)
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "aple hang"), "The fault has the word 'aple'; allowed are"),
        (("--fault", "status=9"), "The fault's status must be a whole number from 200 to 599."),
        (("--sink", "--fault", "hang"), "A sink takes every request with 201"),
        (("--synthetic", "3"), "--synthetic and --subscriptions-out go together."),
        (("--subscriptions-out", "x"), "--synthetic and --subscriptions-out go together."),
        (
            ("--synthetic", "3", "--subscriptions-out", "x", "--vendor", "apple"),
            "--synthetic for apple needs --key: nobody there subscribes without one.",
        ),
        (("--host", "0.0.0.0"), "it is a test tool. Use 127.0.0.1"),
        (("--synthetic", "3", "--subscriptions-out", "no/where"), "cannot write no/where: No such file or directory."),
        (("--synthetic", "3", "--subscriptions-out", "x", "--vendor", "fmc"), "vendor must be one of"),
        (("--synthetic", "3", "--subscriptions-out", "x", "--key", "none.pem"), "key: cannot read none.pem"),
        (("--key", "vapid.pem"), "--key goes with --synthetic."),
        (("--quirk", "ntfi"), "'ntfi' is no quirk: there are ntfy,"),
        (("--strict", "--strict-except", "sub"), "strict_except names sub, which is no rule"),
        (("--strict-except", "sub_missing"), "strict_except goes with strict."),
        (("--json-events", "--show-payloads"), "--show-payloads goes with --json-events and --synthetic."),
    ],
)
async def test_what_is_refused_is_one_sentence(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    ran = await cli("pushservice", *arguments)
    assert ran.status == 2
    assert said in ran.err.replace("\n", " ")
    assert ran.out == ""
