"""The bodies of the routes on health, and how they are made from what is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pushkeep.app.chores import summary
from pushkeep.app.desk import NEVER
from pushkeep.app.health import Life, SuspectedPage
from pushkeep.app.sweep import SweepReport
from pushkeep.domain.health import Health
from pushkeep.domain.lifecycle import LifecycleEntry
from pushkeep.domain.moment import write_moment
from pushkeep.domain.subscription import State
from pushkeep.ports.sweeps import Chore
from pushkeep.web.reports import subscription_report
from pushkeep.web.schemas import StoryLine, SubscriptionReport


class DeductionReport(Struct, frozen=True):
    """Points that are missing from a score."""

    part: Annotated[str, Meta(description="`state`, `doubts`, `failures`, `silence` or `unshown`.")]
    points: int
    words: str


class HealthReport(Struct, frozen=True):
    """How a subscription is doing, judged from what is known."""

    score: Annotated[int, Meta(description="0 to 100; 0 once it has ended.")]
    deductions: Annotated[list[DeductionReport], Meta(description="What is missing from 100.")]
    likely_dead: bool
    signs: Annotated[list[str], Meta(description="`refused`, `silent`, `unrenewed`, `unshown`.")]
    reasons: Annotated[list[str], Meta(description="The signs in sentences.")]


class EvidenceReport(Struct, frozen=True, omit_defaults=True):
    """What a move rests on; what does not apply is left out."""

    by: str
    text: str | None = None
    verdict: str | None = None
    status: int | None = None
    code: int | None = None
    errno: int | None = None
    more_info: str | None = None
    predecessor: Annotated[str | None, Meta(description="UUID of the one it replaced.")] = None
    successor: Annotated[str | None, Meta(description="UUID of the one that replaced it.")] = None
    key: str | None = None
    key_before: str | None = None
    days: Annotated[int | None, Meta(description="On how many different days it was doubted.")] = None


class EntryReport(Struct, frozen=True):
    """One move of a subscription."""

    at: Annotated[str, Meta(description="RFC 3339.")]
    event: str
    before: Annotated[State | None, Meta(description="Null at its registration.")]
    after: State
    evidence: EvidenceReport


class LifeReport(Struct, frozen=True):
    """Everything about one subscription."""

    subscription: SubscriptionReport
    health: HealthReport
    standing: Annotated[list[str], Meta(description="How it stands now, in sentences.")]
    story: Annotated[list[StoryLine], Meta(description="What happened to it, oldest first, in sentences.")]
    entries: Annotated[list[EntryReport], Meta(description="The same as data; the latest 500.")]


class SuspectedReport(Struct, frozen=True):
    """A subscription that is likely dead."""

    subscription: SubscriptionReport
    health: HealthReport


class SuspectedList(Struct, frozen=True):
    """Some of them, oldest first."""

    items: list[SuspectedReport]
    next: Annotated[str | None, Meta(description="Give it as `after` for the next page; null at the end.")]


class OriginRelease(Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to release a push service's subscriptions."""

    push_service: Annotated[str, Meta(max_length=2048, description="Its origin, such as `https://push.example`.")]


class Released(Struct, frozen=True):
    """What was released."""

    released: Annotated[int, Meta(description="How many were in quarantine there.")]


class SweepWish(Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to sweep now."""

    dry_run: Annotated[bool, Meta(description="Only say what would be done.")] = False
    force: Annotated[bool, Meta(description="Do it even where it is unusually much at once.")] = False


class HeldReport(Struct, frozen=True):
    """A push service at which a sweep moved nothing, because it would have been too much at once."""

    origin: str
    removed: Annotated[int, Meta(description="How many would have been moved.")]
    living: Annotated[int, Meta(description="Of how many.")]


class SweptReport(Struct, frozen=True):
    """What a sweep found and did, or would do."""

    scope: Annotated[str, Meta(description="`all`, or `troubled` for failing and quarantined ones.")]
    dry_run: bool
    seconds: float
    living: Annotated[int, Meta(description="Subscriptions it looked at.")]
    by_state: Annotated[dict[str, int], Meta(description="The same by state.")]
    likely_dead: int
    signs: Annotated[dict[str, int], Meta(description="How many show which sign; one may show several.")]
    quarantined: int
    expired: Annotated[int, Meta(description="Ended, because nobody had heard of them.")]
    purged: Annotated[int, Meta(description="Tombstones that were forgotten.")]
    held: list[HeldReport]


class ChoreReport(Struct, frozen=True):
    """Something done regularly."""

    name: Annotated[str, Meta(description="`sweep` or `sweep_after_send`.")]
    due_at: Annotated[str | None, Meta(description="RFC 3339; null where it is done on occasion only.")]
    running: bool
    started_at: Annotated[str | None, Meta(description="The last time; RFC 3339.")]
    finished_at: Annotated[str | None, Meta(description="The last time; RFC 3339.")]
    result: Annotated[SweptReport | None, Meta(description="Of the last time.")]


class ChoreList(Struct, frozen=True):
    """What is done regularly."""

    items: list[ChoreReport]


def health_report(health: Health) -> HealthReport:
    """A judgement."""
    return HealthReport(
        health.score,
        [DeductionReport(one.part.value, one.points, one.words) for one in health.deductions],
        health.likely_dead,
        [sign.value for sign in health.signs],
        list(health.reasons),
    )


def life_report(found: Life) -> LifeReport:
    """A subscription with its story."""
    return LifeReport(
        subscription_report(found.record),
        health_report(found.health),
        list(found.standing),
        [StoryLine(write_moment(told.at), told.words) for told in found.story],
        [_entry(entry) for entry in found.entries],
    )


def _entry(entry: LifecycleEntry) -> EntryReport:
    facts = {name: value for name, value in asdict(entry.evidence).items() if name in _SHOWN and value is not None}
    return EntryReport(
        write_moment(entry.at), entry.event.value, entry.before, entry.after, msgspec.convert(facts, EvidenceReport)
    )


_SHOWN = frozenset(EvidenceReport.__struct_fields__)
"""Contacts stand in the log by their internal numbers, which say nothing to anybody; the story names them."""


def suspected_list(page: SuspectedPage) -> SuspectedList:
    """A page of the likely dead."""
    return SuspectedList(
        [SuspectedReport(subscription_report(one.record), health_report(one.health)) for one in page.items],
        page.next_after,
    )


def swept_report(report: SweepReport) -> SweptReport:
    """What a sweep did."""
    return msgspec.convert(summary(report), SweptReport)


def chore_list(chores: Sequence[Chore], now: float) -> ChoreList:
    """Some chores, all of them sweeps."""
    return ChoreList([_chore(chore, now) for chore in chores])


def _chore(chore: Chore, now: float) -> ChoreReport:
    return ChoreReport(
        chore.name,
        None if chore.due_at >= NEVER else write_moment(chore.due_at),
        chore.lease_expires_at is not None and chore.lease_expires_at > now,
        None if chore.started_at is None else write_moment(chore.started_at),
        None if chore.finished_at is None else write_moment(chore.finished_at),
        None if chore.result is None else msgspec.convert(json.loads(chore.result), SweptReport),
    )
