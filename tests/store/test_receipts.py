"""Receipts as they are kept: each once, counted as they come, and only those of notifications that there are."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from pushkeep.adapters.store.receipt_units import DISPLAYED_WRITE_SECONDS
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.receipt import Receipt, ReceiptKind
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports import Store
from tests.store.samples import NOW, foreign, new_notification, registration, subscription

pytestmark = pytest.mark.parametrize("store", ["file", "memory"], indirect=True)

NONE = {"displayed": 0, "clicked": 0, "closed": 0}


async def accepted(store: Store, project: Project, number: int = 1) -> tuple[str, int]:
    """A notification that was accepted: its public and its internal id."""
    public_id = str(uuid.UUID(int=number << 64 | 7 << 76 | 2 << 62))
    new = new_notification(Target.everyone(), public_id=public_id)
    made = await store.accept(project, new, backlog_max=100, lease_owner=None)
    return public_id, made.record.id


async def subscribed(store: Store, project: Project, count: int) -> None:
    """Subscriptions with the numbers 1 to ``count``."""
    for number in range(count):
        await store.register(project, registration(subscription(f"s{number}")))


def receipt(notification: str, subscription_id: int = 1, kind: ReceiptKind = ReceiptKind.DISPLAYED) -> Receipt:
    return Receipt(notification, subscription_id, kind, NOW)


async def test_each_is_counted_once_however_often_it_comes(store: Store, project: Project) -> None:
    await subscribed(store, project, 3)
    notification, number = await accepted(store, project)
    assert await store.receipt_counts(project, number) == NONE
    clicked = receipt(notification, kind=ReceiptKind.CLICKED)
    assert await store.add_receipts(project, [receipt(notification), clicked, receipt(notification)]) == {
        "displayed": 1,
        "clicked": 1,
    }
    again = [receipt(notification), clicked, receipt(notification, 2), receipt(notification, 3, ReceiptKind.CLOSED)]
    assert await store.add_receipts(project, again) == {"displayed": 1, "closed": 1}
    assert await store.receipt_counts(project, number) == {"displayed": 2, "clicked": 1, "closed": 1}


async def test_notifications_have_counts_of_their_own(store: Store, project: Project) -> None:
    await subscribed(store, project, 2)
    one, first = await accepted(store, project, 1)
    two, second = await accepted(store, project, 2)
    await store.add_receipts(project, [receipt(one), receipt(two), receipt(two, 2)])
    assert (await store.receipt_counts(project, first))["displayed"] == 1
    assert (await store.receipt_counts(project, second))["displayed"] == 2


async def test_those_of_unknown_notifications_are_left_out(store: Store, project: Project) -> None:
    await subscribed(store, project, 2)
    notification, number = await accepted(store, project)
    unknown = receipt(str(uuid.UUID(int=99)))
    assert await store.add_receipts(project, [unknown, receipt(notification)]) == {"displayed": 1}
    assert await store.add_receipts(foreign(project), [receipt(notification, 2)]) == {}
    assert await store.receipt_counts(project, number) == {**NONE, "displayed": 1}
    assert await store.receipt_counts(foreign(project), number) == NONE


async def test_none_at_all(store: Store, project: Project) -> None:
    assert await store.add_receipts(project, []) == {}


async def test_thousands_are_one_insert(store: Store, project: Project) -> None:
    await subscribed(store, project, 20)
    notification, number = await accepted(store, project)
    many = [receipt(notification, member % 20 + 1) for member in range(5000)]
    assert await store.add_receipts(project, many) == {"displayed": 20}
    later = [dataclasses.replace(item, kind=ReceiptKind.CLOSED, at=NOW + 1) for item in many[:10]]
    assert await store.add_receipts(project, [*many, *later]) == {"closed": 10}
    assert await store.receipt_counts(project, number) == {"displayed": 20, "clicked": 0, "closed": 10}


async def test_nothing_is_kept_of_who_is_being_erased_or_is_not_there(store: Store, project: Project) -> None:
    await subscribed(store, project, 2)
    notification, number = await accepted(store, project)
    first, *_ = await store.list_subscriptions(project, state=None, limit=9, after=0)
    subject = await store.find_subject(project, subscription=AnyId(first.public_id, None))
    assert subject is not None
    await store.stop_subject(project, subject)
    given = [receipt(notification, member) for member in (1, 2, 3)]
    assert await store.add_receipts(project, given) == {"displayed": 1}
    assert (await store.receipt_counts(project, number))["displayed"] == 1


async def test_the_day_of_the_last_message_shown_is_kept_once_a_day(store: Store, project: Project) -> None:
    """Health counts in days; a browser that shows every message of a busy day costs one write."""
    await store.register(project, registration(subscription("one")))
    gone = (await store.register(project, registration(subscription("two")))).record
    await store.end_subscription(project, AnyId(gone.public_id, None), StateReason(Event.REMOVED, NOW))
    first, second, third = [(await accepted(store, project, number))[0] for number in (1, 2, 3)]

    async def shown() -> list[float | None]:
        records = await store.list_subscriptions(project, state=None, limit=9, after=0)
        return [record.last_displayed_at for record in records]

    await store.add_receipts(project, [receipt(first, kind=ReceiptKind.CLICKED)])
    assert await shown() == [None, None]
    await store.add_receipts(project, [receipt(first), receipt(first, 2)])
    assert await shown() == [NOW, None]  # what has ended is not touched
    later = dataclasses.replace(receipt(second), at=NOW + DISPLAYED_WRITE_SECONDS - 1)
    await store.add_receipts(project, [later])
    assert await shown() == [NOW, None]
    day_after = dataclasses.replace(receipt(third), at=NOW + DISPLAYED_WRITE_SECONDS)
    await store.add_receipts(foreign(project), [day_after])
    await store.add_receipts(project, [day_after])
    assert await shown() == [NOW + DISPLAYED_WRITE_SECONDS, None]
