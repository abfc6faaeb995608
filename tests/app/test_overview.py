"""Everything at a glance, read and nothing else."""

from __future__ import annotations

from pushkeep.app.control import pause
from pushkeep.app.overview import overview
from pushkeep.app.progress import Status
from pushkeep.domain.circuit import Circuit, CircuitState
from pushkeep.domain.sending import Priority
from pushkeep.ports.lanes import WorkerReport
from tests.app.conftest import World

WNS = "https://wns2-par02p.notify.windows.com"


async def test_of_an_idle_installation_there_is_nothing_to_see(world: World) -> None:
    found = await overview(world.store, world.project, world.clock.now())
    assert (found.notifications, found.more, found.workers, found.rests, found.circuits) == ((), False, (), {}, ())
    assert found.rate == 0
    assert {one.recipients for one in found.backlog.values()} == {0}


async def test_what_has_not_ended_is_shown_by_the_nearest_deadline(world: World) -> None:
    registered = [await world.register(f"s{number}") for number in range(3)]
    ids = [one.public_id for one in registered]
    later = await world.accept(*ids, send_at=world.clock.now() + 3600)
    now = await world.accept(*ids)
    paused = await world.accept(ids[0], send_at=world.clock.now() + 7200)
    await pause(world.services, world.project, paused.record.public_id)
    found = await overview(world.store, world.project, world.clock.now())
    assert [one.record.public_id for one in found.notifications] == [
        one.record.public_id for one in (now, later, paused)
    ]
    assert [one.status for one in found.notifications] == [Status.SENDING, Status.SCHEDULED, Status.PAUSED]
    assert [one.account.undone for one in found.notifications] == [3, 3, 1]
    assert {vendor: account.undone for vendor, account in found.notifications[0].by_vendor.items()} == {"mozilla": 3}
    assert found.backlog[Priority.NORMAL].recipients == 7
    few = await overview(world.store, world.project, world.clock.now(), limit=2)
    assert (len(few.notifications), few.more) == (2, True)


async def test_what_has_ended_is_not_shown(world: World) -> None:
    registered = await world.register("one")
    await world.send(registered.public_id)
    assert (await overview(world.store, world.project, world.clock.now())).notifications == ()


async def test_rests_and_circuits_are_told_with_what_is_left_of_them(world: World) -> None:
    now = world.clock.now()
    (key,) = await world.store.signing_keys(world.project)
    await world.store.rest_origin(WNS, now + 30)
    await world.store.keep_circuit(key.id, WNS, Circuit(CircuitState.OPEN, 2, now + 120))
    world.clock.time += 10
    found = await overview(world.store, world.project, world.clock.now())
    assert found.rests == {WNS: 20}
    (circuit,) = found.circuits
    assert (circuit.signing_key, circuit.origin, circuit.refusals) == (key.key.key_id, WNS, 2)
    assert (circuit.state, circuit.probe_seconds) == (CircuitState.OPEN, 110)


async def test_the_rate_is_what_all_workers_report(world: World) -> None:
    now = world.clock.now()
    for number in range(2):
        figures = {"rate": 250.5, "in_flight": 3.0}
        await world.store.report_worker(WorkerReport(f"w{number}", "worker", "box", number, now, now, False, figures))
    found = await overview(world.store, world.project, now)
    assert len(found.workers) == 2
    assert found.rate == 501
