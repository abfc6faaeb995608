"""What a row of the table of settings is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ENVIRONMENT_PREFIX = "PUSHKEEP_"


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    Attributes:
        read: turns text (environment, command line) or a TOML value into the typed value; raises InvalidInput.
        type: what may stand there, with its unit and limits, for people.
        help: what it does.
        default: how the default reads where it is computed.
        secret: never shown, never in the file; has a ``_FILE`` variant.
    """

    read: Callable[[object, str], object]
    type: str
    help: str
    default: str | None = None
    secret: bool = False
