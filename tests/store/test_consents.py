"""The ConsentStore contract on SQLite, in a file, in memory and without threads."""

from __future__ import annotations

import pytest

from tests.store.consent_contract import ConsentContract


@pytest.mark.parametrize("store", ["file", "memory", "inline"], indirect=True)
class TestConsents(ConsentContract):
    pass
