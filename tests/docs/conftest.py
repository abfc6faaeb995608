"""A local push service, and an environment in which the examples reach it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.pushservice import PushService
from tests.processes.prepared import prepared

BIN = Path(sys.executable).parent


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService() as service:
        yield service


@pytest.fixture
def environment(tmp_path: Path, service: PushService) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "PATH": f"{prepared()}:{BIN}:/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        # The examples send to real push services; this is how any program is pointed at the local one.
        "PUSHKEEP_ORIGIN_MAP": " ".join(service.origin_map_entries()),
    }
