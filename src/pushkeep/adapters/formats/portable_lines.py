"""The own format, line by line: a JSON object for each record of :mod:`pushkeep.domain.portable`, both directions.

What is None, empty or as it is in the beginning is left out, so that most subscriptions are one short line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TypeAlias

from pushkeep.adapters.formats.members import Members
from pushkeep.adapters.formats.portable_subscription_lines import (
    life_fields,
    read_life,
    read_subscription,
    subscription_fields,
)
from pushkeep.domain.consent import HASH_BYTES, SALT_BYTES, Basis, ConsentContent, Method, commitment
from pushkeep.domain.consent_words import (
    PAGE_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    VERSION_CHARACTERS_MAX,
    check_description,
    check_digest,
    check_locale,
    check_purpose_name,
    make_wording,
)
from pushkeep.domain.ids import check_uuid
from pushkeep.domain.moving import MovedRecord
from pushkeep.domain.portable import (
    PortableApiKey,
    PortableConsent,
    PortableConsentState,
    PortableContact,
    PortableLife,
    PortableProject,
    PortablePurpose,
    PortableSeal,
    PortableSigningKey,
    PortableSubscription,
    PortableSuccession,
    PortableWording,
)
from pushkeep.domain.project import (
    NAME_CHARACTERS_MAX,
    PROJECT_SECRET_BYTES,
    KeyState,
    ProjectSettings,
    check_label,
    is_publishable_key,
)
from pushkeep.domain.subscription import EXTERNAL_ID_CHARACTERS_MAX, check_external_id
from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX, check_tag
from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.keys import POINT_BYTES
from pushkeep.protocol.keys import decode_point as check_point
from pushkeep.protocol.signing_key import SigningKey

Fields: TypeAlias = Mapping[str, object]

DIGEST_BYTES = 32
URL_CHARACTERS_MAX = 2048
ORIGINS_MAX = 1000
"""More than a setting's text has room for."""

UUID_CHARACTERS = 36
KEY_ID_CHARACTERS = 12
BASE64_OF_32_CHARACTERS = 43
WORD_CHARACTERS_MAX = 40


def _project_fields(record: PortableProject) -> Fields:
    return {
        "id": record.public_id,
        "name": record.name,
        "site_url": record.site_url,
        "contact": record.contact,
        "publishable_key": record.publishable_key,
        "site_origins": sorted(record.site_origins),
        "created_at": record.created_at,
        "identity_secret": _octets(record.identity_secret),
        "sync_secret": _octets(record.sync_secret),
    }


def _read_project(members: Members) -> PortableProject:
    settings = ProjectSettings.of(
        name=members.text("name", NAME_CHARACTERS_MAX),
        site_url=members.text("site_url", URL_CHARACTERS_MAX),
        contact=members.text("contact", URL_CHARACTERS_MAX),
        site_origins=members.texts("site_origins", ORIGINS_MAX, URL_CHARACTERS_MAX),
    )
    key = members.text("publishable_key", URL_CHARACTERS_MAX)
    if not is_publishable_key(key):
        raise InvalidInput("publishable_key must be a pk_… key.", field="publishable_key")
    return PortableProject(
        public_id=check_uuid(members.text("id", UUID_CHARACTERS)),
        name=settings.name,
        site_url=settings.site_url,
        contact=settings.contact,
        publishable_key=key,
        site_origins=settings.site_origins,
        created_at=members.time("created_at"),
        identity_secret=members.octets("identity_secret", PROJECT_SECRET_BYTES),
        sync_secret=members.octets("sync_secret", PROJECT_SECRET_BYTES),
    )


def _api_key_fields(record: PortableApiKey) -> Fields:
    digest = b64url_encode(record.digest)
    return {"id": record.key_id, "digest": digest, "label": record.label, "created_at": record.created_at}


def _read_api_key(members: Members) -> PortableApiKey:
    return PortableApiKey(
        key_id=members.text("id", KEY_ID_CHARACTERS),
        digest=members.octets("digest", DIGEST_BYTES),
        label=check_label(members.text("label", NAME_CHARACTERS_MAX)),
        created_at=members.time("created_at"),
    )


def _signing_key_fields(record: PortableSigningKey) -> Fields:
    return {
        "id": record.key_id,
        "public_key": b64url_encode(record.public_bytes),
        "private_key": None if record.pair is None else record.pair.to_raw(),
        "state": record.state.value,
        "created_at": record.created_at,
        "activated_at": record.activated_at,
        "retiring_at": record.retiring_at,
        "retired_at": record.retired_at,
        "leaked_at": record.leaked_at,
    }


