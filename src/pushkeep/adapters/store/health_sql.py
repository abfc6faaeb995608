"""The signs of death in SQL: what :data:`pushkeep.domain.health.SIGNS` says of one record, said of a million rows.

Numbers come from the domain; ``tests/store/test_sweeps.py`` holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_

from pushkeep.adapters.store.tables import subscriptions
from pushkeep.domain.health import DAY_SECONDS, UNRENEWED_DAYS, UNSHOWN_ACCEPTED_DAYS, UNSHOWN_DAYS, Sign
from pushkeep.domain.inactivity import DECIDING, PROVE_LIFE, policy_of
from pushkeep.domain.subscription import State
from pushkeep.protocol.vendors import UNKNOWN
from pushkeep.protocol.verdict import Verdict

NOW = "now"
"""The bound parameter: epoch seconds."""

_now: ColumnElement[float] = bindparam(NOW)
_of = subscriptions.c


def _later(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """The later of two times, of which the other may be missing."""
    return case((and_(other.is_not(None), other > one), other), else_=one)


HEARD_AT = _later(_of.last_seen_at, _of.last_displayed_at)
"""When its browser last said anything."""

_QUARANTINED = _of.state == State.QUARANTINED.value
NOT_DIALLED = and_(_QUARANTINED, func.json_extract(_of.state_reason, "$.verdict") == Verdict.REFUSED_ENDPOINT.value)
_POLICY_SECONDS = case(
    *((_of.vendor == vendor, (row.days or 0) * DAY_SECONDS) for vendor, row in DECIDING.items()),
    else_=(policy_of(UNKNOWN.name).days or 0) * DAY_SECONDS,
)
_KNOWN_AT = case((_of.vendor.in_(sorted(PROVE_LIFE)), _later(HEARD_AT, _of.last_accepted_at)), else_=HEARD_AT)

SIGN_CLAUSES: Mapping[Sign, ColumnElement[bool]] = MappingProxyType(
    {
        Sign.REFUSED: and_(_QUARANTINED, func.coalesce(~NOT_DIALLED, True)),
        Sign.SILENT: _now - _KNOWN_AT > _POLICY_SECONDS,
        Sign.UNRENEWED: and_(_of.state == State.NEEDS_RENEWAL.value, _now - HEARD_AT > UNRENEWED_DAYS * DAY_SECONDS),
        Sign.UNSHOWN: and_(
            _of.last_displayed_at.is_not(None),
            _of.last_accepted_at.is_not(None),
            _now - HEARD_AT > UNSHOWN_DAYS * DAY_SECONDS,
            _of.last_accepted_at - _of.last_displayed_at > UNSHOWN_ACCEPTED_DAYS * DAY_SECONDS,
        ),
    }
)
"""Each sign, of a living row, at the time bound as :data:`NOW`."""

LIKELY_DEAD = or_(*SIGN_CLAUSES.values())
"""Any sign."""
