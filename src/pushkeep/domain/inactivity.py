"""When a push service or a browser drops a subscription that nobody uses: what is known, from where, and how surely.

Most of what is told about this has no source. So every row says where it is from and how sure it is, and where nobody
says anything the row is our own assumption and says that. Only rows that ``decides`` are used for judging
(:mod:`pushkeep.domain.health`); nothing here ever ends a subscription.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.protocol.vendors import APPLE, FCM, MOZILLA, UNIFIEDPUSH, UNKNOWN, VENDORS, WNS


class Certainty(StrEnum):
    """How sure a row is."""

    SOURCE_CODE = "source_code"
    """Read in the code that does it."""
    BORROWED = "borrowed"
    """Documented by the vendor for something else than web push."""
    REPORTED = "reported"
    """Told by people who saw it, or by a vendor's engineer in passing."""
    ASSUMED = "assumed"
    """Nobody says anything; the number is ours."""


@dataclass(frozen=True, slots=True)
class InactivityPolicy:
    """One row.

    Attributes:
        vendor: the vendor row's name.
        days: of silence after which it applies; None where it does not go by days.
        rule: what happens then, in plain words.
        source: where this is known from.
        certainty: how surely.
        decides: whether silence for longer makes a subscription likely dead. One row of each vendor does.
    """

    vendor: str
    days: int | None
    rule: str
    source: str
    certainty: Certainty
    decides: bool = False


_FIREBASE = "Firebase, Best practices for FCM registration token management"
_AUTOPUSH = "Mozilla, autopush-rs"
_FIREFOX = "Firefox, PushRecord.sys.mjs"

POLICIES: tuple[InactivityPolicy, ...] = (
    InactivityPolicy(
        FCM.name,
        270,
        "Google ends registrations of Android devices not online for 270 days; about browsers it says nothing",
        _FIREBASE,
        Certainty.BORROWED,
        decides=True,
    ),
    InactivityPolicy(
        FCM.name,
        30,
        "Google calls registrations stale that their app did not confirm for a month",
        _FIREBASE,
        Certainty.BORROWED,
    ),
    InactivityPolicy(
        MOZILLA.name,
        60,
        "Mozilla drops a browser not online for 60 days, with all its subscriptions, and answers 410 from then",
        _AUTOPUSH,
        Certainty.SOURCE_CODE,
        decides=True,
    ),
    InactivityPolicy(
        MOZILLA.name,
        None,
        "Mozilla drops a browser that comes back to more than 150 stored messages",
        _AUTOPUSH,
        Certainty.SOURCE_CODE,
    ),
    InactivityPolicy(
        MOZILLA.name,
        None,
        "Firefox unsubscribes from a site that showed nothing for 16 pushes, fewer the longer it was not visited",
        _FIREFOX,
        Certainty.SOURCE_CODE,
    ),
    InactivityPolicy(
        APPLE.name,
        180,
        "Safari removes the data of sites not used for 180 days; newer ones spare sites with a subscription",
        "WebKit, as reported; Apple documents no lifetime, only that messages are stored for 30 days at most",
        Certainty.REPORTED,
        decides=True,
    ),
    InactivityPolicy(
        WNS.name,
        180,
        "Microsoft says nothing about browsers",
        "none",
        Certainty.ASSUMED,
        decides=True,
    ),
    InactivityPolicy(
        WNS.name,
        30,
        "Microsoft ends channels of Windows apps after 30 days unless the app asks again; browsers seem to do so",
        "Microsoft, How to request, create, and save a notification channel",
        Certainty.BORROWED,
    ),
    InactivityPolicy(
        UNIFIEDPUSH.name,
        180,
        "the UnifiedPush specification says nothing",
        "UnifiedPush, server specification",
        Certainty.ASSUMED,
        decides=True,
    ),
    InactivityPolicy(
        UNKNOWN.name,
        180,
        "nothing is known of this push service",
        "none",
        Certainty.ASSUMED,
        decides=True,
    ),
)
"""Every row, by vendor; the deciding one first."""

DECIDING: Mapping[str, InactivityPolicy] = MappingProxyType(
    {row.vendor: row for row in POLICIES if row.decides and row.vendor in VENDORS}
)
"""The row that decides, by vendor."""

PROVE_LIFE = frozenset({MOZILLA.name})
"""Vendors whose acceptance says that the browser was online within their deciding days: they look the browser up
before they take a message, and drop those that stayed away. Google keeps what nobody has unsubscribed from, and Apple
was seen to take messages for subscriptions that are gone, so what they take proves nothing."""


def policy_of(vendor: str) -> InactivityPolicy:
    """The deciding row of a vendor; that of unknown push services for a name nobody knows."""
    return DECIDING.get(vendor, DECIDING[UNKNOWN.name])


def inactivity_reference() -> str:
    """The table as Markdown, for the documentation."""
    lines = ["| push service | days | what happens | known from | how surely |", "|---|---|---|---|---|"]
    for row in POLICIES:
        days = "" if row.days is None else f"**{row.days}**" if row.decides else str(row.days)
        title = VENDORS[row.vendor].title
        lines.append(f"| {title} | {days} | {row.rule} | {row.source} | {row.certainty.value.replace('_', ' ')} |")
    return "\n".join(lines) + "\n"
