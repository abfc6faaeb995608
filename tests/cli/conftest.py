"""The command line as its users have it: a process of its own, against a real local push service."""

import asyncio
import os
import pty
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.processes.helpers import clean_environment, new_visitor
from tests.processes.prepared import PUSHKEEP, prepared

COMMAND_SECONDS_MAX = 60
CONTACT = "mailto:tests@example.com"


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


Cli = Callable[..., Awaitable[Ran]]


async def in_a_terminal(environment: dict[str, str], *arguments: str | Path) -> str:
    """What a terminal shows of a command that succeeds."""
    ours, theirs = pty.openpty()

    def look() -> bytes:
        with subprocess.Popen(
            [PUSHKEEP, *map(str, arguments)],
            env=environment | {"TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            seen = b""
            try:
                while chunk := os.read(ours, 65536):
                    seen += chunk
            except OSError:  # how Linux says that the other side of a terminal is closed
                pass
            assert process.wait(COMMAND_SECONDS_MAX) == 0, seen
        return seen

    return (await asyncio.to_thread(look)).decode()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path)


@pytest.fixture
def cli(tmp_path: Path, environment: dict[str, str]) -> Cli:
    async def run(*arguments: str | Path, stdin: bytes = b"", **extra: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            prepared() / "pushkeep",
            *map(str, arguments),
            cwd=tmp_path,
            env=environment | extra,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS_MAX):
                out, err = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        ran = Ran(process.returncode or 0, out.decode(), err.decode())
        assert "Traceback" not in ran.text, ran.text
        return ran

    return run


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService() as service:
        yield service


@dataclass(frozen=True)
class OnDisk:
    """A subscriber of the local push service, as files for ``pushkeep send --subscription``."""

    subscriber: LocalSubscriber
    subscription: Path
    key: Path
    mapping: tuple[str, ...]

    @property
    def recipient(self) -> tuple[str | Path, ...]:
        return ("--subscription", self.subscription, "--key", self.key, "--contact", CONTACT, *self.mapping)


@pytest.fixture(params=["mozilla", "fcm"])
async def on_disk(request: pytest.FixtureRequest, service: PushService, tmp_path: Path) -> OnDisk:
    key = SigningKey.generate()
    subscriber = await service.subscribe(key.public_bytes, vendor=request.param)
    subscription_file, key_file = tmp_path / "subscription.json", tmp_path / "vapid.pem"
    subscription_file.write_text(subscriber.subscription.to_json())
    key_file.write_text(key.to_pem())
    mapping = tuple(part for entry in service.origin_map_entries() for part in ("--map-origin", entry))
    return OnDisk(subscriber, subscription_file, key_file, mapping)


@dataclass(frozen=True)
class Stored:
    """A subscriber of the local push service that a server has stored in ``data_dir``."""

    subscriber: LocalSubscriber
    short_id: str
    data_dir: Path

    @property
    def at(self) -> tuple[str | Path, ...]:
        return ("--data-dir", self.data_dir)


@pytest.fixture
async def stored(service: PushService, tmp_path: Path) -> Stored:
    data_dir = tmp_path / "server"
    data_dir.mkdir(mode=0o700)
    entries = ", ".join(f'"{entry}"' for entry in service.origin_map_entries())
    (data_dir / "pushkeep.toml").write_text(f'contact = "{CONTACT}"\norigin_map = [{entries}]\n')
    async with open_project(load_settings(overrides={"data_dir": data_dir}, environ={})) as (services, project):
        subscriber, short_id = await new_visitor(services, project, service)
    return Stored(subscriber, short_id, data_dir)
