"""The ConsentStore contract on SQLite, in memory and without threads; who is sent to, in a file."""

from __future__ import annotations

import pytest

from tests.store.consent_contract import ConsentContract, SendingContract


@pytest.mark.parametrize("store", ["memory", "inline"], indirect=True)
class TestConsents(ConsentContract):
    pass


@pytest.mark.parametrize("store", ["file"], indirect=True)
class TestSending(SendingContract):
    pass
