"""The bodies of the routes on purposes and consent, and how they are made from what is stored."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from pushkeep.app.consents import ConsentPage, Sealed, anchor
from pushkeep.domain.consent import Basis, ConsentContent, Method, Purpose, Seal, Wording
from pushkeep.domain.consent_words import DESCRIPTION_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, VERSION_CHARACTERS_MAX
from pushkeep.domain.moment import write_moment
from pushkeep.ports.consents import ChainStanding, ConsentRecord

_VERSION = f"Up to {VERSION_CHARACTERS_MAX} characters."
_DIGEST = "64 hexadecimal digits."


class PurposeDeclaration(Struct, frozen=True, forbid_unknown_fields=True):
    """A purpose, to be declared or changed."""

    description: Annotated[
        str, Meta(description=f"In words for visitors: one line of up to {DESCRIPTION_CHARACTERS_MAX} characters.")
    ]
    basis: Annotated[
        str,
        Meta(
            description="The legal basis (GDPR art. 6(1)); only for `consent` a recipient must have agreed.",
            extra_json_schema={"enum": [str(basis) for basis in Basis]},
        ),
    ] = Basis.CONSENT.value


class PurposeReport(Struct, frozen=True):
    """A purpose."""

    name: str
    description: str
    basis: Basis
    created_at: Annotated[str, Meta(description="RFC 3339.")]


class PurposeList(Struct, frozen=True):
    """Every purpose."""

    items: list[PurposeReport]


class WordingDeclaration(Struct, frozen=True, forbid_unknown_fields=True):
    """What visitors are asked, to be declared."""

    locale: Annotated[str, Meta(description="Language tag of the text, as `de-AT`.")]
    version: Annotated[str, Meta(description=f"Your own name for this version of the text. {_VERSION}")]
    text: Annotated[str, Meta(description=f"What they read, up to {TEXT_CHARACTERS_MAX} characters.")]
    policy_version: Annotated[
        str | None, Meta(description=f"Of the privacy policy that the text refers to. {_VERSION}")
    ] = None


class WordingReport(Struct, frozen=True):
    """What visitors are or were asked, word for word."""

    purpose: str
    locale: str
    version: str
    policy_version: str
    text: str
    digest: Annotated[str, Meta(description=f"By which a page says what it showed. {_DIGEST}")]
    created_at: Annotated[str, Meta(description="RFC 3339.")]


class WordingList(Struct, frozen=True):
    """Every wording of a purpose."""

    items: list[WordingReport]


class ConsentWordRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What your server knows that somebody said."""

    purpose: Annotated[str, Meta(description="Its name.")]
    given: Annotated[bool, Meta(description="Whether they agree; else they withdraw.")]
    contact: Annotated[str | None, Meta(description="Who, by your own id; instead of `subscription`.")] = None
    subscription: Annotated[
        str | None, Meta(description="In which browser, by UUID or short id; instead of `contact`.")
    ] = None
    wording: Annotated[str | None, Meta(description=f"Digest of what they were shown. {_DIGEST}")] = None
    page: Annotated[str | None, Meta(description="Where; kept without query and fragment, up to 500 characters.")] = (
        None
    )
    at: Annotated[str | None, Meta(description="When, if it was earlier; RFC 3339. Default: now.")] = None


class ConsentAnswer(Struct, frozen=True):
    """What holds after it."""

    consents: Annotated[dict[str, bool], Meta(description="By purpose.")]


class ConsentContentReport(Struct, frozen=True):
    """What a record says."""

    subscription: Annotated[str | None, Meta(description="UUID; null where a contact spoke as such.")]
    contact: Annotated[str | None, Meta(description="Whose the browser was then, or who spoke.")]
    purpose: str
    given: bool
    method: Annotated[str, Meta(description="How.", extra_json_schema={"enum": [str(method) for method in Method]})]
    wording: Annotated[str | None, Meta(description=f"Digest of what was shown. {_DIGEST}")]
    wording_version: str | None
    locale: str | None
    policy_version: str | None
    page: str | None
    at: Annotated[str, Meta(description="RFC 3339.")]


class ConsentReport(Struct, frozen=True):
    """A record."""

    number: Annotated[int, Meta(description="From 1, without a gap.")]
    commitment: Annotated[str, Meta(description=f"What the record is held to. {_DIGEST}")]
    content: Annotated[ConsentContentReport | None, Meta(description="Null once it was erased.")]
    erased_at: Annotated[str | None, Meta(description="RFC 3339.")]


class ConsentList(Struct, frozen=True):
    """Some records, in the order of their numbers."""

    items: list[ConsentReport]
    next: Annotated[int | None, Meta(description="Give it as `after` for the next page; null at the end.")]


class SealReport(Struct, frozen=True):
    """A link of the chain over the records."""

    number: Annotated[int, Meta(description="From 1, without a gap.")]
    first: Annotated[int, Meta(description="Its first record.")]
    last: Annotated[int, Meta(description="Its last record.")]
    previous: Annotated[str, Meta(description=f"The head before it. {_DIGEST}")]
    head: Annotated[str, Meta(description=f"{_DIGEST} Whoever keeps it can check later what was before it.")]
    sealed_at: Annotated[str, Meta(description="RFC 3339.")]


class ChainReport(Struct, frozen=True):
    """How far the chain is."""

    records: Annotated[int, Meta(description="How many there are, erased ones too.")]
    waiting: Annotated[int, Meta(description="Of these, those that wait for their seal.")]
    seal: Annotated[SealReport | None, Meta(description="The last one; null before the first.")]
    anchor: Annotated[
        str | None, Meta(description="Its number and head, as `pushkeep consents verify --head` takes them.")
    ]


def purpose_report(purpose: Purpose) -> PurposeReport:
    """A purpose."""
    return PurposeReport(purpose.name, purpose.description, purpose.basis, write_moment(purpose.created_at))


def wording_report(wording: Wording) -> WordingReport:
    """A wording."""
    return WordingReport(
        wording.purpose,
        wording.locale,
        wording.version,
        wording.policy_version,
        wording.text,
        wording.digest.hex(),
        write_moment(wording.created_at),
    )


def consent_report(record: ConsentRecord) -> ConsentReport:
    """A record, opened."""
    return ConsentReport(
        record.number,
        record.commitment.hex(),
        None if record.content is None else _content(record.content),
        None if record.erased_at is None else write_moment(record.erased_at),
    )


def consent_list(page: ConsentPage) -> ConsentList:
    """A page of records."""
    return ConsentList([consent_report(record) for record in page.items], page.next_after)


def chain_report(standing: ChainStanding) -> ChainReport:
    """How far the chain is."""
    seal = standing.latest
    return ChainReport(
        standing.records,
        standing.waiting,
        None if seal is None else _seal(seal),
        None if seal is None else anchor(seal),
    )


def sealed_report(sealed: Sealed) -> ChainReport:
    """How far the chain is after sealing."""
    return chain_report(sealed.standing)


def _content(content: ConsentContent) -> ConsentContentReport:
    return ConsentContentReport(
        content.subscription,
        content.contact,
        content.purpose,
        content.given,
        content.method,
        content.wording,
        content.wording_version,
        content.locale,
        content.policy_version,
        content.page,
        write_moment(content.at),
    )


def _seal(seal: Seal) -> SealReport:
    return SealReport(
        seal.number, seal.first, seal.last, seal.previous.hex(), seal.head.hex(), write_moment(seal.sealed_at)
    )
