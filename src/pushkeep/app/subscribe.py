"""Registering a browser's subscription, finding it, and taking it away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pushkeep.app.context import Services
from pushkeep.app.identify import identify
from pushkeep.app.pages import check_limit, row_behind
from pushkeep.app.projects import active_of, active_signing_key
from pushkeep.domain.ability import known_abilities
from pushkeep.domain.consent import ConsentWord
from pushkeep.domain.consent_words import check_words
from pushkeep.domain.ids import (
    SHORT_ID_RANDOM_BYTES,
    UUID7_RANDOM_BYTES,
    AnyId,
    short_id,
    uuid7,
)
from pushkeep.domain.lifecycle import By
from pushkeep.domain.project import KeyState, Project, ProjectSigningKey
from pushkeep.domain.registration import PREDECESSORS_MAX, Registration, foreign_key
from pushkeep.domain.renewal import wants_renewal
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord, check_external_id
from pushkeep.domain.sync_token import make_sync_token, read_sync_token
from pushkeep.errors import InvalidInput, NotFound
from pushkeep.ports import ProjectSecrets
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.keys import POINT_BYTES
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription

PAGE_RECORDS_MAX = 1000
"""One page of records is about half a megabyte of JSON."""

REASON_CHARACTERS_MAX = 300
"""As long as a push service's explanation."""

_SHORT_ID_CANDIDATES = 4
"""Four collisions in a row among a hundred million subscriptions: once in 1e24."""

_RANDOM_BYTES = UUID7_RANDOM_BYTES + _SHORT_ID_CANDIDATES * SHORT_ID_RANDOM_BYTES


@dataclass(frozen=True, slots=True)
class Standing:
    """How a browser's subscription stands, as its browser is told.

    Attributes:
        record: as it is stored.
        renew: whether the browser is to make a new one with ``key`` and register it in place of this one.
        key: the key to make it with: the project's active signing key.
    """

    record: SubscriptionRecord
    renew: bool
    key: SigningKey

    @classmethod
    def of(cls, record: SubscriptionRecord, active: ProjectSigningKey) -> Standing:
        """Judge a record."""
        return cls(record, wants_renewal(record, active.id), active.key)


@dataclass(frozen=True, slots=True)
class Registered:
    """What the browser is told.

    Attributes:
        sync_token: authorises the browser to replace or delete this subscription; the same one every time.
        created: whether the subscription is new here.
        standing: how it stands.
    """

    sync_token: str = field(repr=False)
    created: bool
    standing: Standing

    @property
    def public_id(self) -> str:
        """UUID text."""
        return self.standing.record.public_id

    @property
    def short_id(self) -> str:
        """Eight characters, shown to people."""
        return self.standing.record.short_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRequest:
    """What a browser, or the site's own server for it, wants to have stored.

    Attributes:
        subscription: as the browser gave it, checked.
        application_server_key: the public key it was made with, base64url; ``toJSON()`` leaves it out.
        replaces: sync tokens of the subscriptions that this one replaces in the same browser, newest first; up to 8.
        identity: an identity token of the site, when somebody is logged in. None leaves the owner as it is.
        detach: nobody is logged in any more: take the owner away.
        abilities: what the browser's worker can do; None leaves what is known, and names not known here count nothing.
        sequence: rises with each intent of the browser; None where it gives none.
        owner: the contact's external id; only from a caller with an API key.
        by: whose word it is.
        consents: what the visitor says with it, checked; up to 20, one for each purpose.
    """

    subscription: Subscription
    application_server_key: str
    replaces: Sequence[str] = field(default=(), repr=False)
    identity: str | None = field(default=None, repr=False)
    detach: bool = False
    abilities: Sequence[str] | None = None
    sequence: int | None = None
    owner: str | None = None
    by: By = By.BROWSER
    consents: Sequence[ConsentWord] = ()


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
    services: Services, project: Project, asked: RegistrationRequest, *, admit: Callable[[str], None] | None = None
) -> Registered:
    """Store a browser's subscription, or confirm the stored one. Doing it again changes nothing.

    Args:
        services: the ports.
        project: whose visitor this is.
        asked: what is to be stored.
        admit: is told whom a valid identity token names, before anything is stored; may raise.

    Raises:
        Conflict: ``reason`` says which: ``foreign_key``, made with a key that is not, or no longer, the project's
            (``details`` has the current one); ``other_secrets``, ``replaced`` and ``stale`` as
            :func:`pushkeep.domain.registration.plan` says; ``owner_full``, the contact has too many subscriptions.
        Forbidden: the endpoint is at an unknown push service.
        InvalidInput: a malformed key or external id, two different owners, an owner and ``detach``, or consent to a
            purpose or wording that is not declared.
        InvalidToken: ``replaces`` or ``identity`` does not hold; nothing has changed.
    """
    services.policy.check(asked.subscription.endpoint)
    known = await services.projects.of(project)
    secrets = known.secrets
    key_id, keys = await _keys(services, project, known.keys, asked.application_server_key)
    now = services.clock.now()
    replaces = _replaced(secrets, project, asked.replaces)
    owner, issued_at = _owner(services, secrets, asked, now)
    if owner is not None and admit is not None:
        admit(owner)
    # Drawn at once: each call of the operating system lets other threads in, and has to wait for its turn after it.
    random = services.entropy.token_bytes(_RANDOM_BYTES)
    stored = await services.store.register(
        project,
        Registration(
            subscription=asked.subscription,
            signing_key_id=key_id,
            vendor=services.policy.vendor_for(asked.subscription.endpoint).name,
            owner=owner,
            replaces=replaces,
            now=now,
            public_id=str(uuid7(now, random[:UUID7_RANDOM_BYTES])),
            short_ids=tuple(
                short_id(random[at : at + SHORT_ID_RANDOM_BYTES])
                for at in range(UUID7_RANDOM_BYTES, _RANDOM_BYTES, SHORT_ID_RANDOM_BYTES)
            ),
            abilities=None if asked.abilities is None else known_abilities(asked.abilities),
            sequence=asked.sequence,
            detach=asked.detach,
            identity_issued_at=issued_at,
            by=asked.by,
            contact_max=services.contact_subscriptions_max,
            consents=check_words(asked.consents),
        ),
    )
    token = make_sync_token(secrets.sync, project_public_id=project.public_id, public_id=stored.record.public_id)
    return Registered(token, stored.created, await standing_of(services, project, stored.record, keys))


