"""Subscriptions and their lives in the own format; see :mod:`pushkeep.adapters.formats.portable_lines`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from types import MappingProxyType

from pushkeep.adapters.formats.members import Members
from pushkeep.domain.ability import ABILITIES_MAX, ABILITY_CHARACTERS_MAX
from pushkeep.domain.ids import AnyId, check_uuid
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.portable import LIFE_ENTRIES_MAX, PortableEntry, PortableLife, PortableSubscription
from pushkeep.domain.subscription import (
    ENDED,
    EXTERNAL_ID_CHARACTERS_MAX,
    SUSPECT_DAYS_TO_QUARANTINE,
    Event,
    State,
    StateReason,
    check_external_id,
)
from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import VENDORS

UUID_CHARACTERS = 36
KEY_ID_CHARACTERS = 12
VENDOR_CHARACTERS_MAX = 16
URL_CHARACTERS_MAX = 2048
TEXT_CHARACTERS_MAX = 4096
"""What a push service or the operator said is cut to less."""

VERDICT_CHARACTERS_MAX = 24
SAID_MAX = 2**53
"""Of a number in an answer: what JSON keeps exactly."""

DAYS_MAX = 2_932_897
"""Epoch days until the year 9999."""

_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {"probes": 0, "consecutive_failures": 0, "sync_sequence": 0, "version": 1}
)
_TIMES = (
    "last_accepted_at",
    "last_displayed_at",
    "last_verdict_at",
    "ended_at",
    "owner_since",
    "probe_at",
)
_REASON_TEXTS = MappingProxyType(
    {"text": TEXT_CHARACTERS_MAX, "more_info": TEXT_CHARACTERS_MAX, "verdict": VERDICT_CHARACTERS_MAX}
)
_NUMBERS = ("status", "code", "errno")
_EVIDENCE_TEXTS = MappingProxyType(
    {
        **_REASON_TEXTS,
        "predecessor": UUID_CHARACTERS,
        "successor": UUID_CHARACTERS,
        "key": KEY_ID_CHARACTERS,
        "key_before": KEY_ID_CHARACTERS,
    }
)
_EVIDENCE = tuple(field.name for field in fields(Evidence) if field.name not in {"by", "contact", "contact_before"})


def subscription_fields(record: PortableSubscription) -> Mapping[str, object]:
    """See :func:`pushkeep.adapters.formats.portable_lines.fields_of`."""
    written: dict[str, object] = {
        "id": record.public_id,
        "short_id": record.short_id,
        "contact": record.owner,
        "signing_key": record.signing_key,
        "vendor": record.vendor,
        "origin": record.origin,
        "subscription": None if record.subscription is None else record.subscription.to_dict(),
        "state": record.state.value,
        "reason": None if record.reason is None else _present(asdict(record.reason)),
        "created_at": record.created_at,
        "last_seen_at": record.last_seen_at,
        "last_verdict": record.last_verdict,
        "suspect_days": sorted(record.suspect_days),
        "abilities": sorted(record.abilities),
    }
    written |= {name: getattr(record, name) for name in _TIMES}
    written |= {name: value for name, usual in _DEFAULTS.items() if (value := getattr(record, name)) != usual}
    written["life"] = [_entry_fields(entry) for entry in record.life]
    return written


def read_subscription(members: Members) -> PortableSubscription:
    """Undo :func:`subscription_fields`.

    Raises:
        InvalidInput: it is no such record.
    """
    state, given = members.choice("state", State), members.object_or_none("subscription")
    origin, ended_at = members.text("origin", URL_CHARACTERS_MAX), members.time_or_none("ended_at")
    if (ended_at is not None) != (state in ENDED) or (given is None) != (state in ENDED):
        raise InvalidInput(
            "a subscription that has ended has ended_at and no endpoint, and every other one the other way round.",
            field="ended_at",
        )
    subscription = None if given is None else Subscription.from_dict(given)
    if (Endpoint.parse(origin, field="origin") if subscription is None else subscription.endpoint).origin != origin:
        raise InvalidInput("origin is not the one of the endpoint.", field="origin")
    owner, reason = members.text_or_none("contact", EXTERNAL_ID_CHARACTERS_MAX), members.object_or_none("reason")
    return PortableSubscription(
        public_id=check_uuid(members.text("id", UUID_CHARACTERS)),
        short_id=_short_id(members),
        owner=None if owner is None else check_external_id(owner, field="contact"),
        signing_key=members.text("signing_key", KEY_ID_CHARACTERS),
        origin=origin,
        vendor=_vendor(members),
        subscription=subscription,
        state=state,
        reason=None if reason is None else _read_reason(Members(reason, "reason")),
        created_at=members.time("created_at"),
        last_seen_at=members.time("last_seen_at"),
        last_accepted_at=members.time_or_none("last_accepted_at"),
        last_displayed_at=members.time_or_none("last_displayed_at"),
        last_verdict=members.text_or_none("last_verdict", VERDICT_CHARACTERS_MAX),
        last_verdict_at=members.time_or_none("last_verdict_at"),
        ended_at=ended_at,
        owner_since=members.time_or_none("owner_since"),
        probe_at=members.time_or_none("probe_at"),
        probes=members.whole("probes", default=0),
        consecutive_failures=members.whole("consecutive_failures", default=0),
        suspect_days=_days(members),
        abilities=frozenset(_abilities(members)),
        sync_sequence=members.whole("sync_sequence", default=0),
        version=members.whole("version", 1, default=1),
        life=_read_entries(members, "life"),
    )


def life_fields(record: PortableLife) -> Mapping[str, object]:
    """See :func:`pushkeep.adapters.formats.portable_lines.fields_of`."""
    entries = [_entry_fields(entry) for entry in record.entries]
    return {"subscription": record.subscription, "behind": record.behind, "entries": entries}


def read_life(members: Members) -> PortableLife:
    """Undo :func:`life_fields`.

    Raises:
        InvalidInput: it is no such record.
    """
    return PortableLife(
        subscription=check_uuid(members.text("subscription", UUID_CHARACTERS), field="subscription"),
        behind=members.whole("behind", 1),
        entries=_read_entries(members, "entries"),
    )


def _short_id(members: Members) -> str:
    text = members.text("short_id", UUID_CHARACTERS)
    if AnyId.parse(text, field="short_id").short_id is None:
        raise InvalidInput("short_id must be eight characters, as it was returned.", field="short_id")
    return text


def _vendor(members: Members) -> str:
    name = members.text("vendor", VENDOR_CHARACTERS_MAX)
    if name not in VENDORS:
        raise InvalidInput(f"vendor must be one of {', '.join(VENDORS)}.", field="vendor")
    return name


def _days(members: Members) -> frozenset[int]:
    days = members.listed("suspect_days", SUSPECT_DAYS_TO_QUARANTINE)
    found = frozenset(day for day in days if isinstance(day, int) and not isinstance(day, bool) and 0 <= day < DAYS_MAX)
    if len(found) != len(days):
        raise InvalidInput("suspect_days must be different days since 1970.", field="suspect_days")
    return found


def _abilities(members: Members) -> list[str]:
    names = members.texts("abilities", ABILITIES_MAX, ABILITY_CHARACTERS_MAX)
    if any(not name.isalnum() for name in names):
        raise InvalidInput("abilities must be names of letters and digits.", field="abilities")
    return names


def _read_reason(members: Members) -> StateReason:
    texts = {name: members.any_text_or_none(name, most) for name, most in _REASON_TEXTS.items()}
    numbers = {name: members.whole_or_none(name, -SAID_MAX, SAID_MAX) for name in _NUMBERS}
    reason = StateReason(
        cause=members.choice("cause", Event),
        at=members.time("at"),
        status=numbers["status"],
        code=numbers["code"],
        errno=numbers["errno"],
        text=texts["text"],
        more_info=texts["more_info"],
        verdict=texts["verdict"],
    )
    members.end()
    return reason


def _entry_fields(entry: PortableEntry) -> Mapping[str, object]:
    return _present(
        {
            "at": entry.at,
            "event": entry.event.value,
            "before": None if entry.before is None else entry.before.value,
            "after": entry.after.value,
            "by": entry.evidence.by.value,
            "contact": entry.contact,
            "contact_before": entry.contact_before,
            **{name: getattr(entry.evidence, name) for name in _EVIDENCE},
        }
    )


def _read_entries(members: Members, name: str) -> tuple[PortableEntry, ...]:
    listed = members.listed(name, LIFE_ENTRIES_MAX)
    return tuple(_read_entry(Members(value, f"{name}[{index}]")) for index, value in enumerate(listed))


def _read_entry(members: Members) -> PortableEntry:
    texts = {name: members.any_text_or_none(name, most) for name, most in _EVIDENCE_TEXTS.items()}
    numbers = {name: members.whole_or_none(name, -SAID_MAX, SAID_MAX) for name in (*_NUMBERS, "days")}
    entry = PortableEntry(
        at=members.time("at"),
        event=members.choice("event", Event),
        before=members.choice_or_none("before", State),
        after=members.choice("after", State),
        evidence=Evidence(
            by=members.choice("by", By),
            text=texts["text"],
            verdict=texts["verdict"],
            status=numbers["status"],
            code=numbers["code"],
            errno=numbers["errno"],
            more_info=texts["more_info"],
            predecessor=texts["predecessor"],
            successor=texts["successor"],
            key=texts["key"],
            key_before=texts["key_before"],
            days=numbers["days"],
        ),
        contact=members.text_or_none("contact", EXTERNAL_ID_CHARACTERS_MAX),
        contact_before=members.text_or_none("contact_before", EXTERNAL_ID_CHARACTERS_MAX),
    )
    members.end()
    return entry


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
