"""Taking on a notification: checked once, compiled, stored durably, handed on; and everything that is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from pushkeep.app.accept import (
    CLOCK_SKEW_SECONDS_MAX,
    DEADLINE_SECONDS_MAX,
    SEND_AT_SECONDS_MAX,
    AcceptRules,
    Asked,
    accept,
    kept_content,
    preview,
)
from pushkeep.domain.event import Event, NotificationAccepted, NotificationRefused
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.sending import NotificationState, Priority
from pushkeep.errors import Conflict, InvalidInput, PayloadTooLarge, Unavailable
from pushkeep.ports.notifications import Leased
from pushkeep.protocol.request import PushOptions

from .conftest import World

HELLO = Content.of(title="Hello")
OPTIONS = PushOptions.of(ttl=3600)


class Taking:
    """A worker that only remembers what it is handed."""

    owner = "here:1"

    def __init__(self) -> None:
        self.taken: list[Leased] = []

    def take(self, leased: Sequence[Leased]) -> None:
        self.taken += leased


def asked(target: Target | None = None, content: Content | bytes | None = HELLO, **more: object) -> Asked:
    return Asked.of(target or Target.everyone(), content, OPTIONS, **more)


@pytest.fixture
def facts(world: World) -> list[Event]:
    heard: list[Event] = []
    world.services.announcer.listen(heard.append)
    return heard


async def test_a_small_one_that_is_due_is_handed_to_the_worker_of_this_process(
    world: World, facts: list[Event]
) -> None:
    await world.register("one")
    worker = Taking()
    accepted = await accept(world.services, world.project, asked(), worker=worker)
    assert (accepted.targeted, accepted.unknown, accepted.replayed) == (1, (), False)
    assert accepted.record.state is NotificationState.SENDING
    assert accepted.record.deadline == world.clock.now() + 3600
    (leased,) = worker.taken
    assert leased.job.public_id == accepted.record.public_id
    assert json.loads(leased.job.payload or b"")["notification"]["title"] == "Hello"
    assert facts == [NotificationAccepted(accepted.record.public_id, Priority.NORMAL, 1)]


@pytest.mark.parametrize("more", [{"priority": "bulk"}, {"send_at": "later"}])
async def test_what_can_wait_is_left_for_whoever_comes_first(world: World, more: dict[str, object]) -> None:
    if "send_at" in more:
        more = {"send_at": world.clock.now() + 3600}
    await world.register("one")
    worker = Taking()
    await accept(world.services, world.project, asked(**more), worker=worker)  # type: ignore[arg-type]
    assert worker.taken == []


async def test_without_a_worker_it_is_accepted_all_the_same(world: World) -> None:
    await world.register("one")
    accepted = await accept(world.services, world.project, asked(), worker=None)
    assert accepted.leased == ()
    assert await world.services.store.find_notification(world.project, accepted.record.public_id) is not None


async def test_the_same_request_under_the_same_key_is_accepted_once(world: World, facts: list[Event]) -> None:
    await world.register("one")
    first = await accept(world.services, world.project, asked(idempotency_key="k"), worker=None)
    world.clock.time += 5
    second = await accept(world.services, world.project, asked(idempotency_key="k"), worker=None)
    assert (second.record.public_id, second.replayed) == (first.record.public_id, True)
    assert len(await world.services.store.list_notifications(world.project, limit=10, before=None)) == 1
    assert [fact.replayed for fact in facts if isinstance(fact, NotificationAccepted)] == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        {"content": Content.of(title="Goodbye")},
        {"content": b"Hello"},
        {"content": None},
        {"target": Target.to_contacts(["a"])},
        {"priority": "bulk"},
        {"send_at": 4_000_000_000.0},
        {"deadline": 4_000_000_000.0},
    ],
)
async def test_a_key_that_was_used_for_another_request_is_refused(
    world: World, other: dict[str, object], facts: list[Event]
) -> None:
    await accept(world.services, world.project, asked(idempotency_key="k"), worker=None)
    for name in ("send_at", "deadline"):
        if name in other:
            other = {name: world.clock.now() + 60}
    with pytest.raises(Conflict) as refused:
        await accept(world.services, world.project, asked(idempotency_key="k", **other), worker=None)  # type: ignore[arg-type]
    assert refused.value.field == "Idempotency-Key"
    assert facts[-1] == NotificationRefused("conflict")


async def test_a_scheduled_request_is_known_again_when_its_time_is_over(world: World) -> None:
    """Whoever lost the answer asks once more, perhaps much later."""
    once = asked(idempotency_key="k", send_at=world.clock.now() + 10, deadline=world.clock.now() + 100)
    first = await accept(world.services, world.project, once, worker=None)
    world.clock.time += 1000
    second = await accept(world.services, world.project, once, worker=None)
    assert (second.record.public_id, second.replayed) == (first.record.public_id, True)
    with pytest.raises(InvalidInput, match="past"):
        await accept(
            world.services, world.project, asked(idempotency_key="other", send_at=world.clock.now() - 100), worker=None
        )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"priority": "urgent"}, "priority"),
        ({"priority": 1}, "priority"),
        ({"priority": None}, "priority"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"send_at": "2027-01-31T08:00:00"}, "send_at"),
        ({"send_at": "2027-02-31T08:00:00Z"}, "send_at"),
        ({"send_at": True}, "send_at"),
        ({"send_at": math.nan}, "send_at"),
        ({"deadline": math.inf}, "deadline"),
        ({"deadline": "2027-01-31"}, "deadline"),
        ({"send_at": 2000.0, "deadline": 2000.0}, "deadline"),
        ({"send_at": 2000.0, "deadline": 2001.0 + DEADLINE_SECONDS_MAX}, "deadline"),
        ({"idempotency_key": ""}, "Idempotency-Key"),
        ({"idempotency_key": "a b"}, "Idempotency-Key"),
        ({"idempotency_key": "é"}, "Idempotency-Key"),
        ({"idempotency_key": "k" * 256}, "Idempotency-Key"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked(**given)  # type: ignore[arg-type]
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("ahead", "accepted"),
    [
        (-CLOCK_SKEW_SECONDS_MAX - 1, False),
        (-CLOCK_SKEW_SECONDS_MAX, True),
        (SEND_AT_SECONDS_MAX, True),
        (SEND_AT_SECONDS_MAX + 1, False),
    ],
)
async def test_a_time_must_be_to_come_but_not_too_far(world: World, ahead: float, accepted: bool) -> None:
    wanted = asked(send_at=world.clock.now() + ahead)
    if accepted:
        found = await accept(world.services, world.project, wanted, worker=None)
        assert found.record.send_at == max(world.clock.now(), world.clock.now() + ahead)
        return
    with pytest.raises(InvalidInput) as refused:
        await accept(world.services, world.project, wanted, worker=None)
    assert refused.value.field == "send_at"


async def test_without_a_time_the_deadline_counts_from_now(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        await accept(world.services, world.project, asked(deadline=world.clock.now() - 1), worker=None)
    assert refused.value.field == "deadline"
    found = await accept(world.services, world.project, asked(deadline=world.clock.now() + 1), worker=None)
    assert found.record.deadline == world.clock.now() + 1


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 60.0), (3600, 3600.0), (2**31, DEADLINE_SECONDS_MAX)])
async def test_the_deadline_is_what_ttl_says_within_reason(world: World, ttl: int, seconds: float) -> None:
    wanted = Asked.of(Target.everyone(), HELLO, PushOptions.of(ttl=ttl))
    found = await accept(world.services, world.project, wanted, worker=None)
    assert found.record.deadline == world.clock.now() + seconds


async def test_what_no_message_holds_is_refused_before_anything_is_stored(world: World) -> None:
    for call in (
        accept(world.services, world.project, asked(content=b"x" * 4000), worker=None),
        preview(world.services, world.project, asked(content=b"x" * 4000)),
    ):
        with pytest.raises(PayloadTooLarge) as refused:
            await call
        assert refused.value.excess_bytes == 7
    assert await world.services.store.list_notifications(world.project, limit=1, before=None) == ()


async def test_beyond_the_backlog_it_says_when_to_come_again(world: World, facts: list[Event]) -> None:
    for name in ("one", "two", "three"):
        await world.register(name)
    rules = AcceptRules(backlog_max=2)
    await accept(world.services, world.project, asked(), worker=None, rules=rules)
    with pytest.raises(Unavailable) as refused:
        await accept(world.services, world.project, asked(), worker=None, rules=rules)
    assert (refused.value.retry_after_seconds or 0) > 0
    assert facts[-1] == NotificationRefused("unavailable")


async def test_a_preview_counts_and_changes_nothing(world: World, facts: list[Event]) -> None:
    await world.register("one", owner="user-1")
    count = await preview(world.services, world.project, asked(Target.to_contacts(["user-1", "nobody"])))
    assert sum(count.by_origin.values()) == 1
    assert count.unknown == ("nobody",)
    with pytest.raises(InvalidInput) as refused:
        await preview(world.services, world.project, asked(Target.to_tag("nobody-has-it")))
    assert refused.value.field == "tag"
    assert await world.services.store.list_notifications(world.project, limit=1, before=None) == ()
    assert facts == []


async def test_receipts_are_left_out_where_the_operator_wants_none(world: World) -> None:
    await world.register("one")
    worker = Taking()
    await accept(world.services, world.project, asked(), worker=worker)
    await accept(world.services, world.project, asked(), worker=worker, rules=AcceptRules(receipts=False))
    assert [leased.job.token_offset is None for leased in worker.taken] == [False, True]


@pytest.mark.parametrize("content", [HELLO, Content.of(title="Hello", tag="own"), b"\x00\xff", None])
async def test_what_was_asked_is_kept_to_be_said_again(world: World, content: Content | bytes | None) -> None:
    accepted = await accept(world.services, world.project, asked(content=content), worker=None)
    kept = await world.services.store.content_of(world.project, accepted.record.public_id)
    assert kept is not None
    again = kept_content(kept, tag="first")
    if isinstance(content, Content):
        assert isinstance(again, Content)
        assert (again.title, again.tag) == ("Hello", content.tag or "first")
    else:
        assert again == content
