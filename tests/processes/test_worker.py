"""``pushkeep worker``: delivers, and leaves nothing undone or unsaid when it is stopped."""

import asyncio
import signal

import pytest

from pushkeep.pushservice import PushService
from tests.cli.conftest import Cli
from tests.processes.conftest import Installed, Start
from tests.processes.helpers import WAIT_SECONDS_MAX, until

ACCEPTED = "SELECT coalesce(sum(accepted), 0) FROM shards"
LEASED = "SELECT count(*) FROM shards WHERE state = 'leased'"


async def ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        return await process.wait()


async def test_it_delivers_what_was_accepted_before_it_came(start: Start, installed: Installed) -> None:
    await installed.accept_for_all()
    async with start("worker", *installed.at) as process:
        for subscriber in installed.subscribers:
            assert (await subscriber.receive(WAIT_SECONDS_MAX)).data
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert installed.look("SELECT state FROM notifications") == [("done",)]
    assert installed.look(ACCEPTED) == [(len(installed.ids),)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_lets_it_finish_and_write_down_what_is_under_way(
    start: Start, installed: Installed, service: PushService, number: signal.Signals
) -> None:
    service.faults.add("slow=3")
    async with start("worker", *installed.at) as process:
        await installed.accept_for_all()
        await until(lambda: any(fault.hits for fault in service.faults.list()))  # a message has left
        process.send_signal(number)
        assert await ended(process) == 0
    got = sum(message is not None for message in [await _waiting(one) for one in installed.subscribers])
    assert got > 0
    assert installed.look(ACCEPTED) == [(got,)], "what the push service took is written down, and nothing else"
    assert installed.look(LEASED) == [(0,)], "the rest is given back"


async def test_another_worker_goes_on_where_one_stopped(
    start: Start, installed: Installed, service: PushService
) -> None:
    service.faults.add("slow=1")
    async with start("worker", *installed.at) as process:
        await installed.accept_for_all()
        await until(lambda: any(fault.hits for fault in service.faults.list()))
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    async with start("worker", *installed.at):
        await until(lambda: installed.look("SELECT state FROM notifications") == [("done",)])
    for subscriber in installed.subscribers:
        assert (await subscriber.receive(WAIT_SECONDS_MAX)).data
        with pytest.raises(TimeoutError):
            await subscriber.receive(0.05)  # and no second one: none is under way any more
    assert installed.look(ACCEPTED) == [(len(installed.ids),)]


async def test_what_hangs_is_given_up_after_the_limit(start: Start, installed: Installed, service: PushService) -> None:
    service.faults.add("hang")
    installed.set(stop_seconds_max=1)
    async with start("worker", *installed.at) as process:
        await installed.accept_for_all()
        await until(lambda: any(fault.hits for fault in service.faults.list()))
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert installed.look(ACCEPTED) == [(0,)]
    assert installed.look("SELECT state FROM notifications") == [("sending",)], "it is still to be done"


async def test_a_second_signal_stops_it_at_once(start: Start, installed: Installed, service: PushService) -> None:
    service.faults.add("hang")
    installed.set(stop_seconds_max=600, push_answer_seconds_max=300)
    async with start("worker", *installed.at) as process:
        await installed.accept_for_all()
        await until(lambda: any(fault.hits for fault in service.faults.list()))
        process.send_signal(signal.SIGTERM)
        await until(lambda: installed.look("SELECT stopping FROM workers WHERE kind = 'worker'") == [(1,)])
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_it_stops_when_its_input_ends(start: Start, installed: Installed) -> None:
    async with start("worker", *installed.at, "--until-stdin-closes") as process:
        await until(lambda: installed.look("SELECT count(*) FROM workers") == [(1,)])
        assert process.stdin is not None
        process.stdin.close()
        assert await ended(process) == 0
    assert installed.look("SELECT count(*) FROM workers") == [(0,)], "it says that it has gone"


@pytest.mark.parametrize(
    ("arguments", "extra", "said"),
    [
        (("--metrics-port", "0"), {}, "metrics-port"),
        (("--map-origin", "x"), {}, "ORIGIN=BASE"),
        ((), {"PUSHKEEP_IN_FLIGHT_MAX": "many"}, "PUSHKEEP_IN_FLIGHT_MAX must be a whole number"),
        ((), {"PUSHKEEP_MASTER_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "not the one this database"),
    ],
)
async def test_a_wrong_option_or_setting_is_2(
    cli: Cli, installed: Installed, arguments: tuple[str, ...], extra: dict[str, str], said: str
) -> None:
    ran = await cli("worker", *installed.at, *arguments, **extra)
    assert ran.status == 2, ran.text
    assert said in ran.err


async def _waiting(subscriber: object) -> object:
    """A message that has arrived, if any has."""
    from pushkeep.pushservice import LocalSubscriber

    assert isinstance(subscriber, LocalSubscriber)
    try:
        return await subscriber.receive(0.05)  # the sender has ended: nothing more can come
    except TimeoutError:
        return None
