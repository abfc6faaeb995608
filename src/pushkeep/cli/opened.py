"""Opening the stored project for a command that runs beside the server or without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pushkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from pushkeep.app.accept import AcceptRules
    from pushkeep.app.context import Services
    from pushkeep.config import Settings
    from pushkeep.domain.project import Project
    from pushkeep.ports import Store


@asynccontextmanager
async def opened_project(settings: Settings) -> AsyncIterator[tuple[Services, Project]]:
    """The services and the project as the server left them; nothing is created and no setting is changed.

    Raises:
        ConfigurationError: no server has run with this data directory yet.
    """
    from pushkeep.compose import open_project

    _check_there_is_one(settings)
    async with open_project(settings) as opened:
        yield opened


@asynccontextmanager
async def opened_to_read(settings: Settings) -> AsyncIterator[tuple[Store, Project]]:
    """The store and the project, to look at them; nothing is written.

    Raises:
        ConfigurationError: no server has run with this data directory yet, or one of an older version.
        Unavailable: the database cannot be read at the moment.
    """
    from pushkeep.compose import open_project_to_read

    _check_there_is_one(settings)
    async with open_project_to_read(settings) as opened:
        yield opened


def _check_there_is_one(settings: Settings) -> None:
    if not settings.database.exists():
        raise ConfigurationError(
            f"There is nothing in {settings.data_dir} yet. Start `pushkeep serve` or `pushkeep demo` first, or name "
            "the server's directory with --data-dir.",
            field="data_dir",
        )


def accept_rules(settings: Settings) -> AcceptRules:
    """What the operator allows, for a command that accepts a notification."""
    from pushkeep.app.accept import AcceptRules

    return AcceptRules(
        backlog_max=settings.backlog_recipients_max, receipts=settings.receipts, purpose=settings.require_purpose
    )