def _read_signing_key(members: Members) -> PortableSigningKey:
    public = members.octets("public_key", POINT_BYTES)
    check_point(public, field="public_key")
    state = members.choice("state", KeyState)
    private = members.text_or_none("private_key", BASE64_OF_32_CHARACTERS)
    if (private is None) != (state is KeyState.RETIRED):
        raise InvalidInput("private_key must be there, unless the key is retired.", field="private_key")
    pair = None if private is None else SigningKey.from_raw(private)
    if pair is not None and pair.public_bytes != public:
        raise InvalidInput("private_key does not fit public_key.", field="private_key")
    record = PortableSigningKey(
        public_bytes=public,
        pair=pair,
        state=state,
        created_at=members.time("created_at"),
        activated_at=members.time_or_none("activated_at"),
        retiring_at=members.time_or_none("retiring_at"),
        retired_at=members.time_or_none("retired_at"),
        leaked_at=members.time_or_none("leaked_at"),
    )
    if members.text("id", KEY_ID_CHARACTERS) != record.key_id:
        raise InvalidInput("id is not the one of this public_key.", field="id")
    return record


def _purpose_fields(record: PortablePurpose) -> Fields:
    return asdict(record)


def _read_purpose(members: Members) -> PortablePurpose:
    return PortablePurpose(
        name=check_purpose_name(members.text("name", WORD_CHARACTERS_MAX), field="name"),
        description=check_description(members.text("description", TEXT_CHARACTERS_MAX)),
        basis=members.choice("basis", Basis),
        created_at=members.time("created_at"),
    )


def _wording_fields(record: PortableWording) -> Fields:
    return {**asdict(record.wording), "digest": record.wording.digest.hex()}


def _read_wording(members: Members) -> PortableWording:
    wording = make_wording(
        members.text("purpose", WORD_CHARACTERS_MAX),
        locale=members.text("locale", WORD_CHARACTERS_MAX),
        version=members.text("version", VERSION_CHARACTERS_MAX),
        policy_version=members.any_text_or_none("policy_version", VERSION_CHARACTERS_MAX),
        text=members.text("text", TEXT_CHARACTERS_MAX),
        now=members.time("created_at"),
    )
    if members.text("digest", HASH_BYTES * 2) != wording.digest.hex():
        raise InvalidInput("digest is not the one of this wording.", field="digest")
    return PortableWording(wording)


def _contact_fields(record: PortableContact) -> Fields:
    return {"id": record.external_id, "tags": list(record.tags), "created_at": record.created_at}


def _read_contact(members: Members) -> PortableContact:
    return PortableContact(
        external_id=check_external_id(members.text("id", EXTERNAL_ID_CHARACTERS_MAX), field="id"),
        tags=tuple(sorted(map(check_tag, members.texts("tags", TAGS_PER_CONTACT_MAX, URL_CHARACTERS_MAX)))),
        created_at=members.time("created_at"),
    )


def _succession_fields(record: PortableSuccession) -> Fields:
    return asdict(record)


def _read_succession(members: Members) -> PortableSuccession:
    return PortableSuccession(
        check_uuid(members.text("subscription", UUID_CHARACTERS), field="subscription"),
        check_uuid(members.text("successor", UUID_CHARACTERS), field="successor"),
    )


def _consent_fields(record: PortableConsent) -> Fields:
    return {
        "number": record.number,
        "commitment": b64url_encode(record.commitment),
        "salt": _octets(record.salt),
        "content": None if record.content is None else asdict(record.content),
        "erased_at": record.erased_at,
        "over_at": record.over_at,
    }


def _read_consent(members: Members) -> PortableConsent:
    held_to = members.octets("commitment", HASH_BYTES)
    salt, value = members.octets_or_none("salt", SALT_BYTES), members.object_or_none("content")
    erased_at = members.time_or_none("erased_at")
    if (salt is None) != (value is None) or (value is None) != (erased_at is not None):
        raise InvalidInput("a consent record has salt and content, or erased_at.", field="content")
    content = None if value is None else _read_content(Members(value, "content"))
    if salt is not None and content is not None and commitment(salt, content.canonical()) != held_to:
        raise InvalidInput("content is not what the record is committed to.", field="content")
    number, over_at = members.whole("number", 1), members.time_or_none("over_at")
    return PortableConsent(number, held_to, salt, content, erased_at, over_at)


