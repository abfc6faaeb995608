"""When something is done regularly: a line as cron reads it, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from pushkeep.errors import InvalidInput

EXPRESSION_CHARACTERS_MAX = 100
"""Five fields; longer ones are a mistake."""

FIELDS = 5


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five fields as in crontab(5): minute, hour, day of the month, month, day of the week; in UTC.

    Attributes:
        expression: the fields, separated by blanks.
    """

    expression: str

    @classmethod
    def parse(cls, text: object, *, field: str) -> Schedule:
        """Read an expression.

        Raises:
            InvalidInput: it is none, or names a day that never comes; ``field`` names it.
        """
        # A sixth field would be seconds, which nobody means who copies a line from a crontab.
        if isinstance(text, str) and len(text) <= EXPRESSION_CHARACTERS_MAX and len(text.split()) == FIELDS:
            made = cls(" ".join(text.split()))
            try:
                made.after(0.0)
            except (CronSimError, StopIteration):
                pass
            else:
                return made
        raise InvalidInput(
            f"{field} must be five fields as in crontab (minute, hour, day, month, weekday; in UTC), such as "
            f'"23 4 * * 1" for Mondays at 04:23, or off.',
            field=field,
        )

    def after(self, now: float) -> float:
        """The first time after ``now``, in epoch seconds."""
        return next(CronSim(self.expression, datetime.fromtimestamp(now, UTC))).timestamp()
