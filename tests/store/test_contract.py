"""The Store contract on SQLite: in a file, in memory, and without threads."""

import pytest

from tests.store.contract import StoreContract


@pytest.mark.parametrize("store", ["file", "memory", "inline"], indirect=True)
class TestStore(StoreContract):
    pass
