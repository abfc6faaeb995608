"""Erasing people: a contact with everything that is known of them, or the browser of a visitor whom nobody knows.

Who is erased stands in the erasure list first, outside of the database: from then on every start, an hourly look, and
every backup that is put back finish what was begun here. Then nothing more is sent, then all goes page by page, the row
by which they are found last. Done again it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pushkeep.app.consents import seal_waiting
from pushkeep.app.context import Services
from pushkeep.app.desk import Shown
from pushkeep.app.duties import Duty
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import check_external_id
from pushkeep.errors import Conflict
from pushkeep.ports.privacy import ErasedCounts, ErasedKind, ErasureListStanding, Subject

MESSAGES_PAGE = 500
"""Notifications looked at in one transaction: two look-ups each for every subscription of one person."""

LOOKUPS_MAX = 50_000
"""Notifications times subscriptions in one transaction, whatever somebody's history: 40 ms, in which nobody writes."""

ROWS_PAGE = 100
"""Subscriptions in one transaction, each with some dozens of entries of its story."""

MATCH_PAGE = 5_000
"""Contacts or subscriptions that are hashed in one read: 10 ms."""

ROUNDS_MAX = 10
"""How often a contact may get a new browser while they are erased, before somebody has to look into it."""

ERASURES = "erasures"
"""The name of the chore that finishes them."""

FINISH_SECONDS = 3600.0
"""How long what was cut off waits while nothing is started: whoever asked had no answer, and may not ask again."""

PAUSE_SECONDS = 0.005
"""Between two transactions, so that others get at the database."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of applying the erasure list.

    Attributes:
        entries: how many it has that this database had not seen.
        erased: what of them was there again, and is gone now.
    """

    entries: int
    erased: ErasedCounts


async def erase_contact(services: Services, project: Project, external_id: object) -> ErasedCounts:
    """Erase a contact: their browsers, what they were told, what they agreed to, and that they were ever there.

    Args:
        services: the ports.
        project: whose contact.
        external_id: the site's own id: 1 to 200 characters.

    Returns:
        what was erased; nothing where nothing is stored of them.

    Raises:
        InvalidInput: no id.
        Conflict: they get one new browser after the other meanwhile.
        Unavailable: the store or the erasure list does not answer. What was begun is finished by doing it again,
            within an hour by whoever runs, and at the next start.
    """
    checked = check_external_id(external_id)
    return await _erase(services, project, contact=checked)


async def erase_subscription(services: Services, project: Project, any_id: AnyId) -> ErasedCounts:
    """Erase a browser's subscription with its story, and those which it replaced.

    Raises:
        Unavailable: as for :func:`erase_contact`.
    """
    return await _erase(services, project, subscription=any_id)


async def _erase(
    services: Services,
    project: Project,
    *,
    contact: str | None = None,
    subscription: AnyId | None = None,
    listed: bool = False,
) -> ErasedCounts:
    """Erase whoever it is; ``listed`` where the list has them already."""
    store, total = services.store, ErasedCounts()
    for _ in range(ROUNDS_MAX):
        subject = await store.find_subject(project, contact=contact, subscription=subscription)
        if subject is None:
            return total
        numbers = (0, 0) if listed else await _list(services, project, subject)
        await store.stop_subject(project, subject)
        if await _grown(services, project, subject, contact, subscription):
            continue  # replaced between the look and the mark: what replaced it goes, too
        await seal_waiting(services, project)  # once its content is gone, nothing but its seal says what a record is
        total += await _erase_messages(services, project, subject)
        total += await _erase_subscriptions(services, project, subject)
        page = await store.erase_subject(project, subject, numbers=numbers)
        total += page.counts
        if page.after is None:
            return total
    raise Conflict(
        f"There was one new browser after the other, {ROUNDS_MAX} times, during the erasure; see to it that the "
        "site no longer knows them, and erase them again.",
        field="external_id",
    )


async def _grown(
    services: Services, project: Project, subject: Subject, contact: str | None, subscription: AnyId | None
) -> bool:
    """Whether there is more of them than was found before they were stopped."""
    again = await services.store.find_subject(project, contact=contact, subscription=subscription)
    return again is not None and not set(again.subscriptions) <= set(subject.subscriptions)


