"""Looks at the database after every commit, with its own connection and its own idea of what the columns mean."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pushkeep.domain.shard import FINAL_KINDS, Kind
from tests.engine.virtual_time import Process

_KINDS = ", ".join(kind.value for kind in Kind)
_SHARDS = (
    "SELECT id, notification_id, kind, page, origin, members, owners, done, state, not_before, epoch, lease_owner, "
    f"lease_expires_at, takeovers, settled, count, {_KINDS} FROM shards"
)
_NOTIFICATIONS = (
    "SELECT id, public_id, state, paused_at, send_at, deadline, ttl, high_water, finished_at, "
    "keeps_outcomes, purpose_id FROM notifications"
)
_SUBSCRIPTIONS = (
    "SELECT id, state, contact_id, superseded_by, signing_key_id, ended_at, state_reason, probe_at, probes "
    "FROM subscriptions"
)


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A row of ``shards``; ``done`` as a number, one bit for each member."""

    id: int
    notification_id: int
    kind: str
    page: int
    origin: str
    members: tuple[int, ...]
    owners: tuple[int, ...]
    done: int
    state: str
    not_before: float
    epoch: int
    lease_owner: str | None
    lease_expires_at: float | None
    takeovers: int
    settled: int
    count: int
    counts: Mapping[Kind, int]

    @property
    def live(self) -> bool:
        return self.state != "closed"

    @property
    def final(self) -> int:
        """Members whose state is final."""
        return sum(self.counts[kind] for kind in FINAL_KINDS)

    def undone(self) -> list[int]:
        """Members whose bit is not set."""
        return [member for position, member in enumerate(self.members) if not self.done >> position & 1]


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """A row of ``notifications``."""

    id: int
    public_id: str
    state: str
    paused_at: float | None
    send_at: float
    deadline: float
    ttl: int
    high_water: int
    finished_at: float | None
    keeps_outcomes: bool
    purpose_id: int | None


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A row of ``subscriptions``."""

    id: int
    state: str
    contact_id: int | None
    superseded_by: int | None
    signing_key_id: int
    ended_at: float | None
    state_reason: str | None
    probe_at: float | None
    probes: int


@dataclass
class Sight:
    """What the database says after one commit."""

    shards: dict[int, ShardRow] = field(default_factory=dict)
    notifications: dict[int, NotificationRow] = field(default_factory=dict)
    subscriptions: dict[int, SubscriptionRow] = field(default_factory=dict)
    rests: dict[str, float] = field(default_factory=dict)
    keys: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    """By the public half, a signing key's number and state."""


class Spy:
    """Sees every commit.

    Args:
        path: the database file.

    Attributes:
        watchers: called with the process that committed, the sight before, and the one after.
        commits: how many were seen.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA query_only = ON")
        self._version = -1
        self._raw: dict[int, tuple[Any, ...]] = {}
        self._sight = Sight()
        self._stale = False
        self.watchers: list[Callable[[Process | None, Sight, Sight], None]] = []
        self.commits = 0

    def look(self, by: Process | None) -> bool:
        """Look whether something was changed; call it after each commit."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return False
        self._version = version
        self.commits += 1
        self._stale = True
        if self.watchers:
            before = self._sight
            for watcher in self.watchers:
                watcher(by, before, self.sight)
        return True

    @property
    def sight(self) -> Sight:
        """As of the last commit; read when somebody wants to know."""
        if self._stale:
            self._sight, self._stale = self._read(), False
        return self._sight

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Anything else one wants to see."""
        return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        self._connection.close()

    def _read(self) -> Sight:
        known = self._sight.shards
        shards = {}
        for row in self.rows(_SHARDS):
            if self._raw.get(row[0]) == row:
                shards[row[0]] = known[row[0]]
            else:
                self._raw[row[0]] = row
                shards[row[0]] = _shard(row)
        return Sight(
            shards,
            {row[0]: NotificationRow(row[0], _uuid(row[1]), *row[2:]) for row in self.rows(_NOTIFICATIONS)},
            {row[0]: SubscriptionRow(*row) for row in self.rows(_SUBSCRIPTIONS)},
            dict(self.rows("SELECT origin, until FROM origin_rests")),
            {public: (id, state) for public, id, state in self.rows("SELECT public_key, id, state FROM signing_keys")},
        )


def _shard(row: tuple[Any, ...]) -> ShardRow:
    counts = dict(zip(Kind, row[16:], strict=True))
    return ShardRow(*row[:5], _numbers(row[5]), _numbers(row[6]), int.from_bytes(row[7], "little"), *row[8:16], counts)


@lru_cache(maxsize=4096)
def _numbers(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 8}q", packed)


def _uuid(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
