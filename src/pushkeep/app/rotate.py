"""Rotating signing keys: making one ready, bringing it into use, telling of a leak, retiring one.

The order is always the same: what must not be undone is written first, in one transaction; what follows from it for
each subscription comes after, page by page, and can be done again by asking again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.projects import active_signing_key
from pushkeep.domain.event import SigningKeyMoved
from pushkeep.domain.project import KeyState, Project
from pushkeep.domain.signing_keys import KeyEvent, KeyRecord
from pushkeep.errors import Conflict, InvalidInput, NotFound
from pushkeep.protocol.signing_key import SigningKey

GIVE_UP_PAGE = 500
"""Subscriptions moved in one transaction; others wait meanwhile, for about 40 ms."""

KEY_NAME_CHARACTERS_MAX = 87
"""A key is named by its id of 12 characters, or by its public half."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotation.

    Attributes:
        active: the key that new subscriptions are made with from now on.
        retiring: the one they were made with until now.
    """

    active: KeyRecord
    retiring: KeyRecord


@dataclass(frozen=True, slots=True)
class Retired:
    """A key out of use.

    Attributes:
        key: the key.
        given_up: how many living subscriptions need renewal by that.
    """

    key: KeyRecord
    given_up: int


async def find_key(services: Services, project: Project, name: object, *, field: str = "signing_key") -> KeyRecord:
    """The key of an id or a public half, which the caller gave as ``field``.

    Raises:
        InvalidInput: it is no name of a key.
        NotFound: the project has no such key.
    """
    if not isinstance(name, str) or not name or len(name) > KEY_NAME_CHARACTERS_MAX:
        raise InvalidInput(f"{field} must be a key's id of 12 characters, or its public key.", field=field)
    for key in await services.store.list_keys(project):
        if name in (key.key_id, key.public_b64):
            return key
    raise NotFound("The project has no such signing key; see them with: pushkeep keys list", field=field)


async def prepare_key(services: Services, project: Project, key: SigningKey | None = None) -> KeyRecord:
    """Make the next rotation's key ready, so that its public half can be handed out beforehand.

    Args:
        services: the ports.
        project: whose.
        key: one that was made elsewhere; a fresh one without.

    Raises:
        Conflict: one is ready already, or the project had this very key before.
    """
    made = SigningKey(services.entropy.ephemeral_key()) if key is None else key
    return await services.store.prepare_key(project, made, now=services.clock.now())


async def rotate_keys(
    services: Services, project: Project, *, leaked: bool = False, active: str | None = None
) -> Rotated:
    """Activate the next key, or a fresh one, and let the active one retire.

    Nobody is lost by it: the old key signs on for the subscriptions that were made with it.

    Args:
        services: the ports.
        project: whose.
        leaked: the active key is in other hands. A key that was prepared lay beside it and is thrown away; messages to
            subscriptions of the leaked key tell their browsers to renew at once.
        active: id of the key that the caller takes for the active one; doing the same again changes nothing then.

    Raises:
        Conflict: another one is active (``reason`` ``rotated``): somebody else was faster.
        NotFound: the project has no key ``active``.
    """
    expected = (await active_signing_key(services, project)).id
    if active is not None:
        expected = (await find_key(services, project, active, field="active")).id
    fresh = SigningKey(services.entropy.ephemeral_key())
    rotated = Rotated(
        *await services.store.rotate_keys(
            project, expected=expected, fresh=fresh, leaked=leaked, now=services.clock.now()
        )
    )
    announce = services.announcer.announce
    announce(SigningKeyMoved(rotated.retiring.key_id, KeyEvent.LEAKED if leaked else KeyEvent.REPLACED))
    announce(SigningKeyMoved(rotated.active.key_id, KeyEvent.ACTIVATED))
    return rotated


async def mark_leaked(services: Services, project: Project, name: object) -> KeyRecord:
    """Note that a key which is not the active one is in other hands: a next one is thrown away, browsers of a
    retiring one are told to renew at once.

    Raises:
        Conflict: it is the active one, which has to be rotated, or it is retired.
        InvalidInput, NotFound: as :func:`find_key`.
    """
    key = await find_key(services, project, name)
    marked = await services.store.mark_leaked(project, key.id, now=services.clock.now())
    if key.leaked_at is None:
        services.announcer.announce(SigningKeyMoved(key.key_id, KeyEvent.LEAKED))
    return marked


async def retire_key(
    services: Services,
    project: Project,
    name: object,
    *,
    force: bool = False,
    told: Callable[[int], None] | None = None,
) -> Retired:
    """Put a key out of use for good, and erase its private half.

    With ``force`` those who are still bound to it are given up: they need renewal, and get nothing until their browsers
    visit the site. The key is out of use before the first of them is touched, so that whatever is interrupted then only
    has to be asked for again.

    Args:
        services: the ports.
        project: whose.
        name: the key's id or public half.
        force: give up who is still bound to it.
        told: how many have been given up so far, again and again.

    Raises:
        Conflict: it is the active one, or living subscriptions would be lost (``reason`` ``living``).
        InvalidInput, NotFound: as :func:`find_key`.
    """
    key = await find_key(services, project, name)
    now = services.clock.now()
    retired = await services.store.retire_key(project, key.id, force=force, now=now)
    given_up = 0
    while moved := await services.store.give_up_bound(project, key.id, limit=GIVE_UP_PAGE, now=now):
        given_up += moved
        if told is not None:
            told(given_up)
    if given_up or key.state is not KeyState.RETIRED:  # and not where nothing was left to be done
        services.announcer.announce(SigningKeyMoved(key.key_id, KeyEvent.RETIRED, given_up))
    return Retired(retired, given_up)


async def only_key(services: Services, project: Project, state: KeyState) -> KeyRecord:
    """The one key in a state.

    Raises:
        Conflict: there are several.
        NotFound: there is none.
    """
    keys = [key for key in await services.store.list_keys(project) if key.state is state]
    if not keys:
        raise NotFound(f"No signing key is {state.value}.", field="signing_key")
    if len(keys) > 1:
        raise Conflict(
            f"Several signing keys are {state.value}: {', '.join(key.key_id for key in keys)}. Name one.",
            field="signing_key",
        )
    return keys[0]