async def _list(services: Services, project: Project, subject: Subject) -> tuple[int, int]:
    if services.erasures is None:
        return 0, 0
    known = await services.store.erasures_applied()
    return await services.erasures.append(project, subject.names, at=services.clock.now(), after=known)


async def _erase_messages(services: Services, project: Project, subject: Subject) -> ErasedCounts:
    total, after = ErasedCounts(), 0
    limit = max(1, min(MESSAGES_PAGE, LOOKUPS_MAX // max(1, len(subject.subscriptions))))
    while True:
        page = await services.store.erase_messages(project, subject, after=after, limit=limit)
        total += page.counts
        if page.after is None:
            return total
        after = page.after
        await services.sleeper.sleep(PAUSE_SECONDS)


async def _erase_subscriptions(services: Services, project: Project, subject: Subject) -> ErasedCounts:
    total = ErasedCounts()
    while True:
        page = await services.store.erase_subscriptions(project, subject, limit=ROWS_PAGE)
        total += page.counts
        if page.after is None:
            return total
        await services.sleeper.sleep(PAUSE_SECONDS)


async def erasure_standing(services: Services) -> tuple[ErasureListStanding, int]:
    """How the erasure list is, and up to which number this database has applied it.

    Raises:
        Unavailable: the list is there and cannot be read, or the store does not answer.
    """
    erasures = services.erasures
    standing = ErasureListStanding("", 0, None) if erasures is None else await erasures.standing()
    return standing, await services.store.erasures_applied()


async def replay_erasures(services: Services, project: Project, *, everything: bool = False) -> Replayed:
    """Apply what the erasure list has and the database has not: after a backup was put back, or a crash.

    Whoever was created after they were erased is somebody new, and stays.

    Args:
        services: the ports.
        project: whose erasures.
        everything: apply what was applied before, too: somebody may have been brought in since from an older export.

    Raises:
        Unavailable: the list is there and cannot be read, or the store does not answer.
    """
    if services.erasures is None:
        return Replayed(0, ErasedCounts())
    applied = await services.store.erasures_applied()
    entries = await services.erasures.read(after=0 if everything else applied)
    if not entries:
        return Replayed(0, ErasedCounts())
    total = ErasedCounts()
    for kind in ErasedKind:
        erased = {
            entry.name.digest: entry.at
            for entry in entries
            if entry.name.kind is kind and entry.project == project.public_id
        }
        if erased:
            total += await _erase_again(services, project, kind, erased)
    if entries[-1].number > applied:
        await services.store.note_erasures(applied + 1, entries[-1].number)
    return Replayed(len(entries), total)


@dataclass(frozen=True, slots=True)
class FinishErasures(Duty):
    """Finishes what was cut off while others ran on.

    Of two at once, the one that began later is not noted where it ends first: it is gone through here once more.
    """

    name = ERASURES
    every_seconds = FINISH_SECONDS

    async def wanted(self, services: Services, project: Project, due_at: float) -> bool:
        """See :class:`pushkeep.app.duties.Duty`."""
        return services.erasures is not None and due_at <= services.clock.now()

    async def do(self, services: Services, project: Project, desk: Shown) -> Mapping[str, object]:
        """Apply what the list has and the database has not; what came of it.

        Raises:
            Unavailable: the list is there and cannot be read, or the store does not answer.
        """
        replayed = await replay_erasures(services, project)
        return {"entries": replayed.entries, **asdict(replayed.erased)}


async def erased_contacts(services: Services, project: Project) -> Mapping[bytes, float]:
    """When contacts of a project were erased, by their keyed hashes.

    Raises:
        Unavailable: the list is there and cannot be read.
    """
    if services.erasures is None:
        return {}
    return {
        entry.name.digest: entry.at
        for entry in await services.erasures.read(after=0)
        if entry.name.kind is ErasedKind.CONTACT and entry.project == project.public_id
    }


async def _erase_again(
    services: Services, project: Project, kind: ErasedKind, erased: Mapping[bytes, float]
) -> ErasedCounts:
    total, after = ErasedCounts(), 0
    while True:
        page = await services.store.match_erased(project, kind, erased, after=after, limit=MATCH_PAGE)
        for name in page.found:
            if kind is ErasedKind.CONTACT:
                total += await _erase(services, project, contact=name, listed=True)
            else:
                total += await _erase(services, project, subscription=AnyId(name, None), listed=True)
        if page.after is None:
            return total
        after = page.after
