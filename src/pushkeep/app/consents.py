"""Consent: what a project sends for, what it asks visitors, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.desk import Shown
from pushkeep.app.duties import Duty
from pushkeep.app.pages import check_limit
from pushkeep.domain.consent import SEAL_RECORDS_MAX, ConsentWord, Purpose, Seal, Wording
from pushkeep.domain.consent_words import (
    best_wordings,
    check_basis,
    check_description,
    check_locale,
    check_purpose_name,
    check_words,
    make_wording,
    unknown_purpose,
)
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import check_external_id
from pushkeep.errors import InvalidInput
from pushkeep.ports.consents import ChainStanding, ConsentRecord, HeldWord, Speaker

CONSENT_SEALS = "consent_seals"
"""The chore's name."""

SEAL_SECONDS = 3600.0
"""How long a record waits for its seal at most: until then nobody outside could tell that it was changed."""

PAGE_CONSENTS_MAX = 1000
"""Half a megabyte of JSON."""

SEALS_AT_ONCE_MAX = 1000
"""A million records in one go; what is left is sealed the next time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor is asked about a purpose.

    Attributes:
        purpose: what for.
        wording: in which words; None where none is declared.
    """

    purpose: Purpose
    wording: Wording | None


@dataclass(frozen=True, slots=True)
class ConsentPage:
    """Some records.

    Attributes:
        items: in the order of their numbers.
        next_after: the number to give as ``after`` for the next page; None at the end.
    """

    items: tuple[ConsentRecord, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing came to.

    Attributes:
        seals: those that were made.
        standing: how far the chain is after it.
    """

    seals: tuple[Seal, ...]
    standing: ChainStanding


async def declare_purpose(
    services: Services, project: Project, name: object, *, description: object, basis: object = "consent"
) -> tuple[Purpose, bool]:
    """Declare a purpose, or change one; says whether it is new.

    Raises:
        InvalidInput: ``field`` says what is wrong.
        Conflict: the project has as many as it may have.
    """
    return await services.store.put_purpose(
        project,
        check_purpose_name(name),
        description=check_description(description),
        basis=check_basis(basis),
        now=services.clock.now(),
    )


async def declare_wording(
    services: Services,
    project: Project,
    purpose: object,
    *,
    locale: object,
    version: object,
    text: object,
    policy_version: object = "",
) -> tuple[Wording, bool]:
    """Declare what visitors are asked, word for word; the same again changes nothing. Says whether it is new.

    Raises:
        InvalidInput: ``field`` says what is wrong, or there is no such purpose.
        Conflict: this locale and version have another text.
    """
    wording = make_wording(
        purpose,
        locale=locale,
        version=version,
        text=text,
        policy_version=policy_version,
        now=services.clock.now(),
    )
    return await services.store.add_wording(project, wording)


async def list_wordings(services: Services, project: Project, purpose: object) -> tuple[Wording, ...]:
    """Every wording of a purpose, in the order in which they were declared.

    Raises:
        InvalidInput: there is no such purpose.
    """
    name = check_purpose_name(purpose)
    known = [declared.name for declared in await services.store.purposes(project)]
    if name not in known:
        raise unknown_purpose(name, known)
    return await services.store.wordings(project, name)


async def what_to_ask(services: Services, project: Project, locale: str | None = None) -> tuple[Asked, ...]:
    """Every purpose with the wording that fits a locale best: the locale's own, its language's, or the first declared.

    Raises:
        InvalidInput: no language tag.
    """
    wanted = None if locale is None else check_locale(locale)
    declared = await services.purposes.of(project)
    fitting = best_wordings(declared.purposes, declared.wordings, wanted)
    return tuple(Asked(purpose, fitting.get(purpose.name)) for purpose in declared.purposes)


def speaker_of(*, contact: object = None, subscription: object = None) -> Speaker | None:
    """Whose word it is, by external id or by either id of a subscription; None where neither is given.

    Raises:
        InvalidInput: both are given, or one is malformed.
    """
    if contact is not None and subscription is not None:
        raise InvalidInput("Give contact or subscription, not both.", field="contact")
    if contact is not None:
        return Speaker(contact=check_external_id(contact, field="contact"))
    return None if subscription is None else Speaker(subscription=AnyId.parse(subscription, field="subscription"))


async def say(
    services: Services,
    project: Project,
    speaker: Speaker,
    words: Sequence[ConsentWord],
    *,
    sequence: int | None = None,
    living: bool = False,
) -> Mapping[str, bool]:
    """Record what somebody says, all of it or nothing; what is known already writes nothing.

    Args:
        services: the ports.
        project: whose.
        speaker: who.
        words: what they say.
        sequence: the browser's number of these words.
        living: only if the subscription lives, or the last of those that replaced it.

    Returns:
        what holds of these purposes after it.

    Raises:
        NotFound: there is no such subscription.
        InvalidInput: a purpose or wording is not declared, or too much is said at once.
        Conflict: ``stale``, the browser has said something later; ``ended``, it does not live. Nothing has changed
            then.
    """
    checked, now = check_words(words), services.clock.now()
    return await services.store.say(project, speaker, checked, sequence=sequence, now=now, living=living)


async def held(services: Services, project: Project, speaker: Speaker) -> tuple[HeldWord, ...]:
    """What counts for somebody, by purpose."""
    return await services.store.held(project, speaker)


async def list_consents(
    services: Services,
    project: Project,
    *,
    speaker: Speaker | None = None,
    purpose: str | None = None,
    limit: int = 100,
    after: int = 0,
) -> ConsentPage:
    """A page of records, in the order of their numbers.

    Raises:
        InvalidInput: a limit outside its range, or an unknown purpose.
    """
    check_limit(limit, PAGE_CONSENTS_MAX)
    name = None if purpose is None else check_purpose_name(purpose)
    found = await services.store.list_consents(project, speaker=speaker, purpose=name, limit=limit + 1, after=after)
    items = found[:limit]
    return ConsentPage(items, items[-1].number if len(found) > limit else None)


async def seal_waiting(services: Services, project: Project, desk: Shown | None = None) -> Sealed:
    """Seal every record that waits, batch by batch.

    Args:
        services: the ports.
        project: whose.
        desk: is told how far it is, and asked between two batches whether to go on.

    Raises:
        Conflict: another process has taken it over.
        Unavailable: the store does not answer.
    """
    made: list[Seal] = []
    while len(made) < SEALS_AT_ONCE_MAX:
        seal = await services.store.seal_consents(project, now=services.clock.now())
        if seal is None:
            break
        made.append(seal)
        if desk is not None:
            desk.show("sealed", seal.last, None)
            await desk.keep()
    return Sealed(tuple(made), await services.store.chain_standing(project))


class SealConsents(Duty):
    """Seals records every hour, and as soon as a whole batch waits."""

    name = CONSENT_SEALS
    every_seconds = SEAL_SECONDS

    async def wanted(self, services: Services, project: Project, due_at: float) -> bool:
        """See :class:`pushkeep.app.duties.Duty`."""
        waiting = (await services.store.chain_standing(project)).waiting
        return waiting >= SEAL_RECORDS_MAX or (waiting > 0 and due_at <= services.clock.now())

    async def do(self, services: Services, project: Project, desk: Shown) -> Mapping[str, object]:
        """Seal what waits.

        Raises:
            Conflict: another process has taken it over.
            Unavailable: the store does not answer.
        """
        sealed = await seal_waiting(services, project, desk)
        latest = sealed.standing.latest
        return {
            "seals": len(sealed.seals),
            "records": sealed.standing.sealed,
            "head": None if latest is None else anchor(latest),
        }


def anchor(seal: Seal) -> str:
    """A head as it is printed, and given to a verification: the seal's number and 64 hexadecimal digits."""
    return f"{seal.number}:{seal.head.hex()}"
