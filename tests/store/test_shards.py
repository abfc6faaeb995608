"""The ShardStore contract on SQLite: in a file, in memory, and without threads."""

import pytest

from tests.store.shard_contract import ShardContract


@pytest.mark.parametrize("store", ["file", "memory", "inline"], indirect=True)
class TestShards(ShardContract):
    pass
