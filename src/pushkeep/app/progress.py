"""How far a notification is: looked at once, waited for, or watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pushkeep.app.context import Services
from pushkeep.app.pages import check_limit, row_behind
from pushkeep.domain.ids import check_uuid
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account, NotificationRecord, NotificationState
from pushkeep.domain.shard import FINAL_KINDS, Kind
from pushkeep.errors import InvalidInput, NotFound
from pushkeep.ports.notifications import RecipientOutcome

PAGE_NOTIFICATIONS_MAX = 100
"""Each comes with its account: sums over its shards."""

PAGE_OUTCOMES_MAX = 1000
"""About 400 KB of JSON."""

WAIT_SECONDS_MAX = 30.0
"""Proxies commonly give up after 60."""

WATCH_SECONDS = 1.0
"""Between two looks at a notification that is watched: a sum over its shards, a thousand for a million recipients."""

_FIRST_LOOK_SECONDS = 0.02
_LOOK_SECONDS_MAX = 0.5
"""Who waits looks soon at first, for a small notification takes a twentieth of a second, and then ever less often."""

_ENDED = frozenset({NotificationState.DONE, NotificationState.CANCELLED})


class Status(StrEnum):
    """Where a notification stands, in a word for people and programs."""

    SCHEDULED = "scheduled"
    """Its time has not come."""

    PLANNING = "planning"
    """Its recipients are being looked up; sending has begun with those found."""

    SENDING = "sending"
    PAUSED = "paused"
    DONE = "done"
    """Nothing more will be tried for anybody."""

    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a notification is.

    Attributes:
        record: what is stored of it.
        status: where it stands.
        account: where its recipients are.
        by_vendor: the same for each vendor of push services; empty in a list.
        receipts: what browsers said they did with it: ``displayed``, ``clicked``, ``closed``; empty in a list.
    """

    record: NotificationRecord
    status: Status
    account: Account
    by_vendor: Mapping[str, Account]
    receipts: Mapping[str, int]

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it but receipts."""
        return self.record.state in _ENDED and not self.account.undone


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """Some notifications, the latest first.

    Attributes:
        items: without accounts by vendor and receipts.
        next_before: give it as ``before`` for the next page; None at the end.
    """

    items: tuple[Progress, ...]
    next_before: str | None


@dataclass(frozen=True, slots=True)
class OutcomePage:
    """Some recipients of a notification, each with what became of it.

    Attributes:
        items: in the order of their registration.
        next_after: give it as ``after`` for the next page; None at the end.
    """

    items: tuple[RecipientOutcome, ...]
    next_after: str | None


async def find_record(services: Services, project: Project, public_id: str) -> NotificationRecord:
    """The record of a notification.

    Raises:
        InvalidInput: no id of a notification.
        NotFound: the project has no such notification.
    """
    wanted = notification_id_of(public_id)
    record = await services.store.find_notification(project, wanted)
    if record is None:
        raise no_such_notification(wanted)
    return record


def notification_id_of(text: str, *, field: str = "id") -> str:
    """Check the id of a notification.

    Raises:
        InvalidInput: it is none.
    """
    return check_uuid(text, field=field, what="a notification's UUID")


def no_such_notification(public_id: str, *, field: str = "id") -> NotFound:
    """What an unknown id is answered with."""
    return NotFound(f"The project has no notification {public_id}.", field=field)


async def progress(services: Services, project: Project, public_id: str) -> Progress:
    """How far it is now.

    Raises:
        InvalidInput: no id of a notification.
        NotFound: the project has no such notification.
    """
    wanted = notification_id_of(public_id)
    found = await services.store.standing(project, wanted)
    if found is None:
        raise no_such_notification(wanted)
    status = status_of(found.record, services.clock.now())
    return Progress(found.record, status, found.account, found.by_vendor, found.receipts)


async def wait_done(services: Services, project: Project, public_id: str, *, seconds_max: float) -> Progress:
    """How far it is once it has ended, or after ``seconds_max``.

    Raises:
        InvalidInput: no id of a notification.
        NotFound: the project has no such notification.
    """
    over = services.clock.monotonic() + seconds_max
    pause = _FIRST_LOOK_SECONDS
    # A look at the record alone is cheap, and the record says when it is worth while to look at more.
    while (await find_record(services, project, public_id)).state not in _ENDED:
        left = over - services.clock.monotonic()
        if left <= 0:
            break
        await services.sleeper.sleep(min(pause, left))
        pause = min(pause * 1.5, _LOOK_SECONDS_MAX)
    while True:
        found = await progress(services, project, public_id)
        left = over - services.clock.monotonic()
        if found.ended or left <= 0:
            return found
        await services.sleeper.sleep(min(_LOOK_SECONDS_MAX, left))  # cancelled, and a worker is about to hear of it


async def watch(services: Services, project: Project, public_id: str) -> AsyncGenerator[Progress, None]:
    """How far it is: now, whenever that has changed, looked at once a second, and when it has ended, which is the last.

    Raises:
        InvalidInput: no id of a notification.
        NotFound: the project has no such notification.
    """
    last: Progress | None = None
    while True:
        found = await progress(services, project, public_id)
        if found != last:
            yield found
        if found.ended:
            return
        last = found
        await services.sleeper.sleep(WATCH_SECONDS)


async def list_progress(
    services: Services, project: Project, *, limit: int = 20, before: str | None = None
) -> NotificationPage:
    """A page of notifications, the latest first.

    Args:
        services: the ports.
        project: whose.
        limit: 1 to 100.
        before: continue behind this id, as ``next_before`` gave it.

    Raises:
        InvalidInput: a limit outside its range, or a malformed id.
        NotFound: ``before`` is no notification of this project.
    """
    check_limit(limit, PAGE_NOTIFICATIONS_MAX)
    if before is not None:
        before = notification_id_of(before, field="before")
        if await services.store.find_notification(project, before) is None:
            raise no_such_notification(before, field="before")
    found = await services.store.list_notifications(project, limit=limit + 1, before=before)
    records = found[:limit]
    accounts = await services.store.accounts(project, [record.id for record in records])
    now = services.clock.now()
    items = tuple(Progress(record, status_of(record, now), accounts[record.id], {}, {}) for record in records)
    return NotificationPage(items, records[-1].public_id if len(found) > limit else None)


async def list_outcomes(
    services: Services,
    project: Project,
    public_id: str,
    *,
    kinds: frozenset[Kind] | None = None,
    limit: int = 100,
    after: str | None = None,
) -> OutcomePage:
    """What became of a notification for each recipient: for everybody of a small one, else for who was not accepted.

    Args:
        services: the ports.
        project: whose.
        public_id: of the notification.
        kinds: only these; None for all.
        limit: 1 to 1,000.
        after: continue behind this subscription, as ``next_after`` gave it.

    Raises:
        InvalidInput: a limit outside its range, a malformed id, or a kind that is not final.
        NotFound: the project has no such notification, or no subscription ``after``.
    """
    check_limit(limit, PAGE_OUTCOMES_MAX)
    record = await find_record(services, project, public_id)
    behind = await row_behind(services, project, after)
    found = await services.store.outcomes(project, record.id, kinds=kinds, limit=limit + 1, after=behind)
    items = found[:limit]
    return OutcomePage(items, items[-1].public_id if len(found) > limit else None)


def parse_kinds(text: str) -> frozenset[Kind]:
    """Kinds as callers list them, with commas between.

    Raises:
        InvalidInput: one of them is none, or none that is final.
    """
    try:
        kinds = frozenset(Kind(word) for word in text.split(","))
    except ValueError:
        kinds = frozenset()
    if not kinds or not kinds <= set(FINAL_KINDS):
        raise InvalidInput(f"kind must be some of {', '.join(FINAL_KINDS)}, with commas between them.", field="kind")
    return kinds


def status_of(record: NotificationRecord, now: float) -> Status:
    """Where it stands at ``now``, epoch seconds."""
    if record.state in _ENDED:
        return Status(record.state.value)
    if record.paused_at is not None:
        return Status.PAUSED
    return Status.SCHEDULED if record.send_at > now else Status(record.state.value)
