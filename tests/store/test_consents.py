"""The ConsentStore contract on SQLite, in a file, in memory and without threads."""

from __future__ import annotations

import pytest

from tests.store.consent_contract import ConsentContract, SendingContract


@pytest.mark.parametrize("store", ["file", "inline"], indirect=True)
class TestConsents(ConsentContract):
    pass


@pytest.mark.parametrize("store", ["file", "inline"], indirect=True)
class TestSending(SendingContract):
    pass
