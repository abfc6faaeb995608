"""What the histories share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.world import template_database


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a project in it."""
    return template_database(tmp_path_factory.mktemp("template"))
