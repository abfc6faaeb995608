"""What becomes of a record of the own format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import Connection

from pushkeep.adapters.store.sealing import Vault
from pushkeep.domain.moving import Numbered
from pushkeep.domain.project import Project
from pushkeep.errors import PushkeepError


class Fate(StrEnum):
    """In the words of the counts; what is new is counted by its kind."""

    NEW = "new"
    KNOWN = "known"
    ENDED = "ended"
    """Taken away here since the file was written, as far as anybody can tell."""


FateOf: TypeAlias = Callable[[Connection, Vault, Project, Sequence[Numbered]], Sequence[Fate | PushkeepError]]
"""What becomes of each record of one kind; an error where what is stored contradicts it."""

Writer: TypeAlias = Callable[[Connection, Vault, Project, Sequence[Numbered]], int]
"""Writes records of one kind that are new; how many it left out, since what they are about was left out."""

ORPHANS = "orphans"
"""What those are called in the counts."""
