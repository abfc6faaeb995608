"""What a browser says and asks about the subscription it has, by showing its sync token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pushkeep.app.consents import say as say_words
from pushkeep.app.context import Services
from pushkeep.app.erase import erase_subscription
from pushkeep.app.projects import active_signing_key
from pushkeep.app.subscribe import Standing, standing_of
from pushkeep.domain.consent import ConsentWord, Wording
from pushkeep.domain.health import Health, assess
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.story import Told, tell
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.domain.sync_token import read_sync_token
from pushkeep.errors import NotFound
from pushkeep.ports.consents import HeldWord, Speaker

STORY_ENTRIES_MAX = 200
"""What is shown of a story, the latest; a subscription that is refused and works again every day has some two a day."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a visitor may know about the subscription of their own browser.

    Attributes:
        standing: how it stands.
        health: how it is doing.
        consents: what holds of what was said, in the order of the purposes' names, each with the wording it was about.
        story: what happened to it, oldest first, without the names of people and keys.
    """

    standing: Standing
    health: Health
    consents: tuple[tuple[HeldWord, Wording | None], ...]
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
    story = tell(record, [found.entry for found in entries])
    return Own(standing, assess(record, services.clock.now()), await _consents(services, project, wanted), story)


async def say(
    services: Services, project: Project, sync_token: str, words: Sequence[ConsentWord], *, sequence: int | None = None
) -> tuple[HeldWord, ...]:
    """Record what a visitor says about purposes; all of it, or nothing.

    Returns:
        what holds by now, of every purpose about which anything is known.

    Raises:
        Conflict: ``stale``: the browser has said something later. ``ended``: the subscription has ended, or the last of
            those that replaced it, so what is said would count for nobody; the browser has to register the one it has
            now.
        InvalidInput: a purpose or wording is not declared.
        InvalidToken: the token does not hold.
        NotFound: the subscription is not stored (any more): the browser has to register it again.
    """
    wanted = AnyId(await _named(services, project, sync_token), None)
    record = await services.store.find_subscription(project, wanted)
    if record is None:
        raise _unknown()
    # By the token of one that was replaced its successor speaks; whoever has left by that one has taken all back.
    await say_words(services, project, Speaker(subscription=wanted), words, sequence=sequence, living=True)
    return await holds(services, project, record.public_id)


async def holds(services: Services, project: Project, public_id: str) -> tuple[HeldWord, ...]:
    """What holds for the visitor of a subscription, whoever said so last: the browser or its owner."""
    return await services.store.held(project, Speaker(subscription=AnyId(public_id, None)))


async def unregister(
    services: Services,
    project: Project,
    sync_token: str,
    *,
    event: Event = Event.LEFT,
    sequence: int | None = None,
    erase: bool = False,
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
        erase: also erase what is kept of the subscription and those which it replaced.

    Raises:
        Conflict: ``stale``: the browser has said something later; nothing has changed.
        InvalidToken: the token does not hold.
    """
    wanted = await _named(services, project, sync_token)
    reason = StateReason(event, services.clock.now())
    await services.store.end_subscription(project, AnyId(wanted, None), reason, sequence=sequence)
    if erase:
        await erase_subscription(services, project, AnyId(wanted, None))


async def _named(services: Services, project: Project, sync_token: str) -> str:
    secrets = (await services.projects.of(project)).secrets
    return read_sync_token(secrets.sync, sync_token, project_public_id=project.public_id, field="sync_token")


async def _consents(
    services: Services, project: Project, public_id: str
) -> tuple[tuple[HeldWord, Wording | None], ...]:
    found = await holds(services, project, public_id)
    if not found:
        return ()
    declared = {wording.digest.hex(): wording for wording in await services.store.wordings(project)}
    shown = [None if word.content is None else word.content.wording for word in found]
    return tuple((word, None if name is None else declared.get(name)) for word, name in zip(found, shown, strict=True))


def _unknown() -> NotFound:
    return NotFound("This subscription is not stored here any more; register it again.", field="sync_token")