def _read_content(members: Members) -> ConsentContent:
    subscription = members.text_or_none("subscription", UUID_CHARACTERS)
    contact = members.text_or_none("contact", EXTERNAL_ID_CHARACTERS_MAX)
    if subscription is None and contact is None:
        raise InvalidInput("content names neither a subscription nor a contact.", field="content")
    wording = members.text_or_none("wording", HASH_BYTES * 2)
    locale = members.text_or_none("locale", WORD_CHARACTERS_MAX)
    content = ConsentContent(
        subscription=None if subscription is None else check_uuid(subscription, field="content.subscription"),
        contact=None if contact is None else check_external_id(contact, field="content.contact"),
        purpose=check_purpose_name(members.text("purpose", WORD_CHARACTERS_MAX), field="content.purpose"),
        given=members.flag("given"),
        method=members.choice("method", Method).value,
        wording=None if wording is None else check_digest(wording, field="content.wording").hex(),
        wording_version=members.text_or_none("wording_version", VERSION_CHARACTERS_MAX),
        locale=None if locale is None else check_locale(locale, field="content.locale"),
        policy_version=members.any_text_or_none("policy_version", VERSION_CHARACTERS_MAX),
        page=members.any_text_or_none("page", PAGE_CHARACTERS_MAX),
        at=members.time("at"),
    )
    members.end()
    return content


def _state_fields(record: PortableConsentState) -> Fields:
    return asdict(record)


def _read_state(members: Members) -> PortableConsentState:
    subscription = members.text_or_none("subscription", UUID_CHARACTERS)
    contact = members.text_or_none("contact", EXTERNAL_ID_CHARACTERS_MAX)
    if (subscription is None) == (contact is None):
        raise InvalidInput("a state is either a subscription's or a contact's.", field="subscription")
    owner = members.text_or_none("owner", EXTERNAL_ID_CHARACTERS_MAX)
    return PortableConsentState(
        subscription=None if subscription is None else check_uuid(subscription, field="subscription"),
        contact=None if contact is None else check_external_id(contact, field="contact"),
        purpose=check_purpose_name(members.text("purpose", WORD_CHARACTERS_MAX)),
        given=members.flag("given"),
        number=members.whole("number", 1),
        owner=None if owner is None else check_external_id(owner, field="owner"),
    )


def _seal_fields(record: PortableSeal) -> Fields:
    return {**asdict(record), "previous": b64url_encode(record.previous), "head": b64url_encode(record.head)}


def _read_seal(members: Members) -> PortableSeal:
    first = members.whole("first", 1)
    return PortableSeal(
        number=members.whole("number", 1),
        first=first,
        last=members.whole("last", first),
        previous=members.octets("previous", HASH_BYTES),
        head=members.octets("head", HASH_BYTES),
        sealed_at=members.time("sealed_at"),
    )


def _octets(value: bytes | None) -> str | None:
    return None if value is None else b64url_encode(value)


_WRITERS: Mapping[type[MovedRecord], tuple[str, Callable[..., Fields]]] = {
    PortableProject: ("project", _project_fields),
    PortableApiKey: ("api_key", _api_key_fields),
    PortableSigningKey: ("signing_key", _signing_key_fields),
    PortablePurpose: ("purpose", _purpose_fields),
    PortableWording: ("wording", _wording_fields),
    PortableContact: ("contact", _contact_fields),
    PortableSubscription: ("subscription", subscription_fields),
    PortableLife: ("life", life_fields),
    PortableSuccession: ("succession", _succession_fields),
    PortableConsent: ("consent", _consent_fields),
    PortableConsentState: ("consent_state", _state_fields),
    PortableSeal: ("seal", _seal_fields),
}
_READERS: Mapping[str, Callable[[Members], MovedRecord]] = {
    "project": _read_project,
    "api_key": _read_api_key,
    "signing_key": _read_signing_key,
    "purpose": _read_purpose,
    "wording": _read_wording,
    "contact": _read_contact,
    "subscription": read_subscription,
    "life": read_life,
    "succession": _read_succession,
    "consent": _read_consent,
    "consent_state": _read_state,
    "seal": _read_seal,
}


def fields_of(record: MovedRecord) -> dict[str, object]:
    """A record as the members of a JSON object, in the order in which they are written."""
    kind, write = _WRITERS[type(record)]
    found = {name: value for name, value in write(record).items() if value is not None and value != []}
    return {"kind": kind, **found}


def read_record(value: object) -> MovedRecord:
    """Undo :func:`fields_of`.

    Raises:
        InvalidInput: it is no such record; ``field`` names what is wrong.
    """
    members = Members(value)
    kind = members.text("kind", WORD_CHARACTERS_MAX)
    read = _READERS.get(kind)
    if read is None:
        raise InvalidInput("kind is none that this version knows.", field="kind")
    record = read(members)
    members.end()
    return record


KIND_NAMES = tuple(_READERS)
"""What ``kind`` can say of a record, in the order of the file."""
