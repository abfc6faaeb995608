"""What is known when a push service has answered: the input of the table of actions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pushkeep.domain.circuit import COOL_DOWN_SECONDS
from pushkeep.domain.origin_statistics import OriginView
from pushkeep.domain.retry import RetryPolicy
from pushkeep.domain.subscription import SUSPECT_DAYS_TO_QUARANTINE
from pushkeep.protocol.remedy import Remedy
from pushkeep.protocol.vendors import Vendor
from pushkeep.protocol.verdict import Verdict

DAY_SECONDS = 86_400

_POLICY = RetryPolicy()
_NOTHING_KNOWN = OriginView()


@dataclass(frozen=True, slots=True)
class Situation:
    """One answer, with everything that bears on what is done about it.

    Attributes:
        verdict: what the answer means.
        vendor: the push service's row.
        now: epoch seconds, UTC.
        age_seconds: since the subscription was first registered, at the first attempt of this message.
        before: the verdicts of this message's earlier attempts, in order.
        forgotten: attempts before those, whose verdicts are not kept.
        remaining_seconds: until the message's deadline; infinity where there is none.
        retry_after: what the push service asked for, in seconds.
        chance: from 0 up to 1, drawn anew for each answer.
        policy: how patient to be.
        suspect_days: the UTC days (epoch days) of earlier suspect answers since the last accepted message; never
            more than three are needed.
        is_probe: whether the subscription is in quarantine, and this message was let through to probe it.
        failed_probes: how many were definitely refused before it.
        origin: what the origin's statistics say.
        circuit_wait_seconds: until the circuit of this key and origin lets a probe through.
        remedy: what the answer itself says to change, if that changes anything about the message.
        remedies_tried: what was changed for this attempt.
        other_key: whether another key is recorded for the project that this message was not yet tried with.
    """

    verdict: Verdict
    vendor: Vendor
    now: float
    age_seconds: float = math.inf
    before: tuple[Verdict, ...] = ()
    forgotten: int = 0
    remaining_seconds: float = math.inf
    retry_after: float | None = None
    chance: float = 0.5
    policy: RetryPolicy = _POLICY
    suspect_days: frozenset[int] = frozenset()
    is_probe: bool = False
    failed_probes: int = 0
    origin: OriginView = _NOTHING_KNOWN
    circuit_wait_seconds: float = COOL_DOWN_SECONDS
    remedy: Remedy | None = None
    remedies_tried: frozenset[Remedy] = frozenset()
    other_key: bool = False

    @property
    def attempt(self) -> int:
        """The number of the attempt that was answered, 1 for the first."""
        return self.forgotten + len(self.before) + 1

    @property
    def suspect_days_with_this(self) -> frozenset[int]:
        """The days of suspect answers if this one is counted, too."""
        return self.suspect_days | {int(self.now // DAY_SECONDS)}

    @property
    def suspected_long_enough(self) -> bool:
        """Whether this is the third day on which the push service doubts the subscription."""
        return len(self.suspect_days_with_this) >= SUSPECT_DAYS_TO_QUARANTINE

    def times_before(self, verdict: Verdict) -> int:
        """How often this message had that verdict already."""
        return self.before.count(verdict)
