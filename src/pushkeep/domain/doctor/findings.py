"""A finding: what a check saw, how bad it is, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: the check's stable name.
        level: how bad it is.
        title: what was looked at, or what is wrong, in a few words.
        seen: what was seen, in a sentence.
        remedy: what to do; empty when it is ok, and only then.
    """

    check: str
    level: Level
    title: str
    seen: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if bool(self.remedy) == (self.level is Level.OK):
            raise ValueError(f"a finding has a remedy exactly if it is not ok: {self.check}, {self.title}")

    def to_dict(self) -> dict[str, str | None]:
        """A JSON object."""
        return {
            "check": self.check,
            "level": self.level.value,
            "title": self.title,
            "seen": self.seen,
            "remedy": self.remedy or None,
        }


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among them; ok if there are none."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def ok(check: str, title: str, seen: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, title, seen)


def warning(check: str, title: str, seen: str, remedy: str) -> Finding:
    """It works, but not everywhere or not for long."""
    return Finding(check, Level.WARNING, title, seen, remedy)


def problem(check: str, title: str, seen: str, remedy: str) -> Finding:
    """Messages fail because of it, or a secret is open."""
    return Finding(check, Level.PROBLEM, title, seen, remedy)
