"""How far a notification is: at once, waited for, watched, listed, by recipient; and what holds or ends it."""

from __future__ import annotations

import asyncio

import pytest

from pushkeep.adapters.clock import SystemSleeper
from pushkeep.app.accept import accept
from pushkeep.app.control import cancel, pause, resume, retry_failed
from pushkeep.app.progress import (
    PAGE_NOTIFICATIONS_MAX,
    WATCH_SECONDS,
    Status,
    list_outcomes,
    list_progress,
    parse_kinds,
    progress,
    wait_done,
    watch,
)
from pushkeep.app.subscribe import remove_subscription
from pushkeep.domain.event import Event, NotificationFinished
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import Kind
from pushkeep.errors import Conflict, InvalidInput, NotFound

from .conftest import World
from .test_accept import asked

UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"


async def send(world: World, **more: object) -> str:
    accepted = await accept(world.services, world.project, asked(**more), worker=None)  # type: ignore[arg-type]
    return accepted.record.public_id


async def test_a_notification_for_nobody_is_done_at_once(world: World) -> None:
    found = await progress(world.services, world.project, await send(world))
    assert (found.status, found.ended, found.account.targeted) == (Status.DONE, True, 0)


async def test_the_status_says_what_is_the_case(world: World) -> None:
    await world.register("one")
    scheduled = await send(world, send_at=world.clock.now() + 100)
    assert (await progress(world.services, world.project, scheduled)).status is Status.SCHEDULED
    assert (await pause(world.services, world.project, scheduled)).status is Status.PAUSED
    assert (await pause(world.services, world.project, scheduled)).status is Status.PAUSED
    assert (await resume(world.services, world.project, scheduled)).status is Status.SCHEDULED
    sending = await send(world)
    found = await progress(world.services, world.project, sending)
    assert (found.status, found.account.undone, found.ended) == (Status.SENDING, 1, False)
    assert found.by_vendor["mozilla"].undone == 1
    assert set(found.receipts.values()) == {0}


async def test_a_cancelled_one_is_over_for_everybody_whose_turn_had_not_come(world: World) -> None:
    facts: list[Event] = []
    world.services.announcer.listen(facts.append)
    await world.register("one")
    public_id = await send(world)
    facts.clear()
    world.clock.time += 7
    found = await cancel(world.services, world.project, public_id)
    assert (found.status, found.ended, found.account.counts) == (Status.CANCELLED, True, {Kind.CANCELLED: 1})
    assert facts == [NotificationFinished(public_id, NotificationState.CANCELLED, 7.0, {Kind.CANCELLED: 1})]
    assert (await cancel(world.services, world.project, public_id)).ended
    assert len(facts) == 1
    again = await send(world)
    facts.clear()
    await asyncio.gather(*(cancel(world.services, world.project, again) for _ in range(5)))
    assert [type(fact) for fact in facts] == [NotificationFinished]
    for control in (pause, resume):
        with pytest.raises(Conflict):
            await control(world.services, world.project, public_id)


@pytest.mark.parametrize("public_id", ["", "x", "HMV192av", UNKNOWN_ID + "0", "٠" * 36])
async def test_what_is_no_id_is_refused(world: World, public_id: str) -> None:
    for call in (progress, pause, resume, cancel, list_outcomes):
        with pytest.raises(InvalidInput) as refused:
            await call(world.services, world.project, public_id)
        assert refused.value.field == "id"


async def test_an_unknown_id_is_not_found(world: World) -> None:
    for call in (progress, pause, resume, cancel, list_outcomes):
        with pytest.raises(NotFound):
            await call(world.services, world.project, UNKNOWN_ID)
    with pytest.raises(NotFound):
        await retry_failed(world.services, world.project, UNKNOWN_ID, worker=None)
    with pytest.raises(NotFound):
        await wait_done(world.services, world.project, UNKNOWN_ID, seconds_max=1)
    with pytest.raises(NotFound):
        await anext(watch(world.services, world.project, UNKNOWN_ID))


async def test_waiting_ends_with_the_notification_or_with_its_time(world: World) -> None:
    await world.register("one")
    public_id = await send(world)
    began = world.clock.now()
    found = await wait_done(world.services, world.project, public_id, seconds_max=10)
    assert not found.ended
    assert world.clock.now() - began == pytest.approx(10)
    assert max(world.sleeper.slept) <= 0.5
    await cancel(world.services, world.project, public_id)
    began = world.clock.now()
    assert (await wait_done(world.services, world.project, public_id, seconds_max=10)).ended
    assert world.clock.now() == began


