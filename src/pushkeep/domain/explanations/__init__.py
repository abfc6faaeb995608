"""What an answer of a push service means in plain words: the likely causes, the remedy, what Pushkeep does about it.

Data beside the table of verdicts: the verdict is looked up first, then the first row of that verdict whose conditions
hold explains it. Every verdict has a last row without conditions, so there is an explanation for everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.domain.action_table import ACTION_TABLE
from pushkeep.domain.explanations.endings import ENDINGS
from pushkeep.domain.explanations.refusals import REFUSALS
from pushkeep.domain.explanations.rows import ExplanationRow
from pushkeep.domain.explanations.waits import WAITS
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.vendors import Vendor
from pushkeep.protocol.verdict import Verdict, classify

EXPLANATIONS: tuple[ExplanationRow, ...] = ENDINGS + REFUSALS + WAITS
"""Every row, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An answer, explained.

    Attributes:
        vendor: whose answer it is.
        verdict: what it means in one word.
        row: the explanation.
        does: what Pushkeep does about it: pairs of a condition (empty for "otherwise") and what is done.
    """

    vendor: Vendor
    verdict: Verdict
    row: ExplanationRow
    does: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "service": self.vendor.name,
            "verdict": self.verdict.value,
            "meaning": self.row.meaning,
            "causes": list(self.row.causes),
            "remedy": self.row.remedy,
            "does": [{"if": when or None, "action": so} for when, so in self.does],
            "source": self.row.source,
        }


def diagnose(vendor: Vendor, answer: Answer) -> Diagnosis:
    """Explain an answer of a push service."""
    verdict = classify(vendor, answer)
    row = next(row for row in EXPLANATIONS if row.verdict is verdict and row.explains(vendor.name, answer))
    return Diagnosis(vendor, verdict, row, _does(verdict))


def usual_silence(vendor: Vendor) -> tuple[Diagnosis, ...]:
    """Why nothing is shown where no answer is at hand: the usual refusals, then what comes of an accepted message."""
    found = []
    for verdict in (Verdict.BAD_TOKEN, Verdict.KEY_MISMATCH, Verdict.ACCEPTED):
        rows = [row for row in EXPLANATIONS if row.verdict is verdict]
        own = next((row for row in rows if row.vendors and vendor.name in row.vendors), None)
        found.append(Diagnosis(vendor, verdict, own or next(row for row in rows if not row.vendors), _does(verdict)))
    return tuple(found)


def _does(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    return tuple((action.when, action.so) for action in ACTION_TABLE if action.verdict is verdict)


__all__ = ["EXPLANATIONS", "Diagnosis", "ExplanationRow", "diagnose", "usual_silence"]
