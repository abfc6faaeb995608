"""A subscription's story in plain words: its log, entry by entry, and how it stands today.

For whoever asks about one subscription: the operator on the command line, the visitor on a page. A sentence names a
contact or a signing key only where the caller gives the name for it, so the same log can be told to both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pushkeep.domain.health import DAY_SECONDS, Health, not_dialled
from pushkeep.domain.lifecycle import BY_OF_END, By, Evidence, LifecycleEntry
from pushkeep.domain.subscription import Event, State, SubscriptionRecord
from pushkeep.protocol.vendors import UNKNOWN, VENDORS
from pushkeep.protocol.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Names:
    """Who may be named in a story.

    Attributes:
        contacts: external ids by internal number; who is missing here is "somebody".
        shorts: short ids by public id, of predecessors and successors; who is missing is "another one".
        keys: whether signing keys are named by their ids.
        notes: whether the operator's own words are told: they are notes for operators, and may name anybody.
    """

    contacts: Mapping[int, str] = field(default_factory=dict)
    shorts: Mapping[str, str] = field(default_factory=dict)
    keys: bool = False
    notes: bool = False


NOBODY = Names()
"""For the visitor's own eyes: the story without the names of people and keys, and without the operator's notes."""


@dataclass(frozen=True, slots=True)
class Told:
    """One sentence of a story.

    Attributes:
        at: epoch seconds.
        words: the sentence.
    """

    at: float
    words: str


def tell(record: SubscriptionRecord, entries: Sequence[LifecycleEntry], *, names: Names = NOBODY) -> tuple[Told, ...]:
    """The story up to now.

    Args:
        record: as it is stored; says what a log that began later than the subscription cannot.
        entries: the log, oldest first.
        names: who may be named.
    """
    vendor = VENDORS.get(record.vendor, UNKNOWN).title
    told = [Told(entry.at, sentence(entry, vendor=vendor, names=names)) for entry in entries]
    if not entries or entries[0].event is not Event.REGISTERED:
        told.insert(0, Told(record.created_at, "Registered. What happened until its log begins is not told."))
    reason = record.state_reason
    if not entries and reason is not None:
        evidence = Evidence.of(reason, BY_OF_END.get(reason.cause, By.PUSH_SERVICE))
        entry = LifecycleEntry(reason.at, reason.cause, None, record.state, evidence)
        told.append(Told(entry.at, sentence(entry, vendor=vendor, names=names)))
    return tuple(told)


def sentence(entry: LifecycleEntry, *, vendor: str, names: Names = NOBODY) -> str:
    """One entry in plain words, ending with what the push service or the operator said themselves."""
    words = _WORDS[entry.event]
    said = words if isinstance(words, str) else words(entry, vendor, names)
    return f"{said}{_returned(entry)}{_quoted(entry.evidence, names)}."


def standing(record: SubscriptionRecord, health: Health, now: float) -> tuple[str, ...]:
    """How it stands now: its state and what follows from it, what was last heard of it, and its health."""
    vendor = VENDORS.get(record.vendor, UNKNOWN).title
    stands = _STANDS[record.state]
    lines = [stands if isinstance(stands, str) else stands(record, now)]
    heard = [f"It was last confirmed {_ago(record.last_seen_at, now)}"]
    if record.last_accepted_at is None:
        heard.append(f"{vendor} has not taken a message for it yet")
    else:
        heard.append(f"{vendor} last took a message for it {_ago(record.last_accepted_at, now)}")
    if record.last_displayed_at is not None:
        heard.append(f"its browser last showed one {_ago(record.last_displayed_at, now)}")
    lines.append("; ".join(heard) + ".")
    if record.consecutive_failures:
        lines.append(f"Messages that failed since: {record.consecutive_failures}.")
    if record.living:
        why = ", ".join(f"{one.words} (-{one.points})" for one in health.deductions)
        lines.append(f"Health {health.score} of 100{': ' + why if why else ''}.")
        lines.extend(f"Likely dead: {reason}" for reason in health.reasons)
    return tuple(lines)


# What each entry says.


def _registered(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    evidence = entry.evidence
    who = "Entered by the operator" if evidence.by is By.OPERATOR else "Registered by its browser"
    before = f", in place of {_other(evidence.predecessor, names)}" if evidence.predecessor else ""
    owner = f", for {_contact(evidence.contact, names)}" if evidence.contact is not None else ""
    return f"{who} at {vendor}{before}{owner}{_with_key(evidence.key, names)}"


def _synced(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    before = entry.evidence.predecessor
    return f"Its browser came back with it{f', in place of {_other(before, names)}' if before else ''}"


def _accepted(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    return f"{vendor} took a message for it again"


def _failed(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    probe = "A probe" if entry.before is State.QUARANTINED else "A message"
    return f"{probe} failed: {vendor} {_refusal(entry.evidence)}{_on_days(entry.evidence)}"


def _quarantined(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    evidence = entry.evidence
    if evidence.verdict == Verdict.REFUSED_ENDPOINT.value:
        return "Put into quarantine, because its endpoint leads to an address that must not be dialled"
    if evidence.by is By.SWEEP:
        return f"Put into quarantine by a sweep, because {vendor} refused it{_on_days(evidence)}"
    if entry.before is State.QUARANTINED:
        return f"A probe failed, and quarantine goes on: {vendor} {_refusal(evidence)}{_on_days(evidence)}"
    return f"Put into quarantine: {vendor} {_refusal(evidence)}{_on_days(evidence)}"


def _key_refused(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    return f"{vendor} said that it belongs to another signing key, and none we have is the one; its browser renews it"


def _key_retired(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    key = _key(entry.evidence.key_before or entry.evidence.key, names)
    return f"{key} was retired; nothing is sent until its browser has renewed it"


def _key_found(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    evidence = entry.evidence
    if names.keys and evidence.key and evidence.key_before:
        return f"It belongs to the signing key {evidence.key}, not to {evidence.key_before}, as {vendor} showed"
    return f"It belongs to another of our signing keys, as {vendor} showed"


def _said_gone(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    evidence = entry.evidence
    if evidence.days:
        return f"Taken for gone, after {vendor} refused it{_on_days(evidence)} and its probes failed, too"
    return f"{vendor} said that it is gone"


def _replaced(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    return f"Replaced by its browser with {_other(entry.evidence.successor, names)}"


def _released(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    what = "Released" if entry.before is State.NEEDS_RENEWAL else "Released from quarantine"
    return f"{what} by the operator"


def _owner_moved(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    evidence = entry.evidence
    who = _contact(evidence.contact, names)
    by = "The operator gave it to" if evidence.by is By.OPERATOR else "It went to"
    before = f"; it was {_contact(evidence.contact_before, names)}'s" if evidence.contact_before is not None else ""
    return f"{by} {who}{'' if evidence.by is By.OPERATOR else ', who logged in'}{before}"


def _owner_detached(entry: LifecycleEntry, vendor: str, names: Names) -> str:
    by = "The operator took it from" if entry.evidence.by is By.OPERATOR else "Logged out:"
    return f"{by} {_contact(entry.evidence.contact_before, names)}"


_WORDS: Mapping[Event, str | Callable[[LifecycleEntry, str, Names], str]] = MappingProxyType(
    {
        Event.REGISTERED: _registered,
        Event.SYNCED: _synced,
        Event.ENTERED: "Entered again by the operator",
        Event.ACCEPTED: _accepted,
        Event.FAILED: _failed,
        Event.QUARANTINED: _quarantined,
        Event.KEY_REFUSED: _key_refused,
        Event.KEY_RETIRED: _key_retired,
        Event.KEY_FOUND: _key_found,
        Event.SAID_GONE: _said_gone,
        Event.LOST: "Its browser said that it has lost it: permission taken back, or data deleted",
        Event.EXPIRED: "Ended by a sweep, because nobody had heard of it for as long as the operator allows",
        Event.LEFT: "Its visitor unsubscribed",
        Event.REMOVED: "Removed by the operator",
        Event.REPLACED: _replaced,
        Event.RELEASED: _released,
        Event.OWNER_MOVED: _owner_moved,
        Event.OWNER_DETACHED: _owner_detached,
        Event.RENEWED: "Its browser gave it new encryption keys",
    }
)
"""A sentence for every event, or what makes it."""


# How it stands.


def _stands_quarantined(record: SubscriptionRecord, now: float) -> str:
    if not_dialled(record) or record.probe_at is None:
        return "It is in quarantine and never dialled, until the operator releases it."
    if record.probe_at <= now:
        return "It is in quarantine: the next message for it is sent, as a probe."
    wait = _span(record.probe_at - now)
    return f"It is in quarantine: nothing is sent to it for {wait}; the next message after that is, as a probe."


_STANDS: Mapping[State, str | Callable[[SubscriptionRecord, float], str]] = MappingProxyType(
    {
        State.ACTIVE: "It is active: messages are sent to it.",
        State.FAILING: "It is failing: messages are sent to it, and the last one did not get through.",
        State.QUARANTINED: _stands_quarantined,
        State.NEEDS_RENEWAL: "It needs renewal: nothing is sent to it until its browser comes and renews it by itself.",
        State.GONE: "It is gone: if its browser comes back, it makes a new one.",
        State.UNSUBSCRIBED: "It is unsubscribed.",
        State.SUPERSEDED: "It is superseded: its browser has another one instead.",
    }
)


# Words.


def _contact(number: int | None, names: Names) -> str:
    return "somebody" if number is None else names.contacts.get(number, "somebody")


def _other(public_id: str | None, names: Names) -> str:
    return "another one" if public_id is None else names.shorts.get(public_id, "another one")


def _key(key_id: str | None, names: Names) -> str:
    return f"Its signing key {key_id}" if names.keys and key_id else "Its signing key"


def _with_key(key_id: str | None, names: Names) -> str:
    return f", with the signing key {key_id}" if names.keys and key_id else ""


def _refusal(evidence: Evidence) -> str:
    return _REFUSALS.get(evidence.verdict or "", "did not take it")


_REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        Verdict.SUSPECT.value: "says that it does not know it",
        Verdict.GONE.value: "calls it gone, at a time when it calls unusually many gone",
        Verdict.BAD_TOKEN.value: "refuses our token for this one and takes it for others",
        Verdict.KEY_MISMATCH.value: "says that it belongs to another signing key",
        Verdict.TOO_LARGE.value: "found the message too large",
        Verdict.BAD_REQUEST.value: "refused the message",
        Verdict.THROTTLED.value: "asked for patience until it was too late",
        Verdict.TRANSIENT.value: "could not be reached, or had trouble of its own",
        Verdict.REFUSED_ENDPOINT.value: "is at an address that must not be dialled",
    }
)


def _on_days(evidence: Evidence) -> str:
    if not evidence.days:
        return ""
    return ", so far on one day" if evidence.days == 1 else f" on {evidence.days} different days"


def _returned(entry: LifecycleEntry) -> str:
    """What the sentence itself does not say: that it is living, or sent to, again."""
    if entry.after is not State.ACTIVE or entry.before in (None, State.ACTIVE):
        return ""
    return "; it is active again"


def _quoted(evidence: Evidence, names: Names) -> str:
    told = evidence.by is not By.OPERATOR or names.notes
    facts = [
        f"status {evidence.status}" if evidence.status is not None else "",
        f"code {evidence.code}" if evidence.code is not None and evidence.code != evidence.status else "",
        f"errno {evidence.errno}" if evidence.errno is not None else "",
        f'"{evidence.text}"' if evidence.text and told else "",
    ]
    present = ", ".join(fact for fact in facts if fact)
    return f" ({present})" if present else ""


_UNITS: tuple[tuple[float, str], ...] = ((DAY_SECONDS, "day"), (3600.0, "hour"), (60.0, "minute"))


def _span(seconds: float) -> str:
    for unit, name in _UNITS:
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "less than a minute"


def _ago(at: float, now: float) -> str:
    return "just now" if now - at < 1 else f"{_span(now - at)} ago"
