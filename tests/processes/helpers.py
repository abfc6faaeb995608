"""What tests with processes of their own share: their environment, how they wait and end, and who is sent to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from pushkeep.app.context import Services
from pushkeep.app.projects import current_signing_key
from pushkeep.app.subscribe import RegistrationRequest, register
from pushkeep.domain.project import Project
from pushkeep.pushservice import LocalSubscriber, PushService

ROOT = Path(__file__).parents[2]

WAIT_SECONDS_MAX = 60.0


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of a user who has set nothing of ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PUSHKEEP_")}
    return inherited | {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "COLUMNS": "200"}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], object | Awaitable[object]], *, seconds: float = WAIT_SECONDS_MAX) -> None:
    """Wait for something that other processes do without telling anybody."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


async def stopped(process: asyncio.subprocess.Process) -> None:
    """Kill a process, frozen or not, and reap it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def new_visitor(services: Services, project: Project, service: PushService) -> tuple[LocalSubscriber, str]:
    """A subscriber of the local push service that a server stores, and its short id there."""
    key = await current_signing_key(services, project)
    subscriber = await service.subscribe(key.public_bytes)
    registered = await register(
        services,
        project,
        RegistrationRequest(subscription=subscriber.subscription, application_server_key=key.public_b64),
    )
    return subscriber, registered.short_id