async def _keys(
    services: Services, project: Project, keys: Sequence[ProjectSigningKey], text: str
) -> tuple[int, Sequence[ProjectSigningKey]]:
    """The number of the key a subscription was made with, and the keys that sign: ``keys``, if it is among them.

    A key on its way out is as good as the active one: a page that was loaded before the rotation must not lose anybody.
    With a retired one only what is stored and living is confirmed, and asked to be renewed; whether it is retired is
    for the store to say, in the moment in which it writes.
    """
    given = b64_decode(text, field="application_server_key", length=POINT_BYTES)
    known = next((key for key in keys if given == key.key.public_bytes), None)
    if known is not None:
        return known.id, keys
    found = await services.store.find_key(project, given)
    keys = await services.store.signing_keys(project)  # it may have come into use since they were read
    if found is None or (found.state is KeyState.NEXT and all(key.id != found.id for key in keys)):
        raise foreign_key(active_of(keys).key.public_b64, retired=False)
    return found.id, keys


def _replaced(secrets: ProjectSecrets, project: Project, tokens: Sequence[str]) -> tuple[str, ...]:
    if len(tokens) > PREDECESSORS_MAX:
        raise InvalidInput(f"replaces must have at most {PREDECESSORS_MAX} tokens, the newest ones.", field="replaces")
    return tuple(
        read_sync_token(secrets.sync, token, project_public_id=project.public_id, field="replaces") for token in tokens
    )


def _owner(
    services: Services, secrets: ProjectSecrets, asked: RegistrationRequest, now: float
) -> tuple[str | None, float | None]:
    """The contact's external id that was proven, and since when the site has vouched for it."""
    named = None
    if asked.identity is not None:
        named = identify(secrets.identity, asked.identity, services.identity_rules, now=now)
    if asked.owner is None:
        return (None, None) if named is None else (named.external_id, named.issued_at)
    owner = check_external_id(asked.owner, field="owner")
    if named is not None and named.external_id != owner:
        raise InvalidInput("owner and identity name two different contacts; send one.", field="owner")
    return owner, None


async def standing_of(
    services: Services, project: Project, record: SubscriptionRecord, keys: Sequence[ProjectSigningKey]
) -> Standing:
    """Judge a record by the keys that were the project's a moment ago.

    Nobody is asked to renew by them alone: where another process has just rotated, that would be with the key on its
    way out. That somebody is asked a moment later does no harm.
    """
    standing = Standing.of(record, active_of(keys))
    if standing.renew:
        return Standing.of(record, await active_signing_key(services, project))
    return standing


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
