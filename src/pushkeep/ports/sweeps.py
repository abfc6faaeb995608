"""Sweeps over everything that is stored, chores that one process does for all, and what health is known of many."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pushkeep.domain.health import Sign
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State, SubscriptionRecord
from pushkeep.domain.sweep import OriginCount, SweepRules


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """What a page of living subscriptions has at one push service in one state.

    Attributes:
        origin: the push service.
        state: the state.
        count: how many there are, and how many of them would be moved.
        signs: how many show which sign of death.
        likely_dead: how many show any.
    """

    origin: str
    state: State
    count: OriginCount
    signs: Mapping[Sign, int]
    likely_dead: int


@dataclass(frozen=True, slots=True)
class SurveyPage:
    """A page of living subscriptions, counted.

    Attributes:
        rows: by push service and state.
        last: internal number of the page's last subscription; None where there was none: the survey is over.
    """

    rows: tuple[SurveyRow, ...]
    last: int | None


@dataclass(frozen=True, slots=True)
class MovedPage:
    """What was moved of a page.

    Attributes:
        moved: how many.
        last: internal number of the last one looked at; None where this was the last page.
    """

    moved: int
    last: int | None


PurgeCursor: TypeAlias = tuple[float, int]
"""Where a page of tombstones ended: when the last one ended, and its number."""

PURGE_START: PurgeCursor = (0.0, 0)


@dataclass(frozen=True, slots=True)
class PurgedPage:
    """What was forgotten of a page of tombstones.

    Attributes:
        purged: how many.
        after: where the next page begins; None where this was the last one.
    """

    purged: int
    after: PurgeCursor | None


@dataclass(frozen=True, slots=True)
class LikelyDeadPage:
    """Subscriptions with signs of death.

    Attributes:
        records: in the order of their numbers.
        last: up to which number was looked; None where nothing is left behind it.
    """

    records: tuple[SubscriptionRecord, ...]
    last: int | None


@dataclass(frozen=True, slots=True)
class AudienceHealth:
    """What is known of an audience before anything is sent to it.

    Attributes:
        by_state: its living subscriptions by state.
        likely_dead: how many show a sign of death.
        probes: of the quarantined, those that would be sent this message as their probe.
    """

    by_state: Mapping[State, int]
    likely_dead: int
    probes: int


class SweepStore(Protocol):
    """Counts and moves many rows, a page at a time, so that others hardly wait."""

    async def survey_page(self, project: Project, rules: SweepRules, *, after: int, limit: int) -> SurveyPage:
        """Count the next living subscriptions; nothing is written and nobody waits."""
        ...

    async def living_by_origin(
        self, project: Project, *, after: int, limit: int
    ) -> tuple[Mapping[str, int], int | None]:
        """Count the next living subscriptions by origin only; and where the page ended, None at the end."""
        ...

    async def sweep_page(
        self, project: Project, rules: SweepRules, event: Event, *, spare: Collection[str], after: int, limit: int
    ) -> MovedPage:
        """Move what the rules say of the next subscriptions, in one transaction.

        Args:
            project: whose.
            rules: as of the survey.
            event: ``QUARANTINED`` or ``EXPIRED``.
            spare: origins at which nothing is moved.
            after: 0, then ``last`` of the page before.
            limit: how many are moved at most.
        """
        ...

    async def purge_before(self, project: Project, rules: SweepRules) -> float:
        """Up to which time tombstones may be forgotten: as old as the rules say, and older than any message under way.

        Somebody who is replaced while a message waits is found by the tombstone of the old subscription.
        """
        ...

    async def count_tombstones(self, project: Project, *, before: float) -> int:
        """How many tombstones of subscriptions that ended before a time would be forgotten."""
        ...

    async def purge_page(self, project: Project, *, before: float, after: PurgeCursor, limit: int) -> PurgedPage:
        """Forget the next tombstones of subscriptions that ended before a time, the oldest first, with their log.

        One that another row still names as its successor stays, so that no chain is broken.
        """
        ...

    async def likely_dead_page(self, project: Project, *, now: float, after: int, scan: int) -> LikelyDeadPage:
        """Of the next ``scan`` living subscriptions those that show a sign of death."""
        ...

    async def audience_health(self, project: Project, target: Target, *, now: float) -> AudienceHealth:
        """What is known of an audience.

        Raises:
            InvalidInput: there is no such tag, or the target is a retry.
        """
        ...

    async def contact_names(self, project: Project, numbers: Collection[int]) -> Mapping[int, str]:
        """External ids of contacts by their internal numbers."""
        ...

    async def short_ids(self, project: Project, public_ids: Collection[str]) -> Mapping[str, str]:
        """Short ids of subscriptions by their public ids; forgotten ones are missing."""
        ...


@dataclass(frozen=True, slots=True)
class Chore:
    """Something done regularly, and how it went the last time.

    Attributes:
        name: which.
        due_at: epoch seconds.
        lease_owner: who does it at the moment; None for nobody.
        lease_expires_at: epoch seconds until which nobody else does.
        started_at, finished_at: of the last time.
        result: of the last time, as JSON; None before the first.
    """

    name: str
    due_at: float
    lease_owner: str | None = None
    lease_expires_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    result: str | None = None


class ChoreStore(Protocol):
    """Lends chores to one process at a time. Times are the caller's; leases are long against any clock's error."""

    async def chores(self, project: Project) -> tuple[Chore, ...]:
        """Every chore there has been, by name."""
        ...

    async def plan_chore(self, project: Project, name: str, due_at: float) -> None:
        """Say when a chore is next due, unless it is known already and due no later."""
        ...

    async def take_chore(
        self, project: Project, name: str, owner: str, *, now: float, lease_seconds: float, early: bool = False
    ) -> Chore | None:
        """Lend a chore that is due, or whose last borrower has not come back; None where it is not to be had.

        Args:
            project: whose.
            name: which; one that was never planned is due at once.
            owner: to whom.
            now: epoch seconds.
            lease_seconds: for how long.
            early: also if it is not due yet.
        """
        ...

    async def renew_chore(self, project: Project, name: str, owner: str, *, expires_at: float) -> bool:
        """Lend it on; false where somebody else has it by now, and the caller has to stop."""
        ...

    async def finish_chore(
        self, project: Project, name: str, owner: str, *, now: float, due_at: float, result: str | None
    ) -> bool:
        """Give a chore back, done; false where somebody else has it by now. No result keeps the one before."""
        ...
