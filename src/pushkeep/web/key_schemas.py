"""The bodies of the routes on signing keys, and how they are made from what is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from pushkeep.app.key_progress import KeyProgress
from pushkeep.app.rotate import Retired, Rotated
from pushkeep.domain.key_forecast import Forecast
from pushkeep.domain.moment import write_moment
from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import SEEN_DAYS, KeyRecord
from pushkeep.domain.situation import DAY_SECONDS


class KeyRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to rotate."""

    leaked: Annotated[
        bool, Meta(description="The active key is in other hands: messages tell its browsers to renew at once.")
    ] = False
    active: Annotated[
        str | None, Meta(description="Id of the key to be replaced: sent twice, the request rotates once.")
    ] = None


class KeyRetirement(Struct, frozen=True, forbid_unknown_fields=True):
    """A wish to retire a key."""

    force: Annotated[
        bool, Meta(description="Give up who is still bound to it: nothing is sent there until the browser has renewed.")
    ] = False


class SigningKeyReport(Struct, frozen=True):
    """A signing key. Its private half is never shown."""

    id: Annotated[str, Meta(description="12 characters.")]
    application_server_key: Annotated[str, Meta(description="The public half, unpadded base64url.")]
    state: KeyState
    created_at: Annotated[str, Meta(description="RFC 3339.")]
    activated_at: Annotated[str | None, Meta(description="Since when new subscriptions are made with it; RFC 3339.")]
    retiring_at: Annotated[str | None, Meta(description="When another one was activated; RFC 3339.")]
    retired_at: Annotated[str | None, Meta(description="When its private half was erased; RFC 3339.")]
    leaked_at: Annotated[str | None, Meta(description="Since when it is known to be in other hands; RFC 3339.")]


class DayReport(Struct, frozen=True):
    """A day of a retiring key."""

    day: Annotated[str, Meta(description="UTC, as 2026-11-22.")]
    moved: int
    ended: int


class ForecastReport(Struct, frozen=True):
    """What is to be expected of a retiring key."""

    per_day: Annotated[float, Meta(description="How many left it on a day of late.")]
    expected: Annotated[int, Meta(description="How many more will leave it by themselves.")]
    left_over: Annotated[int, Meta(description="How many will not.")]
    settled_at: Annotated[
        str | None, Meta(description="By when 99 % of the expected ones have; null beyond ten years; RFC 3339.")
    ]


class SigningKeyStatus(Struct, frozen=True):
    """A signing key, who is bound to it, and what became of the others."""

    key: SigningKeyReport
    bound: Annotated[int, Meta(description="Living subscriptions that are sent to with it.")]
    needs_renewal: Annotated[int, Meta(description="Living ones that wait for their browsers.")]
    seen: Annotated[
        dict[str, int],
        Meta(description="The bound ones by the days within which their browsers were seen; `older` for all others."),
    ]
    moved: Annotated[
        int, Meta(description="Subscriptions that moved to another key since the day it was replaced began (UTC).")
    ]
    ended: Annotated[int, Meta(description="Subscriptions that ended otherwise since then.")]
    share: Annotated[
        float | None,
        Meta(description="How much of its rotation is done, 0 to 1; null for a key that was not replaced."),
    ]
    days: Annotated[list[DayReport], Meta(description="The last 90 days, today last.")]
    forecast: Annotated[ForecastReport | None, Meta(description="Null while it is too early to tell.")]


class SigningKeyList(Struct, frozen=True):
    """Every key of a project."""

    items: list[SigningKeyStatus]


class RotationReport(Struct, frozen=True):
    """A rotation."""

    active: SigningKeyReport
    retiring: SigningKeyReport


class RetirementReport(Struct, frozen=True):
    """A key out of use."""

    key: SigningKeyReport
    given_up: Annotated[int, Meta(description="Living subscriptions that need renewal by that.")]


def key_report(key: KeyRecord) -> SigningKeyReport:
    """A key as callers see it."""
    return SigningKeyReport(
        id=key.key_id,
        application_server_key=key.public_b64,
        state=key.state,
        created_at=write_moment(key.created_at),
        activated_at=_moment(key.activated_at),
        retiring_at=_moment(key.retiring_at),
        retired_at=_moment(key.retired_at),
        leaked_at=_moment(key.leaked_at),
    )


def key_status(progress: KeyProgress) -> SigningKeyStatus:
    """A key with its progress."""
    usage = progress.usage
    return SigningKeyStatus(
        key=key_report(progress.key),
        bound=usage.bound,
        needs_renewal=usage.waiting,
        seen={**{str(days): usage.seen.get(days, 0) for days in SEEN_DAYS}, "older": usage.seen.get(None, 0)},
        moved=progress.moved,
        ended=progress.ended,
        share=progress.share,
        days=[DayReport(date_of(day.day), day.moved, day.ended) for day in progress.days],
        forecast=None if progress.forecast is None else _forecast(progress.forecast),
    )


def key_list(progress: tuple[KeyProgress, ...]) -> SigningKeyList:
    """Every key."""
    return SigningKeyList([key_status(one) for one in progress])


def rotation_report(rotated: Rotated) -> RotationReport:
    """The answer to a rotation."""
    return RotationReport(key_report(rotated.active), key_report(rotated.retiring))


def retirement_report(retired: Retired) -> RetirementReport:
    """The answer to a retirement."""
    return RetirementReport(key_report(retired.key), retired.given_up)


def date_of(day: int) -> str:
    """An epoch day as a date."""
    return datetime.fromtimestamp(day * DAY_SECONDS, UTC).date().isoformat()


def _forecast(found: Forecast) -> ForecastReport:
    return ForecastReport(found.per_day, found.expected, found.left_over, _moment(found.settled_at))


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else write_moment(seconds)
