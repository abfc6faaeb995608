"""The server's processes as an operator has them, against a real local push service."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from pushkeep.app.accept import Asked, accept
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.notification import Content, Target
from pushkeep.protocol.request import PushOptions
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.cli.conftest import CONTACT, PUSHKEEP, cli, environment, service
from tests.processes.helpers import WAIT_SECONDS_MAX, new_visitor, stopped
from tests.redaction.child.watched_secrets import PAYLOAD_MARK

__all__ = ["cli", "environment", "service"]


@dataclass(frozen=True)
class Installed:
    """A server's directory with some subscribers in it.

    Attributes:
        data_dir: with the settings file.
        subscribers: of the local push service.
        ids: their short ids.
    """

    data_dir: Path
    subscribers: tuple[LocalSubscriber, ...]
    ids: tuple[str, ...]

    @property
    def at(self) -> tuple[str, str]:
        return ("--data-dir", str(self.data_dir))

    def set(self, **settings: int) -> None:
        """Add settings to its file."""
        with (self.data_dir / "pushkeep.toml").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    async def accept_for_all(self) -> None:
        """A notification for everybody, as `pushkeep notify --all` would leave it, but sooner."""
        settings = load_settings(overrides={"data_dir": self.data_dir}, environ={})
        async with open_project(settings) as (services, project):
            asked = Asked.of(Target.everyone(), Content.of(title="Hello", body=PAYLOAD_MARK), PushOptions.of())
            await accept(services, project, asked, worker=None)

    def look(self, query: str) -> list[tuple[object, ...]]:
        """What stands in the database."""
        connection = sqlite3.connect(f"{(self.data_dir / 'pushkeep.db').as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture
async def installed(service: PushService, tmp_path: Path) -> Installed:
    data_dir = tmp_path / "server"
    data_dir.mkdir(mode=0o700)
    entries = json.dumps(service.origin_map_entries())
    (data_dir / "pushkeep.toml").write_text(f'contact = "{CONTACT}"\norigin_map = {entries}\n')
    async with open_project(load_settings(overrides={"data_dir": data_dir}, environ={})) as (services, project):
        found = [await new_visitor(services, project, service) for _ in range(10)]
    subscribers, ids = zip(*found, strict=True)
    return Installed(data_dir, subscribers, ids)


Start: TypeAlias = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Start:
    """Start a command that runs until it is stopped, once it has printed its first line; it never outlives the test."""

    @asynccontextmanager
    async def run(*arguments: str, **extra: str) -> AsyncIterator[asyncio.subprocess.Process]:
        with (tmp_path / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                PUSHKEEP,
                *arguments,
                env=environment | extra,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        try:
            assert process.stdout is not None
            if "--until-stdin-closes" not in arguments:  # such a one has nobody to tell
                async with asyncio.timeout(WAIT_SECONDS_MAX):
                    assert await process.stdout.readline(), (tmp_path / "log").read_text()
            yield process
        finally:
            await stopped(process)

    return run
