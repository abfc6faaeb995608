"""What the histories share: the Node process, and a database with a project in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.virtual_time import VirtualLoop
from tests.lifecycle.browsers import Browsers
from tests.lifecycle.server import Server
from tests.lifecycle.service import Service


@pytest.fixture(scope="package")
def browsers() -> Iterator[Browsers]:
    running = Browsers.start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once: that takes longer than a history."""
    path = tmp_path_factory.mktemp("lifecycle") / "pushkeep.db"
    loop = VirtualLoop()
    chance = random.Random(0)
    server = Server(loop, path, Service(loop, chance), chance)
    server.start()
    server.declare()
    server.stop()
    loop.end()
    return path