async def test_watching_tells_what_has_changed_and_ends_with_it(world: World) -> None:
    await world.register("one")
    public_id = await send(world)
    seen = []
    async for found in watch(world.services, world.project, public_id):
        seen.append(found.status)
        if found.status is Status.SENDING:
            await pause(world.services, world.project, public_id)
        elif found.status is Status.PAUSED:
            await cancel(world.services, world.project, public_id)
    assert seen == [Status.SENDING, Status.PAUSED, Status.CANCELLED]
    assert world.sleeper.slept == [WATCH_SECONDS] * 2


async def test_watching_says_nothing_while_nothing_changes(world: World) -> None:
    await world.register("one")
    public_id = await send(world)
    watched = watch(world.services, world.project, public_id)
    await anext(watched)
    waiting = asyncio.ensure_future(anext(watched))
    while len(world.sleeper.slept) < 3:
        await SystemSleeper().sleep(0)  # the store has threads of its own
    assert not waiting.done()
    await cancel(world.services, world.project, public_id)
    assert (await waiting).ended


async def test_the_latest_come_first_page_by_page(world: World) -> None:
    sent = [await send(world) for _ in range(5)]
    seen: list[str] = []
    before: str | None = None
    while True:
        page = await list_progress(world.services, world.project, limit=2, before=before)
        seen += [found.record.public_id for found in page.items]
        before = page.next_before
        if before is None:
            break
    assert seen == sent[::-1]


@pytest.mark.parametrize("limit", [0, -1, PAGE_NOTIFICATIONS_MAX + 1, True])
async def test_a_page_has_its_limits(world: World, limit: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await list_progress(world.services, world.project, limit=limit)
    assert refused.value.field == "limit"


async def test_a_page_begins_where_something_is(world: World) -> None:
    with pytest.raises(InvalidInput) as malformed:
        await list_progress(world.services, world.project, before="x")
    with pytest.raises(NotFound) as unknown:
        await list_progress(world.services, world.project, before=UNKNOWN_ID)
    assert malformed.value.field == unknown.value.field == "before"
    public_id = await send(world)
    with pytest.raises(NotFound):
        await list_outcomes(world.services, world.project, public_id, after=UNKNOWN_ID)
    with pytest.raises(InvalidInput):
        await list_outcomes(world.services, world.project, public_id, limit=0)


async def test_who_was_cut_off_is_listed_page_by_page(world: World) -> None:
    for name in ("one", "two", "three"):
        await world.register(name, owner="user-1")
    public_id = await send(world)
    await cancel(world.services, world.project, public_id)
    first = await list_outcomes(world.services, world.project, public_id, limit=2)
    rest = await list_outcomes(world.services, world.project, public_id, limit=2, after=first.next_after)
    assert (len(first.items), len(rest.items), rest.next_after) == (2, 1, None)
    assert {outcome.kind for outcome in (*first.items, *rest.items)} == {Kind.CANCELLED}
    assert {outcome.contact for outcome in first.items} == {"user-1"}
    only = await list_outcomes(world.services, world.project, public_id, kinds=frozenset({Kind.GONE}))
    assert only.items == ()


async def test_a_page_goes_on_behind_somebody_who_has_left_since(world: World) -> None:
    for name in ("one", "two", "three"):
        await world.register(name)
    public_id = await send(world)
    await cancel(world.services, world.project, public_id)
    first = await list_outcomes(world.services, world.project, public_id, limit=1)
    assert first.next_after is not None
    await remove_subscription(world.services, world.project, first.next_after)
    rest = await list_outcomes(world.services, world.project, public_id, after=first.next_after)
    assert len(rest.items) == 2


@pytest.mark.parametrize("text", ["", "dead", "gone,", "gone,dead", "moved", "GONE"])
def test_what_is_no_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_kinds(text)
    assert refused.value.field == "kind"
    assert parse_kinds("gone,expired") == {Kind.GONE, Kind.EXPIRED}


async def test_a_repeat_waits_until_the_first_has_ended(world: World) -> None:
    await world.register("one")
    public_id = await send(world)
    with pytest.raises(Conflict, match="still on its way"):
        await retry_failed(world.services, world.project, public_id, worker=None)
    await cancel(world.services, world.project, public_id)
    with pytest.raises(Conflict, match="nobody"):  # who was cut off on purpose is not told after all
        await retry_failed(world.services, world.project, public_id, worker=None)
