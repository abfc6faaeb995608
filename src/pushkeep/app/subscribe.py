"""Registering a browser's subscription, finding it, and taking it away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.pages import check_limit, row_behind
from pushkeep.app.projects import active_of
from pushkeep.domain.ability import known_abilities
from pushkeep.domain.identity import verify_identity
from pushkeep.domain.ids import (
    SHORT_ID_RANDOM_BYTES,
    UUID7_RANDOM_BYTES,
    AnyId,
    short_id,
    uuid7,
)
from pushkeep.domain.project import Project, ProjectSigningKey
from pushkeep.domain.registration import Registration
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord, check_external_id
from pushkeep.domain.sync_token import make_sync_token, read_sync_token
from pushkeep.errors import Conflict, InvalidInput, NotFound
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.keys import POINT_BYTES
from pushkeep.protocol.subscription import Subscription

PAGE_RECORDS_MAX = 1000
"""One page of records is about half a megabyte of JSON."""

REASON_CHARACTERS_MAX = 300
"""As long as a push service's explanation."""

_SHORT_ID_CANDIDATES = 4
"""Four collisions in a row among a hundred million subscriptions: once in 1e24."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the browser is told.

    Attributes:
        public_id: UUID text.
        short_id: eight characters, shown to people.
        sync_token: authorises the browser to replace or delete this subscription; the same one every time.
        created: whether the subscription is new here.
    """

    public_id: str
    short_id: str
    sync_token: str
    created: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some records.

    Attributes:
        items: in the order in which they were first registered.
        next_after: the public id to give as ``after`` for the next page; None at the end.
    """

    items: tuple[SubscriptionRecord, ...]
    next_after: str | None


async def register(
    services: Services,
    project: Project,
    *,
    subscription: Subscription,
    application_server_key: str,
    replaces: str | None,
    identity: str | None,
    owner: str | None = None,
    abilities: Sequence[str] | None = None,
) -> Registered:
    """Store a browser's subscription, or confirm the stored one. Doing it again changes nothing.

    Args:
        services: the ports.
        project: whose visitor this is.
        subscription: as the browser gave it, checked.
        application_server_key: the public key it was made with, base64url; ``toJSON()`` leaves it out.
        replaces: the sync token of the subscription that this one replaces in the same browser.
        identity: an identity token of the site, when somebody is logged in. None leaves the owner as it is.
        owner: the contact's external id, from a caller with an API key only.
        abilities: what the browser's worker can do; None leaves what is known, and names not known here count nothing.

    Raises:
        Conflict: made with another key than the current one (``details`` has it), or the endpoint is stored with
            other keys and ``replaces`` does not name it, or the contact has too many subscriptions.
        Forbidden: the endpoint is at an unknown push service.
        InvalidInput: a malformed key, external id, or two different owners.
        InvalidToken: ``replaces`` or ``identity`` does not hold; nothing has changed.
    """
    services.policy.check(subscription.endpoint)
    key = _current_key(await services.store.signing_keys(project), application_server_key)
    secrets = await services.store.project_secrets(project)
    now = services.clock.now()
    named = None if identity is None else verify_identity(secrets.identity, identity, now=now)
    if owner is not None:
        check_external_id(owner, field="owner")
        if named is not None and named != owner:
            raise InvalidInput("owner and identity name two different contacts; send one.", field="owner")
    replaced = None
    if replaces is not None:
        replaced = read_sync_token(secrets.sync, replaces, project_public_id=project.public_id, field="replaces")
    entropy = services.entropy
    stored = await services.store.register(
        project,
        Registration(
            subscription=subscription,
            signing_key_id=key.id,
            vendor=services.policy.vendor_for(subscription.endpoint).name,
            owner=owner if owner is not None else named,
            replaces=() if replaced is None else (replaced,),
            now=now,
            public_id=str(uuid7(now, entropy.token_bytes(UUID7_RANDOM_BYTES))),
            short_ids=tuple(short_id(entropy.token_bytes(SHORT_ID_RANDOM_BYTES)) for _ in range(_SHORT_ID_CANDIDATES)),
            abilities=None if abilities is None else known_abilities(abilities),
        ),
    )
    record = stored.record
    token = make_sync_token(secrets.sync, project_public_id=project.public_id, public_id=record.public_id)
    return Registered(record.public_id, record.short_id, token, stored.created)


def _current_key(keys: tuple[ProjectSigningKey, ...], text: str) -> ProjectSigningKey:
    given = b64_decode(text, field="application_server_key", length=POINT_BYTES)
    active = active_of(keys)
    if given == active.key.public_bytes:
        return active
    known = any(given == key.key.public_bytes for key in keys)
    raise Conflict(
        f"The subscription was made with {'an older' if known else 'a foreign'} application_server_key; subscribe "
        f"again with the current one.",
        field="application_server_key",
        details={"application_server_key": active.key.public_b64},
    )


async def unregister(services: Services, project: Project, sync_token: str) -> None:
    """End the subscription of a sync token because its browser has unsubscribed. Doing it again changes nothing.

    Raises:
        InvalidToken: the token does not hold.
    """
    secrets = await services.store.project_secrets(project)
    public_id = read_sync_token(secrets.sync, sync_token, project_public_id=project.public_id, field="sync_token")
    reason = StateReason(Event.LEFT, services.clock.now())
    await services.store.end_subscription(project, AnyId(public_id, None), reason)


async def find_subscription(services: Services, project: Project, any_id: str) -> SubscriptionRecord:
    """The record of a short id or UUID, ended ones too.

    Raises:
        InvalidInput: neither form.
        NotFound: the project has no such subscription.
    """
    wanted = AnyId.parse(any_id)
    record = await services.store.find_subscription(project, wanted)
    if record is None:
        raise _not_found(wanted)
    return record


async def list_subscriptions(
    services: Services,
    project: Project,
    *,
    state: State | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Page:
    """A page of records, oldest first.

    Args:
        services: the ports.
        project: whose.
        state: only those in this state.
        limit: 1 to 1,000.
        after: continue behind this id, as ``next_after`` gave it.

    Raises:
        InvalidInput: a limit outside its range, or a malformed id.
        NotFound: ``after`` is no subscription of this project.
    """
    check_limit(limit, PAGE_RECORDS_MAX)
    behind = await row_behind(services, project, after)
    found = await services.store.list_subscriptions(project, state=state, limit=limit + 1, after=behind)
    items = found[:limit]
    return Page(items, items[-1].public_id if len(found) > limit else None)


async def remove_subscription(
    services: Services, project: Project, any_id: str, reason: str | None = None
) -> SubscriptionRecord:
    """End a subscription by the operator's word. Its browser is not asked and comes back at its next visit.

    Args:
        services: the ports.
        project: whose.
        any_id: short id or UUID.
        reason: kept with the record.

    Returns:
        the record after it; one that had ended before keeps its reason.

    Raises:
        InvalidInput: a malformed id, or a reason over 300 characters.
        NotFound: the project has no such subscription.
    """
    wanted = AnyId.parse(any_id)
    if reason is not None and len(reason) > REASON_CHARACTERS_MAX:
        raise InvalidInput(f"reason is over {REASON_CHARACTERS_MAX} characters.", field="reason")
    ended = await services.store.end_subscription(
        project, wanted, StateReason(Event.REMOVED, services.clock.now(), text=reason)
    )
    if ended is None:
        raise _not_found(wanted)
    return ended


def _not_found(wanted: AnyId) -> NotFound:
    return NotFound(f"The project has no subscription {wanted}.", field="id")
