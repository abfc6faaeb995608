"""How subscriptions are doing: one with its story, the likely dead, an audience before a campaign; and release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.pages import check_limit, row_behind
from pushkeep.domain.health import Health, assess
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import LifecycleEntry
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.story import Names, Told, standing, tell
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord
from pushkeep.errors import NotFound
from pushkeep.ports.sweeps import AudienceHealth
from pushkeep.protocol.endpoint import parse_origin

ENTRIES_TOLD_MAX = 500
"""Of one subscription's log, the latest: more are the mark of a fault, and nobody reads them."""

LIKELY_DEAD_MAX = 1000
"""On one page."""

SCANNED_AT_ONCE = 20_000
"""Living subscriptions that one read looks at: some 30 ms."""

RELEASED_AT_ONCE = 500
"""By one transaction, so that nobody waits for long."""

SILENT_PROBE = (
    "Whether a browser is still there cannot be asked in silence: browsers want every push to show something, and "
    "punish a site whose pushes do not (Firefox and Safari end its subscriptions). So this is what is known already."
)
"""Why a preview says no more than it does."""


@dataclass(frozen=True, slots=True)
class Life:
    """Everything about one subscription.

    Attributes:
        record: as it is stored.
        health: judged now.
        entries: its log, oldest first; the latest 500.
        story: the same in sentences.
        standing: how it stands now, in sentences.
    """

    record: SubscriptionRecord
    health: Health
    entries: tuple[LifecycleEntry, ...]
    story: tuple[Told, ...]
    standing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suspected:
    """A subscription that is likely dead.

    Attributes:
        record: as it is stored.
        health: with its reasons.
    """

    record: SubscriptionRecord
    health: Health


@dataclass(frozen=True, slots=True)
class SuspectedPage:
    """Some of them.

    Attributes:
        items: in the order in which they were registered.
        next_after: the public id to go on behind; None at the end.
    """

    items: tuple[Suspected, ...]
    next_after: str | None


async def life(services: Services, project: Project, any_id: str) -> Life:
    """A subscription's whole story, with the names of contacts and keys: for the operator.

    Raises:
        InvalidInput: neither a short id nor a UUID.
        NotFound: the project has no such subscription.
    """
    wanted = AnyId.parse(any_id)
    record = await services.store.find_subscription(project, wanted)
    if record is None:
        raise NotFound(f"The project has no subscription {wanted}.", field="id")
    numbered = await services.store.lifecycle(project, record, limit=ENTRIES_TOLD_MAX)
    entries = tuple(found.entry for found in numbered)
    names = await _names(services, project, entries)
    now = services.clock.now()
    health = assess(record, now)
    return Life(record, health, entries, tell(record, entries, names=names), standing(record, health, now))


async def _names(services: Services, project: Project, entries: Sequence[LifecycleEntry]) -> Names:
    facts = [entry.evidence for entry in entries]
    numbers = {number for fact in facts for number in (fact.contact, fact.contact_before) if number is not None}
    others = {public_id for fact in facts for public_id in (fact.predecessor, fact.successor) if public_id is not None}
    return Names(
        contacts=await services.store.contact_names(project, numbers) if numbers else {},
        shorts=await services.store.short_ids(project, others) if others else {},
        keys=True,
        notes=True,
    )


async def likely_dead(
    services: Services, project: Project, *, limit: int = 100, after: str | None = None
) -> SuspectedPage:
    """Living subscriptions that show a sign of death, oldest first; nothing is done about them.

    Args:
        services: the ports.
        project: whose.
        limit: 1 to 1,000.
        after: continue behind this id, as ``next_after`` gave it.

    Raises:
        InvalidInput: a limit outside its range, or a malformed id.
        NotFound: ``after`` is no subscription of this project.
    """
    check_limit(limit, LIKELY_DEAD_MAX)
    looked: int | None = await row_behind(services, project, after)
    now = services.clock.now()
    found: list[SubscriptionRecord] = []
    while looked is not None and len(found) <= limit:
        page = await services.store.likely_dead_page(project, now=now, after=looked, scan=SCANNED_AT_ONCE)
        found += page.records
        looked = page.last
    items = tuple(Suspected(record, assess(record, now)) for record in found[:limit])
    return SuspectedPage(items, items[-1].record.public_id if len(found) > limit else None)


async def release(services: Services, project: Project, any_id: str, reason: str | None = None) -> SubscriptionRecord:
    """Send to a quarantined subscription again, or to one that needs renewal, as if nothing had been.

    Args:
        services: the ports.
        project: whose.
        any_id: short id or UUID.
        reason: kept with its log.

    Returns:
        the record after it; one in another state is returned unchanged.

    Raises:
        Conflict: it needs renewal because its signing key is retired.
        InvalidInput: a malformed id.
        NotFound: the project has no such subscription.
    """
    wanted = AnyId.parse(any_id)
    lifted = StateReason(Event.RELEASED, services.clock.now(), text=reason)
    record = await services.store.release_subscription(project, wanted, lifted)
    if record is None:
        raise NotFound(f"The project has no subscription {wanted}.", field="id")
    return record


async def release_origin(
    services: Services, project: Project, origin: str, reason: str | None = None, *, field: str = "origin"
) -> int:
    """Release every quarantined subscription of a push service; how many there were.

    Args:
        services: the ports.
        project: whose.
        origin: such as ``https://push.example``.
        reason: kept with each one's log.
        field: what the caller calls the origin.

    Raises:
        InvalidInput: no origin.
    """
    origin = parse_origin(origin, field=field)
    lifted = StateReason(Event.RELEASED, services.clock.now(), text=reason)
    released = 0
    while some := await services.store.release_origin(project, origin, lifted, limit=RELEASED_AT_ONCE):
        released += len(some)
    return released


async def audience_health(services: Services, project: Project, target: Target) -> AudienceHealth:
    """What is known of an audience before a campaign; nothing is sent to find out more (:data:`SILENT_PROBE`).

    Raises:
        InvalidInput: there is no such tag, or the target is a retry.
    """
    return await services.store.audience_health(project, target, now=services.clock.now())
