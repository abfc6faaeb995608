"""What a browser says and asks about the subscription it has, by showing its sync token."""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.projects import active_signing_key
from pushkeep.app.subscribe import Standing, standing_of
from pushkeep.domain.health import Health, assess
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.story import Told, tell
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.domain.sync_token import read_sync_token
from pushkeep.errors import NotFound

STORY_ENTRIES_MAX = 200
"""What is shown of a story, the latest; a subscription that is refused and works again every day has some two a day."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a visitor may know about the subscription of their own browser.

    Attributes:
        standing: how it stands.
        health: how it is doing.
        story: what happened to it, oldest first, without the names of people and keys.
    """

    standing: Standing
    health: Health
    story: tuple[Told, ...]


async def confirm(services: Services, project: Project, sync_token: str, *, sequence: int | None = None) -> Standing:
    """Note that the browser has the subscription of a sync token, and say how it stands. An ended one stays ended.

    Raises:
        Conflict: ``stale``: the browser has said something later.
        InvalidToken: the token does not hold.
        NotFound: it is not stored (any more): the browser has to register it again.
    """
    wanted = await _named(services, project, sync_token)
    keys = (await services.projects.of(project)).keys
    record = await services.store.heartbeat(project, wanted, sequence=sequence, now=services.clock.now())
    if record is None:
        raise _unknown()
    return await standing_of(services, project, record, keys)


async def describe(services: Services, project: Project, sync_token: str) -> Own:
    """Tell a visitor about their browser's subscription, an ended one too.

    Raises:
        InvalidToken: the token does not hold.
        NotFound: it is not stored (any more).
    """
    wanted = await _named(services, project, sync_token)
    record = await services.store.find_subscription(project, AnyId(wanted, None))
    if record is None:
        raise _unknown()
    entries = await services.store.lifecycle(project, record, limit=STORY_ENTRIES_MAX)
    standing = Standing.of(record, await active_signing_key(services, project))
    return Own(standing, assess(record, services.clock.now()), tell(record, [found.entry for found in entries]))


async def unregister(
    services: Services,
    project: Project,
    sync_token: str,
    *,
    event: Event = Event.LEFT,
    sequence: int | None = None,
) -> None:
    """End the subscription of a sync token by its browser's word. Doing it again changes nothing.

    With a sequence the living one that replaced it ends as well: whoever leaves may not have its token yet, because the
    answer to the last registration was lost.

    Args:
        services: the ports.
        project: whose.
        sync_token: of the registration.
        event: ``LEFT`` where the visitor unsubscribed, ``LOST`` where the browser does not have it any more.
        sequence: rises with each intent of the browser.

    Raises:
        Conflict: ``stale``: the browser has said something later; nothing has changed.
        InvalidToken: the token does not hold.
    """
    wanted = await _named(services, project, sync_token)
    reason = StateReason(event, services.clock.now())
    await services.store.end_subscription(project, AnyId(wanted, None), reason, sequence=sequence)


async def _named(services: Services, project: Project, sync_token: str) -> str:
    secrets = (await services.projects.of(project)).secrets
    return read_sync_token(secrets.sync, sync_token, project_public_id=project.public_id, field="sync_token")


def _unknown() -> NotFound:
    return NotFound("This subscription is not stored here any more; register it again.", field="sync_token")
